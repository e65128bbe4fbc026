"""Robust recovery: the parts against definitions, the laws of the l1 loss against direct sums, bad input."""

import dataclasses
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.factorisation.operators import svec, unsvec
from theorylab.settings.factorisation.robust_recovery import SETTING, Config
from theorylab.settings.factorisation.robust_recovery.data import Instance, sample
from theorylab.settings.factorisation.robust_recovery.planning import plan_horizon
from theorylab.settings.factorisation.robust_recovery.presets import SQUARE
from theorylab.settings.factorisation.robust_recovery.theory import subgradient
from theorylab.settings.factorisation.robust_recovery.train import subgradient as sign_map
from theorylab.settings.factorisation.robust_recovery.train import train, training_step

RNG = np.random.default_rng(0)
TARGET = np.array([1.0, 0.8, 0.6])


def an_instance(n=6, k=3, m=40):
    rows = RNG.standard_normal((m, n * (n + 1) // 2))
    corruption = np.where(RNG.random(m) < 0.3, RNG.standard_normal(m), 0.0)
    left = 0.3 * RNG.standard_normal((n, k))
    config = Config(dim=n, target_rank=2, model_rank=k, num_measurements=m)
    return config, Instance(*map(jnp.asarray, ([1.0, 0.6], left, rows, corruption)))


def test_sign_map_is_the_sum_over_measurements():
    config, instance = an_instance()
    error = RNG.standard_normal((6, 6))
    error = error + error.T
    matrices = np.stack([np.asarray(unsvec(row, 6)) for row in instance.rows])
    residuals = np.einsum("mij,ij->m", matrices, error) - np.asarray(instance.corruption)
    direction, size = sign_map(instance, config)(jnp.asarray(error))
    by_hand = np.einsum("mij,m->ij", matrices, np.sign(residuals)) / 40
    np.testing.assert_allclose(direction, by_hand, rtol=1e-11, atol=1e-14)
    assert size == pytest.approx(np.abs(residuals).mean())


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_step_goes_down_the_stated_loss(loss):
    """The gradients by automatic differentiation; the update is a half of that of the factor, or all of it."""
    config, instance = an_instance()
    schedule = "geometric" if loss == "l1" else "constant"
    config = dataclasses.replace(config, loss=loss, step_schedule=schedule, learning_rate=0.05, step_decay=0.5)

    def value(u):
        error = u @ u.T - jnp.diag(jnp.array([1.0, 0.6, 0, 0, 0, 0]))
        residuals = instance.rows @ svec(error) - instance.corruption
        return jnp.mean(jnp.abs(residuals)) / 2 if loss == "l1" else jnp.mean(residuals**2) / 4

    u, eta = jax.jit(lambda i: training_step(i, config)((i.left, jnp.zeros(())), jnp.int32(3)))(instance)
    assert eta == pytest.approx(0.05 * (0.5**3 if loss == "l1" else 1))
    np.testing.assert_allclose(u, instance.left - eta * jax.grad(value)(instance.left), rtol=1e-11, atol=1e-13)


def test_population_step_by_hand():
    config, instance = an_instance()
    config = dataclasses.replace(config, operator="population", learning_rate=0.05, step_decay=0.5)
    instance = instance._replace(rows=None, corruption=None)
    x = np.asarray(instance.left)
    step = jax.jit(lambda i: training_step(i, config)((i.left, jnp.zeros(())), jnp.int32(3))[0])(instance)
    error = x @ x.T - np.diag([1.0, 0.6, 0, 0, 0, 0])
    rate = 0.05 * 0.5**3 * math.sqrt(2 / math.pi) / np.linalg.norm(error)
    np.testing.assert_allclose(step, x - rate * error @ x, rtol=1e-12)


def test_sign_rip_scale_holds_the_corrupted_measurements_too():
    n, m, p, seeds = 20, 4000, 0.4, 8
    x = np.zeros(n * (n + 1) // 2)
    x[0] = 1.0  # a unit matrix of rank one; the law does not depend on which
    scales = []
    for _ in range(seeds):
        rows = RNG.standard_normal((m, len(x)))
        corruption = np.where(RNG.random(m) < p, 10 * RNG.standard_normal(m), 0.0)
        scales.append(np.mean(np.sign(rows @ x - corruption) * (rows @ x)))
    right = float(subgradient.sign_rip_scale(1.0, p, 10.0))
    error = math.sqrt((1 - right**2) / (m * seeds))
    assert abs(np.mean(scales) - right) <= 4 * error
    assert abs(np.mean(scales) - subgradient.SIGN * (1 - p)) > 4 * error


def test_pair_sums_tell_the_fraction_of_outliers():
    assert subgradient.outlier_fraction(2 * subgradient.SIGN * 0.7, 1.0) == pytest.approx(0.3)
    config = SETTING.case("tiny", "outliers").config
    config = dataclasses.replace(config, learning_rate=1.3)
    pairs = np.asarray(jax.jit(SETTING.simulate)(jax.random.key(0), config)["pair_sum"])
    assert subgradient.outlier_fraction(2 * pairs, 1.0) == pytest.approx(0.3, abs=0.1)


def test_budget_law_is_sharp():
    """f = 0.9 fails, 1.15 succeeds; without φ, or with s_j for |E_j|, what should succeed fails."""
    config = Config(num_steps=500)
    wall = subgradient.budget_constant([1.0, 0.8, 0.6]) * math.log(1e6) * (1 - 0.98) / subgradient.SIGN
    wrong = np.sum(TARGET * np.diff(1 / TARGET, prepend=0.0)) / subgradient.budget_constant(TARGET.tolist())
    steps = jnp.array([0.9, 1.15, 1.15 * subgradient.SIGN, 1.15 * wrong]) * wall

    def final(key):
        instance = sample(key, config)
        one = lambda eta: train(instance, dataclasses.replace(config, learning_rate=eta)).errors[-1]  # noqa: E731
        return jax.vmap(one)(steps) / np.linalg.norm(TARGET)

    errors = np.asarray(jax.jit(final)(jax.random.key(5)))
    assert errors[0] > 0.3
    assert errors[1] < 1e-3
    assert (errors[2:] > 1e-3).all()


def test_plateau_exponent_of_the_square_loss_comes_from_the_measurements():
    config = dataclasses.replace(SQUARE, num_measurements=1000, num_steps=1100)

    def finals(key):
        instance = sample(key, config)
        shrunk = lambda scale: train(instance._replace(left=instance.left * scale), config).errors[-1]  # noqa: E731
        return jax.vmap(shrunk)(jnp.array([10.0, 0.1])), instance.rows

    errors, rows = jax.jit(finals)(jax.random.key(3))
    exponent = math.log(errors[0] / errors[1]) / math.log(100)
    predicted = subgradient.plateau_exponent(np.asarray(rows), TARGET, 20, loss="l2")
    assert abs(exponent - predicted) <= 0.08
    assert abs(exponent - 2) > 0.3


def test_schedules_are_diagnosed_and_runs_planned():
    assert subgradient.budget_constant([1.0, 0.8, 0.6]) == pytest.approx(1.91421, abs=1e-5)
    report = subgradient.diagnose_schedule(0.66292, 0.98, 1e-6, [1.0, 0.8, 0.6])
    assert report.fraction == pytest.approx(1.0, abs=1e-3)
    half = subgradient.diagnose_schedule(0.33146, 0.98, 1e-6, [1.0, 0.8, 0.6])
    assert half.smallest_step == pytest.approx(0.66292, rel=1e-3)
    assert half.slowest_decay == pytest.approx(0.99, abs=1e-4)
    assert plan_horizon(Config()) == math.ceil(math.log(1e-9) / math.log(0.98))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_rank": 1}, "model_rank = 1 is not allowed"),
        ({"num_steps": 10**9}, "num_steps = 1000000000 is not allowed"),  # each is kept
        ({"model_rank": 21}, "model_rank = 21 is not allowed"),
        ({"smallest_value": 2.0}, "smallest_value = 2"),
        ({"step_schedule": "residual", "outlier_prob": 0.1}, "use 'geometric'"),
        ({"loss": "l2", "step_schedule": "residual", "learning_rate": 0.1}, "it is for loss = 'l1'"),
        ({"loss": "l2", "step_schedule": "constant"}, "stable below 1"),
        ({"loss": "l2", "learning_rate": 0.1, "operator": "population", "outlier_prob": 0.1}, "no measurements"),
    ],
)
def test_bad_configurations_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SETTING.validate(dataclasses.replace(Config(), **changes))


def test_what_cannot_work_is_warned_of():
    with pytest.warns(UserWarning, match="the predicted minimum is"):
        SETTING.validate(Config(learning_rate=0.3))
    with pytest.warns(UserWarning, match="degrees of freedom"):
        SETTING.validate(Config(num_measurements=30))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SETTING.validate(Config())
