"""Sums of exponentials of random energies: exact means by one integral, for any number of them.

Z = sum_i e^{-E_i} over n independent energies E = c X, X noncentral chi-square. With g(s) = E exp(-s e^{-E}),

    E log Z = int (e^{-s} - g(s)^n) ds/s,     E sum_i e^{-2 E_i}/Z² = n int s E[e^{-2E} exp(-s e^{-E})] g(s)^{n-1} ds.

Both integrals are over log s, and g is one over log X: trapezoids, which converge exponentially. 1 - g is summed
with positive weights, so that it is right however small it is, and n may be e^350. NumPy, on the host.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from theorylab.numerics.chi_square import noncentral_log_density

#: Densities, and integrands, are cut where they are e^-45 of what matters.
CUT = 45.0
#: Steps of the trapezoids in the energy (at the smallest of n) and in log s; at 0.7 both are right to 1e-6.
STEP = 0.35
#: Nodes in log X, at least: they resolve the density itself.
FEWEST = 256


class Energies(NamedTuple):
    """The law of an energy: nodes in ascending order, and the probability that each stands for.

    Of ``weights``, [laws, nodes], the first row is the law itself; others are laws near it, of which derivatives are
    made.
    """

    nodes: np.ndarray
    weights: np.ndarray


def energies(
    scales: ArrayLike, degrees: int, noncentralities: ArrayLike, log_num: float, step: float = STEP
) -> Energies:
    """Laws of E = scale X with X noncentral chi-square, resolved where n = e^``log_num`` of the first one are.

    From where n p falls below e^-45 to where p does. The bounds are those of a Lipschitz function of normal numbers for
    the norm sqrt(X), and e^{(d/2) log(X/2)}/Γ(d/2) for the lower tail.
    """
    scales, noncentralities = (np.atleast_1d(np.asarray(given, float)) for given in (scales, noncentralities))
    scale, noncentrality = float(scales[0]), float(noncentralities[0])
    norm = math.sqrt(degrees + noncentrality)
    lowest = math.log(2) + (2 / degrees) * (math.lgamma(degrees / 2) - log_num - CUT - 5)
    near = norm - 1 - math.sqrt(2 * (log_num + CUT + 5))
    low = max(lowest, 2 * math.log(near)) if near > 0 else lowest
    high = 2 * math.log(norm + math.sqrt(2 * CUT) + 2)

    def log_mass(points: np.ndarray, noncentrality: float) -> np.ndarray:
        return points + noncentral_log_density(np.exp(points), degrees, noncentrality)

    coarse = np.linspace(low, high, FEWEST)
    seen = np.flatnonzero(log_mass(coarse, noncentrality) + log_num > 0)
    smallest = scale * math.exp(coarse[seen[0]]) if len(seen) else scale * norm**2
    count = int(np.clip((high - low) * smallest / step, FEWEST * STEP / step, 30_000))
    points = np.linspace(low, high, count)
    masses = [
        log_mass(points + math.log(scale / other), float(own))
        for other, own in zip(scales, noncentralities, strict=True)
    ]
    return Energies(scale * np.exp(points), np.exp(masses) * (points[1] - points[0]))


class Transform(NamedTuple):
    """At s = e^σ, for u = e^-E: ``missing`` = 1 - E exp(-s u) for each law, [σ, laws].

    For the first law ``first`` and ``second`` = E (su)^k exp(-s u), [σ].
    """

    missing: np.ndarray
    first: np.ndarray
    second: np.ndarray


def transform(law: Energies, log_s: np.ndarray) -> Transform:
    """Laplace transform of u = e^-E and its derivatives at s = e^``log_s``, each relatively exact."""
    missing = np.zeros((len(log_s), len(law.weights)))
    first, second = np.zeros(len(log_s)), np.zeros(len(log_s))
    # Before the first of these nodes s u > 1000 in every row of a chunk, and beyond the last one s u < 1e-17.
    for rows in np.array_split(np.arange(len(log_s)), max(1, len(log_s) * len(law.nodes) // 400_000)):
        here = log_s[rows]
        begin = np.searchsorted(law.nodes, here.min() - 7.0)
        end = np.searchsorted(law.nodes, here.max() + 39.0)
        product = np.exp(np.minimum(here[:, None] - law.nodes[None, begin:end], 7.0))
        weights = law.weights[:, begin:end]
        linear = law.weights[:, end:] @ np.exp(here.max() - law.nodes[end:])
        linear = np.exp(here - here.max())[:, None] * linear
        missing[rows] = law.weights[:, :begin].sum(1) - np.expm1(-product) @ weights.T + linear
        decay = product * np.exp(-product)
        first[rows] = decay @ weights[0] + linear[:, 0]
        second[rows] = (decay * product) @ weights[0]
    return Transform(np.minimum(missing, 1 - 1e-16), first, second)


class Sums(NamedTuple):
    """Means over the energies: of log Z, of sum e^{-2E}/Z², and of the weight e^{-E_1}/Z of the planted energy.

    ``log_partition`` has an entry for each law.
    """

    log_partition: np.ndarray
    participation: float
    planted_weight: float


def sums(law: Energies, num: float, planted: Energies | None = None, step: float = STEP) -> Sums:
    """Means over ``num`` energies of a law, and one more of the law ``planted`` where it is given.

    Without a planted energy its weight is 0.
    """

    def log_transform(log_s: np.ndarray) -> tuple[np.ndarray, Transform, Transform | None]:
        others = transform(law, log_s)
        exponent = num * np.log1p(-others.missing)
        if planted is None:
            return exponent, others, None
        one = transform(planted, log_s)
        return exponent + np.log1p(-one.missing), others, one

    # -log of the transform of Z grows with s, and bounds both integrands: where it is e^-45 they begin, at 45 they end.
    both = [law] if planted is None else [law, planted]
    lowest, highest = min(one.nodes[0] for one in both), max(one.nodes[-1] for one in both)
    coarse = np.linspace(lowest - CUT - math.log(num + 1), highest + 5, 160)
    targets = np.exp([-CUT, 0.0, math.log(CUT)])
    place = np.clip(np.searchsorted(-log_transform(coarse)[0][:, 0], targets), 1, len(coarse) - 1)
    below, above = coarse[place - 1], coarse[place]
    while np.max(above - below) > 1:
        middle = (below + above) / 2
        small = -log_transform(middle)[0][:, 0] < targets
        below, above = np.where(small, middle, below), np.where(small, above, middle)
    begin, centre, end = below[0], above[1], above[2] + 1
    log_s, width = np.linspace(begin, end, int((end - begin) / step) + 8, retstep=True)
    exponent, others, one = log_transform(log_s)
    # e^-s - E e^-sZ, both by what they lack to 1; s in units of e^centre.
    gap = np.expm1(-np.exp(np.minimum(log_s - centre, 700.0)))[:, None] - np.expm1(exponent)
    log_partition = width * gap.sum(0) - centre
    product = np.exp(exponent[:, 0])
    participation = num * width * float(others.second @ (product / (1 - others.missing[:, 0])))
    if one is None:
        return Sums(log_partition, participation, 0.0)
    rest = product / (1 - one.missing[:, 0])
    return Sums(log_partition, participation + width * float(one.second @ rest), width * float(one.first @ rest))


def central_share(law: Energies, num: float, log_mean: float, half_width: float, step: float = 0.02) -> float:
    """Probability that Z is within ``half_width`` of its mean, relative: |Z/E Z - 1| < w.

    Gil-Pelaez: (2/π) int sin(w t) Re[e^{-it} (E e^{itu/E Z})^n] dt/t, a trapezoid in log t. ``log_mean`` is that of
    E u. It is for sums of which E Z is the scale: not where few terms rule them.
    """
    spread = min(half_width, 1.0)
    log_t = np.arange(math.log(1e-7 / spread), math.log(1e3 / spread), step)
    terms = np.exp(-law.nodes - log_mean - math.log(num))
    weights = num * law.weights[0]
    # Terms of less than one in 1e18 draws decide nothing.
    terms, weights = terms[weights > 1e-18], weights[weights > 1e-18]
    total = 0.0
    for some in np.array_split(log_t, max(1, len(log_t) * len(terms) // 400_000)):
        t = np.exp(some)
        phase = t[:, None] * terms
        # E Z is 1: of its phase t only what is left of sin φ - φ, and of log(1 + x) - x, is summed.
        real = -2 * np.sin(phase / 2) ** 2 @ weights
        imaginary = _sine_less_itself(phase) @ weights
        rest = num * _log1p_less_itself((real + 1j * (imaginary + t)) / num)
        total += float(np.sum(np.sin(half_width * t) * np.exp(real + rest.real) * np.cos(imaginary + rest.imag)))
    return 2 / math.pi * (step * total + half_width * math.exp(log_t[0] - step / 2))


def _sine_less_itself(x: np.ndarray) -> np.ndarray:
    square = x * x
    series = -x * square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    return np.where(x < 0.1, series, np.sin(x) - x)


def _log1p_less_itself(x: np.ndarray) -> np.ndarray:
    series = x * x * (-1 / 2 + x * (1 / 3 + x * (-1 / 4 + x * (1 / 5 - x / 6))))
    return np.where(np.abs(x) < 1e-3, series, np.log1p(x) - x)
