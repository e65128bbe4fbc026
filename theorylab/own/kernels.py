"""Kernels of one's own data: by name, of a network at its weights, of random features.

A kernel is a function ``kernel(x1, x2)`` of two arrays of points, ``[n1, dim]`` and ``[n2, dim]``, that returns
``[n1, n2]``, where ``x2 = None`` means ``x1``; written with jax.numpy.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import ConfigError
from theorylab.contract.fields import SIZES_BELOW, shown, whole_number
from theorylab.numerics import kernels
from theorylab.numerics.activations import Activation

Kernel = Callable[[jax.Array, jax.Array | None], jax.Array]
#: ``features(key, X, k)``: k random features of each point, ``[points, k]``.
Features = Callable[[jax.Array, np.ndarray, int], Any]

NAMES = ("linear", "rbf", "laplace", "nngp", "ntk")


def named(
    name: str,
    points: np.ndarray,
    *,
    bandwidth: float | None,
    depth: int,
    activation: Activation,
    weight_variance: float,
    bias_variance: float,
) -> tuple[Kernel, str]:
    """Return the kernel of a name, and how a title calls it.

    Raises
    ------
    ConfigError
        For another name, or a parameter out of its range.
    """
    if name not in NAMES:
        raise ConfigError(f"kernel = {shown(name)} is not allowed: choose one of {', '.join(NAMES)}")
    dim = points.shape[1]
    if name == "linear":
        return lambda x1, x2: x1 @ (x1 if x2 is None else x2).T / dim, "linear"
    if name in ("rbf", "laplace"):
        width = math.sqrt(dim) if bandwidth is None else float(bandwidth)
        if not 0 < width < math.inf:
            raise ConfigError(f"bandwidth = {bandwidth} is not allowed: must be a finite number > 0")
        of_distance = getattr(kernels, name)
        return lambda x1, x2: of_distance(x1, x2, bandwidth=width), f"{name}, bandwidth {width:.4g}"
    net: dict[str, Any] = {"weight_variance": weight_variance, "bias_variance": bias_variance}
    for field, value in net.items():
        if not 0 <= value < math.inf:
            raise ConfigError(f"{field} = {value} is not allowed: must be a finite number >= 0")
    net |= {"depth": whole_number(depth, "depth", 0, SIZES_BELOW), "activation": activation}
    try:
        variance = weight_variance * np.quantile(np.mean(points**2, axis=1), [0.0, 0.5, 1.0]) + bias_variance
        may_be_off = kernels.series_error(jnp.asarray(variance), **net)[name == "ntk"]
    except ValueError as error:  # of the activation
        raise ConfigError(str(error)) from error
    called = activation if isinstance(activation, str | tuple) else getattr(activation, "__name__", "an activation")
    if may_be_off > 1e-6:
        warnings.warn(
            f"the {name} kernel of {called} may be off by {may_be_off:.1g} of itself between nearly parallel points: "
            "a series, slow where the activation bends sharply; Kinked(function, kinks) names its kinks",
            stacklevel=4,
        )
    return lambda x1, x2: getattr(kernels.fully_connected(x1, x2, **net), name), f"{name}, depth {depth}, {called}"


def tangent_kernel(apply: Callable[[Any, Any], Any], params: Any) -> Kernel:
    """Empirical tangent kernel of a network at its weights: the inner product of its gradients, mean over outputs.

    Row by row, a gradient of one output is carried forward to all other points: no Jacobian is stored.

    Parameters
    ----------
    apply
        ``apply(params, x)`` of a batch of points, ``[batch, dim] -> [batch]`` or ``[batch, outputs]``: the ``apply`` of
        a flax module, with ``params`` what its ``init`` returned.
    params
        A tree of arrays.
    """

    def kernel(x1: jax.Array, x2: jax.Array | None = None) -> jax.Array:
        others, weights = x1 if x2 is None else x2, _cast(params, x1.dtype)

        def row(x: jax.Array) -> jax.Array:
            outputs, pull = jax.vjp(lambda p: apply(p, x[None]).reshape(-1), weights)

            def along(output: jax.Array) -> jax.Array:
                at_others = jax.jvp(lambda p: apply(p, others).reshape(others.shape[0], -1), (weights,), pull(output))
                return at_others[1] @ output

            return jax.vmap(along)(jnp.eye(outputs.size, dtype=outputs.dtype)).mean(axis=0)

        return jax.lax.map(row, x1)

    return kernel


def conjugate_kernel(hidden: Callable[[Any, Any], Any], params: Any) -> Kernel:
    """Conjugate kernel of a network at its weights: the inner product of its last hidden layers over their width.

    ``hidden(params, x)`` returns that layer, ``[batch, dim] -> [batch, width]``.
    """

    def kernel(x1: jax.Array, x2: jax.Array | None = None) -> jax.Array:
        weights = _cast(params, x1.dtype)
        first = hidden(weights, x1)
        return first @ (first if x2 is None else hidden(weights, x2)).T / first.shape[1]

    return kernel


def _cast(params: Any, dtype: Any) -> Any:
    def cast(leaf: Any) -> Any:
        return jnp.asarray(leaf, dtype) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) else leaf

    return jax.tree.map(cast, params)


def drawn_features(features: Features, key: jax.Array, points: np.ndarray, count: int) -> np.ndarray:
    """Draw ``count`` features of all points, over the square root of their number, ``[points, count]``.

    Raises
    ------
    ConfigError
        If the function returns another shape, or numbers that are not finite.
    """
    found = np.asarray(features(key, points, count), np.float64)
    expected = (points.shape[0], count)
    if found.shape != expected:
        raise ConfigError(f"features(key, X, {count}) has the shape {found.shape}: must be [points, k] = {expected}")
    if not np.isfinite(found).all():
        raise ConfigError(f"features(key, X, {count}) holds {np.sum(~np.isfinite(found))} non-finite entries")
    return found / math.sqrt(count)


def limit_kernel(features: Features, key: jax.Array, points: np.ndarray, count: int) -> np.ndarray:
    """Kernel of infinitely many features, estimated from ``count``, drawn 2048 at a time."""
    total, chunk = np.zeros((points.shape[0], points.shape[0])), min(count, 2048)
    chunks = -(-count // chunk)
    for part in range(chunks):
        drawn = drawn_features(features, jax.random.fold_in(key, part), points, chunk)
        total += drawn @ drawn.T / chunks
    return total
