"""Real random features: simulated errors against theory, and where the theory fails.

The Gaussian model, and ReLU features on the sphere, are cases of the tiny preset, which the contract test runs.
"""

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
from theorylab.settings.kernels.random_features.train import simulate
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


# --- real features with known spectra -----------------------------------------------------------------

SPHERE = Config(model="relu_sphere", input_dim=10, num_samples=100, num_features=200, noise_variance=0.05)
CUBE = Config(model="erf_hypercube", input_dim=20, num_samples=100, num_features=200, noise_variance=0.05)
REAL_RIDGES = (0.01, 0.1, 1.0)


@pytest.mark.parametrize(
    ("config", "num_features"),
    [
        pytest.param(CUBE, 200, id="erf_hypercube-200"),
        pytest.param(SPHERE, math.inf, id="relu_sphere-inf", marks=pytest.mark.slow),
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


@pytest.mark.slow
def test_universality_fails_for_fourier_features_in_two_dimensions():
    """With few dimensions and a fast spectrum the theory is far too low, unless the ridge is large."""
    config = Config(model="fourier", input_dim=2, bandwidth=0.5, num_samples=50, num_features=100, noise_variance=0.05)
    means, _ = measure(config, (1e-3, 1.0), 40)
    ratio = means["test_error"] / predicted(config, (1e-3, 1.0))["test_error"]
    assert ratio[0] > 1.3
    assert abs(ratio[1] - 1) < 0.15
