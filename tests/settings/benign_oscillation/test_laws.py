"""Laws of two features under an oscillating descent, against the map written out in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.step_size import benign_oscillation as bo
from theorylab.settings.step_size import oscillation


def descend(rate, strong, weak, start, steps):
    """Weights along gradient descent on (1/2)(1 - S²a² - s²b²)², [steps + 1, 2]."""
    a = b = start
    path = [(a, b)]
    for _ in range(steps):
        error = 1 - (strong * a) ** 2 - (weak * b) ** 2
        a, b = a + 2 * rate * error * strong**2 * a, b + 2 * rate * error * weak**2 * b
        path.append((a, b))
    return np.array(path)


@pytest.fixture(scope="module")
def run():
    """One program for all tests: rates, strengths and initial values are scalars."""
    return jax.jit(lambda config: bo.simulate(jax.random.key(0), config))


def test_steps_are_those_of_gradient_descent():
    """By automatic differentiation, strengths other than 1."""
    strong, weak, rate = 1.5, 0.6, 0.3

    def loss(weights):
        return (1 - strong**2 * weights[0] ** 2 - weak**2 * weights[1] ** 2) ** 2 / 2

    weights = jnp.array([0.1, 0.1])
    for _ in range(30):
        weights = weights - rate * jax.grad(loss)(weights)
    config = bo.Config(
        learning_rate=rate, strong_scale=strong, weak_scale=weak, num_steps=30, window_start=0, window_steps=30
    )
    found = bo.simulate(jax.random.key(0), config)
    np.testing.assert_allclose(found["weak_share"], weak**2 * weights[1] ** 2, rtol=1e-12)
    np.testing.assert_allclose(found["strong_share"][-1], strong**2 * weights[0] ** 2, rtol=1e-12)
    np.testing.assert_allclose(30 * found["weak_rate"], found["weak_growth"], rtol=1e-12)


@pytest.mark.parametrize("weak", [0.2, 0.3, 0.4])
def test_shares_are_predicted_to_half_a_per_cent(run, weak):
    """And without the overshoot they are not, nor with 1/η for 1/(2η)."""
    for rate in (0.55, 0.6, 0.8):
        share = float(run(bo.Config(learning_rate=rate, weak_scale=weak))["weak_share"])
        predicted = float(oscillation.slow_manifold_share(rate, weak**2))
        marginal = float(oscillation.marginal_share(rate, weak**2))
        assert predicted == pytest.approx(share, rel=0.002)
        assert marginal * (1 + weak**2 * (1 - weak**2) / 4) == pytest.approx(share, rel=0.002)  # to leading order
        assert marginal != pytest.approx(share, rel=0.005)
        assert (1 - 1 / rate) / (1 - weak**2) < 0


def test_shares_do_not_depend_on_the_start(run):
    known = {0.52: 0.0431, 0.55: 0.1020, 0.6: 0.1869, 0.8: 0.4208}
    for rate, share in known.items():
        for start in (0.001, 0.01, 0.1):
            found = run(bo.Config(learning_rate=rate, init_scale=start))["weak_share"]
            assert float(found) == pytest.approx(share, abs=6e-5)


def test_small_rates_learn_the_strong_feature_alone(run):
    found = run(bo.Config(learning_rate=0.45))
    assert float(found["weak_share"]) < 0.002
    for rate, beyond in ((0.05, 0.007), (0.45, 0.064)):
        path = descend(rate, 1.0, 0.3, 0.1, 4000)
        growth = np.log(path[-1] / 0.1)
        assert growth[1] - 0.09 * growth[0] == pytest.approx(beyond, abs=6e-4)
        predicted = oscillation.flow_growth(rate, 0.09, 0.01)
        assert float(predicted) == pytest.approx(growth[1], rel=0.004)


def test_growth_of_far_less_than_rounding_is_measured(run):
    """It is proportional to the square of a weak strength."""
    tiny, small = (float(run(bo.Config(learning_rate=0.2, weak_scale=weak))["weak_growth"]) for weak in (1e-9, 1e-3))
    assert tiny == pytest.approx(1e-12 * small, rel=1e-4)


def test_the_limit_is_one_over_the_strong_strength(run):
    found = run(bo.Config(learning_rate=1.01))
    assert not np.isfinite(float(found["weak_share"]))
    assert np.isfinite(float(run(bo.Config(learning_rate=0.99))["weak_share"]))  # twice the edge of stability, nearly


def test_cycles_of_period_two():
    """The cycle itself, its multiplier, and the growth of the weak feature on it, from the map."""
    for rate in (0.52, 0.58, 0.61, 0.63):
        strong = descend(rate, 1.0, 1e-9, 0.1, 4000)[-5:, 0] ** 2
        x = 2 * rate * (1 - strong)
        p = 1 + x
        is_cycle = abs(p[-1] - p[-3]) < 1e-6
        assert is_cycle == (rate < oscillation.GOLDEN)
        if is_cycle:
            assert p[-1] + 1 / p[-1] == pytest.approx(1 + 2 * rate, rel=1e-9)
            slope = lambda q, rate=rate: q * (3 * q - 2 - 4 * rate)  # noqa: E731
            assert slope(p[-1]) * slope(p[-2]) == pytest.approx(9 - 2 * (1 + 2 * rate) ** 2, abs=1e-6)
            ratio = 0.09
            growth = np.log1p(ratio * x[-2:]).mean()
            assert float(oscillation.cycle_rate(rate, ratio)) == pytest.approx(growth, rel=1e-8)
    largest = max(descend(0.79, 1.0, 1e-9, 0.1, 4000)[:, 0] ** 2)
    assert largest < (1 + 2 * 0.79) / (2 * 0.79)  # no change of sign below SIGN_CHANGE
    assert np.any(descend(0.83, 1.0, 1e-9, 0.1, 4000)[:, 0] < 0)
    assert pytest.approx(27 / 4) == (1 + 2 * oscillation.SIGN_CHANGE) ** 2


def test_growth_from_the_mean_square_is_right_to_fifteen_per_cent(run):
    """Steps 60 to 160; it is too large by nearly η S² - 1/2, since <x²> is larger than -<x x'>."""
    for rate, growth, told in ((0.52, 0.00155, 0.00158), (0.55, 0.00393, 0.00414), (0.6, 0.00772, 0.00853)):
        found = run(bo.Config(learning_rate=rate))
        assert float(found["weak_rate"]) == pytest.approx(growth, abs=6e-6)
        assert float(found["oscillation_rate"]) == pytest.approx(told, abs=6e-6)
    found = run(bo.Config(learning_rate=0.8))
    assert float(found["oscillation_rate"]) == pytest.approx(float(found["weak_rate"]), rel=0.15)


