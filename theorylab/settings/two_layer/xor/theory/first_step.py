"""The first step of gradient descent: a linear classifier that fits the training set and knows nothing of XOR.

The labels of a training set come as ``pair`` (0 for ±μ_1, 1 for ±μ_2), ``side`` (the sign of the mean) and
``observed`` (the noisy label ±1) of every sample.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float

SIDES = (1.0, -1.0, 1.0, -1.0)  # of the clusters (1, +), (1, −), (2, +), (2, −)

Samples = Float[Array, " samples"]


def pair_sums(pair: Samples, values: Samples) -> Float[Array, " 2"]:
    """Sums of ``values`` over the samples of each pair."""
    return jnp.stack([jnp.sum((1 - pair) * values), jnp.sum(pair * values)])


def cluster_accuracy(
    pair: Samples,
    side: Samples,
    observed: Samples,
    *,
    mean_norm: ArrayLike,
    input_dim: int,
    width: float = math.inf,
    step_init_ratio: ArrayLike = math.inf,
    sign_sum: ArrayLike | None = None,
) -> Float[Array, " 4"]:
    """Clean accuracy of each cluster (k, σ) after one step, from the labels alone.

    f_1(x) ≈ (α/8n) <Σ_i y_i x_i, x> gives acc_{k,σ} = Φ(y_k σ g N_k), g = |μ|²/√(n (p + |μ|²)), with the label
    imbalance N_k = Σ_{i in pair k} σ_i y_i. The two clusters of a pair average to exactly 1/2.

    With m neurons the odd part of f at a centre is not N_k but (2/m) Σ_j sgn(a_j) D_kj, and there is an even part,
    (2/m) Σ_j sgn(a_j) |D_kj|: with D of :func:`alignment_law` both vary over initial weights, without correlation, by
    τ² = (4 g²/m) (2 V_k + e_k²). So do both parts of the response to the noise of a fresh point, from the initial
    weights and from the samples' noise: ν² = (4/m) (2 p/(n κ²) + 3/4). The mean accuracy over initial weights is
    Φ(y_k σ g N_k / √(1 + τ² + ν²)).

    Most of the even part is the same everywhere, and shifts σ g N_k by h_k⁺ − h_k⁻ + (s/m)(h_k⁺ + h_k⁻), h_k^± the mean
    size of a pre-activation on the boundary of a neuron with a_j of that sign. Given ``sign_sum`` s = Σ_j sgn(a_j),
    more neurons of one sign shift all outputs; their mean square, (4/m) h_k², leaves τ² + ν². Initial weights along μ_k
    have the variance ι² = |μ|²/(n κ²), and steer what is active: neurons of the pair's own sign are kicked along, the
    others back, (h_k^±)² = (2/π) (g² V_k + p/(n κ²) + 1/4 + ι² ± 2 g ι √ρ (Σ_{i in pair k} y_i)/√(2π)).

    Source: Xu et al. 2023, arXiv 2310.02541, eq. 4.3 for f_1; the accuracy, τ, ν and h are derived from it. Regime:
    κ ≫ 1.
    """
    imbalance = pair_sums(pair, side * observed)
    size = mean_norm**2
    unit = size / jnp.sqrt(pair.shape[0] * (input_dim + size))
    drift, variance = alignment_law(pair, side, observed, mean_norm=mean_norm, input_dim=input_dim)
    spread = (4 / width) * unit**2 * (2 * variance[:2] + drift[:2] ** 2)
    initial = (input_dim / pair.shape[0]) / step_init_ratio**2
    spread = spread + (4 / width) * (2 * initial + 0.75)
    # On the boundary the part that all neurons share is zero.
    rest = unit**2 * variance[:2] + initial * (1 + size / input_dim) + 0.25
    along = (
        size * jnp.sqrt(initial / input_dim / (input_dim + size)) * pair_sums(pair, observed) / math.sqrt(2 * math.pi)
    )
    more, less = (jnp.sqrt(2 / math.pi * (rest + 2 * sign * unit * along)) for sign in (1, -1))
    shift = more - less
    if sign_sum is not None:
        shift = shift + (sign_sum / width) * (more + less)
        spread = spread - (4 / width) * (2 / math.pi) * rest
    argument = (jnp.array(SIDES) * (unit * imbalance).repeat(2) + shift.repeat(2)) / jnp.sqrt(1 + spread).repeat(2)
    return ndtr(jnp.array([1.0, 1.0, -1.0, -1.0]) * argument)


def alignment_law(
    pair: Samples, side: Samples, observed: Samples, *, mean_norm: ArrayLike, input_dim: int
) -> tuple[Float[Array, " 4"], Float[Array, " 4"]]:
    """Mean and variance over neurons of D_kj = Σ_{i in pair k} σ_i b_ij s_ij, b_ij = y_i sgn(a_j), s active at start.

    <w_j(1) − w_j(0), μ_k> = (α|μ|²/(2n√m)) D_kj, D_kj ~ N(e_k, V_k) with e_k = ½ Σ σ_i b_ij and

    V_k = N_pair/4 + (arcsin ρ / 2π) [(Σ_{i in pair k} b_ij)² − N_pair],   ρ = |μ|²/(p + |μ|²),

    the second term from the correlation of two activations (orthant law): at the paper's own sizes it is 60% of V_k,
    and the bound n/24 <= V <= n/2 of the paper's Lemma A.11 would allow to leave it out. In the order a_j > 0 on pair
    1, 2, then a_j < 0 on pair 1, 2.
    """
    drift = pair_sums(pair, side * observed) / 2
    members = pair_sums(pair, jnp.ones_like(side))
    size = mean_norm**2
    correlation = jnp.arcsin(size / (input_dim + size)) / (2 * math.pi)
    variance = members / 4 + correlation * (pair_sums(pair, observed) ** 2 - members)
    return jnp.concatenate([drift, -drift]), jnp.concatenate([variance, variance])


def linear_part(
    pair: Samples, side: Samples, observed: Samples, *, mean_norm: ArrayLike, input_dim: int, width: int
) -> tuple[Array, Array]:
    """Cosine and ratio of sizes of the change of β = Σ_j a_j w_j and its mean (α/4n) Σ_i y_i x_i, at finite width.

    A sample moves β by the share of active neurons, 1/2 ± 1/√(4m): that adds a vector R with
    E |R|² / |mean|² = r = (4/m) (n p/4 + |μ|² Σ_k V_k)/(n p + |μ|² Σ_k N_k²), V_k of :func:`alignment_law`, so that the
    ratio is √(1 + r) and the cosine 1/√(1 + r): 1 ± 1/2m for orthogonal samples.
    """
    size = mean_norm**2
    _, variance = alignment_law(pair, side, observed, mean_norm=mean_norm, input_dim=input_dim)
    imbalance = pair_sums(pair, side * observed)
    noise = pair.shape[0] * input_dim
    share = (4 / width) * (noise / 4 + size * jnp.sum(variance[:2])) / (noise + size * jnp.sum(imbalance**2))
    return 1 / jnp.sqrt(1 + share), jnp.sqrt(1 + share)


def mean_alignment(*, num_train: int, input_dim: int, mean_norm: float, label_noise: float) -> float:
    """Mean |<w_j, μ_k>| after one step in units of α|μ|²/(n√m): ½ √(2/π) √(E V_k + E e_k²), over data and neurons.

    With E e_k² = n/8 and E (Σ b)² − N_pair = (n (n − 1)/4) (1 − 2η)².
    """
    n, size = num_train, mean_norm**2
    correlation = math.asin(size / (input_dim + size)) / (2 * math.pi)
    extra = correlation * n * (n - 1) / 4 * (1 - 2 * label_noise) ** 2
    return 0.5 * math.sqrt(2 / math.pi) * math.sqrt(n / 8 + extra + n / 8)


def margin(*, num_train: int, input_dim: int, mean_norm: Any, width: int) -> tuple[Any, Any]:
    """Mean training margin after one step in units of α p/8n, 1 + λ/n, and an upper estimate of its deviation.

    sd² = n/p + (λ/n)² n/2 + 2/m (without the even part's signal): training accuracy ≈ Φ(mean/sd). Regime: κ ≫ 1;
    the mean leaves out O(λ/√n).
    """
    own = mean_norm**2 / input_dim
    return 1 + own, jnp.sqrt(num_train / input_dim + own**2 * num_train / 2 + 2 / width)
