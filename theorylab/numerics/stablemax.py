"""The positive function that StableMax normalises in the place of exponentials (Prieto et al., arXiv 2501.04697)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def stablemax(logits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """s(z) = 1 + z for z >= 0 and 1/(1 - z) below: positive, and linear where exp is exponential.

    Its derivative is that of the branch taken, 1 at 0 from both sides.
    """
    below = jnp.where(logits >= 0, 0.0, logits)  # the branch not taken must not blow up, nor its derivative
    return jnp.where(logits >= 0, 1 + logits, 1 / (1 - below))
