"""Outliers: the largest eigenvalue of matrices that are one eigenvalue and noise."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


def outlier(norm: ArrayLike, aspect_ratio: ArrayLike) -> Array:
    """Top eigenvalue of a batch Hessian whose spike has |X_spike|²/B = ``norm``, bulk of variance 1, aspect ratio γ.

    A rank-one addition to the bulk: norm + γ norm/(norm - 1) above the transition at 1 + √γ, else the bulk's edge. (The
    R-transform of the bulk's Gram matrix is γ/(1 - g).)
    """
    root = jnp.sqrt(jnp.asarray(aspect_ratio, float))
    above = jnp.maximum(jnp.asarray(norm, float), 1 + root)
    return above + aspect_ratio * above / (above - 1)


def additive_outlier(eigenvalue: ArrayLike, noise_scale: ArrayLike) -> Array:
    """Top eigenvalue of an eigenvalue in a Wigner matrix of edge 2σ: λ + σ²/λ if λ > σ, else 2σ."""
    above = jnp.maximum(jnp.asarray(eigenvalue, float), noise_scale)
    return above + jnp.asarray(noise_scale) ** 2 / above