def test_where_theories_do_not_speak():
    assert "throws" in bo.slow_manifold.holds(bo.Config(learning_rate=0.9))
    assert "before the oscillation" in bo.slow_manifold.holds(bo.Config(learning_rate=0.51, weak_scale=0.7))
    assert "num_steps" in bo.slow_manifold.holds(bo.Config(learning_rate=0.51, weak_scale=0.1))
    assert "0.618" in bo.two_cycle.holds(bo.Config(learning_rate=0.65, init_scale=1e-3))
    assert "not reached" in bo.two_cycle.holds(bo.Config(learning_rate=0.51, init_scale=1e-3))
    assert "oscillates" in bo.smooth_descent.holds(bo.Config(learning_rate=0.49))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"learning_rate": 1.0}, "learning_rate = 1 "),
        ({"learning_rate": 0.3, "strong_scale": 2.0, "init_scale": 0.01}, "learning_rate = 0.3"),
        ({"weak_scale": 1.0}, "weak_scale = 1 "),
        ({"init_scale": 0.99}, "init_scale = 0.99"),
        ({"num_steps": 100}, "window_steps"),
    ],
)
def test_bad_configurations_are_named(changes, field):
    with pytest.raises(ConfigError, match=field):
        bo.SETTING.validate(bo.Config(**changes))


def test_a_strong_weak_feature_is_warned_of():
    with pytest.warns(UserWarning, match="weak_scale = 0.6"):
        bo.SETTING.validate(bo.Config(weak_scale=0.6))
    assert math.isclose(bo.strength_ratio(bo.Config(weak_scale=0.6)), 0.36)
