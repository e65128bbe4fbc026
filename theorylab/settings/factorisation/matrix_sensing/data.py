"""Instances of matrix sensing: the target, the initialisation, and the measurements.

Symmetric matrices travel as their isometric half-vectorisation, svec(E) = (E_ii, √2 E_ij), so that
<A, E> = svec(A)·svec(E). For a symmetrised Gaussian matrix, A = (B + Bᵀ)/2 with B_ij ~ N(0, 1), the entries of
svec(A) are again independent N(0, 1): an m x n(n+1)/2 array of normal numbers *is* the measurement operator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.factorisation.matrix_sensing.config import Config, num_columns


class Instance(NamedTuple):
    """One instance.

    Attributes
    ----------
    spectrum
        Singular values of the target, M = diag(spectrum, 0, …) in its own singular basis.
    left, right
        Initial factors X or F, and G (``None`` for the symmetric model).
    rows
        Measurements A_i as rows, svec (symmetric) or row-major (asymmetric), entries N(0, 1); ``None`` in the
        population. Divide by sqrt(m) for the operator with A*A ≈ 1.
    corruption
        What is added to <A_i, M>; ``None`` where there is none by construction.
    """

    spectrum: Float[Array, " rank"]
    left: Float[Array, "rows k"]
    right: Float[Array, "cols k"] | None
    rows: Float[Array, "m entries"] | None
    corruption: Float[Array, " m"] | None


def target_spectrum(config: Config) -> Float[Array, " rank"]:
    """Singular values of the target, equally spaced from ``largest_value`` to ``smallest_value``."""
    weight = jnp.arange(config.target_rank) / max(config.target_rank - 1, 1)
    top = jnp.asarray(config.largest_value, float)
    return top + (config.smallest_value - top) * weight.astype(top.dtype)


def target_matrix(spectrum: Float[Array, " rank"], rows: int, cols: int) -> Float[Array, "rows cols"]:
    """M = diag(spectrum, 0, …)."""
    r = spectrum.shape[0]
    return jnp.zeros((rows, cols), spectrum.dtype).at[jnp.arange(r), jnp.arange(r)].set(spectrum)


def sample(key: jax.Array, config: Config) -> Instance:
    """Draw an instance: X_0 = α N(0, 1/n), or F_0 = α N(0, 1/n_1) and G_0 = (α/γ) N(0, 1/n_2), and A_i.

    With ``init="orthonormal"`` the Gaussian factors are replaced by their orthonormal Q-factors. One flat draw
    serves everything: in JAX each shape of random numbers costs its own compilation.
    """
    n, n2, k = config.dim, num_columns(config), config.model_rank
    asymmetric = config.model == "asymmetric"
    entries = n * n2 if asymmetric else n * (n + 1) // 2
    m = config.num_measurements if config.operator == "gaussian" else 0
    corrupted = m if not asymmetric else 0
    counts = (n * k, n2 * k if asymmetric else 0, m * entries, corrupted, corrupted)
    ends = np.cumsum(counts)
    normals = random.normal(key, int(ends[-1]))
    left, right, rows, size, which = jnp.split(normals, [int(end) for end in ends[:-1]])

    def factor(flat: Any, dim: int, scale: Any) -> Any:
        matrix = flat.reshape(dim, k)
        if config.init == "orthonormal":
            return scale * jnp.linalg.qr(matrix)[0]
        return scale * matrix / np.sqrt(dim)

    hit = which < jax.scipy.special.ndtri(jnp.maximum(config.outlier_prob, 1e-300))
    return Instance(
        target_spectrum(config),
        factor(left, n, config.init_scale),
        factor(right, n2, config.init_scale / config.init_ratio) if asymmetric else None,
        rows.reshape(m, entries) if m else None,
        jnp.where(hit & (config.outlier_prob > 0), config.outlier_scale * size, 0.0) if corrupted else None,
    )


# --- symmetric matrices as vectors ---------------------------------------------------------------------


def svec(matrix: Float[Array, "n n"]) -> Float[Array, " entries"]:
    """Isometric half-vectorisation of a symmetric matrix: E_ii and √2 E_ij, i < j, row by row."""
    i, j = np.triu_indices(matrix.shape[0])
    return matrix[i, j] * np.where(i == j, 1.0, np.sqrt(2.0)).astype(matrix.dtype)


def unsvec(vector: Float[Array, " entries"], n: int) -> Float[Array, "n n"]:
    """Inverse of :func:`svec`."""
    i, j = np.triu_indices(n)
    position, weight = np.empty((n, n), int), np.empty((n, n))
    position[i, j] = position[j, i] = np.arange(len(i))
    weight[i, j] = weight[j, i] = np.where(i == j, 1.0, np.sqrt(0.5))
    return vector[position] * weight.astype(vector.dtype)


# --- operators --------------------------------------------------------------------------------------------


class NormalMap(NamedTuple):
    """H = A*A on vectors: one matrix (``gram``), or the two halves ``forward`` and its stored transpose.

    The transpose is stored since XLA on a CPU reads ``rows.T @ r`` at a tenth of the memory's speed.
    """

    gram: Float[Array, "entries entries"] | None
    forward: Float[Array, "m entries"] | None
    backward: Float[Array, "entries m"] | None

    def __call__(self, vector: Float[Array, " entries *runs"]) -> Float[Array, " entries *runs"]:
        """H(E) of a matrix given as a vector, or of several as columns."""
        if self.gram is not None:
            return self.gram @ vector
        assert self.forward is not None
        assert self.backward is not None
        return self.backward @ (self.forward @ vector)


def use_gram(config: Config) -> bool:
    """Whether A*A as one matrix is the cheaper: with ``entries`` columns, from m = entries/2 on."""
    n, n2 = config.dim, num_columns(config)
    entries = n * n2 if config.model == "asymmetric" else n * (n + 1) // 2
    return config.normal_step == "gram" or (config.normal_step == "auto" and 2 * config.num_measurements > entries)


def normal_map(rows: Float[Array, "m entries"], *, gram: bool) -> NormalMap:
    """H(E) = (1/m) Σ_i <A_i, E> A_i for rows of unit variance, so that H ≈ 1 (restricted isometry)."""
    m = rows.shape[0]
    if gram:
        return NormalMap(rows.T @ rows / m, None, None)
    scaled = rows / np.sqrt(m)
    # A copy, not a view: the barrier keeps XLA from folding the transpose back into the product.
    return NormalMap(None, scaled, jax.lax.optimization_barrier(scaled.T))


def noise_matrix(rows: Float[Array, "m entries"], corruption: Float[Array, " m"], n: int) -> Float[Array, "n n"]:
    """N = (1/m) Σ_i c_i A_i, the corruption as gradient descent on the square loss sees it."""
    return unsvec(corruption @ rows / rows.shape[0], n)


def sign_map(
    rows: Float[Array, "m entries"], vector: Float[Array, " entries"], corruption: Float[Array, " m"] | None = None
) -> Float[Array, " entries"]:
    """D(E) = (1/m) Σ_i sign(<A_i, E> − c_i) A_i, the subgradient of (1/m) Σ |<A_i, E> − c_i|; sign(0) = 0."""
    residual = rows @ vector if corruption is None else rows @ vector - corruption
    return jnp.sign(residual) @ rows / rows.shape[0]
