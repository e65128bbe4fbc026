"""Two inputs of a piecewise linear network without biases: the cosine of their kernel, and its variance. By NumPy.

Averages over a pair of Gaussian units of variance 1 and correlation cos φ are taken in polar coordinates: a homogeneous
function of degree p has a radial moment and an integral over the angle, smooth between the angles at which a unit
changes its sign.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

#: Gauss-Legendre nodes between two kinks.
NODES = 24
_legendre = functools.lru_cache(np.polynomial.legendre.leggauss)


def homogeneous_average(function: Callable[[Any, Any], Any], degree: int, cosine: float) -> float:
    """E f(z_1, z_2) of a function of this degree: E r^p = 2^(p/2) Γ(p/2 + 1) times the mean over the angle."""
    nodes, weights = _legendre(NODES)
    phi = math.acos(min(1.0, max(-1.0, cosine)))
    # z_1 = r cos θ, z_2 = r cos(θ - φ): kinks at ±π/2 and φ ± π/2.
    kinks = np.array([-math.pi / 2, phi - math.pi / 2, math.pi / 2, phi + math.pi / 2, 1.5 * math.pi])
    half = np.diff(kinks)[:, None] / 2
    angles = (kinks[1:] + kinks[:-1])[:, None] / 2 + half * nodes
    values = function(np.cos(angles), np.cos(angles - phi))
    return 2 ** (degree / 2) * math.gamma(degree / 2 + 1) * float(np.sum(half * weights * values)) / (2 * math.pi)


def _product(first: Callable[[Any, Any], Any], second: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: first(a, b) * second(a, b)


class Cosines(NamedTuple):
    """Along the layers: ρ at infinite width, and n Var ρ."""

    cosine: np.ndarray
    variance: np.ndarray


def cosine_vertex(
    slope: float, depth: int, cosine: float, *, transported: bool = True, covariance: float = 1.0
) -> Cosines:
    """Propagate ρ, and the covariance V of n^(1/2) (k_11, k_12, k_22) by V' = J V Jᵀ + C, at unit diagonal.

    J is the Jacobian of the infinite-width map of the three, C the covariance of C_W (s_1², s_1 s_2, s_2²); gains other
    than the critical one cancel in ρ. For ReLU the map is the arc-cosine kernel's. Not ``transported`` (J = 1), or with
    another factor of the correlations in C, it is a wrong version.
    """
    gain = 2 / (1 + slope**2)

    def s(z: Any) -> Any:
        return np.where(z > 0, z, slope * z)

    def derivative(z: Any) -> Any:
        return np.where(z > 0, 1.0, slope)

    products = (lambda a, b: s(a) ** 2, lambda a, b: s(a) * s(b), lambda a, b: s(b) ** 2)
    rho, spread = float(cosine), np.zeros((3, 3))
    found = []
    for _ in range(depth):
        # dρ = dk_12 - ρ (dk_11 + dk_22)/2.
        gradient = np.array([-rho / 2, 1.0, -rho / 2])
        found.append((rho, gradient @ spread @ gradient))
        means = np.array([homogeneous_average(one, 2, rho) for one in products])
        squares = [[homogeneous_average(_product(f, g), 4, rho) for g in products] for f in products]
        noise = gain**2 * (np.array(squares) - np.outer(means, means))
        noise *= np.where(np.eye(3, dtype=bool), 1.0, covariance)
        following = gain * means[1]
        # d E[s_1 s_2]/dk_12 = E[s_1' s_2']; the rest of the Jacobian is that the map is homogeneous.
        response = gain * homogeneous_average(lambda a, b: derivative(a) * derivative(b), 0, rho)
        other = (following - rho * response) / 2
        jacobian = np.array([[1, 0, 0], [other, response, other], [0, 0, 1.0]]) if transported else np.eye(3)
        rho, spread = following, jacobian @ spread @ jacobian.T + noise
    return Cosines(*(np.array(column) for column in zip(*found, strict=True)))
