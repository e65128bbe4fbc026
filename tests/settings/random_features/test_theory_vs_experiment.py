"""Random-feature regression: simulated errors against theory, each with theories that must be rejected."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.kernel_spectra import spectrum
from theorylab.settings.kernels.random_features.train import MODES, simulate
from theorylab.settings.kernels.theory.implicit import effective_ridges
from theorylab.settings.kernels.theory.risk import predict_errors

Errors = dict[str, np.ndarray]


@functools.lru_cache(maxsize=8)
def measure(config: Config, ridges: tuple[float, ...], seeds: int) -> tuple[Errors, Errors]:
    """Means over seeds and their standard errors, with one leading axis of ridges."""

    def one(key):
        return jax.vmap(lambda ridge: simulate(key, dataclasses.replace(config, ridge=ridge)))(jnp.array(ridges))

    keys = jax.random.split(jax.random.key(2024), seeds)
    values = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=10))(keys)
    means = {name: np.mean(value, axis=0) for name, value in values.items()}
    errors = {name: np.std(value, axis=0, ddof=1) / math.sqrt(seeds) for name, value in values.items()}
    return means, errors


def predicted(config: Config, ridges, **changes) -> Errors:
    changed = dataclasses.replace(config, **changes)
    theory = jax.jit(
        jax.vmap(
            lambda ridge: predict_errors(
                Spectrum(*spectrum(changed)),
                float(changed.num_samples),
                float(changed.num_features),
                ridge,
                changed.noise_variance,
            )
        )
    )(jnp.array(ridges))
    return {name: np.asarray(value) for name, value in theory.items()}


def accepted(measured, theory, observable: str, relative) -> np.ndarray:
    """Whether each mean lies within 4 standard errors and a finite-size term of the theory."""
    means, errors = measured
    return np.abs(means[observable] - theory) <= 4 * errors[observable] + np.asarray(relative) * theory


# --- Gaussian model -----------------------------------------------------------------------------------

NOISY = Config(num_modes=1500, target_exponent=1.5, noise_variance=0.5)
NOISY_RIDGES = (0.01, 0.1, 1.0, 10.0)
STEEP = Config(num_modes=1500, target_exponent=2.5, noise_variance=0.0, num_samples=200, num_features=300)
STEEP_RIDGES = (0.01, 0.1, 1.0)


@pytest.mark.parametrize("sizes", [(100, 150), pytest.param((150, 100), marks=pytest.mark.slow)])
def test_gaussian_features_with_label_noise(sizes):
    config = dataclasses.replace(NOISY, num_samples=sizes[0], num_features=sizes[1])
    measured = measure(config, NOISY_RIDGES, 60)
    theory = predicted(config, NOISY_RIDGES)
    # Fewer features than samples at a small ridge: corrections of order 1/k are larger, 5%.
    finite_size = [0.05 if sizes[1] < sizes[0] and ridge < 0.1 else 0.02 for ridge in NOISY_RIDGES]
    assert accepted(measured, theory["test_error"], "test_error", finite_size).all()
    assert accepted(measured, theory["train_error"], "train_error", 0.03).all()
    # Errors of noiseless labels are not what is measured.
    clean = predicted(config, NOISY_RIDGES, noise_variance=0.0)
    assert not accepted(measured, clean["train_error"], "train_error", 0.03).any()
    assert not accepted(measured, clean["test_error"], "test_error", finite_size).any()


def test_gaussian_features_without_noise():
    measured = measure(STEEP, STEEP_RIDGES, 100)
    theory = predicted(STEEP, STEEP_RIDGES)
    assert accepted(measured, theory["test_error"], "test_error", 0.02).all()
    assert accepted(measured, theory["train_error"], "train_error", 0.03).all()


def wrong_theories(ridge: float) -> dict[str, tuple[float, float | None]]:
    """Slightly wrong test errors at :data:`STEEP`, and train errors where the mistake reaches them."""
    n, k = 200.0, 300.0
    eigenvalues, _, power = (np.asarray(part) for part in spectrum(STEEP))
    ridges = jax.jit(effective_ridges)(Spectrum(*spectrum(STEEP)), n, k, ridge)
    gamma, kappa = float(ridges.gamma), float(ridges.kappa)
    learned = eigenvalues / (eigenvalues + gamma)
    z, q = learned.sum(), (learned**2).sum()
    a, b, w = n - z, k - z, z - q
    unlearned = power @ (1 - learned) ** 2
    bracket = power @ (gamma / (eigenvalues + gamma) - kappa * eigenvalues / (eigenvalues + gamma) ** 2)
    no_factor = bracket / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
    no_cross_term = n * (b + w) * unlearned / (a * b + w * (a + b))
    right = float(predicted(STEEP, (ridge,))["test_error"][0])
    return {
        "k/(k-q) replaced by 1": (no_factor, (a / n) ** 2 * no_factor),
        "without w Σ v² L G": (no_cross_term, (a / n) ** 2 * no_cross_term),
        "κ replaced by γ in the train error": (right, (ridge / (n * gamma)) ** 2 * right),
    }


def test_wrong_theories_of_gaussian_features_are_rejected():
    measured = measure(STEEP, STEEP_RIDGES, 100)
    for ridge_index, ridge in enumerate(STEEP_RIDGES):
        for name, (test, train) in wrong_theories(ridge).items():
            if "train error" not in name:
                assert not accepted(measured, test, "test_error", 0.02)[ridge_index], name
            assert not accepted(measured, train, "train_error", 0.03)[ridge_index], name
    scaled = predicted(STEEP, [200 * ridge for ridge in STEEP_RIDGES])
    infinite = predicted(STEEP, STEEP_RIDGES, num_features=math.inf)
    for wrong in (scaled, infinite):
        assert not accepted(measured, wrong["test_error"], "test_error", 0.02).any()
        assert not accepted(measured, wrong["train_error"], "train_error", 0.03).any()


def test_mean_learned_coefficients_are_the_learnabilities():
    """E[v̂_i] = L_i v_i at the implicit ridge γ (Jacot et al. 2020), not at κ or the ridge itself."""
    config = Config(num_modes=500, num_samples=100, num_features=60, noise_variance=0.0)
    means, errors = measure(config, (0.1,), 100)
    full = Spectrum(*spectrum(config))
    ridges = jax.jit(effective_ridges)(full, 100.0, 60.0, 0.1)
    modes = np.asarray(full.eigenvalues)[np.array(MODES) - 1]
    learned, wrong = modes / (modes + float(ridges.gamma)), modes / (modes + float(ridges.kappa))
    measured, error = means["learned_coefficients"][0], errors["learned_coefficients"][0]
    assert (np.abs(measured - learned) <= 4 * error + 0.01).all()
    assert not (np.abs(measured - wrong) <= 4 * error + 0.01).all()


def test_generalised_cross_validation_predicts_the_test_error():
    config = dataclasses.replace(NOISY, num_samples=150, num_features=300)
    means, errors = measure(config, (0.1, 1.0), 60)
    tolerance = 4 * np.hypot(errors["gcv"], errors["test_error"]) + 0.03 * means["test_error"]
    assert (np.abs(means["gcv"] - means["test_error"]) <= tolerance).all()
    assert not (np.abs(means["train_error"] - means["test_error"]) <= tolerance).any()


# --- real features with known spectra -----------------------------------------------------------------

SPHERE = Config(model="relu_sphere", input_dim=10, num_samples=100, num_features=200, noise_variance=0.05)
CUBE = Config(model="erf_hypercube", input_dim=20, num_samples=100, num_features=200, noise_variance=0.05)
REAL_RIDGES = (0.01, 0.1, 1.0)


@pytest.mark.parametrize(
    ("config", "num_features"),
    [
        pytest.param(CUBE, 200, id="erf_hypercube-200"),
        pytest.param(SPHERE, math.inf, id="relu_sphere-inf"),
        pytest.param(SPHERE, 200, id="relu_sphere-200", marks=pytest.mark.slow),
        pytest.param(CUBE, math.inf, id="erf_hypercube-inf", marks=pytest.mark.slow),
    ],
)
def test_real_features_behave_like_gaussian_ones(config, num_features):
    config = dataclasses.replace(config, num_features=num_features)
    measured = measure(config, REAL_RIDGES, 20)
    theory = predicted(config, REAL_RIDGES)
    assert accepted(measured, theory["test_error"], "test_error", 0.04).all()
    scaled = predicted(config, [100 * ridge for ridge in REAL_RIDGES])
    assert not accepted(measured, scaled["test_error"], "test_error", 0.04).all()


def test_power_outside_the_kernels_span_counts():
    """Degree 3 is not in the span of ReLU features; leaving its power out is rejected."""
    measured = measure(SPHERE, REAL_RIDGES, 20)
    eigenvalues, multiplicities, power = spectrum(SPHERE)
    inside = Spectrum(eigenvalues, multiplicities, np.where(eigenvalues > 0, power, 0))
    wrong = [float(predict_errors(inside, 100.0, 200.0, r, 0.05)["test_error"]) for r in REAL_RIDGES]
    assert not accepted(measured, np.array(wrong), "test_error", 0.04).any()


@pytest.mark.slow
def test_universality_fails_for_fourier_features_in_two_dimensions():
    """With few dimensions and a fast spectrum the theory is far too low, unless the ridge is large."""
    config = Config(model="fourier", input_dim=2, bandwidth=0.5, num_samples=50, num_features=100, noise_variance=0.05)
    means, _ = measure(config, (1e-3, 1.0), 40)
    ratio = means["test_error"] / predicted(config, (1e-3, 1.0))["test_error"]
    assert ratio[0] > 1.3
    assert abs(ratio[1] - 1) < 0.15
