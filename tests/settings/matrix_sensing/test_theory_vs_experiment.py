"""Closed forms of matrix sensing against independent solutions, and what the tiny preset does not show."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import theorylab as tl
from theorylab.settings.factorisation.matrix_sensing import SETTING
from theorylab.settings.factorisation.matrix_sensing.data import drawn
from theorylab.settings.factorisation.matrix_sensing.presets import TINY
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, symmetric

RNG = np.random.default_rng(1)


# --- symmetric ------------------------------------------------------------------------------------------------------


def test_expansion_of_the_tail_is_the_iterated_map_and_the_flow_is_near():
    for seed in range(3):
        scales = symmetric.tail_scales(drawn(jax.random.key(seed), TINY).left, 2)
        iterated = symmetric.descent_tail(scales, 0.1, (3000,))[0]
        assert symmetric.descent_tail_expansion(scales, 0.1, 3000) == pytest.approx(iterated, rel=1e-4)
        assert symmetric.flow_tail(scales, 300.0) == pytest.approx(iterated, rel=0.01)


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


def test_descent_has_the_first_order_of_its_step_size():
    """Against gradient descent by NumPy: half the step leaves a quarter of the error, and half of the flow's."""
    s, m = np.array([1.0, 0.7]), np.diag([1.0, 0.7, *np.zeros(8)])
    x0 = 0.1 * RNG.standard_normal((10, 3))
    worst = {}
    for rate in (0.1, 0.05):
        steps = [round(t / rate) for t in range(21)]
        x, errors = x0, []
        for step in range(steps[-1] + 1):
            if step in steps:
                errors.append(np.linalg.norm(x @ x.T - m))
            x = x - rate * (x @ x.T - m) @ x
        flow = [symmetric.flow_error(x0, s, rate * step) for step in steps]
        predicted = symmetric.descent_errors(x0, s, rate, steps)
        worst[rate] = [np.max(abs(np.array(found) / errors - 1)) for found in (predicted, flow)]
    assert worst[0.1][0] < 0.03 < worst[0.1][1]
    assert 3 < worst[0.1][0] / worst[0.05][0] < 5.5
    assert 1.5 < worst[0.1][1] / worst[0.05][1] < 2.7


# --- asymmetric -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("operator", ["population", "gaussian"])
def test_slope_at_exact_rank_is_that_of_the_final_factor(operator):
    """Symmetric model: spectrum of the factor, or its tangent kernel, which no theory of the setting uses."""
    config = SETTING.case("tiny", "symmetric, exact rank").config
    config = dataclasses.replace(config, operator=operator, num_measurements=300)
    data = tl.sweep(SETTING, config, {}, seeds=3)
    np.testing.assert_allclose(data.limit_slope, data.error_slope, rtol=1e-4 if operator == "population" else 0.02)
    if operator == "gaussian":
        population = math.log1p(-0.1 * 0.6)
        assert (np.abs(data.limit_slope / population - 1) > 0.05).all()


@pytest.mark.slow
def test_slope_of_finite_measurements_from_the_initialisation():
    """Single instances scatter around the Wishart edge; their mean over eight is within 15%, unlike the population."""
    config = SETTING.case("tiny", "asymmetric, measured").config
    measured = tl.sweep(SETTING, config, {}, seeds=8).error_slope.values
    predicted, population = (
        tl.predict(SETTING, config, {}, seeds=8, theory=theory).error_slope.values
        for theory in ("wishart_rate", SETTING.theory("wishart_rate").control("infinitely many measurements"))
    )
    kept = np.isfinite(measured) & np.isfinite(predicted)
    assert kept.sum() >= 5
    ratio = measured[kept] / predicted[kept]
    assert abs(ratio.mean() - 1) <= 0.15, ratio
    assert abs((measured / population)[kept].mean() - 1) > 0.2
