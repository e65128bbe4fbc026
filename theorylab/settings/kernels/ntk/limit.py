"""The kernel of infinite width, and how far that of a finite network is from it: both exact at any width.

On the unit sphere a neuron (a, w) contributes k = φ(h) φ(h') + a² u φ'(h) φ'(h'), with h, h' standard normal of
correlation u = x·x', and the network's kernel is the mean of k over m/2 neurons that are independent. Hence

    E K_0 = Θ = E k = E φφ' + u E φ'φ',    E (K_0 - Θ)² = (2/m) Var k,
    E k² = E φ²φ² + 2u E (φφ')(φφ') + 3u² E φ'²φ'²    (E a⁴ = 3),

where in each product the second factor is taken at h'.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

#: Trapezoidal rule on the plane, for functions analytic within π/2 of the real line: rounding is all that is left.
SPACING, RANGE = 0.25, 9.0


class Moments(NamedTuple):
    """Means over a neuron, [points, points] each.

    Attributes
    ----------
    kernel
        E k = Θ = ``last`` + u ``slopes``.
    last, slopes
        E φφ', the last layer's part, and E φ'φ'.
    square
        E k².
    """

    kernel: np.ndarray
    last: np.ndarray
    slopes: np.ndarray
    square: np.ndarray


def arc_cosine_moments(cosine: np.ndarray) -> Moments:
    """Moments for φ(h) = sqrt(2) max(0, h), by the arc-cosine kernels J_0, J_1 and J_2 of Cho and Saul 2009, eq. (6).

    Θ = k_1 + u k_0 with k_n = J_n/π, and E k² = (2 J_2 + 4u J_1 + 6u² J_0)/π.
    """
    u = np.clip(cosine, -1.0, 1.0)
    angle, sine = np.arccos(u), np.sqrt((1 - u) * (1 + u))
    j0, j1 = math.pi - angle, sine + (math.pi - angle) * u
    j2 = 3 * sine * u + (math.pi - angle) * (1 + 2 * u**2)
    square = (2 * j2 + 4 * u * j1 + 6 * u**2 * j0) / math.pi
    return Moments((j1 + u * j0) / math.pi, j1 / math.pi, j0 / math.pi, square)


def smooth_moments(
    activation: Callable[[np.ndarray], np.ndarray], slope: Callable[[np.ndarray], np.ndarray], cosine: np.ndarray
) -> Moments:
    """Moments for a smooth activation, by the trapezoidal rule on the plane."""
    u = np.clip(cosine, -1.0, 1.0)
    nodes = np.arange(-RANGE, RANGE + SPACING / 2, SPACING)
    weights = SPACING * np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
    first = nodes[:, None, None]
    second = u[..., None, None] * first[..., 0] + np.sqrt((1 - u) * (1 + u))[..., None, None] * nodes

    def average(function: Callable[[Any], Any]) -> np.ndarray:
        return np.asarray(np.einsum("i,j,i,...ij->...", weights, weights, function(nodes), function(second)))

    last, slopes = average(activation), average(slope)
    square = average(lambda h: activation(h) ** 2) + 2 * u * average(lambda h: activation(h) * slope(h))
    return Moments(last + u * slopes, last, slopes, square + 3 * u**2 * average(lambda h: slope(h) ** 2))


def moments(activation: str, x: np.ndarray) -> Moments:
    """Moments of a neuron's kernel between points ``x`` [points, dim] of the unit sphere."""
    return _moments(activation, x.tobytes(), x.shape)


@functools.lru_cache(maxsize=64)
def _moments(activation: str, values: bytes, shape: tuple[int, ...]) -> Moments:
    x = np.frombuffer(values).reshape(shape)
    cosine = x @ x.T
    np.fill_diagonal(cosine, 1.0)
    if activation == "relu":
        return arc_cosine_moments(cosine)
    rows = [smooth_moments(np.tanh, lambda h: 1 - np.tanh(h) ** 2, row) for row in cosine]
    return Moments(*(np.array(part) for part in zip(*rows, strict=True)))


def activations(activation: str, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of an activation."""
    if activation == "relu":
        slope = math.sqrt(2) * (h > 0)
        return slope * h, slope
    value = np.tanh(h)
    return value, 1 - value**2


def mean_square_deviation(found: Moments, width: int) -> float:
    """E |K_0 - Θ|² / |Θ|² in Frobenius norms: (2/m) Σ Var k / |Θ|², exact at every width."""
    variance = np.sum(found.square - found.kernel**2)
    return float(2 * variance / (width * np.sum(found.kernel**2)))
