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


def test_least_squares():
    np.testing.assert_allclose(estimators.least_squares_excess(20, 5, 0.25), 0.25 * 5 / 14)
    np.testing.assert_allclose(estimators.least_squares_excess(5, 20, 0.25), 15 + 0.25 * 5 / 14)
    assert np.isinf(estimators.least_squares_excess(6, 5, 0.25))
    assert estimators.least_squares_excess(4, 5, 0.0) == 1
