"""The network, neuron by neuron, and what is measured of it.

``activation`` is any elementwise function; with the quadratic one the moments of the weights say the same
(:mod:`.moments`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

Activation = Callable[[Array], Array]


def quadratic_activation(quadratic_coeff: ArrayLike) -> Activation:
    """φ(h) = h + (ε/2) h²."""
    return lambda h: h + quadratic_coeff / 2 * h * h


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


def network_pull(
    weights: Float[Array, "width dim"],
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    output_scale: ArrayLike,
    scaled_learning_rate: ArrayLike,
    activation: Activation,
) -> tuple[Float[Array, "width dim"], Float[Array, " samples"]]:
    """What a step of gradient descent adds, (γ/α) Σ_μ (goal − f)_μ φ'(w_i·x_μ) x_μ, and the residual goal − f."""
    value, slope = activation_and_slope(activation, inputs @ weights.T)
    residual = goal - output_scale * jnp.mean(value, axis=1)
    pull: Any = scaled_learning_rate / output_scale * ((slope * residual[:, None]).T @ inputs)
    return pull, residual


# --- the tangent kernel ----------------------------------------------------------------------------------------------


def network_kernel(
    weights: Float[Array, "width dim"],
    inputs: Float[Array, "samples dim"],
    activation: Activation,
    others: Float[Array, "others dim"] | None = None,
) -> Float[Array, "samples others"]:
    """K(x, x') = x·x' (1/N) Σ_i φ'(w_i·x) φ'(w_i·x'), the kernel of given neurons, any activation.

    Between ``inputs`` and ``others``, by default the inputs themselves.
    """
    _, slope = activation_and_slope(activation, inputs @ weights.T)
    if others is None:
        return (inputs @ inputs.T) * (slope @ slope.T) / weights.shape[0]
    _, other = activation_and_slope(activation, others @ weights.T)
    return (inputs @ others.T) * (slope @ other.T) / weights.shape[0]


def alignment(kernel: Float[Array, "samples samples"], target: Float[Array, " samples"]) -> Float[Array, ""]:
    """Kernel-target alignment yᵀ K y/(|K|_F |y|²), in [-1, 1]."""
    return target @ kernel @ target / (jnp.sqrt(jnp.sum(kernel**2)) * jnp.sum(target**2))


def sums_in_blocks(
    kernel: Callable[[Array], Array], inputs: Float[Array, "samples dim"], target: Float[Array, " samples"], size: int
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """yᵀKy, |K|_F² and tr K, from ``size`` rows of the kernel at a time: ``kernel(points) -> [points, samples]``."""
    count = inputs.shape[0]
    more = -count % size  # K of a point at the origin is zero
    blocks = jnp.concatenate([inputs, jnp.zeros((more, inputs.shape[1]), inputs.dtype)])
    labels = jnp.concatenate([target, jnp.zeros(more, target.dtype)])

    def one(block: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        points, values, at = block
        rows = kernel(points)
        diagonal = jnp.take_along_axis(rows, jnp.minimum(at, count - 1)[:, None], axis=1)
        return values @ rows @ target, jnp.sum(rows**2), jnp.sum(diagonal)

    shapes = (blocks.reshape(-1, size, inputs.shape[1]), labels.reshape(-1, size), jnp.arange(count + more))
    sums = jax.lax.map(one, (*shapes[:2], shapes[2].reshape(-1, size)))
    return jnp.sum(sums[0]), jnp.sum(sums[1]), jnp.sum(sums[2])
