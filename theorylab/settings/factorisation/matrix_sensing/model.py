"""The factored matrix: residuals, imbalance, the rates of its linearised dynamics, and the rebalancing step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def product(left: Float[Array, "rows k"], right: Float[Array, "cols k"] | None) -> Float[Array, "rows cols"]:
    """X Xᵀ (``right`` is None) or F Gᵀ."""
    return left @ (left if right is None else right).T


def imbalance(left: Float[Array, "rows k"], right: Float[Array, "cols k"]) -> Float[Array, "k k"]:
    """Δ = Fᵀ F − Gᵀ G, which gradient flow conserves."""
    return left.T @ left - right.T @ right


def residual(
    left: Float[Array, "rows k"], right: Float[Array, "cols k"] | None, spectrum: Float[Array, " rank"]
) -> Float[Array, "rows cols"]:
    """E = model − M for the target M = diag(spectrum, 0, …)."""
    index = np.arange(spectrum.shape[0])
    return product(left, right).at[index, index].add(-spectrum)


def recovery_error(
    left: Float[Array, "rows k"], right: Float[Array, "cols k"] | None, spectrum: Float[Array, " rank"]
) -> Float[Array, ""]:
    """|E|_F, not squared."""
    return jnp.sqrt(jnp.sum(residual(left, right, spectrum) ** 2))


# --- rates at the limit --------------------------------------------------------------------------------------


class LimitRates(NamedTuple):
    """Rates at which the error of a converged asymmetric model decays, per unit of time.

    Attributes
    ----------
    slowest
        λ: the error decays as (1 − rate·λ)^t.
    separation
        Second smallest over smallest rate: a fit of the slope is contaminated where it is near 1.
    left_rank
        Rank f of the limit of F; that of G is k + r − f.
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
    kept = jnp.sort(kept)
    return LimitRates(smallest[best], kept[1] / kept[0], left_rank.astype(a.dtype))


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


def fit_slope(
    steps: Float[Array, " steps"],
    errors: Float[Array, " steps"],
    low: ArrayLike,
    high: ArrayLike,
    *,
    drift: float = 0.05,
) -> Float[Array, ""]:
    """Slope of ln(error) per step where low <= error <= high.

    NaN where the slope is not measurable: fewer than 20 recorded steps in the window, or its two halves disagree
    by more than ``drift`` (not stationary: not converged, or several modes of nearly one rate).
    """

    inside = (errors >= low) & (errors <= high)
    weight = inside.astype(errors.dtype)
    count = jnp.sum(weight)
    t = jnp.where(inside, steps - jnp.sum(weight * steps) / jnp.maximum(count, 1), 0.0)
    logs = jnp.where(inside, jnp.log(jnp.where(inside, errors, 1.0)), 0.0)
    # One product gives the sums over both halves of the window.
    halves = jnp.stack([weight * (t < 0), weight * (t >= 0)])
    sums = halves @ jnp.stack([weight, t, logs, t * t, t * logs], axis=1)
    first, second, whole = map(_slope_of_sums, (sums[0], sums[1], sums[0] + sums[1]))
    stationary = jnp.abs(first - second) <= drift * jnp.abs(first + second) / 2
    return jnp.where((count >= 20) & stationary, whole, jnp.nan)


def _slope_of_sums(sums: Float[Array, " 5"]) -> Array:
    n, t, y, tt, ty = (sums[i] for i in range(5))
    return (n * ty - t * y) / jnp.maximum(n * tt - t * t, 1e-300)


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


def median_where(values: Float[Array, " steps"], keep: Sequence[bool] | jax.Array) -> Float[Array, ""]:
    """Median of the kept entries; NaN if there is none."""
    return jnp.nanmedian(jnp.where(jnp.asarray(keep), values, jnp.nan))
