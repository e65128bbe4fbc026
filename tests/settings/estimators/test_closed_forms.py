"""Bayes and least squares against Monte Carlo in NumPy."""

import math

import jax.numpy as jnp
import numpy as np

from theorylab.settings.in_context import estimators
from theorylab.settings.in_context.gradient_steps import wishart_spectra


def test_bayes_risk_and_its_correction():
    generator = np.random.default_rng(9)
    for n, d, noise in ((20, 5, 0.25), (40, 20, 0.5), (5, 10, 1.0)):
        sampled = np.sum(noise / (wishart_spectra(generator, 8000, n, d) + noise), axis=1)
        error = 4 * sampled.std() / math.sqrt(len(sampled))
        plain = float(estimators.bayes_excess(float(n), float(d), noise, correction=False))
        corrected = float(estimators.bayes_excess(float(n), float(d), noise))
        assert abs(sampled.mean() - corrected) < error + 0.01 * corrected
        assert abs(sampled.mean() - plain) > error
        equivalent = float(estimators.bayes_risk(n, jnp.ones(d), noise)) - noise
        np.testing.assert_allclose(equivalent, plain, rtol=1e-9)
    assert float(estimators.bayes_risk(20, jnp.ones(5), 0.0)) == 0


def test_bayes_is_exact_at_any_size():
    generator = np.random.default_rng(10)
    for n, d, noise in ((7, 5, 0.519), (5, 5, 0.03), (4, 3, 0.1), (5, 8, 0.3)):
        spectra = np.maximum(wishart_spectra(generator, 40_000, n, d), 0)
        sampled = np.sum(noise / (spectra + noise), axis=1)
        exact = float(estimators.bayes_excess_exact(n, d, noise))
        assert abs(sampled.mean() - exact) < 4 * sampled.std() / math.sqrt(len(sampled))
    # The first correction to the Marchenko-Pastur law is off by a few per cent there.
    assert abs(float(estimators.bayes_excess(7.0, 5.0, 0.519)) / estimators.bayes_excess_exact(7, 5, 0.519) - 1) > 0.01
    large = float(estimators.bayes_excess_exact(150, 100, 1.0))
    np.testing.assert_allclose(large, float(estimators.bayes_excess(150.0, 100.0, 1.0)), rtol=3e-4)  # O(1/d²)
    assert estimators.bayes_excess_exact(20, 5, 0.0) == 0
    assert estimators.bayes_excess_exact(3, 5, 0.0) == 2


def test_least_squares():
    np.testing.assert_allclose(estimators.least_squares_excess(20, 5, 0.25), 0.25 * 5 / 14)
    np.testing.assert_allclose(estimators.least_squares_excess(5, 20, 0.25), 15 + 0.25 * 5 / 14)
    assert np.isinf(estimators.least_squares_excess(6, 5, 0.25))
    assert estimators.least_squares_excess(4, 5, 0.0) == 1
