"""Ridge curves without root solves, the optimal ridge, and "more is better"."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics.spectra import Spectrum, power_law
from theorylab.settings.kernels.theory import (
    optimal_envelope,
    optimal_ridge,
    predict_errors,
    ridge_curve,
    zero_ridge_slope,
)
from theorylab.settings.kernels.theory.optimal_ridge import _point, _sweep

SPECTRUM = power_law(400, 1.5, 1.5)


def random_structures(count, seed):
    """Lognormal eigenvalues and exponential target powers, 48 levels each."""
    random = np.random.default_rng(seed)
    return Spectrum(
        jnp.asarray(np.exp(3 * random.normal(size=(count, 48)))),
        jnp.asarray(random.integers(1, 200, size=(count, 48)).astype(float)),
        jnp.asarray(random.exponential(size=(count, 48))),
    )


def test_curve_agrees_with_solving_at_its_ridges():
    log_ratio = jnp.array([1e-12, 1e-6, 0.1, 1.0, 5.0, 20.0])
    for n, k in ((100, 60), (100, 100), (100, 150), (100, jnp.inf)):
        curve = ridge_curve(SPECTRUM, n, k, 0.1, log_ratio)
        solved = jax.vmap(lambda r, n=n, k=k: predict_errors(SPECTRUM, n, k, r, 0.1))(curve.ridge)
        np.testing.assert_allclose(curve.test_error, solved["test_error"], rtol=1e-8)
        np.testing.assert_allclose(curve.train_error, solved["train_error"], rtol=1e-8)
        assert np.all(np.diff(curve.ridge) > 0)
    assert ridge_curve(SPECTRUM, 100, 100, 0.1, jnp.zeros(1)).test_error[0] == np.inf


def test_optimum_is_below_a_dense_scan():
    ridges = jnp.append(jnp.logspace(-8, 4, 400), 0.0)

    @jax.jit
    def solve(n, k):
        best = optimal_ridge(SPECTRUM, n, k, 0.1)
        scan = jax.vmap(lambda ridge: predict_errors(SPECTRUM, n, k, ridge, 0.1)["test_error"])(ridges)
        return best.test_error, scan.min(), predict_errors(SPECTRUM, n, k, best.ridge, 0.1)["test_error"]

    for n, k in ((100.0, 60.0), (100.0, 100.0), (100.0, 150.0), (100.0, jnp.inf)):
        best, lowest, again = solve(n, k)
        assert best <= lowest * (1 + 1e-12)
        np.testing.assert_allclose(best, lowest, rtol=1e-3)
        np.testing.assert_allclose(best, again, rtol=1e-10)


def test_slope_at_zero_ridge():
    spectrum = power_law(500, 1.5, 1.5)
    np.testing.assert_allclose(zero_ridge_slope(spectrum, 100, 60, 0.1), -1.75687, rtol=1e-5)
    assert zero_ridge_slope(spectrum, 100, 100, 0.1) == -np.inf
    for k, expected in ((60, -1.75687), (150, zero_ridge_slope(spectrum, 100, 150, 0.1))):
        step = ridge_curve(spectrum, 100, k, 0.1, jnp.array([0.0, 1e-5, 2e-5]))
        numeric = np.dot([-3, 4, -1], np.log(step.test_error)) / 2e-5
        np.testing.assert_allclose(numeric, expected, rtol=1e-5)


@pytest.mark.slow
def test_negative_ridge_helps_where_interpolation_is_optimal():
    spectrum = power_law(400, 1.5, 3.0)
    best = optimal_ridge(spectrum, 20, 5000, 0.0, allow_negative=True)
    plain = optimal_ridge(spectrum, 20, 5000, 0.0)
    assert plain.ridge == 0
    assert zero_ridge_slope(spectrum, 20, 5000, 0.0) > 0
    assert best.ridge < 0
    assert 0 < best.test_error < plain.test_error
    assert -1 < best.fitting_ratio < 0
    # Fewer features than samples admit no negative ridge.
    narrow = optimal_ridge(spectrum, 20, 15, 0.0, allow_negative=True)
    assert narrow.ridge > 0


def test_the_most_negative_ridges_of_a_population_by_hand():
    """One level that is the target above a flat tail, towards γ = 0, where the error is a ratio of 0 and 0.

    With G -> γ/λ and S_p = Σ λ^-p it is n/(n - M + S_1²/S_2) M Σ v² λ^-2/S_2 there, at the ridge M (n - M)/S_1.
    """
    size, n = 240, 60
    eigenvalues = np.append(0.08, 0.007 * np.linspace(1, 0.25, size - 1))
    power = np.append(146.0, np.full(size - 1, 1e-5))
    spectrum = Spectrum(*map(jnp.asarray, (eigenvalues, np.ones(size), power)))
    first, second = np.sum(1 / eigenvalues), np.sum(1 / eigenvalues**2)
    error = n / (n - size + first**2 / second) * size * np.sum(power / eigenvalues**2) / second
    for log_ratio in (-17.0, -22.0, -28.0):
        point = _point(_sweep(spectrum, n, np.inf, 0.0, size), jnp.asarray(log_ratio))
        np.testing.assert_allclose(point.test_error, error, rtol=1e-6)
        np.testing.assert_allclose(point.ridge, size * (n - size) / first, rtol=1e-6)
    best = optimal_ridge(spectrum, n, np.inf, 0.0, size, allow_negative=True)
    scan = jax.vmap(lambda u: _point(_sweep(spectrum, n, np.inf, 0.0, size), u).test_error)(jnp.linspace(-28, 4, 2000))
    np.testing.assert_allclose(best.test_error, scan.min(), rtol=1e-4)
    assert best.test_error < error


def test_low_rank_and_unlearnable_targets():
    first = jnp.arange(400) < 30
    low_rank = Spectrum(
        jnp.where(first, SPECTRUM.eigenvalues, 0.0),
        jnp.ones(400),
        jnp.where(first, SPECTRUM.target_power, 0.0),
    )
    best = optimal_ridge(low_rank, 100, 400, 0.0)
    assert best.ridge == 0
    assert best.test_error == 0
    null = Spectrum(SPECTRUM.eigenvalues.at[-1].set(0.0), jnp.ones(400), jnp.zeros(400).at[-1].set(1.0))
    np.testing.assert_allclose(optimal_ridge(null, 100, 150, 0.1).test_error, 1.1, rtol=1e-10)


def test_more_is_better_at_fixed_effective_ridge():
    """Theorem 1's proof, point by point: E(γ; n, k) falls strictly with n and with k."""
    structures, random = random_structures(200, 0), np.random.default_rng(1)
    sizes = jnp.asarray(np.exp(random.uniform(0, np.log(2000), size=(200, 2))))
    log_ratios = jnp.asarray(random.uniform(1e-3, 6.0, size=200))  # beyond, the change drowns in rounding
    noises = jnp.asarray(random.choice([0.0, 0.1, 1.0], size=200))

    def errors(spectrum, size, log_ratio, noise):
        base = _sweep(spectrum, size[0], size[1], noise)
        start = _point(base, log_ratio)

        def at_same_gamma(n, k):
            moved = _sweep(spectrum, n, k, noise)
            return _point(moved, jnp.log(start.gamma / moved.gamma_unit)).test_error

        return (
            start.test_error,
            at_same_gamma(1.05 * size[0], size[1]),
            at_same_gamma(size[0], 1.05 * size[1]),
        )

    start, more_samples, more_features = jax.jit(jax.vmap(errors))(structures, sizes, log_ratios, noises)
    assert np.all(np.isfinite(start))
    assert np.all(start >= noises)
    assert np.all(more_samples < start)
    assert np.all(more_features < start)


