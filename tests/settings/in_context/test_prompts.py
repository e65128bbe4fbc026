"""Samplers of prompts and of their statistics, and the layer that reads them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics import random
from theorylab.settings.in_context import layer as model
from theorylab.settings.in_context.prompts import (
    Law,
    Statistics,
    power_law,
    sample_pool,
    sample_prompts,
    sample_statistics,
)

LAW = Law(power_law(2, 0.7), power_law(2, -0.4), 0.3)


@pytest.fixture(scope="module")
def samples():
    """40,000 prompts and as many statistics of the same law."""

    @jax.jit
    def draw(key):
        prompts = sample_prompts(key, LAW, 40_000, 4)
        factor = sample_statistics(jax.random.fold_in(key, 9), LAW, 40_000, 4)
        gram = jnp.einsum("btk,bsk->bts", factor.factor, factor.factor)
        return prompts, gram, factor.tasks

    return jax.tree.map(np.asarray, draw(jax.random.key(0)))


def test_prompts_have_their_covariances(samples):
    prompts, _, _ = samples
    covariances, tasks = (np.asarray(v) for v in LAW[:2])
    np.testing.assert_allclose([covariances.mean(), tasks.mean()], 1.0)
    np.testing.assert_allclose(prompts.covariates.reshape(-1, 2).var(0), covariances, rtol=0.02)
    np.testing.assert_allclose(prompts.tasks.var(0), tasks, rtol=0.03)
    noise = prompts.labels - np.einsum("bnd,bd->bn", prompts.covariates, prompts.tasks)
    np.testing.assert_allclose([noise.var(), noise.mean()], [0.3, 0.0], atol=0.005)
    residual = prompts.targets - np.sum(prompts.queries * prompts.tasks, 1)
    np.testing.assert_allclose(residual.var(), 0.3, rtol=0.03)


def test_statistics_have_the_law_of_the_prompts(samples):
    """First and second moments of every entry of G, and the joint moment with the task."""
    prompts, gram, tasks = samples
    tokens = np.concatenate([prompts.covariates, prompts.labels[:, :, None]], axis=2)
    direct = np.einsum("bnt,bns->bts", tokens, tokens)
    for first, second in (
        (direct, gram),
        (direct**2, gram**2),
        (np.log(np.linalg.det(direct)), np.log(np.linalg.det(gram))),
        (direct[:, 2, :2] * prompts.tasks, gram[:, 2, :2] * tasks),
    ):
        error = np.hypot(first.std(0), second.std(0)) / math.sqrt(40_000)
        assert np.all(np.abs(first.mean(0) - second.mean(0)) < 4.5 * error)


def test_chi_square_has_its_law():
    from scipy.stats import chi2, kstest

    degrees = jnp.array([1.0, 2.0, 3.0, 16.0])
    values = np.asarray(jax.jit(lambda key: random.chi_square(key, degrees, 20_000))(jax.random.key(1)))
    for column, k in zip(values.T, degrees, strict=True):
        assert kstest(column, chi2(float(k)).cdf).pvalue > 1e-3
        assert kstest(column, chi2(float(k) + 0.2).cdf).pvalue < 1e-3


def test_pool_tasks_are_those_of_the_pool():
    law = sample_pool(jax.random.key(6), LAW, 3)
    prompts = sample_prompts(jax.random.key(7), law, 50, 4)
    distances = np.abs(np.abs(prompts.tasks[:, None]) - np.abs(law.pool)[None]).sum(2).min(1)
    np.testing.assert_allclose(distances, 0.0, atol=1e-12)


def test_effective_layer_is_the_layer(samples):
    prompts = jax.tree.map(lambda leaf: jnp.asarray(leaf[:5]), samples[0])
    layer = jax.tree.map(jnp.asarray, model.init_layer(jax.random.key(3), 2, 1.0))
    tokens = np.concatenate([prompts.covariates, prompts.labels[:, :, None]], axis=2)
    query = np.concatenate([prompts.queries, np.zeros((5, 1))], axis=1)
    scores = np.einsum("bnt,st,sr,br->bn", tokens, layer.key, layer.query, query)
    direct = np.einsum("s,st,bnt,bn->b", layer.readout, layer.value, tokens, scores) / 4
    effective = model.effective_layer(layer, 4.0)
    np.testing.assert_allclose(model.predict(effective, prompts), direct, rtol=1e-10)
    gram = np.einsum("bnt,bns->bts", tokens, tokens)
    statistics = Statistics(jnp.linalg.cholesky(jnp.asarray(gram)), prompts.tasks)
    weights = model.statistic_weights(effective, statistics)
    np.testing.assert_allclose(np.sum(weights * prompts.queries, axis=1), direct, rtol=1e-8)
    # What leaves the function unchanged leaves P unchanged.
    mix = jnp.array([[1.0, 0.3, 0.0], [0.0, 2.0, 0.1], [0.5, 0.0, 1.0]])
    same = layer._replace(key=mix @ layer.key, query=jnp.linalg.inv(mix).T @ layer.query, value=2 * layer.value)
    same = same._replace(readout=layer.readout / 2)
    np.testing.assert_allclose(
        model.preconditioner(model.effective_layer(same, 4.0)), model.preconditioner(effective), rtol=1e-9
    )
