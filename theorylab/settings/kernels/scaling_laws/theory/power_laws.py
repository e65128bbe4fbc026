"""Power laws of the loss in time, width and samples, and what compute buys.

λ_j = j^-a and c_j = j^-b with infinitely many features, a > 1. The loss of one-pass SGD on M weights is, up to factors,

    t^{-(b-1)/a} + M^{-1} t^{-(1-1/a)} [b > a + 1] + t^{-(2-1/a)} + M^{-min(b-1, a)}:

the target's own modes, what the sketch mixes into them, SGD's noise, and the floor. Exponents agree with Paquette,
Paquette, Xiao and Pennington 2024 (arXiv 2405.15074), a = 2α and b = 2α + 2β there; only a > 1 is treated here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import zeta


class Phase(NamedTuple):
    """Laws of the compute-optimal frontier: L ~ C^-loss at M ~ C^width, with the terms that meet there."""

    name: str
    loss: float
    width: float


def check_exponents(spectrum_exponent: float, target_exponent: float) -> None:
    """Refuse exponents of which the sums diverge.

    Raises
    ------
    ValueError
        Naming the exponent.
    """
    for name, value in (("spectrum_exponent", spectrum_exponent), ("target_exponent", target_exponent)):
        if not (value > 1 and math.isfinite(value)):
            raise ValueError(f"{name} = {value} is not allowed: must be > 1 and finite")


def phase(spectrum_exponent: float, target_exponent: float) -> Phase:
    """Exponents of the compute-optimal frontier, C = M t B.

    I (b < a + 1): the target's modes meet the floor; II (a + 1 < b < 2a): they meet what the sketch mixes in; III (b >
    2a): SGD's noise meets it. At an edge the two neighbours agree.

    Examples
    --------
    >>> phase(1.5, 1.8)
    Phase(name='I', loss=0.32, width=0.4)
    """
    check_exponents(spectrum_exponent, target_exponent)
    a, b = spectrum_exponent, target_exponent
    if b <= a + 1:
        return Phase("I", (b - 1) / (a + 1), 1 / (a + 1))
    if b <= 2 * a:
        return Phase("II", (b - 1) / b, (b - a) / b)
    return Phase("III", 1 - 1 / (2 * a), 0.5)


class Floor(NamedTuple):
    """Irreducible loss with its amplitude, and its exponent in the size.

    Attributes
    ----------
    loss, exponent
        The loss, and the exponent of its leading term.
    neglected
        Next terms, relative: in κ, infinite at a pole of its coefficient, and in the features beyond D.
    ridge
        κ, the effective ridge.
    """

    loss: float
    exponent: float
    neglected: float
    ridge: float


def _beyond(exponent: float, features: float) -> float:
    """Σ_{j > D} j^-exponent, by the midpoint rule."""
    return float((features + 0.5) ** (1 - exponent) / (exponent - 1))


def _ridge(a: float, size: float, features: float) -> tuple[float, float]:
    """κ of Σ λ/(λ + κ) = size, and the part of that sum which features beyond D would have, to first order.

    With infinitely many features the sum is an integral less ζ(0) = -1/2, up to terms of order κ; those beyond D have
    Σ λ/κ of it. Both are NaN where D is too small for that.
    """
    scale, tail = math.pi / a / math.sin(math.pi / a), _beyond(a, features)
    ridge = (scale / (size + 0.5)) ** a
    for _ in range(100):
        if not a * tail / ridge < size + 0.5:
            return math.nan, math.nan
        ridge = (scale / (size + 0.5 + tail / ridge)) ** a
    return float(ridge), float(tail / ridge)


def _off_pole(b: float, pole: float, terms: Callable[[float], float]) -> float:
    """A sum of two terms whose poles cancel: near the pole the mean of both sides, right to second order."""
    if abs(b - pole) < 1e-3:
        return (terms(pole - 2e-3) + terms(pole + 2e-3)) / 2
    return terms(b)


def width_floor(spectrum_exponent: float, target_exponent: float, width: float, features: float = math.inf) -> Floor:
    """Loss of the best weights on a sketch of M columns and D features, for M and D large.

    κ^r (π/a)/sin(πr) + κ ζ(b - a) - Σ_{j > D} c with r = (b-1)/a, up to κ²: the first term rules for b < a + 1, the
    second above. The last, and what D does to κ, are of first order in κ^-1 Σ_{j > D} λ.
    """
    check_exponents(spectrum_exponent, target_exponent)
    a, b = spectrum_exponent, target_exponent
    ridge, _ = _ridge(a, width, features)

    def terms(b: float) -> float:
        ratio = (b - 1) / a
        return float(ridge**ratio * math.pi / a / math.sin(math.pi * ratio) + ridge * zeta(b - a))

    loss = _off_pole(b, 1 + a, terms) - _beyond(b, features)
    exponent = min(b - 1, a)
    features_next = exponent * _beyond(2 * a, features) / ridge**2 / width + _beyond(a + b, features) / ridge / loss
    return Floor(loss, exponent, abs(ridge**2 * zeta(b - 2 * a) / loss) + abs(features_next), ridge)


def sample_floor(
    spectrum_exponent: float, target_exponent: float, num_samples: float, features: float = math.inf
) -> Floor:
    """Loss of interpolating n noiseless samples with D features, for n and D large.

    [κ^r (1 - r) (π/a)/sin(πr) + κ² ζ(b - 2a) - Σ_{j > D} c] a/(1 + (1/2 - (a-1) T)/n) with r = (b-1)/a: the first term
    rules for b < 2a + 1. The last factor is that of the correlations between two resolvents of one sample, and
    T = Σ_{j > D} λ/κ, of which all is of first order.
    """
    check_exponents(spectrum_exponent, target_exponent)
    a, b = spectrum_exponent, target_exponent
    ridge, tail = _ridge(a, num_samples, features)

    def terms(b: float) -> float:
        ratio = (b - 1) / a
        return float(ridge**ratio / (a * np.sinc(1 - ratio)) + ridge**2 * zeta(b - 2 * a))

    factor = a / (1 + (0.5 - (a - 1) * tail) / num_samples)
    loss = (_off_pole(b, 1 + 2 * a, terms) - _beyond(b, features)) * factor
    exponent = min(b - 1, 2 * a)
    features_next = (exponent + a) * _beyond(2 * a, features) / ridge**2 / num_samples
    features_next += 2 * a * _beyond(a + b, features) / ridge / loss
    return Floor(loss, exponent, abs(2 * a * ridge**3 * zeta(b - 3 * a) / loss) + abs(features_next), ridge)


class Frontier(NamedTuple):
    """Where the next width becomes the better one: compute and loss of each switch, and slopes between switches."""

    compute: np.ndarray
    loss: np.ndarray
    loss_slopes: np.ndarray
    width_slopes: np.ndarray


def frontier(losses: np.ndarray, widths: np.ndarray, batch_size: float = 1) -> Frontier:
    """Compute-optimal frontier from losses at every step, [widths, steps + 1], with C = M t B.

    A switch is the compute at which two successive widths have one loss: L_M(C/M) = L_M'(C/M'). Slopes are those of
    logarithms between successive switches.

    Raises
    ------
    ValueError
        Where two widths do not cross within the steps: more steps are needed, or fewer widths.
    """
    computes, found = [], []
    for number, (small, large) in enumerate(itertools.pairwise(widths)):
        steps = np.arange(1, losses.shape[1])
        cost = large * batch_size * steps[steps <= steps[-1] * small / large]
        lower = np.exp(np.interp(np.log(cost), np.log(small * batch_size * steps), np.log(losses[number, 1:])))
        gap = np.log(lower / losses[number + 1, 1 : len(cost) + 1])
        below = np.flatnonzero(gap < 0)
        last = int(below[-1]) if below.size else -1
        if last < 0 or last + 1 >= len(gap):
            raise ValueError(f"widths {small:g} and {large:g} do not cross within {steps[-1]} steps")
        part = -gap[last] / (gap[last + 1] - gap[last])
        computes.append(math.log(cost[last]) + part * math.log(cost[last + 1] / cost[last]))
        after = losses[number + 1, last + 1 : last + 3]
        found.append(math.log(after[0]) + part * math.log(after[1] / after[0]))
    log_compute, log_loss = np.array(computes), np.array(found)
    # Between two switches the width grows from the mean of one pair to that of the next.
    middle = np.log(widths[:-1] * widths[1:]) / 2
    growth = np.diff(log_compute)
    return Frontier(np.exp(log_compute), np.exp(log_loss), np.diff(log_loss) / growth, np.diff(middle) / growth)
