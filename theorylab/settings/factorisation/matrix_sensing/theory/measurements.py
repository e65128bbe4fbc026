"""Finitely many measurements: the slope from a Wishart edge, the lower bound on the tail, the sample threshold."""

from __future__ import annotations

import math

import numpy as np


def wishart_rate(
    levels: np.ndarray, rows: int, cols: int, rank: int, num_measurements: int, *, draws: int = 100, seed: int = 0
) -> tuple[float, float]:
    """λ at finite m from the initialisation alone: mean and standard deviation over draws.

    The smallest eigenvalue of Λ^½ W Λ^½ with W a Wishart matrix of m − d_s degrees of freedom over m, and Λ each of
    the k − r signed slow levels of the population, repeated n_2 − r times if positive and n_1 − r times if negative.
    The d_s = r (n_1 + n_2) − r² tangent directions of the signal are fast and are projected out. Leading order
    in α; instances scatter by 10 to 16% around it.

    Parameters
    ----------
    levels
        :func:`~theorylab.settings.factorisation.matrix_sensing.theory.asymmetric.slow_levels`, k − r of them.
    rows, cols, rank, num_measurements
        n_1, n_2, r and m > r (n_1 + n_2) − r².
    """
    weights = np.concatenate([np.full((cols if level > 0 else rows) - rank, abs(level)) for level in levels])
    degrees = num_measurements - (rank * (rows + cols) - rank**2)
    rng = np.random.default_rng(seed)
    smallest = []
    for _ in range(draws):
        root = _bartlett(rng, len(weights), degrees) * np.sqrt(weights)[:, None]
        smallest.append(np.linalg.svd(root, compute_uv=False)[-1] ** 2 / num_measurements)
    return float(np.mean(smallest)), float(np.std(smallest))


def _bartlett(rng: np.random.Generator, size: int, degrees: int) -> np.ndarray:
    """Lower triangular root of a Wishart matrix (identity covariance)."""
    root = np.tril(rng.standard_normal((size, size)), -1)
    root[np.arange(size), np.arange(size)] = np.sqrt(rng.chisquare(degrees - np.arange(size)))
    return root


def early_tail_constant(dim: int, rank: int, num_measurements: int) -> float:
    """Early value of C(t) = 2 rate (t + mean 1/(2 rate ζ²)) |E| / sqrt(k − r), symmetric, finite m.

    sqrt(1 + d/(m − d − 1)) / (1 − d/m), d = n r − r (r − 1)/2. C then creeps up, by an amount that depends on the
    instance (±15% at m = 20 n): no closed form of its limit is known. Leading order: single instances start below.
    """
    d = dim * rank - rank * (rank - 1) // 2
    m = num_measurements
    return math.sqrt(1 + d / (m - d - 1)) / (1 - d / m)


def threshold_ratio(num_measurements: int, dim: int, rank: int) -> float:
    """m / (n r): small initialisations recover the target above about 3 to 4, fail below 2 (asymmetric, k = 2 r)."""
    return num_measurements / (dim * rank)
