"""One neuron after the other: what each adds to the tangent kernel, and how gradient descent moves it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Neurons(NamedTuple):
    """Output weights ``a`` [neurons] and input weights ``w`` [neurons, dim]."""

    a: Array
    w: Array


def activate(activation: str, h: Array) -> tuple[Array, Array]:
    """Values and slopes of the activation."""
    if activation == "relu":
        active = math.sqrt(2) * (h > 0).astype(h.dtype)
        return active * h, active
    value = jnp.tanh(h)
    return value, 1 - value**2


def contributions(value: Any, slope: Any, cosine: Any) -> Any:
    """Contribution of each neuron to the kernel, from φ and a φ' at all points: [neurons, points, points].

    Of NumPy's arrays or JAX's.
    """
    return value[:, :, None] * value[:, None, :] + cosine[None] * (slope[:, :, None] * slope[:, None, :])


def tangent_kernel(activation: str, neurons: Neurons, x: Array, total: int) -> Float[Array, "points points"]:
    """Sum of the neurons' contributions φφ' + a² u φ'φ', over ``total``."""
    value, slope = activate(activation, neurons.w @ x.T)
    slope = neurons.a[:, None] * slope
    return (value.T @ value + (x @ x.T) * (slope.T @ slope)) / total


def push(activation: str, neurons: Neurons, h: Array, x: Array, force: Array) -> Neurons:
    """Change of each neuron by its gradient, for one force on every training point."""
    value, slope = activate(activation, h)
    return Neurons(value @ force, neurons.a[:, None] * ((slope * force[None]) @ x))
