"""The first step of gradient descent: a linear classifier that fits the training set and knows nothing of XOR."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from theorylab.settings.two_layer.xor.config import Config
from theorylab.settings.two_layer.xor.data import Labels

SIDES = (1.0, -1.0, 1.0, -1.0)  # of the clusters (1, +), (1, −), (2, +), (2, −)


def pair_sums(labels: Labels, values: Float[Array, " samples"]) -> Float[Array, " 2"]:
    """Sums of ``values`` over the samples of each pair."""
    return jnp.stack([jnp.sum((1 - labels.pair) * values), jnp.sum(labels.pair * values)])


def cluster_accuracy(labels: Labels, config: Config) -> Float[Array, " 4"]:
    """Clean accuracy of each cluster (k, σ) after one step, from the labels alone.

    f_1(x) ≈ (α/8n) <Σ_i y_i x_i, x> gives acc_{k,σ} = Φ(y_k σ N_k |μ|²/√(n (p + |μ|²))), with the label imbalance
    N_k = Σ_{i in pair k} σ_i y_i. The two clusters of a pair average to exactly 1/2.

    Source: Xu et al. 2023, arXiv 2310.02541, eq. 4.3 for f_1; the accuracy is derived from it. Regime: κ ≫ 1, large
    width: the even part, of relative size √((n/8 + N_k²/4)/m)/|N_k/2|, is left out.
    """
    imbalance = pair_sums(labels, labels.side * labels.observed)
    size = config.mean_norm**2
    argument = imbalance * size / jnp.sqrt(config.num_train * (config.input_dim + size))
    truth = jnp.array([1.0, 1.0, -1.0, -1.0])
    return ndtr(truth * jnp.array(SIDES) * argument.repeat(2))


def alignment_law(
    labels: Labels, config: Config, *, arcsine: bool = True
) -> tuple[Float[Array, " 4"], Float[Array, " 4"]]:
    """Mean and variance over neurons of D_kj = Σ_{i in pair k} σ_i b_ij s_ij, b_ij = y_i sgn(a_j), s active at start.

    <w_j(1) − w_j(0), μ_k> = (α|μ|²/(2n√m)) D_kj, D_kj ~ N(e_k, V_k) with e_k = ½ Σ σ_i b_ij and

    V_k = N_pair/4 + (arcsin ρ / 2π) [(Σ_{i in pair k} b_ij)² − N_pair],   ρ = |μ|²/(p + |μ|²),

    the second term from the correlation of two activations (orthant law). In the order a_j > 0 on pair 1, 2, then
    a_j < 0 on pair 1, 2. ``arcsine = False`` leaves it out, as the bound n/24 <= V <= n/2 of the paper's Lemma A.11
    may: at the paper's own sizes it is 60% of V_k.
    """
    ones = jnp.ones_like(labels.side)
    drift = pair_sums(labels, labels.side * labels.observed) / 2
    members = pair_sums(labels, ones)
    size = config.mean_norm**2
    correlation = jnp.arcsin(size / (config.input_dim + size)) / (2 * math.pi)
    extra = correlation * (pair_sums(labels, labels.observed) ** 2 - members) if arcsine else 0 * members
    variance = members / 4 + extra
    return jnp.concatenate([drift, -drift]), jnp.concatenate([variance, variance])


def mean_alignment(config: Config, *, arcsine: bool = True) -> Any:
    """Mean |<w_j, μ_k>| after one step in units of α|μ|²/(n√m): ½ √(2/π) √(E V_k + E e_k²), over data and neurons.

    With E e_k² = n/8 and E (Σ b)² − N_pair = (n (n − 1)/4) (1 − 2η)².
    """
    n, size = config.num_train, config.mean_norm**2
    correlation = math.asin(size / (config.input_dim + size)) / (2 * math.pi)
    extra = correlation * n * (n - 1) / 4 * (1 - 2 * config.label_noise) ** 2 if arcsine else 0.0
    return 0.5 * math.sqrt(2 / math.pi) * math.sqrt(n / 8 + extra + n / 8)


def margin(config: Config) -> tuple[Any, Any]:
    """Mean training margin after one step in units of α p/8n, 1 + λ/n, and an upper estimate of its deviation.

    sd² = n/p + (λ/n)² n/2 + 2/m (without the even part's signal): training accuracy ≈ Φ(mean/sd). Regime: κ ≫ 1;
    the mean leaves out O(λ/√n).
    """
    own = config.mean_norm**2 / config.input_dim
    n = config.num_train
    return 1 + own, jnp.sqrt(n / config.input_dim + own**2 * n / 2 + 2 / config.width)
