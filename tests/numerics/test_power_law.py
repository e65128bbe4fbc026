"""Fitted power laws: planted ones, how often intervals hold them, and the slopes of a theory."""

import math

import numpy as np
import pytest

from theorylab.numerics.power_law import fit_power_law
from theorylab.settings.kernels.scaling_laws.theory import equivalent, power_laws

X = np.geomspace(10, 1000, 8)


def test_planted_laws_are_found():
    assert fit_power_law(X, 3 * X**-0.7)[:3] == pytest.approx((0.7, 3.0, 0.0))
    for constant in (0.0, 1e-4, 0.01, 2.0):
        found = fit_power_law(X, constant + 3 * X**-0.7, floor=True)
        assert found[:3] == pytest.approx((0.7, 3.0, constant), rel=1e-4, abs=1e-6)
        assert np.isnan(found.interval).all()


@pytest.mark.parametrize(
    ("constant", "scatter", "share", "times"),
    [(0.0, 0.2, 0.95, 100), pytest.param(0.05, 0.05, 0.87, 40, marks=pytest.mark.slow)],
)
def test_how_often_intervals_hold_the_exponent(constant, scatter, share, times):
    """24 runs: 19 times in 20 without a floor, less often with one that the curve hardly reaches."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(times):
        runs = (constant + X**-0.5) * (1 + scatter * rng.standard_normal((24, len(X))))
        low, high = fit_power_law(X, runs, floor=constant > 0, resamples=60).interval
        held += low < 0.5 < high
    assert abs(held - share * times) < 3 * math.sqrt(times * share * (1 - share))


def test_slopes_of_a_frontier_and_of_its_floor():
    """The loss of the best weights falls as M^-(b-1), and one with a constant above it only with a floor."""
    index, widths = np.arange(1, 4001.0), np.array([16, 32, 64, 128.0])
    losses = np.array([equivalent.width_irreducible_loss(index**-1.5, index**-1.8, m) for m in widths])
    law = power_laws.width_floor(1.5, 1.8, 64)
    assert fit_power_law(widths, losses).exponent == pytest.approx(law.exponent, rel=0.05)
    assert fit_power_law(widths, losses + 0.1).exponent < 0.7 * law.exponent
    assert fit_power_law(widths, losses + 0.1, floor=True).exponent == pytest.approx(law.exponent, rel=0.15)


def test_bad_curves_are_refused():
    with pytest.raises(ValueError, match="at least 2 different points"):
        fit_power_law([3.0, 3.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="at least 4 different points"):
        fit_power_law([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], floor=True)
    with pytest.raises(ValueError, match="positive"):
        fit_power_law([1.0, 2.0], [1.0, -2.0])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        fit_power_law([1.0, 2.0, 3.0], [[1.0, 2.0]])
