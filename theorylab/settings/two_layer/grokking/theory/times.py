"""Time scales: how fast features grow, and how long a lazy network takes to fit its data."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


def feature_time(output_scale: ArrayLike, quadratic_coeff: ArrayLike) -> Array:
    """α/ε = 1/r, the time in which features grow by e (times a number of order one), P in proportion to D."""
    return jnp.asarray(output_scale) / jnp.asarray(quadratic_coeff)


def lazy_memorisation_time(
    quadratic_coeff: ArrayLike, sample_ratio: ArrayLike, threshold: ArrayLike = 0.05, init_scale: ArrayLike = 1.0
) -> Array:
    """Time at which a centred lazy network has fitted ν > 1 samples per dimension.

    The linear kernel fits D of the P samples in a time of order one; the others decay with the diagonal of the
    quadratic kernel, (1 − 1/ν) e^(−2 ε²σ² τ)/2: τ = ln((1 − 1/ν)/(2 threshold))/(2 ε² σ²). Leading order for
    ε²σ² ≪ (√ν − 1)².
    """
    strength = (jnp.asarray(quadratic_coeff) * init_scale) ** 2
    level = (1 - 1 / jnp.asarray(sample_ratio)) / (2 * jnp.asarray(threshold))
    return jnp.maximum(jnp.log(level), 0.0) / (2 * strength)
