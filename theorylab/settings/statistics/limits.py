"""Kernel sums in large dimension: where few points rule them, and what they are there.

n = e^{α d} points y ~ N(0, I), a query of |x|² = d, energies |x - y|²/(2h²), β = 1/h². At every d the mean of a term is
e^{d φ(β)},

    φ(β) = -log(1 + β)/2 - β/(2(1 + β)).

The sum condenses on few points from β_G on, where α = β φ' - φ. NumPy, on the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def growth(beta: float) -> float:
    """φ(β): logarithm of the mean of a term, per dimension."""
    return -math.log1p(beta) / 2 - beta / (2 * (1 + beta))


def slope(beta: float) -> float:
    """φ'(β): minus half the squared distance per dimension of the points that rule the mean."""
    return -1 / (2 * (1 + beta)) - 1 / (2 * (1 + beta) ** 2)


def curvature(beta: float) -> float:
    """φ''(β): their variance of half the squared distance, per dimension."""
    return 1 / (2 * (1 + beta) ** 2) + 1 / (1 + beta) ** 3


def rate(beta: float) -> float:
    """β φ' - φ: minus the logarithm of the share of such points, per dimension; it grows with β."""
    return beta * slope(beta) - growth(beta)


def _solve(function: Callable[[float], float], target: float) -> float:
    """The β at which a growing function has a value, by bisection of log β."""
    low, high = -40.0, 2 * target + 40.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(math.exp(middle)) < target else (low, middle)
    return math.exp(low)


def condensation_bandwidth(load: float) -> float:
    """h_G of α = (log n)/d > 0: below it few points make up the sum.

    α = log(1 + β)/2 - β/(2(1 + β)²) at β = 1/h_G².
    """
    return _solve(rate, load) ** -0.5


def optimal_bandwidth(load: float) -> float:
    """Bandwidth of least Kullback-Leibler divergence: the distance to the nearest point over sqrt(d), below h_G.

    h² = 1/(1 + β_G) + 1/(1 + β_G)² = -2 φ'(β_G). Where the sum is condensed, log h - E log(Z/n)/d is
    log h + D/(2 d h²) up to a constant, with D the squared distance to the nearest point; its minimum is at h² = D/d.
    """
    return math.sqrt(-2 * slope(condensation_bandwidth(load) ** -2))


def energy_spread(load: float, dim: int) -> float:
    """Standard deviation σ of the energies that rule the mean at h_G; 1/σ is how wide the transition is in (h/h_G)²."""
    beta = condensation_bandwidth(load) ** -2
    return beta * math.sqrt(dim * curvature(beta))


def extreme_beta(load: float, dim: int) -> float:
    """β at which the smallest of n energies is typical, with the prefactor of its density: β_G of finite dimension.

    n p(E)/θ = 1 with the saddle point's p(E) = exp(d φ - d b φ')/sqrt(2π d φ'' β²), b = θ β.
    """

    def balance(beta: float) -> float:
        return rate(beta) + math.log(2 * math.pi * dim * curvature(beta) * beta**2) / (2 * dim)

    return _solve(balance, load)
