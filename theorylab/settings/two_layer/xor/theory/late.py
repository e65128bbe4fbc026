"""Late rate of feature growth, and what it says of the theorem's exponent.

The labels of a training set come as in :mod:`~theorylab.settings.two_layer.xor.theory.first_step`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from theorylab.settings.two_layer.xor.theory.first_step import Samples

#: Quantiles of a neuron's first kick and of |u_0|, of which the middle is taken.
KICKS, STARTS = 64, 32


def limiting_rate(*, label_noise: Any, cluster_coupling: Any) -> Any:
    """Growth of mean |v| per step and sample on the own pair for n → ∞, ((1 − η)/8)/(1 + λη/4).

    The limit of :func:`own_rate`, where both sides of a pair are alike: the chosen one is fully active, the other only
    in its initially active half. Above it by 19% at n = 200, λ = 4, η = 0.1.
    """
    return (1 - label_noise) / 8 / (1 + cluster_coupling * label_noise / 4)


class Sides(NamedTuple):
    """The two sides of both pairs, for neurons whose own pair it is; first axis the pair, second the side they chose.

    ``chosen`` is the share of neurons, ``clean`` and ``flipped`` count samples of that side by label, ``opposite`` the
    clean ones of the other side, ``active`` those of them that stay active.
    """

    chosen: Float[Array, "2 2"]
    clean: Float[Array, "2 2"]
    flipped: Float[Array, "2 2"]
    opposite: Float[Array, "2 2"]
    active: Float[Array, "2 2"]


def chosen_sides(
    pair: Samples,
    side: Samples,
    observed: Samples,
    *,
    mean_norm: Any,
    input_dim: int,
    step_init_ratio: Any,
) -> Sides:
    """Which side of its own pair a neuron chooses, and how many samples of the other side then hold it back.

    The first kick D ~ N(e, V) of :func:`~theorylab.settings.two_layer.xor.theory.first_step.alignment_law` decides:
    s = sgn(D). A neuron chooses the side on which more of its samples are active, so that of the other side fewer than
    half are: A_0 = C/2 − C (1/4 + c (Σb − 1)) φ(x)/(√V Φ(x)), C its clean samples, x = s e/√V, c = arcsin(ρ)/2π. To
    these come those that the noise of all other samples, of deviation √(n/2p), lifts over |u_0| + λ|D|/n in the first
    steps: A = A_0 + P (C − A_0), P the mean over D and |u_0| of Φ(−(λ|D|/n + |u_0|)/√(n/2p)).
    """
    size = mean_norm**2
    correlation = jnp.arcsin(size / (input_dim + size)) / (2 * math.pi)
    noise = math.sqrt(pair.shape[0] / (2 * input_dim))
    kicks = (np.arange(KICKS) + 0.5) / KICKS
    starts = ndtri(1 - (np.arange(STARTS) + 0.5) / (2 * STARTS)) / step_init_ratio
    # b of neurons whose own pair it is
    own, label = jnp.stack([1 - pair, pair]), jnp.stack([observed, -observed])
    sides = own[:, None] * jnp.stack([jnp.where(side > 0, 1.0, 0.0), jnp.where(side > 0, 0.0, 1.0)])[None]
    clean = jnp.sum(sides * jnp.where(label > 0, 1.0, 0.0)[:, None], axis=-1)
    flipped = jnp.sum(sides, axis=-1) - clean
    members, tilt = jnp.sum(own, axis=1), jnp.sum(own * label, axis=1)[:, None]
    deviation = jnp.sqrt(members[:, None] / 4 + correlation * (tilt**2 - members[:, None]))
    drift = jnp.sum(own * side[None] * label, axis=1)[:, None] / 2 * jnp.array([[1.0, -1.0]])
    x = drift / deviation
    chosen, density = ndtr(x), jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    opposite = clean[:, ::-1]
    active = opposite / 2 - opposite * (0.25 + correlation * (tilt - 1)) * density / (deviation * chosen)
    # |D| of neurons that chose the side: quantiles of a normal above 0.
    kick = drift[..., None] - deviation[..., None] * ndtri(chosen[..., None] * (1 - kicks)[None, None])
    height = (size / input_dim) * kick[..., None] + starts[None, None, None]
    lifted = jnp.mean(ndtr(-height / noise), axis=(-2, -1))
    return Sides(chosen, clean, flipped, opposite, active + lifted * (opposite - active))


def own_rate(sides: Sides, *, num_train: int, cluster_coupling: Any) -> Float[Array, ""]:
    """Growth of mean |v| per step and sample on a neuron's own pair, v = <w, μ_k> / (α|μ|²/2n√m), given the labels.

    All clean samples C of the chosen side push a neuron on; its flipped ones F slide, pushed down in a share λd of the
    steps, where d is the growth itself; of the other side the A clean ones that are active pull back:

    d n = (C − A)/(1 + λ F/n),   averaged over the sides that neurons chose.

    The corrections to the limit are of relative order 1/√n and 1/√γ. Derived here; the paper's Lemma 4.7 has the order
    in n. Regime: κ >= 5, γ >= 3, λ <= 6 (beyond, the other side drops its active samples too), t >> 1/(λ d).
    """
    rate = (sides.clean - sides.active) / (1 + cluster_coupling * sides.flipped / num_train)
    return jnp.sum(sides.chosen * rate) / (2 * num_train)


def limiting_error_exponent(label_noise: Any) -> Any:
    """Limit of −ln(test error) / (n γ) as t, n → ∞ : ((1 − 2η)/(8 √(19/32)))²/2, the constant in exp(−Ω(n γ)).

    Derived here. Not tight at n of hundreds, where the odd part of f takes most of the margin of one cluster.
    """
    return ((1 - 2 * label_noise) / (8 * math.sqrt(19 / 32))) ** 2 / 2


def theorem_bound(*, num_train: int, snr: float, constant: float = 1.0, epsilon: float = 0.01) -> float:
    """The paper's explicit bound on the clean test error, 2 exp(−c n^{1−20ε} γ / 240²) (proof of Theorem 4.8).

    ``constant`` is an unspecified constant of a log-Sobolev inequality; with 1 the bound is vacuous (above 1) at the
    paper's own sizes.
    """
    return float(2 * math.exp(-constant * num_train ** (1 - 20 * epsilon) * snr / 240**2))
