"""The layers: preconditioned ones are steps of gradient descent, one linear one is the layer of the family."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.in_context import deep_layers
from theorylab.settings.in_context import layer as model
from theorylab.settings.in_context.prompts import Law, Statistics, power_law, sample_prompts


@pytest.fixture(scope="module")
def prompts():
    """Five prompts of four tokens in two dimensions."""
    return sample_prompts(jax.random.key(0), Law(power_law(2, 0.7), power_law(2, -0.4), 0.3), 5, 4)


@pytest.mark.slow
def test_flax_layers(prompts):
    """One linear layer of the flax module is the layer; softmax is another function; all are finite."""
    module = deep_layers.transformer(1)
    params = deep_layers.init_transformer(module, jax.random.key(4), 2, 1.0)
    weights = params["params"]
    layer = model.Layer(jnp.array([0.0, 0.0, 1.0]), weights["value_0"], weights["key_0"], weights["query_0"])
    linear = module.apply(params, prompts.covariates, prompts.labels, prompts.queries)
    np.testing.assert_allclose(linear, model.predict(model.effective_layer(layer, 4.0), prompts), rtol=1e-10)
    softmax = deep_layers.transformer(2, softmax=True)
    params = deep_layers.init_transformer(softmax, jax.random.key(5), 2, 1.0)
    values = softmax.apply(params, prompts.covariates, prompts.labels, prompts.queries)
    assert np.all(np.isfinite(values))
    assert np.abs(values - linear).max() > 1e-3


def test_two_preconditioned_layers_are_two_steps_of_gradient_descent(prompts):
    tokens = np.concatenate([prompts.covariates, prompts.labels[:, :, None]], axis=2)
    gram = np.einsum("bnt,bns->bts", tokens, tokens)
    steps = np.stack([0.1 * np.eye(2), 0.2 * np.eye(2)])
    statistics = Statistics(jnp.linalg.cholesky(jnp.asarray(gram)), prompts.tasks)
    weights = deep_layers.preconditioned_weights(jnp.asarray(steps), statistics, 4.0)
    s, b = gram[:, :2, :2] / 4, gram[:, 2, :2] / 4
    first = 0.1 * b
    np.testing.assert_allclose(weights, first + 0.2 * (b - np.einsum("bde,be->bd", s, first)), rtol=1e-8)


@pytest.mark.slow
def test_one_linear_layer_learns_the_step_of_gradient_descent():
    """Queries, keys and values end at the best single step: the loss is that of one preconditioned layer."""
    config = deep_layers.Config(attention="linear", num_layers=1, num_steps=600, initial_scale=0.3)
    run = jax.jit(deep_layers.simulate)(jax.random.key(1), config)
    best = 20 * deep_layers.gradient_step_sizes(20, 5, 0.25, 1)
    np.testing.assert_allclose(run["step_sizes"], best, rtol=0.1)
    assert "attention" in deep_layers.gradient_steps.holds(config)


@pytest.mark.parametrize(("n", "m", "steps"), [(20, 10, 1), (8, 30, 2)])
def test_steps_of_one_length_at_another(n, m, steps):
    """Gradient steps in NumPy at m tokens, of the sizes that are best at n."""
    d, noise, prompts, rng = 3, 0.4, 40_000, np.random.default_rng(1)
    x, w = rng.standard_normal((prompts, m, d)), rng.standard_normal((prompts, d))
    y = np.einsum("pmd,pd->pm", x, w) + np.sqrt(noise) * rng.standard_normal((prompts, m))
    found = np.zeros_like(w)
    for size in np.asarray(deep_layers.gradient_step_sizes(n, d, noise, steps)) * n:
        found = found + size / m * np.einsum("pmd,pm->pd", x, y - np.einsum("pmd,pd->pm", x, found))
    errors = np.sum((found - w) ** 2, axis=1)
    expected = float(deep_layers.other_length_excess(n, m, d, noise, steps))
    assert abs(errors.mean() - expected) < 4 * errors.std() / np.sqrt(prompts)
    again = deep_layers.other_length_excess(n, n, d, noise, steps)
    np.testing.assert_allclose(again, deep_layers.gradient_steps_excess(n, d, noise, steps), rtol=1e-9)


def test_softmax_layers_at_another_length():
    """Queries, keys and values read contexts of any length, another than that of training among them."""
    config = deep_layers.Config(attention="softmax", num_layers=1, num_steps=2, num_test=50, test_length=1)
    found = jax.jit(deep_layers.simulate)(jax.random.key(0), config)
    assert np.isfinite(found["test_length_loss"])
    assert found["test_length_loss"] != found["sampled_loss"]


def test_short_contexts_are_refused():
    with pytest.raises(ConfigError, match=r"context_length = 5 .*6 tokens"):
        deep_layers.SETTING.validate(deep_layers.Config(context_length=5))
    with pytest.raises(ConfigError, match=r"test_length = 3 .*6 tokens"):
        deep_layers.SETTING.validate(deep_layers.Config(test_length=3))
    deep_layers.SETTING.validate(deep_layers.Config(context_length=5, attention="softmax"))
