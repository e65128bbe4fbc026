"""One layer of linear self-attention as a function of its query, key and value weights."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.in_context.prompts import Prompts, Statistics


class Layer(NamedTuple):
    """Weights of ŷ = (1/ν) hᵀ sum_i (W_V v_i) (v_iᵀ W_Kᵀ W_Q v_q), v_i = (x_i, y_i), v_q = (x_q, 0)."""

    readout: Float[Array, " token"]
    value: Float[Array, "token token"]
    key: Float[Array, "token token"]
    query: Float[Array, "token token"]


class EffectiveLayer(NamedTuple):
    """All that the function depends on, ŷ = uᵀ G M x_q: u = W_Vᵀ h, M = (W_Kᵀ W_Q)[:, :d]/ν, M = (A; cᵀ)."""

    readout: Float[Array, " token"]
    attention: Float[Array, "token dim"]


def init_layer(key: jax.Array, dim: int, scale: ArrayLike) -> Layer:
    """Independent N(0, scale²/(d+1)) entries. Zero would be a stationary point."""
    token = dim + 1
    numbers = random.normal(key, token + 3 * token**2) * scale / jnp.sqrt(1.0 * token)
    square = numbers[token:].reshape(3, token, token)
    return Layer(numbers[:token], square[0], square[1], square[2])


def effective_layer(layer: Layer, normaliser: ArrayLike = 1.0) -> EffectiveLayer:
    """Reduce the weights to what the function depends on; ``normaliser`` is ν."""
    attention = layer.key.T @ layer.query[:, :-1]
    return EffectiveLayer(layer.readout @ layer.value, attention / normaliser)


def preconditioner(layer: EffectiveLayer) -> Float[Array, "dim dim"]:
    """P = u_y Aᵀ + c u_xᵀ, the part of the layer that is linear in the labels: ŷ = x_qᵀ P b + even terms.

    Invariant under everything that leaves the function unchanged, so the one fair comparison of learned weights.
    """
    u, m = layer
    return u[-1] * m[:-1].T + jnp.outer(m[-1], u[:-1])


def leak(layer: EffectiveLayer) -> Float[Array, ""]:
    """|u_x| |A|/|u_y A|: above 1 the layer reads out covariates rather than labels (stuck near a rank-one saddle)."""
    u = layer.readout
    return jnp.linalg.norm(u[:-1]) / jnp.abs(u[-1])


def context_weights(
    layer: EffectiveLayer, covariates: Float[Array, "prompts context dim"], labels: Float[Array, "prompts context"]
) -> Float[Array, "prompts dim"]:
    """Weights ŵ = Mᵀ G u that the layer reads off a context: ŷ = ŵ·x_q. Cost n d per prompt, no Gram matrix."""
    u, m = layer
    values = jnp.einsum("bnd,d->bn", covariates, u[:-1]) + labels * u[-1]
    moments = jnp.einsum("bn,bnd->bd", values, covariates)
    return moments @ m[:-1] + jnp.einsum("bn,bn->b", values, labels)[:, None] * m[-1][None]


def statistic_weights(layer: EffectiveLayer, statistics: Statistics) -> Float[Array, "prompts dim"]:
    """Weights ŵ = Mᵀ F Fᵀ u of :func:`context_weights`, from the sufficient statistic G = F Fᵀ."""
    inner = jnp.einsum("btk,t->bk", statistics.factor, layer.readout)
    return jnp.einsum("btk,bk->bt", statistics.factor, inner) @ layer.attention


def predict(layer: EffectiveLayer, prompts: Prompts) -> Float[Array, " prompts"]:
    """Predictions of the layer at the queries."""
    return jnp.sum(context_weights(layer, prompts.covariates, prompts.labels) * prompts.queries, axis=1)


def squared_error(layer: EffectiveLayer, prompts: Prompts) -> Float[Array, ""]:
    """Mean of (ŷ - y_q)² over prompts."""
    return jnp.mean((predict(layer, prompts) - prompts.targets) ** 2)


def one_step_predictions(preconditioner: Float[Array, "dim dim"], prompts: Prompts) -> Float[Array, " prompts"]:
    """Predictions x_qᵀ P b of one step of preconditioned gradient descent from zero on the context's squares."""
    b = jnp.einsum("bn,bnd->bd", prompts.labels, prompts.covariates)
    return jnp.einsum("bd,de,be->b", prompts.queries, preconditioner, b)
