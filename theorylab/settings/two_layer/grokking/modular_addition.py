"""Modular addition, (a, b) -> a + b mod p: all p² pairs, split at random into training and test."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from theorylab.settings.two_layer.grokking.networks import Task


def pairs(modulus: int) -> tuple[Int[Array, "pairs 2"], Int[Array, " pairs"]]:
    """All (a, b), 0 <= a, b < p, and their sums mod p."""
    numbers = jnp.arange(modulus, dtype=jnp.int32)
    first, second = jnp.repeat(numbers, modulus), jnp.tile(numbers, modulus)
    return jnp.stack([first, second], axis=1), (first + second) % modulus


def modular_addition(
    key: jax.Array, modulus: int, train_fraction: float, *, encoding: Literal["one_hot", "tokens"] = "one_hot"
) -> Task:
    """Draw a split: two one-hot vectors side by side [samples, 2p], or the tokens (a, b, =) [samples, 3].

    Raises
    ------
    ValueError
        If either part of the split would be empty.
    """
    numbers, sums = pairs(modulus)
    count = round(train_fraction * modulus**2)
    if not 0 < count < modulus**2:
        raise ValueError(f"train_fraction = {train_fraction} is not allowed: leaves {count} of {modulus**2} pairs")
    if encoding == "one_hot":
        inputs = jax.nn.one_hot(numbers, modulus, dtype=jnp.float32).reshape(-1, 2 * modulus)
    else:
        inputs = jnp.concatenate([numbers, jnp.full_like(numbers[:, :1], modulus)], axis=1)
    order = jax.random.permutation(key, modulus**2)
    train, test = order[:count], order[count:]
    return Task(inputs[train], sums[train], inputs[test], sums[test])
