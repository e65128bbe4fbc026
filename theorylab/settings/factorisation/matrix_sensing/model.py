"""The factored matrix: its imbalance, the rates of its linearised dynamics, and the rebalancing step."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.factorisation.operators import unsvec


def imbalance(left: Float[Array, "rows k"], right: Float[Array, "cols k"]) -> Float[Array, "k k"]:
    """Δ = Fᵀ F − Gᵀ G, which gradient flow conserves."""
    return left.T @ left - right.T @ right


# --- rates at the limit --------------------------------------------------------------------------------------


#: Rates that differ by less, relatively, decay as one: a slope lies between them.
LEVEL = 1e-3


class LimitRates(NamedTuple):
    """Rates at which the error of a converged model decays, per unit of time.

    Attributes
    ----------
    slowest
        λ: the error decays as (1 − rate·λ)^t.
    separation
        Next level of rates over the slowest: a fit of the slope is contaminated where it is near 1. Rates within
        :data:`LEVEL` of the slowest are one level.
    left_rank
        Rank f of the limit of F; that of G is k + r − f (symmetric: k).
    """

    slowest: Float[Array, ""]
    separation: Float[Array, ""]
    left_rank: Float[Array, ""]


def limit_rates(left: Float[Array, "rows k"], right: Float[Array, "cols k"], rank: int) -> LimitRates:
    """Rates from the factors at (or near) convergence, population, for min(n_1, n_2) > k.

    The linearised error obeys E' = −(E G Gᵀ + F Fᵀ E), so its rates are a_i + b_j with a, b the spectra of F Fᵀ
    and G Gᵀ, both of which contain 0: λ is the smallest positive a_i or b_j. Which of them are positive follows
    from ranks, not from a tolerance (off-signal values are only of order α²): F and G share k + r dimensions,
    and of all splits f + g = k + r the right one is that whose smallest kept value is largest.
    """
    k = left.shape[1]
    a = jnp.linalg.eigvalsh(left.T @ left)[::-1]
    b = jnp.linalg.eigvalsh(right.T @ right)[::-1]
    f = np.arange(rank, k + 1)
    smallest = jnp.minimum(a[f - 1], b[k + rank - f - 1])
    best = jnp.argmax(smallest)
    left_rank = rank + best
    index = jnp.arange(k)
    kept = jnp.concatenate(
        [jnp.where(index < left_rank, a, jnp.inf), jnp.where(index < k + rank - left_rank, b, jnp.inf)]
    )
    return LimitRates(smallest[best], _next_level(kept / smallest[best]), left_rank.astype(a.dtype))


def _next_level(ratios: Float[Array, " rates"]) -> Float[Array, ""]:
    """Smallest of the rates over the slowest that is not of its level."""
    return jnp.min(jnp.where(ratios > 1 + LEVEL, ratios, jnp.inf))


def symmetric_limit_rates(left: Float[Array, "rows k"]) -> LimitRates:
    """Rates at exact rank, k = r < n, population: E' = −(E X Xᵀ + X Xᵀ E) has the rates a_i and a_i + a_j.

    a is the spectrum of X Xᵀ without its zeros. With k > r the off-signal a_i vanish as 1/t: there is no rate.
    """
    a = jnp.linalg.eigvalsh(left.T @ left)
    double = jnp.full((1,), 2.0, a.dtype)
    separation = _next_level(jnp.concatenate([a[1:] / a[0], double]))
    return LimitRates(a[0], separation, jnp.full((), left.shape[1], a.dtype))


def tangent_gram(
    rows: Float[Array, "m entries"], left: Float[Array, "n1 k"], right: Float[Array, "n2 k"]
) -> Float[Array, "params params"]:
    """Jᵀ J of the m x (n_1 + n_2) k Jacobian of A(F Gᵀ), A_i of variance 1/m (the tangent kernel's other half)."""
    m, (n1, k), n2 = rows.shape[0], left.shape, right.shape[0]
    matrices = rows.reshape(m, n1, n2) / np.sqrt(m)
    by_left = (matrices.reshape(m * n1, n2) @ right).reshape(m, n1 * k)
    by_right = jnp.einsum("mij,ik->mjk", matrices, left).reshape(m, n2 * k)
    jacobian = jnp.concatenate([by_left, by_right], axis=1)
    return jacobian.T @ jacobian


def tangent_rate(
    rows: Float[Array, "m entries"],
    left: Float[Array, "n1 k"],
    right: Float[Array, "n2 k"],
    rank: int,
    left_rank: Float[Array, ""],
) -> Float[Array, ""]:
    """Slowest rate at finite m: the d_T-th largest eigenvalue of the tangent kernel, d_T = n_1 g + n_2 f − f g.

    f, g = k + r − f are the ranks of the limits of F and G; d_T is the dimension of the tangent space there, and
    a gap of many orders of magnitude separates its eigenvalues from those of the gauge directions.
    """
    (n1, k), n2 = left.shape, right.shape[0]
    f = left_rank.astype(int)
    g = k + rank - f
    dimension = n1 * g + n2 * f - f * g
    return jnp.linalg.eigvalsh(tangent_gram(rows, left, right))[::-1][dimension - 1]


def symmetric_tangent_rate(rows: Float[Array, "m entries"], left: Float[Array, "n k"]) -> Float[Array, ""]:
    """Slowest rate at exact rank and finite m: the d_T-th largest eigenvalue of Jᵀ J/2, d_T = n k − k (k − 1)/2.

    J is the Jacobian of A(X Xᵀ): row i is 2 A_i X. The update moves the factor by half of the loss's gradient.
    """
    (n, k), m = left.shape, rows.shape[0]
    matrices = jax.vmap(lambda row: unsvec(row, n))(rows).reshape(m * n, n) / np.sqrt(m)
    jacobian = 2 * (matrices @ left).reshape(m, n * k)
    return jnp.linalg.eigvalsh(jacobian.T @ jacobian / 2)[::-1][n * k - k * (k - 1) // 2 - 1]


# --- the rebalancing step -------------------------------------------------------------------------------------


def rebalance(
    left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], scale: ArrayLike, *, boost_only: bool = False
) -> tuple[Float[Array, "n1 k"], Float[Array, "n2 k"]]:
    """Move scale between the factors without changing their product (Xiong, Ding and Du 2024, equation 5.1).

    With F = A diag(f) Bᵀ: F ← β A, G ← G B diag(f/β). ``boost_only`` raises only the singular values below β,
    F ← A diag(max(f, β)), G ← G B diag(f / max(f, β)), which leaves the largest curvature alone. Nothing is
    divided by f, so vanishing singular values are harmless.
    """
    vectors, f, rotation = jnp.linalg.svd(left, full_matrices=False)
    beta = jnp.asarray(scale, f.dtype)
    new = jnp.maximum(f, beta) if boost_only else jnp.full_like(f, beta)
    return vectors * new[None, :], (right @ rotation.T) * (f / new)[None, :]


def ready_to_rebalance(
    left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], error: Float[Array, ""], rank: int
) -> Array:
    """Whether the signal has converged: |E| <= min(1e-2, 1.2 |F Gᵀ beyond rank r|_F) and σ_r > 10 σ_{r+1}."""
    _, f, rotation = jnp.linalg.svd(left, full_matrices=False)
    values = jnp.linalg.svd((right @ rotation.T) * f[None, :], compute_uv=False)
    tail = jnp.sqrt(jnp.sum(values[rank:] ** 2))
    beyond = values[rank] if left.shape[1] > rank else jnp.zeros_like(tail)
    small = error <= (jnp.minimum(1e-2, 1.2 * tail) if left.shape[1] > rank else 1e-2)
    return small & (values[rank - 1] > 10 * beyond)
