"""Nonlinear targets: one layer still does one step of gradient descent on a linear model."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Link = Literal["linear", "relu", "tanh", "cubic"]


class TargetMoments(NamedTuple):
    """Moments of a random target f of law invariant under rotations of x ~ N(0, I_d).

    ``linear`` is a = E|E_x[f(x) x]|²/d, ``weighted_power`` β = E[f² |x|²]/d, ``power`` E[f²].
    """

    linear: ArrayLike
    weighted_power: ArrayLike
    power: ArrayLike


#: c1 = E[φ(g) g], m2 = E[φ²], m4 = E[φ² g²] in closed form; Gauss-Hermite quadrature is slow at ReLU's kink.
LINKS = {"linear": (1.0, 1.0, 3.0), "relu": (0.5, 0.5, 1.5), "cubic": (3.0, 15.0, 105.0)}


def single_index_moments(link: Link, dim: int) -> TargetMoments:
    """Moments of f(x) = φ(w·x), w uniform on the unit sphere: a = c1²/d, β = ((d-1) m2 + m4)/d, E f² = m2.

    φ is the identity, ReLU, tanh(3z) or z³. A random two-layer network sum_k a_k φ(w_k·x)/sqrt(K) with
    a_k ~ N(0, 1) has exactly the same moments at every width K.

    Raises
    ------
    ValueError
        If ``link`` is not one of these.
    """
    if link == "tanh":
        nodes, weights = np.polynomial.hermite_e.hermegauss(150)
        weights, value = weights / weights.sum(), np.tanh(3 * nodes)
        c1, m2, m4 = (float(weights @ part) for part in (value * nodes, value**2, value**2 * nodes**2))
    elif link in LINKS:
        c1, m2, m4 = LINKS[link]
    else:
        raise ValueError(f"link = {link!r} is not allowed: choose one of {', '.join([*LINKS, 'tanh'])}")
    return TargetMoments(c1**2 / dim, ((dim - 1) * m2 + m4) / dim, m2)


def hermite_moments(link: tuple[ArrayLike, ArrayLike, ArrayLike], dim: int) -> TargetMoments:
    """Moments of f(x) = φ(w·x), φ = Σ_k c_k h_k, k = 1, 2, 3, on Hermite polynomials h_k of unit power.

    z h_k = √(k+1) h_{k+1} + √k h_{k-1}, so m4 = c1² + 5 c2² + (√2 c1 + √3 c3)² + 4 c3². Any c1, m2, m4 that three
    coefficients allow can be had; c3 = √6, c1 = 3 is z³.
    """
    linear, quadratic, cubic = map(jnp.asarray, link)
    power = linear**2 + quadratic**2 + cubic**2
    fourth = linear**2 + 5 * quadratic**2 + (2**0.5 * linear + 3**0.5 * cubic) ** 2 + 4 * cubic**2
    return TargetMoments(linear**2 / dim, ((dim - 1) * power + fourth) / dim, power)


def nonlinear_learning_rate(moments: TargetMoments, context_length: ArrayLike, noise_variance: ArrayLike) -> ArrayLike:
    """η* = a/((n - 1) a + β + σ²): the optimal layer is ŷ = η* x_q·b although f is not linear.

    x ~ N(0, I), f rotation-invariant in law; Mahankali, Hashimoto and Ma 2023 (arXiv 2307.03576), nonlinear case.
    """
    return moments.linear / ((context_length - 1) * moments.linear + moments.weighted_power + noise_variance)


def nonlinear_minimum_loss(
    moments: TargetMoments, dim: int, context_length: ArrayLike, noise_variance: ArrayLike
) -> ArrayLike:
    """L_min = E f² + σ² - n d a η*."""
    rate = nonlinear_learning_rate(moments, context_length, noise_variance)
    return moments.power + noise_variance - context_length * dim * moments.linear * rate


def nonlinear_context_length_risk(
    moments: TargetMoments, dim: int, test_length: ArrayLike, context_length: ArrayLike, noise_variance: ArrayLike
) -> ArrayLike:
    """Risk at m context tokens of the averaging layer that is optimal at n.

    R(m) = E f² + σ² - 2 n η d a + n² η² d [(m - 1) a + β + σ²]/m.
    """
    m, gain = test_length, context_length * nonlinear_learning_rate(moments, context_length, noise_variance)
    spread = ((m - 1) * moments.linear + moments.weighted_power + noise_variance) / m
    return moments.power + noise_variance - 2 * gain * dim * moments.linear + gain**2 * dim * spread
