"""Kernels of infinitely wide fully connected nets (NNGP and NTK), and Gram matrices under a byte budget.

Scale conventions (NTK parametrisation): hidden layer l = 1..depth of width N_l,

    h^1 = sqrt(weight_variance / dim) W^1 x + sqrt(bias_variance) b^1,
    h^{l+1} = sqrt(weight_variance / N_l) W^{l+1} phi(h^l) + sqrt(bias_variance) b^{l+1},

all W and b i.i.d. N(0, 1), output f = h^{depth+1}. The NNGP is the covariance of f, the NTK the inner product
of its gradients with respect to all W and b, both at infinite width. This is neural-tangents'
``stax.serial(Dense(N, W_std, b_std), [phi, Dense(N, W_std, b_std)] * depth)`` in its default parametrisation,
with weight_variance = W_std² and bias_variance = b_std²; its ``Erf()`` and ``Relu()`` are "erf" and "relu".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics.activations import Activation, arc_cosine_0, arc_cosine_1, dual_activation, truncation

__all__ = [
    "Activation",
    "Kernels",
    "MemoryEstimate",
    "arc_cosine_0",
    "arc_cosine_1",
    "blocked",
    "dual_activation",
    "fully_connected",
    "laplace",
    "memory_estimate",
    "rbf",
    "series_error",
]


class Kernels(NamedTuple):
    """Covariance (``nngp``) and tangent kernel (``ntk``) of an infinitely wide net."""

    nngp: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]


# --- fully connected nets --------------------------------------------------------------------------------


def fully_connected(
    x1: Float[Array, "n1 dim"],
    x2: Float[Array, "n2 other_dim"] | None = None,
    *,
    depth: int,
    activation: Activation = "relu",
    weight_variance: ArrayLike = 2.0,
    bias_variance: ArrayLike = 0.0,
) -> Kernels:
    """NNGP and NTK of an infinitely wide fully connected net with ``depth`` hidden layers.

    With Sigma^1 = weight_variance x·x'/dim + bias_variance and Theta^1 = Sigma^1, for l = 1..depth

        Sigma^{l+1} = weight_variance E[phi(h) phi(h')] + bias_variance,   (h, h') ~ N(0, Sigma^l),
        Theta^{l+1} = Sigma^{l+1} + weight_variance E[phi'(h) phi'(h')] Theta^l.

    Source: Lee et al., ICLR 2018, eq. (5); Jacot et al., NeurIPS 2018, Thm 1. Exact at infinite width. Scales
    as in the module's docstring. ``x2 = None`` means ``x1``: then the result is exactly symmetric and the
    diagonal follows its own recursion, free of rounding in the angles. Differentiable everywhere; where the
    ReLU tangent kernel has a cusp (parallel inputs) the derivative is the mean of the two sides.

    Raises
    ------
    ValueError
        If ``depth`` is negative, the activation unknown, or the inputs' dimensions differ.
    """
    if depth < 0:
        raise ValueError(f"depth = {depth} is not allowed: the number of hidden layers is at least 0")
    same = x2 is None
    other = x1 if x2 is None else x2
    if x1.shape[1] != other.shape[1]:
        raise ValueError(f"x1 has dimension {x1.shape[1]}, x2 has {other.shape[1]}: they must be equal")
    dual = dual_activation(activation)
    dim, dtype = x1.shape[1], jnp.result_type(x1, other)
    weight_variance, bias_variance = jnp.asarray(weight_variance, dtype), jnp.asarray(bias_variance, dtype)

    def affine(second_moment: jax.Array) -> jax.Array:
        return weight_variance * second_moment + bias_variance

    def layer(state: Any, _: None) -> tuple[Any, None]:
        nngp, ntk, variance1, variance2, ntk_diagonal = state
        product, slopes = dual.pairs(variance1, nngp, variance2)
        square, squared_slope = dual.diagonal(variance1)
        nngp, variance1 = affine(product), affine(square)
        variance2 = variance1 if same else affine(dual.diagonal(variance2)[0])
        ntk = nngp + weight_variance * slopes * ntk
        ntk_diagonal = variance1 + weight_variance * squared_slope * ntk_diagonal
        return (nngp, ntk, variance1, variance2, ntk_diagonal), None

    gram = x1 @ other.T / dim
    nngp = affine(gram).astype(dtype)
    variance1 = affine(jnp.sum(x1**2, axis=1) / dim).astype(dtype)
    variance2 = variance1 if same else affine(jnp.sum(other**2, axis=1) / dim).astype(dtype)
    # A scan, not a Python loop: one layer's arrays in memory and one layer to compile, at any depth.
    state = (nngp, nngp, variance1, variance2, variance1)
    (nngp, ntk, variance1, _, ntk_diagonal), _ = jax.lax.scan(layer, state, None, length=depth)
    if same:
        # Entry by entry the layers are symmetric up to the order of vectorised operations.
        nngp, ntk = (nngp + nngp.T) / 2, (ntk + ntk.T) / 2
        on_diagonal = jnp.eye(x1.shape[0], dtype=bool)
        nngp = jnp.where(on_diagonal, variance1[:, None], nngp)
        ntk = jnp.where(on_diagonal, ntk_diagonal[:, None], ntk)
    return Kernels(nngp, ntk)


def series_error(
    variance: Float[Array, " n"],
    *,
    depth: int,
    activation: Activation,
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> tuple[float, float]:
    """How far NNGP and NTK may be off between nearly parallel inputs, relatively: the layers' errors added up.

    ``variance`` is that of the first preactivations, weight_variance |x|²/dim + bias_variance. 0 in closed form; see
    :func:`~theorylab.numerics.activations.truncation`.
    """
    dual, nngp, ntk = dual_activation(activation), 0.0, 0.0
    for _ in range(depth):
        values, slopes = truncation(activation, variance)
        nngp, ntk = nngp + float(values.max()), ntk + float(np.maximum(values, slopes).max())
        variance = weight_variance * dual.diagonal(variance)[0] + bias_variance
    return nngp, ntk


# --- kernels of distances --------------------------------------------------------------------------------


def rbf(
    x1: Float[Array, "n1 dim"], x2: Float[Array, "n2 dim"] | None = None, *, bandwidth: ArrayLike
) -> Float[Array, "n1 n2"]:
    """Kernel exp(-|x - x'|²/(2 bandwidth²)); ``x2 = None`` means ``x1``."""
    return jnp.exp(-_squared_distances(x1, x2) / (2 * bandwidth**2))


def laplace(
    x1: Float[Array, "n1 dim"], x2: Float[Array, "n2 dim"] | None = None, *, bandwidth: ArrayLike
) -> Float[Array, "n1 n2"]:
    """Kernel exp(-|x - x'|/bandwidth); ``x2 = None`` means ``x1``."""
    return jnp.exp(-jnp.sqrt(_squared_distances(x1, x2)) / bandwidth)


def _squared_distances(x1: jax.Array, x2: jax.Array | None) -> jax.Array:
    other = x1 if x2 is None else x2
    found = jnp.sum(x1**2, axis=1)[:, None] + jnp.sum(other**2, axis=1)[None, :] - 2 * x1 @ other.T
    # A point is exactly at itself: rounding is squared away nowhere, and its root is 1e-8.
    return (
        jnp.where(jnp.eye(x1.shape[0], dtype=bool), 0.0, jnp.maximum(found, 0)) if x2 is None else jnp.maximum(found, 0)
    )


# --- large Gram matrices ---------------------------------------------------------------------------------


class MemoryEstimate(NamedTuple):
    """What a blocked Gram matrix needs.

    Attributes
    ----------
    block
        Rows and columns of a block.
    num_blocks
        Blocks to evaluate (those below the diagonal of a symmetric matrix are mirrored).
    result_bytes, working_bytes
        Size of the result, and of one block's inputs, outputs and intermediate arrays.
    """

    block: int
    num_blocks: int
    result_bytes: int
    working_bytes: int


def memory_estimate(
    kernel_fn: Callable[[Any, Any], Any],
    x1: Any,
    x2: Any = None,
    *,
    budget_bytes: int = 2**30,
    temporaries: int = 8,
) -> MemoryEstimate:
    """Say how :func:`blocked` would cut a Gram matrix, and the bytes it needs, without computing anything.

    ``temporaries`` is the number of block-sized intermediate arrays of one evaluation (for a convolutional
    net, one per pixel and more).

    Raises
    ------
    MemoryError
        If the result and a block of one row and column exceed ``budget_bytes``; the message has the sizes.
    """
    other = x1 if x2 is None else x2
    n1, n2 = x1.shape[0], other.shape[0]

    def rows(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype))

    leaves = jax.tree.leaves(jax.eval_shape(kernel_fn, rows(x1), rows(other)))
    entry = sum(leaf.dtype.itemsize for leaf in leaves)
    widest = max(leaf.dtype.itemsize for leaf in leaves)
    point = widest * (math.prod(x1.shape[1:]) + math.prod(other.shape[1:]))

    def working(block: int) -> int:
        return block**2 * (entry + temporaries * widest) + block * point

    result = n1 * n2 * entry
    left = budget_bytes - result
    if working(1) > left:
        raise MemoryError(
            f"a {n1} x {n2} kernel matrix needs {result:,} bytes and at least {working(1):,} to compute it; "
            f"budget_bytes = {budget_bytes:,}: raise the budget or use fewer points"
        )
    square = entry + temporaries * widest
    block = int((-point + math.sqrt(point**2 + 4 * square * left)) / (2 * square))
    block = max(1, min(block, max(n1, n2)))
    block = max(1, math.ceil(max(n1, n2) / math.ceil(max(n1, n2) / block)))  # blocks of even size
    blocks1, blocks2 = math.ceil(n1 / block), math.ceil(n2 / block)
    num_blocks = blocks1 * (blocks1 + 1) // 2 if x2 is None else blocks1 * blocks2
    return MemoryEstimate(block, num_blocks, result, working(block))


def blocked(
    kernel_fn: Callable[[Any, Any], Any],
    x1: Any,
    x2: Any = None,
    *,
    budget_bytes: int = 2**30,
    temporaries: int = 8,
) -> Any:
    """Gram matrix K(x1, x2) in square blocks, as NumPy arrays on the host, within ``budget_bytes``.

    ``kernel_fn(rows1, rows2)`` returns an array [rows1, rows2] or a tuple of such, and takes ``rows2 = None``
    for ``rows1`` (:func:`fully_connected` does). With ``x2 = None`` only blocks on and above the diagonal are
    computed. All blocks have one shape, so at most two programs are compiled. :func:`memory_estimate` says
    the sizes beforehand.

    Raises
    ------
    MemoryError
        As :func:`memory_estimate`, before anything is computed.
    """
    estimate = memory_estimate(kernel_fn, x1, x2, budget_bytes=budget_bytes, temporaries=temporaries)
    block = estimate.block
    same = x2 is None
    x1 = np.asarray(x1)
    other = x1 if same else np.asarray(x2)
    on_diagonal = jax.jit(lambda rows: kernel_fn(rows, None))
    off_diagonal = jax.jit(kernel_fn)

    def rows(x: np.ndarray, start: int) -> np.ndarray:
        return x[np.minimum(np.arange(start, start + block), x.shape[0] - 1)]  # the last row pads

    result: list[np.ndarray] = []
    structure: Any = None
    for i in range(0, x1.shape[0], block):
        for j in range(i if same else 0, other.shape[0], block):
            values = on_diagonal(rows(x1, i)) if same and i == j else off_diagonal(rows(x1, i), rows(other, j))
            leaves, structure = jax.tree.flatten(values)
            if not result:
                result = [np.empty((x1.shape[0], other.shape[0]), leaf.dtype) for leaf in leaves]
            for full, leaf in zip(result, leaves, strict=True):
                part = np.asarray(leaf)[: x1.shape[0] - i, : other.shape[0] - j]
                full[i : i + block, j : j + block] = part
                if same and i != j:
                    full[j : j + block, i : i + block] = part.T
    return jax.tree.unflatten(structure, result)
