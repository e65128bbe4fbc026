"""Eigenvalues of the tangent kernel at infinite width under the law of the inputs."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


def population_eigenvalues(dim: int, quadratic_coeff: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues of K_0 under x ~ N(0, I/D) for linear functions, 1/D, and for traceless quadratic ones, 2 ε²/D².

    The target's quadratic part is learned D/(2 ε²) times more slowly than linear functions: a lazy network needs
    P ~ D² samples, one that learns features P ~ D.
    """
    coeff = jnp.asarray(quadratic_coeff)
    return jnp.ones_like(coeff) / dim, 2 * coeff**2 / dim**2
