"""Neural collapse with free features: published numbers, argmin and Hessian by NumPy, and descent on both branches."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.factorisation.neural_collapse import SETTING, Config, predictions
from theorylab.settings.factorisation.neural_collapse.data import explicit_network
from theorylab.settings.factorisation.neural_collapse.theory import classes


def solution(counts, weight_decay, feature_decay, depth, width=10):
    n = jnp.array(counts, dtype=float)
    cost = classes.class_cost(n, depth, weight_decay**depth, feature_decay)
    logits = classes.global_logits(n, sum(counts), cost, depth, width)
    norms = classes.feature_norms(logits, n, cost, depth, feature_decay)
    return logits, norms, classes.total_loss(logits, n, sum(counts), cost, depth)


@pytest.mark.parametrize(
    ("counts", "decays", "depth", "logits", "loss"),
    [
        ((40, 20, 10, 4), (2e-3, 2e-4), 1, (0.99260, 0.98953, 0.98520, 0.97660), 0.010034),
        ((40, 20, 10, 4), (2e-3, 2e-4), 2, (0.99412, 0.99065, 0.98513, 0.97248), 0.013696),
        ((40, 20, 10, 4, 2), (3e-2, 3e-3), 1, (0.88600, 0.83878, 0.77200, 0.63950, 0.49018), 0.147716),
        ((40, 20, 10, 4), (4e-2, 2e-2), 1, (0.66906, 0.53198, 0.33812, 0.0), 0.333046),
        ((40, 20, 12, 3), (4e-2, 2e-3), 2, (0.90221, 0.84109, 0.76994, 0.0), 0.196708),
    ],
)
def test_solutions_have_the_numbers_of_gradient_descent(counts, decays, depth, logits, loss):
    """Numbers of an independent gradient descent of 12000 steps, written from prose alone."""
    found, norms, total = solution(counts, *decays, depth)
    np.testing.assert_allclose(found, logits, atol=6e-6)
    np.testing.assert_allclose(total, loss, atol=6e-7)
    if loss == 0.010034:
        np.testing.assert_allclose(norms, (0.7045, 0.8365, 0.9926, 1.2426), atol=6e-5)


def test_narrow_networks_keep_the_classes_of_largest_gain():
    found, _, total = solution((30, 20, 10), 1e-2, 1e-3, 1, width=2)
    np.testing.assert_allclose(found, (0.96536, 0.95757, 0), atol=6e-6)
    np.testing.assert_allclose(total, 0.114196, atol=6e-7)


@pytest.mark.parametrize(("depth", "published"), [(1, 0.492840), (2, 4.183979), (3, 7.621255), (5, 13.549259)])
def test_critical_count_is_where_the_argmin_jumps(depth, published):
    """A grid of logits and a bisection in n_k at fixed N = 74, in NumPy."""
    weight, feature, total = 3e-2, 3e-3, 74
    s = np.concatenate([[0], np.geomspace(1e-12, 1, 200_001)])

    def survives(n):
        cost = (weight**depth * feature * n) ** (1 / (depth + 1))
        return np.argmin(n / (2 * total) * s * (s - 2) + (depth + 1) / 2 * cost * s ** (2 / (depth + 1))) > 0

    low, high = 0.01, 74.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if survives(middle) else (middle, high)
    found = float(classes.critical_count(74.0, depth, weight**depth, feature))
    assert abs(found / published - 1) < 2e-6
    assert abs(found / low - 1) < (2e-5 if depth == 1 else 1e-6)
    if depth > 1:  # one power of N, the bend's exponent halved, the root forgotten
        for wrong in (found / total ** (1 / depth), found / depth, found**depth):
            assert abs(wrong / low - 1) > 0.1


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("unequal", [False, True])
def test_both_branches_are_stationary_and_the_lower_is_a_saddle(depth, unequal):
    """Gradient and Hessian of the whole loss at the explicit network, one feature a class weighted by its samples."""
    counts, feature_decay, width = np.array([8.0, 4.0, 2.0]), 1e-3, 4
    decays = np.full(depth, 2e-2) * (np.linspace(0.8, 1.2, depth) if unequal else 1)
    cost = classes.class_cost(jnp.array(counts), depth, np.prod(decays), feature_decay)
    found = classes.branches(jnp.array(counts), counts.sum(), cost, depth)
    shapes = [(width, width)] * (depth - 1) + [(3, width), (width, 3)]

    def parts(x):
        ends = np.cumsum([a * b for a, b in shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(jnp.split(x, ends), shapes, strict=True)]

    @jax.jit
    def loss(x):
        *weights, features = parts(x)
        whole = weights[0]
        for layer in weights[1:]:
            whole = layer @ whole
        fit = jnp.sum(counts * jnp.sum((whole @ features - jnp.eye(3)) ** 2, axis=0)) / (2 * counts.sum())
        norms = sum(decay * jnp.sum(w**2) for decay, w in zip(decays, weights, strict=True))
        return fit + norms / 2 + feature_decay * jnp.sum(counts * jnp.sum(features**2, axis=0)) / 2

    derivatives = jax.jit(lambda x: (jax.grad(loss)(x), jax.hessian(loss)(x)))
    for logits, falling in ((found.minimum, 0), (found.minimum.at[2].set(found.saddle[2]), 1)):
        for factor in (1.0, 1.01):
            network = explicit_network(
                factor * logits, jnp.array(counts), cost, jnp.array(decays), feature_decay, width
            )
            x = jnp.concatenate([part.ravel() for part in (*network[0], network[1])])
            gradient, hessian = derivatives(x)
            if factor == 1:
                assert np.abs(gradient).max() < 1e-12
                assert np.sum(np.linalg.eigvalsh(hessian) < -1e-9) == falling
            else:
                assert np.abs(gradient).max() > 1e-3
    if depth == 2 and not unequal:
        np.testing.assert_allclose([found.saddle[2], found.minimum[2]], [2.746e-4, 0.93351], rtol=1e-3)


def test_descent_from_a_perturbed_minimum_returns_and_random_starts_end_above():
    config = Config(
        class_counts="40,20,12,8,4", depth=2, width=5, weight_decay=2e-2, feature_decay=1e-3, num_steps=4000
    )
    near = dataclasses.replace(config, start="minimum", perturbation=0.2)
    _, _, best = solution((40, 20, 12, 8, 4), 2e-2, 1e-3, 2)
    np.testing.assert_allclose(best, 0.127373, atol=6e-7)
    keys = jax.random.split(jax.random.key(0), 3)
    ends = {c.start: jax.jit(jax.vmap(lambda k, c=c: SETTING.simulate(k, c)))(keys) for c in (near, config)}
    np.testing.assert_allclose(ends["minimum"]["final_loss"], best, atol=1e-7)
    finite = np.isfinite(ends["random"]["final_loss"])
    assert np.all(ends["random"]["final_loss"][finite] >= best - 1e-9)


NO_COUNTS = (
    "", "40,0", "many", "40", "40, 20", "+40,20", "4_0,20", "040,20", "40,٣", "9" * 5000 + ",1", "1," * 2000 + "1",
)  # fmt: skip


def test_bad_input_is_refused():
    for changes, name in (
        *(({"class_counts": text}, "class_counts = '.{,60} is not allowed") for text in NO_COUNTS),
        ({"weight_decay": 0.0}, "weight_decay"),
        ({"feature_decay": -1.0}, "feature_decay"),
        ({"learning_rate": 1e3}, "learning_rate"),
        ({"start": "saddle"}, "depth = 1"),
        ({"start": "saddle", "depth": 2, "weight_decay": 1.0, "feature_decay": 0.1}, "start = saddle"),
        ({"start": "minimum", "width": 2}, "width = 2"),
    ):
        with pytest.raises(ConfigError, match=name):
            SETTING.validate(Config(**changes))
    assert "not converged" in predictions.scalar_solution.holds(Config(num_steps=100))
    assert "either branch" in predictions.scalar_solution.holds(Config(depth=2))
