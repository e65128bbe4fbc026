"""All widths and all ridges of one instance at once, for nested random features."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import xla
from theorylab.settings.kernels.problem import Problem


class WidthSweep(NamedTuple):
    """Errors of ridge regression over widths and ridges, as :func:`train.simulate` defines them."""

    test_error: Float[Array, "widths ridges"]
    train_error: Float[Array, "widths ridges"]


def sweep_widths(problem: Problem, widths: tuple[int, ...], ridges: Float[Array, " ridges"]) -> WidthSweep:
    """Fit the first p of an instance's features, for every p in ``widths`` and every ridge, in one program.

    The features Φ of ``problem`` carry 1/√k with k their number; width p uses √(k/p) Φ[:, :p], so that each
    cell is the instance of that width drawn with the same key. With G_p the smaller of the two Gram matrices
    of the first p features and δ the ridge, every cell solves (G_p + (p/k) δ I) x = b. What is shared:

    - all Gram matrices come from one pass over the features: G_p = G_{p'} + (block of new features) for
      p ≥ n samples, the leading block of one matrix for p < n;
    - G_p = Q T Qᵀ with T tridiagonal, after which a ridge costs O(n): see :func:`shifted_solves`.

    Gram matrices of fewer than n features are padded with zeros to n, so that all widths are one batch: on
    the CPU, batches of several sizes in one program, run by XLA at the same time, were seen to deadlock.

    Parameters
    ----------
    problem
        An instance with finite features (not a kernel matrix).
    widths
        Numbers of features, increasing, at most that of the instance.
    ridges
        Ridges > 0. As with any Gram matrix, the relative error is about eps · |K̂| / (ridge + smallest
        eigenvalue of G); use :func:`theorylab.settings.kernels.ridge_path.ridge_path` for ridge 0.

    Raises
    ------
    ValueError
        If ``widths`` is not increasing or goes beyond the instance.
    """
    num_samples, num_features = problem.train.shape
    if list(widths) != sorted(set(widths)) or not widths or widths[0] < 1 or widths[-1] > num_features:
        raise ValueError(f"widths = {widths} is not allowed: must increase, from 1 to at most {num_features} features")
    features, labels = problem.train[:, : widths[-1]], problem.labels
    num_narrow = sum(width < num_samples for width in widths)
    narrow, wide = widths[:num_narrow], widths[num_narrow:]
    # The instance carries 1/√k for its own k; width p gets its 1/√p through the ridge alone.
    shifts = ridges[None, :] * jnp.asarray(np.array(widths) / num_features, ridges.dtype)[:, None]

    grams, right = [], []
    if narrow:
        size = min(num_samples, features.shape[1])
        basis = features[:, :size]
        pad = num_samples - size
        present = np.arange(num_samples)[None, :] < np.array(narrow)[:, None]
        mask = jnp.asarray(present, features.dtype)
        gram = jnp.pad(basis.T @ basis, ((0, pad), (0, pad)))
        grams.append(gram[None] * mask[:, :, None] * mask[:, None, :])
        right.append(jnp.pad(basis.T @ labels, ((0, pad), (0, 0)))[None] * mask[:, :, None])
    if wide:
        edges = [0, *wide[:-1]]
        blocks = [features[:, a:b] @ features[:, a:b].T for a, b in zip(edges, wide, strict=True)]
        grams.append(jnp.cumsum(jnp.stack(blocks), axis=0))
        right.append(jnp.broadcast_to(labels[None], (len(wide), *labels.shape)))
    solutions = jax.vmap(shifted_solves)(jnp.concatenate(grams), jnp.concatenate(right), shifts)

    test_errors, train_errors = [], []
    for index, width in enumerate(widths):
        columns, solution = features[:, :width], solutions[index]
        if width < num_samples:
            coefficients = solution[:width]
            residual = labels[:, None] - jnp.tensordot(columns, coefficients, 1)
        else:
            coefficients = jnp.tensordot(columns.T, solution, 1)
            residual = solution * shifts[index][None, :, None]
        error = jnp.tensordot(problem.test[:, :width], coefficients, 1) - problem.test_targets[:, None]
        test_errors.append(problem.test_weight * jnp.sum(error**2, axis=(0, 2)) + problem.noise_variance)
        train_errors.append(jnp.sum(residual**2, axis=(0, 2)) / num_samples)
    return WidthSweep(jnp.stack(test_errors), jnp.stack(train_errors))


def shifted_solves(
    matrix: Float[Array, "size size"], right: Float[Array, "size outputs"], shifts: Float[Array, " shifts"]
) -> Float[Array, "size shifts outputs"]:
    """Solve (A + sI) x = b for a symmetric positive semi-definite A and many shifts s > 0.

    A = Q T Qᵀ with T tridiagonal and Q orthogonal (Householder), so that x = Q (T + sI)⁻¹ Qᵀ b: one
    reduction, several times cheaper than eigenvectors, then a tridiagonal system per shift. Off the processor, where
    matrices are reduced one after the other and factored in batches, A + sI = L Lᵀ for each shift.
    """
    size, num_shifts, outputs = matrix.shape[0], shifts.shape[0], right.shape[1]
    if size < 3 or not xla.on_processor():
        shifted = matrix[None] + shifts[:, None, None] * jnp.eye(size, dtype=matrix.dtype)[None]
        root = jnp.linalg.cholesky(shifted)
        each = jnp.broadcast_to(right[None], (num_shifts, size, outputs))
        return jnp.moveaxis(jax.scipy.linalg.cho_solve((root, True), each), 0, 1)
    reflectors, diagonal, off_diagonal, taus = jax.lax.linalg.tridiagonal(matrix, lower=True)
    # The reflectors leave the first coordinate alone.
    rotation = jax.lax.linalg.householder_product(reflectors[1:, :-1], taus)
    rotated = jnp.concatenate([right[:1], rotation.T @ right[1:]])
    zero = jnp.zeros(1, matrix.dtype)
    shape = (num_shifts, size)
    solution = jax.lax.linalg.tridiagonal_solve(
        jnp.broadcast_to(jnp.concatenate([zero, off_diagonal])[None], shape),
        diagonal[None, :] + shifts[:, None],
        jnp.broadcast_to(jnp.concatenate([off_diagonal, zero])[None], shape),
        jnp.broadcast_to(rotated[None], (*shape, outputs)),
    )
    solution = jnp.moveaxis(solution, 0, 1)
    return jnp.concatenate([solution[:1], jnp.tensordot(rotation, solution[1:], 1)])
