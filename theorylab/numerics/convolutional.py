"""Kernels of infinitely wide convolutional nets, through neural-tangents (the extra ``ntk``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from theorylab.numerics.kernels import Kernels, MemoryEstimate, blocked, memory_estimate


@functools.lru_cache(maxsize=16)
def _kernel_function(layers: int, weight_std: float, bias_std: float) -> Callable[[Any, Any], Kernels]:
    from theorylab.numerics import _neural_tangents

    if layers < 1:
        raise ValueError(f"layers = {layers} is not allowed: a convolutional net has at least 1")
    stax = _neural_tangents.load().stax
    convolution = stax.Conv(1, (3, 3), padding="SAME", W_std=weight_std, b_std=bias_std)
    kernel_fn = stax.serial(
        *([convolution, stax.Relu()] * layers),
        stax.Flatten(),
        stax.Dense(1, W_std=weight_std, b_std=bias_std),
    )[2]

    def both(images1: jax.Array, images2: jax.Array | None) -> Kernels:
        kernels = kernel_fn(images1, images2, ("nngp", "ntk"))
        return Kernels(kernels.nngp, kernels.ntk)

    return both


def _temporaries(images: Any) -> int:
    # The covariance of every pixel with its own counterpart, for both kernels and the steps between.
    return 6 * int(np.prod(images.shape[1:3]))


def convolutional(
    images1: Any,
    images2: Any = None,
    *,
    layers: int = 2,
    weight_std: float = 2**0.5,
    bias_std: float = 0.1,
    budget_bytes: int = 2**30,
) -> Kernels:
    """NNGP and NTK of [Conv 3x3 SAME, ReLU] x ``layers``, Flatten, Dense, at infinitely many channels.

    Images are [n, height, width, channels]. NTK parametrisation, as neural-tangents' ``stax`` with the same
    ``W_std`` and ``b_std`` in every layer (Novak et al., ICLR 2019; Arora et al., NeurIPS 2019). Because the
    net ends in Flatten, only the covariance of equal pixels is kept: pixels x n1 x n2 numbers, evaluated in
    blocks under ``budget_bytes`` (see :func:`theorylab.numerics.kernels.blocked`). A net that pools needs
    all pairs of pixels. ``images2 = None`` means ``images1``. Host arrays in and out; not to be traced.

    Raises
    ------
    ImportError
        If neural-tangents is missing or unusable; the message names the remedy.
    ValueError
        If ``layers`` is below 1 or the images are not four-dimensional.
    MemoryError
        If the result alone exceeds the budget.
    """
    for images in (images1, images2):
        if images is not None and images.ndim != 4:
            raise ValueError(f"images have shape {images.shape}: expected [n, height, width, channels]")
    kernel_fn = _kernel_function(layers, float(weight_std), float(bias_std))
    return blocked(kernel_fn, images1, images2, budget_bytes=budget_bytes, temporaries=_temporaries(images1))


def convolutional_memory(images1: Any, images2: Any = None, *, budget_bytes: int = 2**30) -> MemoryEstimate:
    """Say what :func:`convolutional` needs for these images before it runs (same arguments, same errors)."""
    return memory_estimate(
        _kernel_function(1, 1.0, 0.0),
        images1,
        images2,
        budget_bytes=budget_bytes,
        temporaries=_temporaries(images1),
    )
