"""Neurons that stand for their law: low-discrepancy points, mapped to normal numbers."""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc


@functools.lru_cache(maxsize=8)
def normal_numbers(log2_count: int, dim: int) -> np.ndarray:
    """Standard normal numbers [2^k, dim] of a Sobol sequence, each coordinate centred in its cell."""
    points = qmc.Sobol(dim, scramble=False).random_base2(log2_count)
    return np.asarray(ndtri(points + 0.5 ** (log2_count + 1)))
