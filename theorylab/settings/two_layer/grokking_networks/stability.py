"""Grokking at the edge of numerical stability: softmax collapse, StableMax and gradients perpendicular to the weights.

After it has fitted the training set, a homogeneous network lowers its cross-entropy by scaling its logits up (naive
loss minimisation), until a float cannot tell the sum of exponentials from that of the true class: its gradient is then
exactly zero (softmax collapse), and what would have generalised is never learned. Prieto, Barsbey, Mediano and Birdal,
arXiv 2501.04697; the definitions are those of the paper and its public code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from theorylab.numerics.stablemax import stablemax

if TYPE_CHECKING:
    import optax


def softmax_cross_entropy(
    logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]
) -> Float[Array, " samples"]:
    """Cross-entropy -log softmax(z)_y = log Σ_k exp(z_k - max z) - (z_y - max z), in the logits' own precision."""
    shifted = logits - jax.lax.stop_gradient(jnp.max(logits, axis=1, keepdims=True))
    return jnp.log(jnp.sum(jnp.exp(shifted), axis=1)) - _at(shifted, labels)


def stablemax_cross_entropy(
    logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]
) -> Float[Array, " samples"]:
    """Cross-entropy -log (s(z_y)/Σ_k s(z_k)), s = :func:`~theorylab.numerics.stablemax.stablemax` in place of exp."""
    weights = stablemax(logits)
    return jnp.log(jnp.sum(weights, axis=1)) - jnp.log(_at(weights, labels))


def collapsed(logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]) -> Bool[Array, " samples"]:
    """Whether the true class absorbs all others: Σ_k exp(z_k - max z) == exp(z_y - max z) in float arithmetic.

    The loss and its derivative with respect to the true logit are then exactly 0.
    """
    shifted = jnp.exp(logits - jnp.max(logits, axis=1, keepdims=True))
    return jnp.sum(shifted, axis=1) == _at(shifted, labels)


def _at(values: Array, labels: Array) -> Array:
    return jnp.take_along_axis(values, labels[:, None], axis=1)[:, 0]


def perpendicular_gradients() -> optax.GradientTransformation:
    """Optimiser step ⊥Grad: of every parameter tensor w, keep g_⊥ = g - (w·g/w·w) w, rescaled to the length of g.

    Scaling the weights, and with them the logits of a homogeneous network, is what it removes. Chain it before the
    optimiser: ``optax.chain(perpendicular_gradients(), optax.adamw(...))``.
    """
    import optax

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return jax.tree.map(perpendicular, gradients, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def perpendicular(gradient: Array, weights: Array) -> Array:
    """Component of ``gradient`` perpendicular to ``weights``, rescaled to its own length (0 if there is none)."""
    inner = jnp.sum(weights * gradient) / (jnp.sum(weights**2) + 1e-30)
    rest = gradient - inner * weights
    length = jnp.sqrt(jnp.sum(rest**2))
    size = jnp.sqrt(jnp.sum(gradient**2))
    return jnp.where(length > 0, rest * (size / jnp.where(length > 0, length, 1.0)), 0.0)
