"""Measurements of matrices as vectors: half-vectorisation, and the operator A*A.

Symmetric matrices travel as their isometric half-vectorisation, svec(E) = (E_ii, √2 E_ij), so that
<A, E> = svec(A)·svec(E). For a symmetrised Gaussian matrix, A = (B + Bᵀ)/2 with B_ij ~ N(0, 1), the entries of
svec(A) are again independent N(0, 1): an m x n(n+1)/2 array of normal numbers *is* the measurement operator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import xla
from theorylab.settings.factorisation.arrays import Numbers


def svec(matrix: Float[Array, "n n"]) -> Float[Array, " entries"]:
    """Isometric half-vectorisation of a symmetric matrix: E_ii and √2 E_ij, i < j, row by row."""
    i, j = np.triu_indices(matrix.shape[0])
    return matrix[i, j] * np.where(i == j, 1.0, np.sqrt(2.0)).astype(matrix.dtype)


def unsvec(vector: Float[Numbers, " entries"], n: int) -> Any:
    """Inverse of :func:`svec`: an (n, n) array of the vector's own kind, JAX's or NumPy's."""
    i, j = np.triu_indices(n)
    position, weight = np.empty((n, n), int), np.empty((n, n))
    position[i, j] = position[j, i] = np.arange(len(i))
    weight[i, j] = weight[j, i] = np.where(i == j, 1.0, np.sqrt(0.5))
    return vector[position] * weight.astype(vector.dtype)


class NormalMap(NamedTuple):
    """H = A*A on vectors: one matrix (``gram``), or the two halves ``forward`` and its stored transpose.

    The transpose is stored since XLA on a CPU reads ``rows.T @ r`` at a tenth of the memory's speed. ``gram`` may have
    more columns than rows, which are zero, see :func:`normal_map`.
    """

    gram: Float[Array, "entries columns"] | None
    forward: Float[Array, "m entries"] | None
    backward: Float[Array, "entries m"] | None

    def __call__(self, vector: Float[Array, " entries *runs"]) -> Float[Array, " entries *runs"]:
        """H(E) of a matrix given as a vector, or of several as columns."""
        if self.gram is not None:
            rows, columns = self.gram.shape
            if columns > rows:
                vector = jnp.pad(vector, ((0, columns - rows), *((0, 0) for _ in vector.shape[1:])))
            return self.gram @ vector
        assert self.forward is not None
        assert self.backward is not None
        return self.backward @ (self.forward @ vector)


def gram_is_cheaper(num_measurements: int, entries: int) -> bool:
    """Whether A*A as one matrix is the cheaper of the two: from m = entries/2 on."""
    return 2 * num_measurements > entries


def normal_map(rows: Float[Array, "m entries"], *, gram: bool) -> NormalMap:
    """H(E) = (1/m) Σ_i <A_i, E> A_i for rows of unit variance, so that H ≈ 1 (restricted isometry).

    Off the processor the one matrix has columns up to a multiple of 128: a GPU shares out long sums over its cores, for
    which XLA would fill up the matrix in every product (29% of the time on an H100, with 1275 columns).
    """
    m, entries = rows.shape
    if gram:
        square = rows.T @ rows / m
        return NormalMap(square if xla.on_processor() else jnp.pad(square, ((0, 0), (0, -entries % 128))), None, None)
    scaled = rows / np.sqrt(m)
    return NormalMap(None, scaled, xla.stored_transpose(scaled))
