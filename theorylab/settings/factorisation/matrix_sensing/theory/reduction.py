"""Exact reduction of the population dynamics to r + k dimensions, whatever the dimension of the target.

Rows of a factor outside the signal evolve by right multiplication alone, X_⊥ ← X_⊥ T_t with T_t common to all of
them: only X_⊥ᵀ X_⊥ matters, so the n − r rows may be replaced by the k rows of the R-factor of their QR
decomposition. Gradient descent on the smaller factors reproduces every singular value, error and imbalance.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def reduce_rows(factor: Float[Array, "n k"], rank: int) -> Float[Array, "small k"]:
    """Keep the r signal rows and compress the rest to k rows with the same Gram matrix (if there are more)."""
    n, k = factor.shape
    if n - rank <= k:
        return factor
    return jnp.concatenate([factor[:rank], jnp.linalg.qr(factor[rank:], mode="r")])
