"""Exact reduction of the population dynamics to r + k dimensions, whatever the dimension of the target.

Rows of a factor outside the signal evolve by right multiplication alone, X_⊥ ← X_⊥ T_t with T_t common to all of
them: only X_⊥ᵀ X_⊥ matters, so the n − r rows may be replaced by the k rows of the R-factor of their QR
decomposition. Gradient descent on the smaller factors reproduces every singular value, error and imbalance.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def reduce_rows(factor: Float[Array, "n k"], rank: int) -> Float[Array, "small k"]:
    """Keep the r signal rows and compress the rest to k rows with the same Gram matrix (if there are more)."""
    n, k = factor.shape
    if n - rank <= k:
        return factor
    return jnp.concatenate([factor[:rank], jnp.linalg.qr(factor[rank:], mode="r")])


def sample_reduced(key: jax.Array, dim: int, rank: int, model_rank: int) -> Float[Array, "small k"]:
    """Draw the reduction of an n x k matrix of N(0, 1/n) directly, at a cost that does not depend on n.

    The R-factor of a Gaussian matrix is upper triangular with independent entries, chi-distributed on the
    diagonal with n − r − i degrees of freedom and normal above it (Bartlett).
    """
    normal_key, chi_key = jax.random.split(key)
    signal, above = jnp.split(jax.random.normal(normal_key, ((rank + model_rank) * model_rank,)), [rank * model_rank])
    degrees = dim - rank - jnp.arange(model_rank)
    diagonal = jnp.sqrt(2 * jax.random.gamma(chi_key, degrees / 2))
    triangle = jnp.triu(above.reshape(model_rank, model_rank), 1) + jnp.diag(diagonal)
    return jnp.concatenate([signal.reshape(rank, model_rank), triangle]) / jnp.sqrt(dim)
