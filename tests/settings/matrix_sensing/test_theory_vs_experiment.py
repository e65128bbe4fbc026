"""Matrix sensing: simulation against theory, each with theories that must be rejected."""

import dataclasses
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from theorylab.lab.predict import predict
from theorylab.lab.sweep import sweep
from theorylab.settings.factorisation.matrix_sensing import SETTING
from theorylab.settings.factorisation.matrix_sensing.config import SUBGM, Config
from theorylab.settings.factorisation.matrix_sensing.data import sample
from theorylab.settings.factorisation.matrix_sensing.predictions import draw
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, subgradient, symmetric
from theorylab.settings.factorisation.matrix_sensing.train import run
from theorylab.verdict.compare import check

RNG = np.random.default_rng(1)


@pytest.fixture(scope="module")
def tiny():
    """``{case name: (case, results, rows)}`` of the tiny preset: one simulation for many tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {case.name: (case, data, rows) for case, data, rows in check(SETTING, SETTING.presets["tiny"])}


def test_the_tiny_preset_agrees(tiny):
    rows = [row for _, _, rows in tiny.values() for row in rows]
    assert not [row for row in rows if row.failed]
    agreeing = {row.theory for row in rows if row.status == "agrees"}
    assert agreeing >= {
        "reduction", "riccati_flow", "universal_tail", "exact_rank", "conserved_imbalance", "limit_rate",
        "initial_rate", "asymmetric_exact_rank", "rebalanced_rate", "tangent_kernel", "wishart_rate", "sign_rip",
        "pair_sum", "step_budget",
    }  # fmt: skip


# --- symmetric ------------------------------------------------------------------------------------------------------


def test_tail_constant_has_its_offset_and_its_prefactor(tiny):
    case, data, _ = tiny["symmetric"]
    measured = data.tail_constant.values
    assert abs(measured.mean() - 0.9828) < 4 * 0.0033 / math.sqrt(8)
    keys = [jax.random.key(seed) for seed in range(case.seeds)]
    scales = [symmetric.tail_scales(np.asarray(draw(key, case.config).left), 2) for key in keys]

    def constant(rate):
        tails = np.array([symmetric.descent_tail(z, rate, (3000,))[0] for z in scales])
        return (2 * 0.1 * 3000 * tails) ** 2 / 2

    assert np.abs(measured - constant(0.1)).max() <= 1e-3
    assert np.abs(measured - 1).min() > 1e-3  # universal, but only beyond its offset
    assert np.abs(measured - constant(0.2)).min() > 0.5  # the loss ½|A(E)|² instead of ¼
    flow = np.array([float(symmetric.flow_tail(z, 300.0)) for z in scales])
    assert np.abs((600 * flow) ** 2 / 2 - measured).max() < 0.01
    expansion = np.array([float(symmetric.descent_tail_expansion(z, 0.1, 3000)) for z in scales])
    np.testing.assert_allclose((600 * expansion) ** 2 / 2, constant(0.1), rtol=1e-4)


def test_flow_is_the_closed_form_at_all_times():
    n, k, s = 12, 5, np.array([2.0, 1.0])
    x0 = 0.1 * RNG.standard_normal((n, k))
    m = np.diag(np.concatenate([s, np.zeros(n - 2)]))

    def flow(t, x):
        x = x.reshape(n, k)
        return ((m - x @ x.T) @ x).ravel()

    times = [0.5, 3.0, 12.0]
    solution = solve_ivp(flow, (0, 12), x0.ravel(), "DOP853", times, rtol=1e-11, atol=1e-13).y.T.reshape(-1, n, k)
    for t, x in zip(times, solution, strict=True):
        np.testing.assert_allclose(symmetric.riccati_flow(x0, s, t), x @ x.T, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(symmetric.riccati_flow(x0, s, 0.0), x0 @ x0.T)
    late = np.linalg.norm(symmetric.riccati_flow(x0, s, 1e6) - m)
    assert late * 2e6 == pytest.approx(math.sqrt(3), rel=1e-3)
    assert late == pytest.approx(float(symmetric.flow_tail(symmetric.tail_scales(x0, 2), 1e6)), rel=1e-8)
    with pytest.raises(ValueError, match="at least as many columns"):
        symmetric.riccati_flow(x0[:, :1], s, 1.0)
    on_device = jax.jit(symmetric.riccati_flow)(jnp.asarray(x0), jnp.asarray(s), 3.0)
    np.testing.assert_allclose(on_device, symmetric.riccati_flow(x0, s, 3.0), rtol=1e-10, atol=1e-12)


# --- asymmetric -----------------------------------------------------------------------------------------------------


def test_limit_rate_is_exact_and_the_crude_rate_is_not(tiny):
    _, data, _ = tiny["asymmetric"]
    slope, limit = data.error_slope.values, data.limit_slope.values
    clear = np.isfinite(slope) & np.isfinite(limit)
    assert clear.sum() >= 3
    np.testing.assert_allclose(slope[clear], limit[clear], rtol=1e-4)
    crude = np.log1p(-0.1 * asymmetric.crude_rate(0.2, 3.0))
    measured = slope[np.isfinite(slope)]
    assert (np.abs(crude / measured - 1) > 0.15).mean() >= 0.75


def test_balanced_modes_solve_their_equation():
    for sigma, d, s0 in ((0.0, 0.2, 0.3), (0.6, 0.2, 1e-3), (0.6, 0.9, 0.01)):

        def rhs(t, s, sigma=sigma, d=d):
            return (sigma - s) * np.sqrt(d**2 + 4 * s**2)

        times = np.array([1.0, 5.0, 20.0])
        solution = solve_ivp(rhs, (0, 20), [s0], "DOP853", times, rtol=1e-12, atol=1e-14).y[0]
        np.testing.assert_allclose(asymmetric.balanced_mode(sigma, d, s0, times), solution, rtol=1e-9)
    best, rate = asymmetric.best_scale(0.6, 3.0)
    d = best**2 * (1 - 1 / 9)
    assert asymmetric.balanced_rate(d, 0.6) == pytest.approx(rate)
    assert best == pytest.approx(0.69087, abs=1e-5)
    assert asymmetric.balanced_rate(1.3 * d, 0.6) < rate > asymmetric.balanced_rate(0.7 * d, 0.6)


def test_slope_of_finite_measurements_is_not_that_of_the_population(tiny):
    case, data, _ = tiny["asymmetric, measured"]
    slope = data.error_slope.values
    for seed, measured in enumerate(slope):
        if np.isfinite(measured):
            instance = draw(jax.random.key(seed), case.config)
            level = asymmetric.initial_rate(np.asarray(instance.left), np.asarray(instance.right), 2)
            assert math.log1p(-0.05 * level) / measured > 1.3
    assert np.isfinite(slope).sum() >= 2


@pytest.mark.slow
def test_slope_of_finite_measurements_from_the_initialisation():
    """Single instances scatter around the Wishart edge; their mean over eight is within 15%."""
    config = next(case.config for case in SETTING.presets["tiny"] if case.name == "asymmetric, measured")
    measured = sweep(SETTING, config, {}, seeds=8).error_slope.values
    predicted = predict(SETTING, config, {}, seeds=8, theory="wishart_rate").error_slope.values
    instances = [draw(jax.random.key(seed), config) for seed in range(8)]
    levels = [asymmetric.initial_rate(np.asarray(i.left), np.asarray(i.right), 2) for i in instances]
    population = np.log1p(-0.05 * np.array(levels))
    kept = np.isfinite(measured) & np.isfinite(predicted)
    assert kept.sum() >= 5
    ratio = measured[kept] / predicted[kept]
    assert abs(ratio.mean() - 1) <= 0.15, ratio
    # Negative control: the slope of the population.
    assert abs((measured / population)[kept].mean() - 1) > 0.2


# --- subgradient method -----------------------------------------------------------------------------------------------


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


def test_pair_sums_need_the_scale_and_the_outliers(tiny):
    case, data, _ = tiny["subgradient, outliers"]
    measured = data.pair_sum.values
    nominal = subgradient.SIGN * 0.7
    tolerance = 4 * math.sqrt((1 - nominal**2) / case.config.num_measurements) / nominal
    assert np.abs(measured / nominal - 1).max() <= tolerance
    assert np.abs(measured / subgradient.SIGN - 1).min() > tolerance  # outliers ignored
    assert np.abs(measured / 0.7 - 1).min() > tolerance  # no sqrt(2/π)
    assert subgradient.outlier_fraction(2 * np.median(measured), 1.0) == pytest.approx(0.3, abs=0.05)


def test_budget_law_is_sharp():
    """f = 0.9 fails, 1.15 succeeds; without φ, or with s_j for |E_j|, what should succeed fails."""
    config = dataclasses.replace(SUBGM, num_steps=500)
    wall = subgradient.budget_constant([1.0, 0.8, 0.6]) * math.log(1e6) * (1 - 0.98) / subgradient.SIGN
    s = np.array([1.0, 0.8, 0.6])
    wrong = np.sum(s * np.diff(1 / s, prepend=0.0)) / subgradient.budget_constant(s.tolist())
    steps = jnp.array([0.9, 1.15, 1.15 * subgradient.SIGN, 1.15 * wrong]) * wall

    def final(key):
        instance = sample(key, config)
        one = lambda eta: run(instance, dataclasses.replace(config, learning_rate=eta), error_only=True)  # noqa: E731
        return jax.vmap(one)(steps)["final_error"]

    errors = np.asarray(jax.jit(final)(jax.random.key(5)))
    assert errors[0] > 0.3
    assert errors[1] < 1e-3
    assert (errors[2:] > 1e-3).all()


def test_plateau_exponent_comes_from_the_measurements():
    config = dataclasses.replace(
        SUBGM, trainer="gd", num_measurements=1000, learning_rate=0.1, loss_prefactor=0.25, num_steps=1100
    )

    def finals(key):
        instance = sample(key, config)
        shrunk = lambda scale: run(  # noqa: E731
            instance._replace(left=instance.left * scale), config, error_only=True
        )["final_error"]
        return jax.vmap(shrunk)(jnp.array([10.0, 0.1])), instance.rows

    errors, rows = jax.jit(finals)(jax.random.key(3))
    exponent = math.log(errors[0] / errors[1]) / math.log(100)
    predicted = subgradient.plateau_exponent(np.asarray(rows), np.array([1.0, 0.8, 0.6]), 20, loss="l2")
    assert abs(exponent - predicted) <= 0.08
    assert abs(exponent - 2) > 0.3


def test_square_loss_fits_the_corruption():
    config = Config(
        operator="gaussian", dim=16, model_rank=16, num_measurements=1500, init_scale=1e-4, num_steps=2500,
        outlier_prob=0.2,
    )  # fmt: skip
    keys = jax.random.split(jax.random.key(4), 6)

    def one(key):
        instance = sample(key, config)
        return run(instance, config, error_only=True)["final_error"], instance

    finals, instances = jax.jit(jax.vmap(one))(keys)
    s = np.array([1.0, 0.8, 0.6])
    i, j = np.triu_indices(16)
    ratio, noise_only = [], []
    for final, rows, corruption in zip(*map(np.asarray, (finals, instances.rows, instances.corruption)), strict=True):
        noise = np.zeros((16, 16))
        noise[i, j] = noise[j, i] = corruption @ rows / 1500 * np.where(i == j, 1, math.sqrt(0.5))
        ratio.append(final * math.hypot(*s) / float(subgradient.corrupted_limit(noise, s)))
        values = np.linalg.eigvalsh(noise)
        noise_only.append(final * math.hypot(*s) / np.linalg.norm(values[values > 0]))
    assert (np.asarray(finals) > 0.3).all()
    assert abs(np.mean(ratio) - 1) <= 0.05
    assert abs(np.mean(noise_only) - 1) > 0.05
