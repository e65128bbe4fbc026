"""Samplers, the layer and its variants, bad input."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.in_context.linear_attention import SETTING, Config, data, model
from theorylab.settings.in_context.linear_attention.train import recorded_steps

CONFIG = Config(dim=2, context_length=4, covariate_exponent=0.7, task_exponent=-0.4, noise_variance=0.3)


@pytest.fixture(scope="module")
def samples():
    """40,000 prompts and as many statistics of the same law."""

    @jax.jit
    def draw(key):
        prompts = data.sample_prompts(key, CONFIG, 40_000, 4)
        factor = data.sample_statistics(jax.random.fold_in(key, 9), CONFIG, 40_000)
        gram = jnp.einsum("btk,bsk->bts", factor.factor, factor.factor)
        return prompts, gram, factor.tasks

    return jax.tree.map(np.asarray, draw(jax.random.key(0)))


def test_prompts_have_their_covariances(samples):
    prompts, _, _ = samples
    covariances, tasks = (np.asarray(v) for v in data.eigenvalues(CONFIG))
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
    values = np.asarray(jax.jit(lambda key: data.chi_square(key, degrees, 20_000))(jax.random.key(1)))
    for column, k in zip(values.T, degrees, strict=True):
        assert kstest(column, chi2(float(k)).cdf).pvalue > 1e-3
        assert kstest(column, chi2(float(k) + 0.2).cdf).pvalue < 1e-3


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
    statistics = data.Statistics(jnp.linalg.cholesky(jnp.asarray(gram)), prompts.tasks)
    weights = model.statistic_weights(effective, statistics)
    np.testing.assert_allclose(np.sum(weights * prompts.queries, axis=1), direct, rtol=1e-8)
    # What leaves the function unchanged leaves P unchanged.
    mix = jnp.array([[1.0, 0.3, 0.0], [0.0, 2.0, 0.1], [0.5, 0.0, 1.0]])
    same = layer._replace(key=mix @ layer.key, query=jnp.linalg.inv(mix).T @ layer.query, value=2 * layer.value)
    same = same._replace(readout=layer.readout / 2)
    np.testing.assert_allclose(
        model.preconditioner(model.effective_layer(same, 4.0)), model.preconditioner(effective), rtol=1e-9
    )


def test_flax_layers(samples):
    """One linear layer of the flax module is the layer; softmax is another function; all are finite."""
    prompts = jax.tree.map(lambda leaf: jnp.asarray(leaf[:5]), samples[0])
    module = model.transformer(1)
    params = model.init_transformer(module, jax.random.key(4), 2, 1.0)
    weights = params["params"]
    layer = model.Layer(jnp.array([0.0, 0.0, 1.0]), weights["value_0"], weights["key_0"], weights["query_0"])
    linear = module.apply(params, prompts.covariates, prompts.labels, prompts.queries)
    np.testing.assert_allclose(linear, model.predict(model.effective_layer(layer, 4.0), prompts), rtol=1e-10)
    softmax = model.transformer(2, softmax=True)
    params = model.init_transformer(softmax, jax.random.key(5), 2, 1.0)
    values = softmax.apply(params, prompts.covariates, prompts.labels, prompts.queries)
    assert np.all(np.isfinite(values))
    assert np.abs(values - linear).max() > 1e-3


def test_two_preconditioned_layers_are_two_steps_of_gradient_descent(samples):
    prompts = jax.tree.map(lambda leaf: jnp.asarray(leaf[:5]), samples[0])
    tokens = np.concatenate([prompts.covariates, prompts.labels[:, :, None]], axis=2)
    gram = np.einsum("bnt,bns->bts", tokens, tokens)
    steps = np.stack([0.1 * np.eye(2), 0.2 * np.eye(2)])
    statistics = data.Statistics(jnp.linalg.cholesky(jnp.asarray(gram)), prompts.tasks)
    weights = model.preconditioned_weights(jnp.asarray(steps), statistics, 4.0)
    s, b = gram[:, :2, :2] / 4, gram[:, 2, :2] / 4
    first = 0.1 * b
    np.testing.assert_allclose(weights, first + 0.2 * (b - np.einsum("bde,be->bd", s, first)), rtol=1e-8)


def test_pool_tasks_are_those_of_the_pool():
    config = dataclasses.replace(CONFIG, num_tasks=3)
    pool = data.sample_pool(jax.random.key(6), config)
    prompts = data.sample_prompts(jax.random.key(7), config, 50, 4, pool)
    distances = np.abs(np.abs(prompts.tasks[:, None]) - np.abs(pool)[None]).sum(2).min(1)
    np.testing.assert_allclose(distances, 0.0, atol=1e-12)
    assert data.sample_pool(jax.random.key(6), CONFIG) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 0}, r"context_length = 0 .*>= 1"),
        ({"noise_variance": -0.1}, r"noise_variance = -0\.1 .*>= 0"),
        ({"num_tasks": 3}, r"num_tasks = 3 .*dim = 5"),
        ({"dim": 0}, "dim = 0"),
        ({"covariate_variance": 0.0}, "covariate_variance = 0"),
        ({"initial_scale": 0.0}, "initial_scale = 0"),
        ({"target": "relu"}, "training = 'population'"),
        ({"training": "statistics", "context_length": 5}, r"context_length = 5 .*6 tokens"),
        ({"training": "flow", "task_exponent": 1.0}, "task_exponent = 1"),
        ({"training": "pool_regression", "num_tasks": 4, "prompt_ratio": 1.0}, "prompt_ratio = 1"),
        ({"attention": "softmax"}, "training = 'population'"),
        ({"attention": "preconditioned", "training": "prompts"}, "attention = 'preconditioned'"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SETTING.validate(dataclasses.replace(Config(), **changes))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([1.0, -0.2]), r"task_covariance with smallest eigenvalue -0\.2 .*>= 0"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.ones((2, 3)), "square"),
        (np.diag([1.0, np.nan]), "finite"),
    ],
)
def test_covariances_are_checked(matrix, message):
    with pytest.raises(ConfigError, match=message):
        data.check_covariance("task_covariance", matrix)
    np.testing.assert_array_equal(data.check_covariance("task_covariance", np.diag([1.0, 0.0])), np.diag([1.0, 0.0]))


def test_presets_are_valid():
    for cases in SETTING.presets.values():
        for case in cases:
            SETTING.validate(case.config)
            steps = recorded_steps(case.config)
            assert steps[0] == 0
            assert steps[-1] == case.config.num_steps
