"""The nearest of very many points: a sampler whose cost does not depend on how many there are.

The k-th smallest squared distance D_k has n F(D_k) = Γ_k, a sum of k exponential numbers: a Poisson process in place of
n points, which changes means by 1/n. The sum over all farther points is taken at its mean.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from theorylab.numerics.chi_square import noncentral_log_density
from theorylab.settings.statistics.energies import CUT, energies

#: Points that are drawn; and nodes of the tables.
COUNT, NODES = 2000, 4096
#: log Γ_1 is not drawn below this.
LOWEST = -24.0


class Table(NamedTuple):
    """Squared distances by t = log n F, on a uniform grid from ``LOWEST`` to log 2 ``COUNT``, and the law beyond.

    ``tail_points`` are squared distances in ascending order, ``tail_masses`` how many of the n points each stands for.
    """

    distances: np.ndarray
    tail_points: np.ndarray
    tail_masses: np.ndarray


@functools.lru_cache(maxsize=16)
def table(dim: int, log_num: float) -> Table:
    """Tables for a query of |x|² = d among e^``log_num`` standard normal points."""
    law = energies(1.0, dim, float(dim), log_num)
    points = np.linspace(math.log(law.nodes[0]), math.log(law.nodes[-1]), 20_000)
    mass = points + noncentral_log_density(np.exp(points), dim, float(dim)) + log_num
    # The density is exponential between nodes: each interval is integrated as such.
    ratio = np.diff(mass)
    pieces = np.exp(mass[:-1]) * np.diff(points) * np.where(np.abs(ratio) > 1e-9, np.expm1(ratio) / ratio, 1.0)
    below = np.log(np.cumsum(pieces) + math.exp(-CUT))
    grid = np.linspace(LOWEST, math.log(2 * COUNT), NODES)
    distances = np.exp(np.interp(grid, below, points[1:]))
    first = np.searchsorted(np.exp(points), np.interp(math.log(COUNT / 4), grid, distances))
    stride = max(1, (len(points) - first) // NODES)
    tail = points[first::stride]
    masses = np.exp(mass[first::stride]) * (tail[1] - tail[0])
    return Table(distances, np.exp(tail), masses)


def unseen_share(dim: int, log_num: float, bandwidth: float) -> float:
    """Share of E Z that lies beyond the ``COUNT`` nearest points."""
    law = energies(1 / (2 * bandwidth**2), dim, float(dim), log_num)
    terms = law.weights[0] * np.exp(law.nodes[0] - law.nodes)
    count = np.cumsum(law.weights[0]) * math.exp(log_num)
    return float(terms[count > COUNT].sum() / terms.sum())
