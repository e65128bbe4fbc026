"""Bayes and least squares against Monte Carlo in NumPy."""

import dataclasses
import math

import jax
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


def enumerated(rng, d, n, noise, num_tasks, prompts):
    """|w - ŵ|² of the discrete posterior's mean, in NumPy; each prompt with a pool of its own."""
    pool = rng.standard_normal((prompts, num_tasks, d))
    x = rng.standard_normal((prompts, n, d))
    y = np.einsum("pnd,pd->pn", x, pool[:, 0]) + math.sqrt(noise) * rng.standard_normal((prompts, n))
    logs = -np.sum((y[:, :, None] - np.einsum("pnd,pmd->pnm", x, pool)) ** 2, axis=1) / (2 * noise)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return np.sum((np.einsum("pm,pmd->pd", weights, pool) - pool[:, 0]) ** 2, axis=1)


def test_bayes_of_two_tasks():
    rng = np.random.default_rng(2)
    for d, n, noise in ((4, 4, 0.25), (2, 1, 0.25), (3, 2, 0.5), (1, 1, 0.01)):
        errors = enumerated(rng, d, n, noise, 2, 20_000)
        exact = float(estimators.two_tasks_excess(n, d, noise))
        assert abs(errors.mean() - exact) < 4 * errors.std() / math.sqrt(len(errors))
    # One sample or many: a context without information leaves half of |w_1 - w_2|²/2, a long one nothing.
    np.testing.assert_allclose(estimators.two_tasks_excess(1, 3, 1e7), 1.5, rtol=1e-5)
    assert estimators.two_tasks_excess(60, 5, 0.1) < 1e-8
    assert "too rare" in estimators.two_tasks.holds(estimators.Config())


def test_bayes_of_a_pool_is_that_of_numpy():
    """The enumerated posterior of the simulator on one prompt, and the annealed loss within what it declares."""
    config = estimators.Config(dim=3, context_length=2, num_tasks=7, noise_variance=0.4, num_test=50)
    key = jax.random.key(3)
    found = jax.jit(estimators.simulate)(key, config)
    prompts = estimators.sample_prompts(key, estimators.Law(np.ones(3), np.ones(3), 0.4), 50, 2)
    pool = np.asarray(estimators.random.normal(estimators.random.fold_in(key, 3), 7, 3))
    x, noise = np.asarray(prompts.covariates), np.asarray(prompts.labels)
    noise = noise - np.einsum("bnd,bd->bn", x, prompts.tasks)
    for name, tasks in (("pool_bayes_loss", pool[np.arange(50) % 7]), ("pool_bayes_fresh_loss", prompts.tasks)):
        y = np.einsum("bnd,bd->bn", x, tasks) + noise
        weights = np.exp(-np.sum((y[:, :, None] - np.einsum("bnd,md->bnm", x, pool)) ** 2, axis=1) / 0.8)
        means = weights @ pool / weights.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(found[name], np.mean(np.sum((means - tasks) ** 2, axis=1)) + 0.4, rtol=1e-9)
    certain = estimators.Config(dim=3, context_length=2, num_tasks=7, noise_variance=0.0, num_test=50)
    assert jax.jit(estimators.simulate)(key, certain)["pool_bayes_loss"] < 1e-12


def test_annealed_pool_speaks_from_a_quarter_of_exp_information_on():
    config = estimators.POOL  # e^I = 73
    assert estimators.annealed_pool.holds(config) is None
    assert "at least 1" in estimators.annealed_pool.holds(dataclasses.replace(config, num_tasks=6))
    errors = enumerated(np.random.default_rng(4), 4, 4, 0.25, 73, 3000)
    loss = float(estimators.annealed_pool(jax.random.key(0), config)["pool_bayes_loss"])
    assert abs(errors.mean() + 0.25 - loss) < 0.1 * loss + 4 * errors.std() / math.sqrt(3000)
