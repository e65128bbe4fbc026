"""Targets and factored models: spectra, initial factors, residuals, and the slope of a falling error."""

from __future__ import annotations

from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class Target(Protocol):
    """A configuration whose target has ``target_rank`` equally spaced singular values."""

    @property
    def target_rank(self) -> int:
        """Rank of the target."""

    @property
    def largest_value(self) -> float:
        """Its largest singular value."""

    @property
    def smallest_value(self) -> float:
        """Its smallest one that is not zero."""


def spectrum(config: Target) -> list[float]:
    """Singular values of the target of a concrete configuration, decreasing."""
    r, top, low = config.target_rank, config.largest_value, config.smallest_value
    return [top] if r == 1 else [top + (low - top) * i / (r - 1) for i in range(r)]


def last_value(config: Target) -> Any:
    """Smallest singular value s_r of the target, the last of :func:`spectrum`; may be traced.

    Not ``smallest_value``: at rank 1 the one singular value is ``largest_value``.
    """
    return config.smallest_value if config.target_rank > 1 else config.largest_value


def target_spectrum(config: Target) -> Float[Array, " rank"]:
    """Singular values of the target, equally spaced from ``largest_value`` to ``smallest_value``; may be traced."""
    weight = jnp.arange(config.target_rank) / max(config.target_rank - 1, 1)
    top = jnp.asarray(config.largest_value, float)
    return top + (config.smallest_value - top) * weight.astype(top.dtype)


def target_matrix(spectrum: Float[Array, " rank"], rows: int, cols: int) -> Float[Array, "rows cols"]:
    """M = diag(spectrum, 0, …)."""
    r = spectrum.shape[0]
    return jnp.zeros((rows, cols), spectrum.dtype).at[jnp.arange(r), jnp.arange(r)].set(spectrum)


def initial_factor(
    normals: Float[Array, " entries"], dim: int, scale: Any, *, orthonormal: bool = False
) -> Float[Array, "dim k"]:
    """Entries N(0, 1/dim), or the orthonormal Q-factor of such a matrix, times ``scale``."""
    matrix = normals.reshape(dim, -1)
    if orthonormal:
        return scale * jnp.linalg.qr(matrix)[0]
    return scale * matrix / np.sqrt(dim)


def product(left: Float[Array, "rows k"], right: Float[Array, "cols k"] | None) -> Float[Array, "rows cols"]:
    """X Xᵀ (``right`` is None) or F Gᵀ."""
    return left @ (left if right is None else right).T


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