def test_more_is_better_at_the_optimal_ridge():
    sizes = jnp.array([20.0, 60.0, 61.0, 200.0])
    structures = random_structures(20, 2)
    noises = jnp.asarray(np.tile([0.0, 0.1, 1.0, 5.0], 5))

    @jax.jit
    def envelope(spectrum, noise):
        return optimal_envelope(spectrum, sizes[:, None], sizes[None, :], noise).test_error

    for i in range(20):
        spectrum = Spectrum(*(entry[i] for entry in structures))
        errors = np.asarray(envelope(spectrum, noises[i]))
        assert np.all(np.isfinite(errors))
        assert np.all(errors >= noises[i])
        for axis in (0, 1):
            relative = np.diff(errors, axis=axis) / np.delete(errors, -1, axis)
            assert relative.max() <= 1e-9, (i, axis, relative.max())


def test_more_is_not_better_at_a_fixed_ridge():
    """The negative control: without tuning the ridge the error rises towards n = k."""
    widths = jnp.array([50.0, 90.0, 100.0])
    errors = jax.vmap(lambda k: predict_errors(SPECTRUM, 100, k, 1e-3, 0.1)["test_error"])(widths)
    np.testing.assert_allclose(errors, [0.928, 2.193, 2.553], atol=1e-3)
