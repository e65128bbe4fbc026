"""Test and train errors: published values, the published form as oracle, special cases, the peak."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import TABLE, TABLE_RIDGES

from theorylab.numerics.spectra import Spectrum, power_law
from theorylab.settings.kernels.theory import (
    effective_ridges,
    peak_test_error,
    population_test_error,
    predict_errors,
    risk,
)
from theorylab.settings.kernels.theory.implicit import learnabilities


def published(spectrum, n, k, ridge, noise, *, width_factor=True):
    """The published form; without the factor k/(k − q) of the mixed term as a negative control."""
    solution = effective_ridges(spectrum, n, k, ridge)
    if width_factor:
        return risk.test_error_published(spectrum, n, k, solution, noise)
    z, q, gamma, kappa = solution.z, solution.q, solution.gamma, solution.kappa
    total = spectrum.eigenvalues + gamma
    bias = jnp.sum((gamma / total - kappa * spectrum.eigenvalues / total**2) * spectrum.target_power)
    return (bias + noise) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))


def test_table_of_the_gaussian_model_and_its_negative_control():
    spectrum, wrong = power_law(10_000, 1.5, 1.5), 0
    for k, expected in TABLE.items():
        found = [float(predict_errors(spectrum, 256, k, r, 0.5)["test_error"]) for r in TABLE_RIDGES]
        np.testing.assert_allclose(found, expected, rtol=2e-4)
        dropped = [float(published(spectrum, 256, k, r, 0.5, width_factor=False)) for r in TABLE_RIDGES]
        wrong += np.sum(np.abs(np.array(dropped) / expected - 1) > 2e-4)
    assert wrong >= 20  # 22 of the 24 cells


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 1.5), (1.2, 1.6), (2.0, 1.3)])
def test_agrees_with_the_published_form(alpha, beta):
    spectrum = power_law(1500, alpha, beta)
    for n, k in ((5, 1), (100, 10), (100, 90), (100, 150), (1000, 700), (1000, 1300)):
        for ridge in (0.0, 1e-20, 1e-8, 1.0, 1e6):
            ours = predict_errors(spectrum, n, k, ridge, 0.1)["test_error"]
            np.testing.assert_allclose(ours, published(spectrum, n, k, ridge, 0.1), rtol=1e-8)


def test_width_factor_is_seen_on_a_steep_noiseless_target():
    spectrum = power_law(1500, 1.5, 2.5)
    ours = predict_errors(spectrum, 100, 150, 0.1, 0.0)["test_error"]
    np.testing.assert_allclose(published(spectrum, 100, 150, 0.1, 0.0), ours, rtol=1e-10)
    dropped = published(spectrum, 100, 150, 0.1, 0.0, width_factor=False)
    assert abs(abs(dropped / ours - 1) - 0.208) < 2e-3


def test_ridgeless_with_fewer_features_than_samples():
    spectrum = power_law(1500, 1.5, 1.5)
    errors = predict_errors(spectrum, 100, 60, 0.0, 0.1)
    expected = risk.ridgeless_underparametrised_test_error(spectrum, 100, 60, 0.1)
    np.testing.assert_allclose(errors["test_error"], expected, rtol=1e-10)
    np.testing.assert_allclose(errors["train_error"], 0.4**2 * expected, rtol=1e-10)


@pytest.mark.parametrize("k", [30, 60, 100, 400, np.inf])
def test_ridgeless_low_rank(k):
    spectrum = Spectrum(
        jnp.append(power_law(30, 1.5, 1.5).eigenvalues, 0.0),
        jnp.ones(31),
        jnp.append(power_law(30, 1.5, 1.5).target_power, 0.2),
    )
    errors = predict_errors(spectrum, 100, k, 0.0, 0.1)
    np.testing.assert_allclose(errors["test_error"], 0.3 / 0.7, rtol=1e-10)
    np.testing.assert_allclose(risk.low_rank_test_error(spectrum, 100, 0.1), 0.3 / 0.7, rtol=1e-12)
    np.testing.assert_allclose(errors["train_error"], 0.3 * 0.7, rtol=1e-10)
    nearly = predict_errors(spectrum, 100, k, 1e-13, 0.1)
    np.testing.assert_allclose(errors["test_error"], nearly["test_error"], rtol=1e-4)


def test_infinitely_many_samples():
    spectrum = power_law(1500, 1.5, 1.5)
    limit = population_test_error(spectrum, 60, 0.1)
    np.testing.assert_allclose(predict_errors(spectrum, 1e9, 60, 0.1, 0.1)["test_error"], limit, rtol=2e-7)
    assert abs(predict_errors(spectrum, 1e3, 60, 0.1, 0.1)["test_error"] / limit - 1) > 0.01


def test_peak_value_and_its_limits():
    spectrum = power_law(2000, 1.5, 1.5)
    exact, leading = [], []
    for ridge in (1e-4, 1e-6, 1e-8):
        exact.append(float(predict_errors(spectrum, 100, 100, ridge, 0.1)["test_error"]))
        leading.append(float(peak_test_error(spectrum, 100, ridge, 0.1)))
    np.testing.assert_allclose(exact, [11.475, 111.806, 1115.13], rtol=5e-5)
    np.testing.assert_allclose(leading, [11.148, 111.480, 1114.80], rtol=5e-5)
    np.testing.assert_allclose(np.subtract(exact, leading)[1:], 0.33, atol=0.01)
    slope = np.log(exact[2] / exact[1]) / np.log(1e-2)
    assert abs(slope + 0.5) <= 0.005
    off_peak = [float(predict_errors(spectrum, 100, 150, ridge, 0.1)["test_error"]) for ridge in (1e-6, 1e-8)]
    assert abs(np.log(off_peak[1] / off_peak[0]) / np.log(1e-2)) < 0.005
    at_zero = predict_errors(spectrum, 100, 100, 0.0, 0.1)
    assert at_zero["test_error"] == np.inf
    assert at_zero["train_error"] == 0


def test_train_error_vanishes_at_the_peak():
    spectrum = power_law(400, 1.5, 1.5)
    found = [float(predict_errors(spectrum, 100, 100, r, 0.1)["train_error"]) for r in (1e-4, 1e-8, 1e-12)]
    np.testing.assert_allclose(found[0] / np.array(found), [1, 1e2, 1e4], rtol=0.02)
    np.testing.assert_allclose(found, [3.38e-3, 3.38e-5, 3.38e-7], rtol=2e-3)


def test_batch_over_ridge_and_noise():
    spectrum = power_law(1500, 1.5, 1.5)
    ridges, noises = jnp.array([0.0, 0.1, 1.0]), jnp.array([0.0, 0.5])

    def predict(ridge, noise):
        return predict_errors(spectrum, 100, 150, ridge, noise)["test_error"]

    grid = jax.jit(jax.vmap(jax.vmap(predict, (None, 0)), (0, None)))(ridges, noises)
    np.testing.assert_allclose(grid, [[predict(r, s) for s in noises] for r in ridges], rtol=1e-12)


def test_cross_validation_identities():
    spectrum = power_law(1500, 1.5, 1.5)
    solution = effective_ridges(spectrum, 100, 150, 0.1)
    errors = predict_errors(spectrum, 100, 150, 0.1, 0.1)
    trace = solution.spare_samples / 0.1  # tr (K + δ)⁻¹ -> a/δ
    estimate = errors["train_error"] / (0.1 * trace / 100) ** 2
    np.testing.assert_allclose(estimate, errors["test_error"], rtol=1e-12)
    np.testing.assert_allclose(1 / trace, solution.kappa, rtol=1e-12)


@pytest.mark.slow
def test_mean_predictor_of_simulated_fits():
    n, k, modes, ridge, seeds = 100, 150, 400, 0.1, 150
    random, index = np.random.default_rng(0), np.arange(1, modes + 1)
    scale, target = index**-0.75, index**-0.75
    blocks, fitted = [slice(4, 10), slice(10, 30), slice(30, 100), slice(100, 400)], []
    for _ in range(seeds):
        inputs, weights = random.normal(size=(n, modes)), random.normal(size=(modes, k))
        features = (inputs * scale) @ weights / np.sqrt(k)
        theta = features.T @ np.linalg.solve(features @ features.T + ridge * np.eye(n), inputs @ target)
        ratio = scale * (weights @ theta) / np.sqrt(k) / target
        fitted.append([ratio[block].mean() for block in blocks])
    mean, error = np.mean(fitted, axis=0), np.std(fitted, axis=0, ddof=1) / np.sqrt(seeds)
    spectrum = power_law(modes, 1.5, 1.5)
    learned = np.asarray(learnabilities(spectrum.eigenvalues, effective_ridges(spectrum, n, k, ridge).gamma)[0])
    expected = np.array([learned[block].mean() for block in blocks])
    tolerance = 4 * error + 0.01  # 1/n
    assert np.all(np.abs(mean - expected) <= tolerance)
    # The control: the data's effective ridge κ in place of γ.
    kappa = float(effective_ridges(spectrum, n, k, ridge).kappa)
    wrong = np.asarray(spectrum.eigenvalues / (spectrum.eigenvalues + kappa))
    wrong_means = np.array([wrong[block].mean() for block in blocks])
    assert not np.all(np.abs(mean - wrong_means) <= tolerance), (mean, wrong_means, tolerance)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1, 1e3), st.floats(1, 1e3), st.floats(1e-4, 1e2), st.floats(0, 2))
def test_two_forms_of_the_risk_are_identical(seed, n, k, ridge, noise):
    random = np.random.default_rng(seed)
    spectrum = Spectrum(
        jnp.asarray(np.exp(2 * random.normal(size=24))),
        jnp.asarray(random.integers(1, 200, size=24).astype(float)),
        jnp.asarray(random.exponential(size=24)),
    )
    errors = predict_errors(spectrum, n, k, ridge, noise)
    if abs(n - k) >= 0.1 * n:
        np.testing.assert_allclose(errors["test_error"], published(spectrum, n, k, ridge, noise), rtol=1e-6)
    assert errors["test_error"] >= noise
    assert errors["train_error"] <= errors["test_error"] * (1 + 1e-12)
    noisier = predict_errors(spectrum, n, k, ridge, noise + 0.5)
    assert noisier["test_error"] >= errors["test_error"] + 0.5 * (1 - 1e-12)
