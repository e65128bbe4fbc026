"""What is known of the networks without training them, as functions of numbers and arrays."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def loss_of_nothing(loss: str, classes: int) -> float:
    """Loss of an output of zeros: 1 for the squared error of a one-hot label, log of the classes for cross-entropy."""
    return 1.0 if loss == "squared" else math.log(classes)


def first_adamw_step(
    weights: Float[Array, "*shape"],
    gradient: Float[Array, "*shape"],
    learning_rate: ArrayLike,
    weight_decay: ArrayLike,
    epsilon: float,
) -> Float[Array, "*shape"]:
    """The first step of AdamW, w − η [g/(|g| + ε) + λ w]: bias correction makes both moments those of g itself.

    That is the sign of the gradient, whatever its size. Kingma and Ba 2015 (arXiv 1412.6980), Section 2.1; Loshchilov
    and Hutter 2019 (arXiv 1711.05101), Algorithm 2.
    """
    size = jnp.abs(gradient)
    direction = jnp.where(size > 0, gradient / jnp.where(size > 0, size + epsilon, 1), 0)
    moved: Array = weights - learning_rate * (direction + weight_decay * weights)
    return moved
