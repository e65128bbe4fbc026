"""The explicit network: a stationary point of given logits."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array


def explicit_network(
    logits: Array, counts: Array, cost: Array, decays: Array, feature_decay: ArrayLike, width: int
) -> tuple[tuple[Array, ...], Array]:
    """A stationary point with these logits: λ_j w_jk² = λ_H n_k |h_k|² = c_k s_k^(2/(M+1)), all classes orthogonal.

    Returns the weights W_1, ..., W_M and one feature for each class, ``[width, K]``. A class at 0 takes no direction,
    so that ``width`` directions serve the others.
    """
    depth, num_classes = decays.shape[0], counts.shape[0]
    share = cost * logits ** (2 / (depth + 1))
    # Directions in order, first to the classes that are not at 0.
    order = jnp.argsort(jnp.argsort(logits == 0, stable=True), stable=True)
    frame = (order[None] == jnp.arange(width)[:, None]).astype(share.dtype)
    inner = [(frame * jnp.sqrt(share / decay)[None]) @ frame.T for decay in decays[:-1]]
    last = (frame * jnp.sqrt(share / decays[-1])[None]).T
    features = frame * jnp.sqrt(share / (feature_decay * counts))[None]
    assert last.shape == (num_classes, width)
    return (*inner, last), features
