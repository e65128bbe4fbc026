"""The network, and its exact description by the mean and the second moment of its weights.

With φ'(h) = 1 + ε h, one step of gradient descent moves every neuron by the same affine map, w → L w + s: so the mean
weight and the second moment of the weights follow closed equations, at any width. Both the network and its moments
are plain arrays here; ``activation`` is any elementwise function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

Activation = Callable[[Array], Array]


class Moments(NamedTuple):
    """Averages over the neurons: w̄ = mean of w_i, M = mean of w_i w_iᵀ."""

    mean: Float[Array, " dim"]
    second: Float[Array, "dim dim"]


class AffineMap(NamedTuple):
    """w → L w + s, the same for every neuron."""

    linear: Float[Array, "dim dim"]
    shift: Float[Array, " dim"]


def labels(inputs: Float[Array, "samples dim"], target: Float[Array, " dim"]) -> Float[Array, " samples"]:
    """y = (β·x)²/2."""
    return (inputs @ target) ** 2 / 2


def quadratic_activation(quadratic_coeff: ArrayLike) -> Activation:
    """φ(h) = h + (ε/2) h²."""
    return lambda h: h + quadratic_coeff / 2 * h * h


# --- the network, neuron by neuron --------------------------------------------------------------------------------


def network_output(
    weights: Float[Array, "width dim"],
    inputs: Float[Array, "samples dim"],
    output_scale: ArrayLike,
    activation: Activation,
) -> Float[Array, " samples"]:
    """f(x) = (α/N) Σ_i φ(w_i·x)."""
    output: Any = output_scale * jnp.mean(activation(inputs @ weights.T), axis=1)
    return output


def activation_and_slope(
    activation: Activation, h: Float[Array, "samples width"]
) -> tuple[Float[Array, "samples width"], Float[Array, "samples width"]]:
    """φ(h) and φ'(h) of any elementwise activation."""
    return jax.jvp(activation, (h,), (jnp.ones_like(h),))


def network_step(
    weights: Float[Array, "width dim"],
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    output_scale: ArrayLike,
    scaled_learning_rate: ArrayLike,
    activation: Activation,
) -> Float[Array, "width dim"]:
    """One step of gradient descent, w_i ← w_i + (γ/α) Σ_μ (goal − f)_μ φ'(w_i·x_μ) x_μ."""
    value, slope = activation_and_slope(activation, inputs @ weights.T)
    residual = goal - output_scale * jnp.mean(value, axis=1)
    return weights + scaled_learning_rate / output_scale * ((slope * residual[:, None]).T @ inputs)


# --- the moments ----------------------------------------------------------------------------------------------------


def moments_of(weights: Float[Array, "width dim"]) -> Moments:
    """Mean and second moment of given neurons."""
    return Moments(jnp.mean(weights, axis=0), weights.T @ weights / weights.shape[0])


def moments_output(
    moments: Moments, inputs: Float[Array, "samples dim"], output_scale: ArrayLike, quadratic_coeff: ArrayLike
) -> Float[Array, " samples"]:
    """f(x) = α w̄·x + (α ε/2) xᵀ M x: what the network of these moments returns."""
    # One matrix product and one pass: w̄ is added before the inner product with x.
    field: Any = inputs @ (quadratic_coeff / 2 * moments.second) + moments.mean[None, :]
    output: Any = output_scale * jnp.sum(field * inputs, axis=1)
    return output


def transform(moments: Moments, affine: AffineMap) -> Moments:
    """Moments after w → L w + s: w̄' = L w̄ + s, M' = L M Lᵀ + (L w̄) sᵀ + s (L w̄)ᵀ + s sᵀ."""
    linear, shift = affine
    moved = linear @ moments.mean
    cross = jnp.outer(moved + shift / 2, shift)
    return Moments(moved + shift, linear @ moments.second @ linear.T + cross + cross.T)


def linearised_moments(moments: Moments, change: AffineMap) -> Moments:
    """Moments that give the output of the model linearised at ``moments`` after w_i → w_i + Q w_i + p.

    ∇f·δw = α [x·(p + Q w̄) + ε (w̄·x)(p·x) + ε xᵀ Q M x]: hence the mean w̄ + p + Q w̄ and the second moment
    M + w̄ pᵀ + p w̄ᵀ + Q M + M Qᵀ, with ``change.linear`` = Q and ``change.shift`` = p.
    """
    q, p = change
    half = jnp.outer(moments.mean, p) + q @ moments.second
    return Moments(moments.mean + p + q @ moments.mean, moments.second + half + half.T)
