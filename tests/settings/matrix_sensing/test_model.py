"""The parts of matrix sensing against definitions: operators, updates, rates, rebalancing, bad input."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import theorylab as tl
from theorylab.contract import ConfigError
from theorylab.jax_version import double_precision
from theorylab.settings.factorisation.factors import fit_slope
from theorylab.settings.factorisation.matrix_sensing import SETTING, Config
from theorylab.settings.factorisation.matrix_sensing.data import Instance, sample
from theorylab.settings.factorisation.matrix_sensing.model import (
    limit_rates,
    rebalance,
    symmetric_limit_rates,
    symmetric_tangent_rate,
)
from theorylab.settings.factorisation.matrix_sensing.planning import plan_horizon, predict_rate, predict_tail
from theorylab.settings.factorisation.matrix_sensing.presets import ASYMMETRIC, TINY, TINY_ASYMMETRIC
from theorylab.settings.factorisation.matrix_sensing.ranks import sweep_ranks
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric
from theorylab.settings.factorisation.matrix_sensing.train import descent_step, simulate
from theorylab.settings.factorisation.operators import normal_map, svec, unsvec

RNG = np.random.default_rng(0)


def factors(n1=7, n2=6, k=3):
    return 0.3 * RNG.standard_normal((n1, k)), 0.3 * RNG.standard_normal((n2, k))


def test_half_vectorisation_is_an_isometry():
    a, b = (x + x.T for x in RNG.standard_normal((2, 5, 5)))
    np.testing.assert_allclose(svec(jnp.asarray(a)) @ svec(jnp.asarray(b)), np.sum(a * b), rtol=1e-12)
    np.testing.assert_allclose(unsvec(svec(jnp.asarray(a)), 5), a, rtol=1e-14)


def test_normal_map_is_the_sum_over_measurements_either_way():
    n, m = 5, 40
    rows = RNG.standard_normal((m, n * (n + 1) // 2))
    error = RNG.standard_normal((n, n))
    error = error + error.T
    matrices = np.stack([np.asarray(unsvec(jnp.asarray(row), n)) for row in rows])
    by_hand = np.einsum("mij,m->ij", matrices, np.einsum("mij,ij->m", matrices, error)) / m
    for gram in (True, False):
        h = unsvec(normal_map(jnp.asarray(rows), gram=gram)(svec(jnp.asarray(error))), n)
        np.testing.assert_allclose(h, by_hand, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("prefactor", [0.25, 0.5])
@pytest.mark.parametrize("model", ["symmetric", "asymmetric"])
def test_step_is_gradient_descent_on_the_stated_loss(model, prefactor):
    """The gradient of c|A(E)|² by automatic differentiation; rows of a symmetrised matrix in the symmetric model."""
    n, n2, k, m = 6, (6 if model == "symmetric" else 5), 3, 30
    matrices = RNG.standard_normal((m, n, n2))
    if model == "symmetric":
        matrices = (matrices + matrices.transpose(0, 2, 1)) / 2
        i, j = np.triu_indices(n)
        rows = matrices[:, i, j] * np.where(i == j, 1, math.sqrt(2))
    else:
        rows = matrices.reshape(m, -1)
    f, g = (jnp.asarray(x) for x in factors(n, n2, k))
    spectrum = jnp.array([1.0, 0.6])
    target = np.zeros((n, n2))
    target[[0, 1], [0, 1]] = spectrum
    config = Config(
        model=model, operator="gaussian", dim=n, dim2=n2, target_rank=2, model_rank=k, num_measurements=m,
        loss_prefactor=prefactor, learning_rate=0.01,
    )  # fmt: skip

    def loss(f, g):
        error = f @ (f if model == "symmetric" else g).T - target
        return prefactor * jnp.sum(jnp.einsum("mij,ij->m", matrices, error) ** 2) / m

    by_f, by_g = jax.jit(jax.grad(loss, argnums=(0, 1)))(f, g)
    instance = Instance(spectrum, f, None if model == "symmetric" else g, jnp.asarray(rows))
    new_f, new_g = jax.jit(lambda i: descent_step(i, config)((i.left, i.right), 0))(instance)
    np.testing.assert_allclose(new_f, f - 0.01 * by_f, rtol=1e-11, atol=1e-13)
    if model == "asymmetric":
        np.testing.assert_allclose(new_g, g - 0.01 * by_g, rtol=1e-11, atol=1e-13)


def test_population_step_by_hand():
    n, k, eta = 6, 3, 0.05
    x, _ = factors(n, n, k)
    m = np.diag([1.0, 0.6, 0, 0, 0, 0])
    config = dataclasses.replace(TINY, dim=n, model_rank=k, learning_rate=eta)
    instance = Instance(jnp.array([1.0, 0.6]), jnp.asarray(x), None, None)
    step = jax.jit(lambda i: descent_step(i, config)((i.left, None), 0)[0])(instance)
    np.testing.assert_allclose(step, x - eta * (x @ x.T - m) @ x, rtol=1e-12)


def test_imbalance_changes_by_the_exact_identity_and_not_under_sequential_updates():
    f, g = (jnp.asarray(part) for part in factors(8, 8, 4))
    m = np.zeros((8, 8))
    m[[0, 1], [0, 1]] = 1.0, 0.6
    config = dataclasses.replace(TINY_ASYMMETRIC, dim=8)
    step = jax.jit(lambda f, g: descent_step(Instance(jnp.array([1.0, 0.6]), f, g, None), config)((f, g), 0))
    new_f, new_g = (np.asarray(part) for part in step(f, g))
    error, rate = f @ g.T - m, 0.1

    def change(a, b):
        return a.T @ a - b.T @ b - (f.T @ f - g.T @ g)

    increment = asymmetric.imbalance_increment(f, g, error, rate)
    assert np.abs(change(new_f, new_g) - increment).max() <= 1e-13
    sequential = g - rate * (new_f @ g.T - m).T @ new_f
    assert np.abs(change(new_f, sequential) - increment).max() > 1e-4


def test_rebalancing_keeps_the_product():
    f, g = factors(9, 7, 4)
    f[:, 3] = 0  # a vanishing singular value
    for boost in (False, True):
        new_f, new_g = jax.jit(lambda f, g, b=boost: rebalance(f, g, 0.7, boost_only=b))(f, g)
        np.testing.assert_allclose(new_f @ new_g.T, f @ g.T, atol=1e-12)
        values = np.linalg.svd(np.asarray(new_f), compute_uv=False)
        expected = np.maximum(np.linalg.svd(f, compute_uv=False), 0.7) if boost else np.full(4, 0.7)
        np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_limit_rates_pick_the_smallest_positive_by_rank():
    """F of rank 3 and G of rank 2 with k = 3, r = 2: an off-signal value of 7e-5 counts, rounding does not."""
    f = np.zeros((8, 3))
    g = np.zeros((8, 3))
    f[0, 0], f[1, 1], f[5, 2] = 1.0, 0.8, math.sqrt(7e-5)
    g[0, 0], g[1, 1], g[4, 2] = 1.0, 0.75, 1e-9
    rates = jax.jit(limit_rates, static_argnums=2)(f, g, 2)
    np.testing.assert_allclose(rates.slowest, 7e-5, rtol=1e-6)
    np.testing.assert_allclose(rates.separation, 0.75**2 / 7e-5, rtol=1e-6)
    assert rates.left_rank == 3


@pytest.mark.parametrize("measured", [False, True])
def test_rates_of_the_symmetric_model_at_exact_rank_are_those_of_its_linearised_step(measured):
    """Eigenvalues of the error's own map by automatic differentiation, on the tangent space of rank-two matrices."""
    n, m, rate = 5, 40, 1e-3
    root = RNG.standard_normal((n, 2))
    x = jnp.asarray(root * np.array([1.0, 0.7]) / np.linalg.norm(root, axis=0))
    rows = jnp.asarray(RNG.standard_normal((m, n * (n + 1) // 2)))

    def update(x, error):
        gradient = unsvec(rows.T @ (rows @ svec(error)) / m, n) if measured else error
        return x - rate * gradient @ x

    def error_after(change):  # to first order in the change of the factor
        moved = change.reshape(n, 2)
        error = moved @ x.T + x @ moved.T
        slope = jax.jvp(lambda e: update(x, e), (jnp.zeros((n, n)),), (error,))[1] + moved
        return (slope - moved).ravel() / -rate

    change = np.asarray(jax.jacobian(error_after)(jnp.zeros(2 * n)))
    values = np.sort(np.linalg.eigvals(change).real)[::-1]
    slowest = values[2 * n - 2]  # one direction is gauge
    found = symmetric_tangent_rate(rows, x) if measured else symmetric_limit_rates(x).slowest
    np.testing.assert_allclose(found, slowest, rtol=1e-9)


def test_fitted_slope_and_where_there_is_none():
    t = np.arange(3000.0)
    fit = jax.jit(lambda e: fit_slope(jnp.asarray(t), e, 1e-12, 1e-9))
    np.testing.assert_allclose(fit(np.exp(-0.02 * t)), -0.02, rtol=1e-10)
    assert np.isnan(fit(1 / (1 + t)))  # never in the window
    assert np.isnan(fit(np.exp(-2.0 * t)))  # too few points
    assert np.isnan(fit(1e-9 * np.exp(-0.02 * t) + 4e-11))  # not stationary


def test_all_ranks_in_one_program_are_the_single_runs():
    config = dataclasses.replace(TINY, operator="gaussian", num_measurements=150, dim=10, num_steps=40)
    instance = jax.jit(sample)(jax.random.key(1), config)
    errors, final = jax.jit(lambda i: sweep_ranks(i, config, (2, 4), jnp.array([0.1, 0.5])))(instance)
    rows = np.asarray(instance.rows)
    i, j = np.triu_indices(10)
    m = np.diag([1.0, 0.6] + [0.0] * 8)
    for a, rank in enumerate((2, 4)):
        for b, scale in enumerate((0.1, 0.5)):
            x = scale / 0.5 * np.asarray(instance.left)[:, :rank]
            for _ in range(40):
                e = (x @ x.T - m)[i, j] * np.where(i == j, 1, math.sqrt(2))
                h = np.zeros((10, 10))
                h[i, j] = h[j, i] = (rows @ e) @ rows / 150 * np.where(i == j, 1, math.sqrt(0.5))
                x = x - 0.1 * h @ x
            np.testing.assert_allclose(final[a, b, :, :rank], x, rtol=1e-10, atol=1e-13)
            assert not np.any(final[a, b, :, rank:])
            np.testing.assert_allclose(errors[a, b, -1], np.linalg.norm(x @ x.T - m), rtol=1e-9)


# --- planning ---------------------------------------------------------------------------------------------------------


def test_rates_tails_and_horizons_before_a_run():
    f, g = 0.1 * RNG.standard_normal((2, 50, 5)) / math.sqrt(50)
    g = g / 3
    rate = predict_rate((f, g), [1.0, 0.8, 0.6]).rate
    assert 0.2 * 0.01 < rate < 1.2 * 0.01  # of order α²(1 − 1/γ²)
    finite = predict_rate((f, g), [1.0, 0.8, 0.6], num_measurements=2000)
    assert finite.rate < 0.9 * rate
    assert predict_rate((f, None), [1.0, 0.6]).rate == 0
    assert predict_rate((f[:, :2], None), [1.0, 0.6]).rate == 0.6
    assert "balanced" in predict_rate((f, f), [1.0, 0.6]).source
    with pytest.raises(ValueError, match="below the target's"):
        predict_rate((f[:, :1], None), [1.0, 0.6])
    t = 1e6
    assert predict_tail(f, [1.0, 0.8, 0.6], t, 0.1) * 2 * 0.1 * t == pytest.approx(math.sqrt(2), rel=0.02)
    assert abs(plan_horizon(dataclasses.replace(ASYMMETRIC, trainer="modified")) - 30 / (0.1 * 0.6)) <= 1


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_rank": 1}, "model_rank = 1 is not allowed"),
        ({"learning_rate": 1.05}, "stable below 1 "),
        ({"learning_rate": 0.6, "loss_prefactor": 0.5}, "stable below 0.5 "),
        ({"trainer": "modified"}, "rebalances F and G"),
        ({"smallest_value": 2.0}, "smallest_value = 2"),
    ],
)
def test_bad_configurations_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SETTING.validate(dataclasses.replace(TINY, **changes))


def test_stability_bound_of_the_modified_step():
    """2/(β² + s_1²/β²): 0.385 at s = (1, 0.2) and β² = 0.2, below which a silent, wrong slope begins."""
    config = dataclasses.replace(TINY_ASYMMETRIC, trainer="modified", smallest_value=0.2, rebalance_scale=0.2**0.5)
    SETTING.validate(dataclasses.replace(config, learning_rate=0.38))
    with pytest.raises(ConfigError, match=r"stable below 0\.3846"):
        SETTING.validate(dataclasses.replace(config, learning_rate=0.4))
    SETTING.validate(dataclasses.replace(config, trainer="boost", learning_rate=0.4))


def test_what_cannot_work_is_warned_of():
    with pytest.warns(UserWarning, match="degrees of freedom"):
        SETTING.validate(dataclasses.replace(TINY, operator="gaussian", num_measurements=30))
    with double_precision(False), pytest.warns(UserWarning, match="float64"):
        jax.eval_shape(simulate, jax.random.key(0), TINY)


def test_rebalancing_at_a_step_of_ones_own():
    """Thirty plain steps, the rebalancing, and the rest by itself; before that step the rate of the optimum is none."""
    config = dataclasses.replace(TINY_ASYMMETRIC, trainer="modified", num_steps=40, rebalance_step=30)
    plain = dataclasses.replace(config, trainer="gd", num_steps=30)
    instance = SETTING.sample(jax.random.key(0), config)
    later = tl.advance(SETTING, instance, plain)
    left, right = rebalance(later.left, later.right, config.rebalance_scale)
    apart = tl.run(SETTING, later._replace(left=left, right=right), dataclasses.replace(plain, num_steps=40))
    whole = tl.run(SETTING, instance, config)
    np.testing.assert_allclose(whole.recovery_error, apart.recovery_error, rtol=1e-10)
    assert float(whole.switch_step) == 30
    rate = next(theory for theory in SETTING.theories if theory.name == "rebalanced_rate")
    assert "rebalance_step" in rate.holds(config)
    assert rate.holds(dataclasses.replace(config, rebalance_step=0)) is None


def test_imbalance_drifts_by_the_order_of_the_rate():
    """Where it nearly cancels the flow's conservation is far off; the drift of first order is not."""
    rng, rate, spectrum = np.random.default_rng(3), 0.1, np.array([1.0])
    worst, of_flow = 0.0, 0.0
    for _ in range(40):
        left, right = (scale * rng.standard_normal((4, 1)) for scale in (0.05, 0.1))
        f, g, found = left, right, []
        if abs(f.T @ f - g.T @ g) < 0.1 * (f.T @ f + g.T @ g):
            continue
        for _ in range(100):
            found.append(np.linalg.norm(f.T @ f - g.T @ g))
            error = f @ g.T - np.diag([1.0, 0, 0, 0])
            f, g = f - rate * error @ g, g - rate * error.T @ f
        moved = asymmetric.descent_imbalance(left, right, spectrum, rate, rate * np.arange(100))
        gap = np.abs(np.array(found) / np.linalg.norm(moved, axis=(1, 2)) - 1)
        assert gap[0] < 1e-12
        worst, of_flow = max(worst, gap.max()), max(of_flow, np.abs(np.array(found) / found[0] - 1).max())
    assert worst < 0.6 * rate < 0.13 < of_flow
