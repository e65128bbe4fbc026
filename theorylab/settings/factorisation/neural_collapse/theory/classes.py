"""The deep linear unconstrained-features model, one class at a time: branches and thresholds.

L = |W_M ... W_1 H - Y|²/(2N) + (1/2) Σ_j λ_j |W_j|² + (1/2) λ_H |H|² decouples at its minimum into classes. With n_k
samples and c_k = (Π_j λ_j · λ_H n_k)^(1/(M+1)), a class with the logit s costs

    F(s) = n_k (s - 1)²/(2N) + ((M + 1)/2) c_k s^(2/(M+1)),   s >= 0.

Derived here; functions are traceable in all but the depth M, and arrays of classes go in and out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

#: Halvings of a bracket: more than the digits of a float64.
HALVINGS = 70


class Branches(NamedTuple):
    """Stationary logits of every class.

    Attributes
    ----------
    minimum, saddle
        Roots s_+ and s_- of F', 0 where there are none; s_- is 0 at depth 1.
    exist
        Whether F' has roots: s^((M-1)/(M+1)) (1 - s) = c_k N/n_k can be solved.
    """

    minimum: Array
    saddle: Array
    exist: Array


def class_cost(counts: Any, depth: int, decay_product: Any, feature_decay: Any) -> Any:
    """c_k = (Π_j λ_j · λ_H n_k)^(1/(M+1)), of arrays of either kind: sizes are checked without compiling anything."""
    return (decay_product * feature_decay * counts) ** (1 / (depth + 1))


def class_loss(logit: ArrayLike, counts: Array, total: ArrayLike, cost: Array, depth: int) -> Array:
    """F(s) of every class."""
    s = jnp.asarray(logit)
    return counts / (2 * jnp.asarray(total)) * (s - 1) ** 2 + (depth + 1) / 2 * cost * s ** (2 / (depth + 1))


def spinodal_logit(depth: int) -> float:
    """(M - 1)/(2M), where the two branches meet."""
    return (depth - 1) / (2 * depth)


def have_branches(cost: Any, total: Any, counts: Any, depth: int) -> Any:
    """Whether s^((M-1)/(M+1)) (1 - s) reaches c_k N/n_k at the spinodal: F' then has roots."""
    power, bend = (depth - 1) / (depth + 1), spinodal_logit(depth)
    return cost * total / counts < (bend**power * (1 - bend) if depth > 1 else 1.0)


def branches(counts: Array, total: ArrayLike, cost: Array, depth: int) -> Branches:
    """Both roots of F' by halving brackets: [spinodal, 1], and (0, spinodal] in the logarithm of s."""
    power, bend = (depth - 1) / (depth + 1), spinodal_logit(depth)
    level, exist = cost * total / counts, have_branches(cost, total, counts, depth)

    def gap(s: Array) -> Array:
        return s**power * (1 - s) - level

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        right = gap(middle) > 0
        return jnp.where(right, middle, low), jnp.where(right, high, middle)

    low, high = jax.lax.fori_loop(0, HALVINGS, halve, (jnp.full_like(level, bend), jnp.ones_like(level)))
    minimum = jnp.where(exist, (low + high) / 2, 0.0)
    if depth == 1:
        return Branches(minimum, jnp.zeros_like(level), exist)
    # From below: s = (level/(1 - s))^(1/power) contracts, from a start below the root.
    saddle = jax.lax.fori_loop(0, 4 * HALVINGS, lambda _, s: (level / (1 - s)) ** (1 / power), jnp.zeros_like(level))
    return Branches(minimum, jnp.where(exist, saddle, 0.0), exist)


def global_logits(counts: Array, total: ArrayLike, cost: Array, depth: int, width: int) -> Array:
    """Logits at the global minimum: s_+ where F(s_+) < F(0), for the ``width`` classes that gain most; else 0."""
    found = branches(counts, total, cost, depth)
    gain = class_loss(jnp.zeros_like(cost), counts, total, cost, depth) - class_loss(
        found.minimum, counts, total, cost, depth
    )
    rank = jnp.argsort(jnp.argsort(-gain))
    return jnp.where(found.exist & (gain > 0) & (rank < width), found.minimum, 0.0)


def total_loss(logits: Array, counts: Array, total: ArrayLike, cost: Array, depth: int) -> Array:
    """Loss of the explicit network with these logits: a sum over classes, those at 0 among them."""
    return jnp.sum(class_loss(logits, counts, total, cost, depth))


def feature_norms(logits: Array, counts: Array, cost: Array, depth: int, feature_decay: ArrayLike) -> Array:
    """|h_k| = (c_k s_k^(2/(M+1))/(λ_H n_k))^(1/2)."""
    return jnp.sqrt(cost * logits ** (2 / (depth + 1)) / (feature_decay * counts))


def critical_count(total: ArrayLike, depth: int, decay_product: ArrayLike, feature_decay: ArrayLike) -> Array:
    """n*: below it a class collapses. n*^M = N^(M+1) Π_j λ_j λ_H M^(2M)/(M-1)^(M-1), with N held fixed.

    At depth 1 the logit vanishes continuously there, from depth 2 on it jumps to (M - 1)/M.
    """
    bend = float(depth) ** (2 * depth) / (float(depth - 1) ** (depth - 1) if depth > 1 else 1.0)
    return (jnp.asarray(total) ** (depth + 1) * decay_product * feature_decay * bend) ** (1 / depth)
