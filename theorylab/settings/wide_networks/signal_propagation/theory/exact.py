"""Piecewise linear networks without biases at any width: moments, logarithms, tangent kernels, alignment.

Slopes 1 above zero and a below: a = 0 is ReLU, a = 1 the linear network. The kernel's factors k'/k = (C_W/n) Σ s(g_j)²
are independent and of one law; χ = E k'/k = C_W (1 + a²)/2 is 1 at criticality. A chain of L preactivation layers has
L - 1 of them. c = 3 E d⁴/(E d²)² - 1 of the slope d is 2 for the linear network and 5 for ReLU.

Derived here. The masks of the slopes may be replaced by independent ones, since the sign of a unit's weights can be
turned without changing the law of anything else: hence the gradient |b_1|² has the law of k_L/k_1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def even_moment(slope: ArrayLike, order: int) -> Array:
    """E d^order of the slope d of a leaky ReLU at a symmetric preactivation: (1 + a^order)/2."""
    return jnp.asarray((1 + jnp.asarray(slope) ** order) / 2)


def fluctuation_rate(slope: ArrayLike) -> Array:
    """c = 3 E d⁴/(E d²)² - 1 of a leaky ReLU: 2 for the linear network, 5 for ReLU."""
    return 3 * even_moment(slope, 4) / even_moment(slope, 2) ** 2 - 1


class Moments(NamedTuple):
    """Mean and variance."""

    mean: Array
    variance: Array


def kernel_moments(width: int, factors: int, slope: ArrayLike, mean_factor: ArrayLike) -> Moments:
    """Moments of k_L/k_1 after so many random factors: χ^(L-1), and E k² = χ^(2(L-1)) (1 + c/n)^(L-1)."""
    mean = jnp.asarray(mean_factor) ** factors
    # expm1 keeps the digits of a small variance.
    return Moments(mean, mean**2 * jnp.expm1(factors * jnp.log1p(fluctuation_rate(slope) / width)))


def fourth_moment_ratio(width: int, factors: int, slope: ArrayLike) -> Array:
    """E k_L⁴/(E k_L²)²: how heavy the tails are.

    From the cumulants of s(g)², whose moments are (1, 3, 15, 105) times those of the slope.
    """
    moments = [double * even_moment(slope, 2 * j) for j, double in ((1, 1), (2, 3), (3, 15), (4, 105))]
    first, second, third, fourth = moments
    variance = second - first**2
    skew = third - 3 * second * first + 2 * first**3
    excess = fourth - 4 * third * first - 3 * second**2 + 12 * second * first**2 - 6 * first**4
    mean, variance, skew, excess = (width * cumulant for cumulant in (first, variance, skew, excess))
    raw = mean**4 + 6 * mean**2 * variance + 4 * mean * skew + 3 * variance**2 + excess
    return (raw / (mean**2 + variance) ** 2) ** factors


#: Nodes of the trapezoidal rule in log t. The density is smooth there, so that it converges geometrically; at n = 2 its
#: upper tail falls as t^(-1/2), the lower one as t.
LOG_NODES = np.linspace(-45.0, 100.0, 901)


def log_factor_moments(width: int, slope: ArrayLike, weight_variance: ArrayLike) -> Moments:
    """Mean and variance of log(k'/k), of a layer that is not dead.

    E e^(-tX) = M(t) = [ (1 + 2 C_W t/n)^(-1/2)/2 + (1 + 2 a² C_W t/n)^(-1/2)/2 ]ⁿ is the survival function of
    T = E/X, with E an exponential number. Hence E log X = -γ - E log T and Var log X = Var log T - π²/6.
    """
    slope, nodes = jnp.asarray(slope), jnp.asarray(LOG_NODES, jnp.result_type(float))
    rate = 2 * jnp.asarray(weight_variance) / width
    # Float32 holds no exp(100); nothing is left of the density there.
    largest = 0.9 * math.log(float(jnp.finfo(nodes.dtype).max))
    ones = jnp.stack([rate, rate * slope**2])[:, None] * jnp.exp(jnp.minimum(nodes, largest))[None]
    # -log of the two terms, twice; their density per unit of log t.
    transform = jnp.mean(1 / jnp.sqrt(1 + ones), axis=0)
    derivative = jnp.mean(ones / (1 + ones) ** 1.5, axis=0) / 2
    density = derivative * transform ** (width - 1)
    density = density / jnp.sum(density)
    mean = jnp.sum(density * nodes)
    variance = jnp.sum(density * (nodes - mean) ** 2)
    return Moments(-np.euler_gamma - mean, variance - math.pi**2 / 6)


def dead_probability(width: int, factors: int) -> float:
    """Probability that a ReLU network has a layer without an active unit."""
    return -math.expm1(factors * math.log1p(-(2.0**-width)))


def ntk_moments(width: int, depth: int, slope: ArrayLike, mean_factor: ArrayLike) -> Moments:
    """Moments of the tangent kernel of all weights, over k_1.

    E Θ = L χ^(L-1), and with x = 1 + c/n, y = 1 - 1/n

        E Θ²/(E Θ)² = x^(L-1) [ 1/L + (L-1)/(3L) + 4/(3L²) Σ_{m=1}^{L-1} (L-m) (y/x)^m ].

    Θ is a sum over layers of k_l |b_l|². In E of the product of two of them, layers below and above the pair give x
    each; the m layers between give E (tr M Mᵀ/n)² of a product of Gaussian matrices and masks, (x^m + 2 y^m)/3 by a
    transfer matrix of two states.
    """
    mean = depth * jnp.asarray(mean_factor) ** (depth - 1)
    return Moments(mean, mean**2 * (ntk_ratio(width, depth, fluctuation_rate(slope)) - 1))


def ntk_ratio(width: int, depth: int, rate: ArrayLike) -> Array:
    """E Θ²/(E Θ)² of :func:`ntk_moments`, at c = ``rate``; a formula that n = 1 also satisfies."""
    x, y = 1 + jnp.asarray(rate) / width, 1 - 1 / width
    between = jnp.arange(1, depth)
    pairs = jnp.sum((depth - between) * (y / x) ** between)
    return x ** (depth - 1) * ((depth + 2) / (3 * depth) + 4 / (3 * depth**2) * pairs)


def alignment(width: int, factors: int) -> Float[Array, ""]:
    """Shift of E log(1 - ρ²) of two inputs of a linear network: (L-1) (ψ((n-1)/2) - ψ(n/2)).

    1 - ρ² is the determinant of the two inputs' kernel over the product of its diagonal; the determinant's factors are
    those of a Wishart matrix.
    """
    return factors * (digamma(jnp.asarray((width - 1) / 2)) - digamma(jnp.asarray(width / 2)))
