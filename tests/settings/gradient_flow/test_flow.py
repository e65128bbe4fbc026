"""The reduced equations: limits, plateaus, and small steps of the whole layer."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.settings.in_context import gradient_flow, losses

KEY = jax.random.key(0)  # flows are not random


def test_flow_conserves_and_reaches_its_limit():
    values = jnp.array([2.0, 1.5, 1.0, 0.5, 0.25])
    gamma = gradient_flow.curvatures(values, 20, 0.25)
    solve = jax.jit(gradient_flow.solve_flow, static_argnames=("separate", "substeps"))
    times = jnp.linspace(0.0, 40.0, 41)
    path = solve(gradient_flow.structured_start(0.01, values), times, values, gamma)
    drift = path.readout**2 - jnp.sum(path.attention**2, axis=1)
    assert float(jnp.abs(drift).max()) < 1e-8
    limit = gradient_flow.balanced_limit(gamma)
    np.testing.assert_allclose(path.readout[-1], limit.readout, rtol=0.02)
    np.testing.assert_allclose(path.readout[-1] * path.attention[-1][:4], 1 / gamma[:4], rtol=5e-3)
    least = gradient_flow.plateau_losses(values, gamma, 0.25)[-1]
    np.testing.assert_allclose(least, 1.41608, atol=1e-5)
    np.testing.assert_allclose(gradient_flow.rank_one_plateaus(values, gamma, 0.25)[0], 3.8158, atol=1e-4)


def test_isotropic_flow_is_logistic():
    values = jnp.ones(5)
    gamma = gradient_flow.curvatures(values, 20, 0.25)
    times = jnp.linspace(0.0, 3.0, 41)
    start = gradient_flow.structured_start(0.05, values)
    path = jax.jit(gradient_flow.solve_flow)(start, times, values, gamma)
    gains = path.readout * path.attention[:, 0]
    closed = gradient_flow.logistic_gain(times, 0.05**2 / math.sqrt(5), 5, gamma[0])
    np.testing.assert_allclose(gains, closed, rtol=1e-7)


def test_plateaus_of_separate_queries_and_keys():
    values = jnp.array([2.0, 1.0, 0.5, 0.25])
    gamma = gradient_flow.curvatures(values, 20, 0.25)
    plateaus = gradient_flow.plateau_losses(values, gamma, 0.25)
    np.testing.assert_allclose(plateaus, [4.0, 2.261, 1.461, 1.116, 0.981], atol=6e-4)


def test_a_small_random_start_grows_along_one_direction():
    """The whole layer's gradient flow from a random start of scale ε is delayed as its linearisation says, to O(ε)."""
    values, n, noise, dt, steps = jnp.array([2.0, 1.5, 1.0, 0.5, 0.25]), 20, 0.25, 2e-3, 3000
    case = losses.Regression(jnp.diag(values), jnp.eye(5), noise)
    gamma = gradient_flow.curvatures(values, n, noise)

    def loss(weights):  # averaging layer: 1/n in the readout
        return losses.population_loss(weights[0] / n, weights[1], case, n) / 2

    @jax.jit
    def descend(weights):
        step = lambda w, _: (jax.tree.map(lambda a, g: a - dt * g, w, jax.grad(loss)(w)), 2 * loss(w))  # noqa: E731
        return jax.lax.scan(step, weights, None, length=steps)[1]

    @jax.jit
    def flow(start):
        path = gradient_flow.solve_flow(start, dt * jnp.arange(0.0, steps, 10), values, gamma, substeps=2)
        gains = path.readout[:, None] * path.attention
        return jax.vmap(lambda gain: gradient_flow.flow_loss(gain, values, gamma, noise))(gains)

    def half_time(losses, interval):
        """Time at which the loss is half-way down, between records."""
        level = (losses[0] + 1.416) / 2
        k = int(np.argmax(losses < level))
        return (k - 1 + float((losses[k - 1] - level) / (losses[k - 1] - losses[k]))) * interval

    rng = np.random.default_rng(0)
    shape = [(rng.standard_normal(6), rng.standard_normal((6, 5))) for _ in range(3)]
    growth = float(jnp.linalg.norm(values**2))
    for scale in (1e-2, 1e-3):
        for u, m in shape:
            weights = (jnp.array(scale * u), jnp.array(scale * m))
            start = gradient_flow.linearised_start(*weights, values)
            # Euler's steps grow like exp(r (1 - r dt/2) t).
            measured = half_time(descend(weights), dt) * (1 - growth * dt / 2)
            predicted = half_time(flow(start), 10 * dt)
            assert abs(measured - predicted) < scale + 1e-3
            # Negative control: the amplitude without its half.
            doubled = half_time(flow(jax.tree.map(lambda x: 2 * x, start)), 10 * dt)
            assert abs(measured - doubled) > 0.1


@functools.lru_cache(maxsize=4)
def flow_deviation(config: gradient_flow.Config):
    """Largest deviation of Euler steps from the flow, for dt and dt/2 (twice the steps)."""
    worst = []
    for halving in (1, 2):
        finer = dataclasses.replace(config, num_steps=halving * config.num_steps)
        step = config.time_step / halving
        run = jax.jit(lambda step, finer=finer: gradient_flow.simulate(KEY, dataclasses.replace(finer, time_step=step)))
        theory = jax.jit(
            lambda step, finer=finer: gradient_flow.reduced_equations(KEY, dataclasses.replace(finer, time_step=step))
        )
        simulated, predicted = run(step), theory(step)
        worst.append(float(jnp.abs(simulated["loss"] - predicted["loss"]).max()))
    return worst, simulated, predicted


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(gradient_flow.FIVE, id="merged"),
        pytest.param(
            dataclasses.replace(gradient_flow.SEPARATE, num_steps=8000), id="separate", marks=pytest.mark.slow
        ),
    ],
)
def test_gradient_flow_is_the_limit_of_small_steps(config):
    (coarse, fine), simulated, predicted = flow_deviation(config)
    assert fine < 0.04
    assert 1.85 < coarse / fine < 2.15
    assert abs(float(simulated["conserved"]) - 1) < 0.01
    # The flow of the loss without its half runs twice as fast: not this one.
    fast = dataclasses.replace(config, time_step=2 * config.time_step)
    other = jax.jit(lambda rate: gradient_flow.reduced_equations(KEY, dataclasses.replace(fast, time_step=rate)))
    gap = jnp.abs(other(2 * config.time_step)["loss"] - predicted["loss"]).max()
    assert float(gap) > 10 * coarse


def test_theories_of_the_flow_do_not_hold_for_long_steps():
    config = gradient_flow.Config(dim=1, covariate_exponent=0.0)
    for theory in gradient_flow.SETTING.theories:
        assert theory.holds(config) is None
        assert "too long" in theory.holds(dataclasses.replace(config, time_step=0.02))
    wide = dataclasses.replace(config, covariate_variance=5.0)
    assert "the start changes by 0.05 in one" in gradient_flow.reduced_equations.holds(wide)
    assert gradient_flow.reduced_equations.holds(dataclasses.replace(wide, covariate_variance=1e300)) is not None
    for beyond in ({"initial_scale": 10.0}, {"noise_variance": 1e8}):
        assert "too long" in gradient_flow.reduced_equations.holds(dataclasses.replace(config, **beyond))
