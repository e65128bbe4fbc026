"""Random energies: exact means of kernel sums against sampling, and at numbers of points that nothing samples.

Participation and log Z at eight bandwidths about the condensation. Few points are d = 20, n = 2981: ours is two
integrals for each bandwidth, NumPy draws 400 data sets and their distances from a query, one after another. Means must
agree to 0.06, four standard errors of the samples. Then d = 400, n = e^120, where a point of the curve is timed alone.

    python -m experiments.benchmarks.random_energy [--rounds 5]
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from experiments.benchmarks.racing import Row, check_close, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.statistics import limits
from theorylab.settings.statistics.energies import energies, sums

FEW, MANY = (20, math.log(2981)), (400, 120.0)
RATIOS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5)
DATA_SETS = 400


def exact(dim: int, log_num: float, ratios: tuple[float, ...] = RATIOS) -> np.ndarray:
    """E Y and E log(Z/n)/d, [2, bandwidths]."""
    critical, found = limits.condensation_bandwidth(log_num / dim), []
    for ratio in ratios:
        law = energies(1 / (2 * (ratio * critical) ** 2), dim, float(dim), log_num)
        means = sums(law, math.exp(log_num))
        found.append((means.participation, (float(means.log_partition[0]) - log_num) / dim))
    return np.array(found).T


def sampled(dim: int, log_num: float) -> np.ndarray:
    """The same as means over data sets, all bandwidths from one matrix of points."""
    rng, num = np.random.default_rng(0), round(math.exp(log_num))
    scales = 1 / (2 * (np.array(RATIOS) * limits.condensation_bandwidth(log_num / dim)) ** 2)
    total = np.zeros((2, len(RATIOS)))
    for _ in range(DATA_SETS):
        distances = ((rng.standard_normal((num, dim)) - 1) ** 2).sum(1)
        logs = -scales[:, None] * (distances - distances.min())
        terms = np.exp(logs)
        z = terms.sum(1)
        total += np.array([(terms**2).sum(1) / z**2, (np.log(z) - scales * distances.min() - log_num) / dim])
    return total / DATA_SETS


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    expected = exact(*FEW)

    def check(name: str, result: Any) -> None:
        check_close(name, result, expected, 0.06, absolute=True)

    few = race({"ours": lambda: exact(*FEW), "NumPy, 400 data sets": lambda: sampled(*FEW)}, rounds, check=check)
    many = race(
        {"ours, one bandwidth": lambda: exact(*MANY, (0.75,)), "ours, eight bandwidths": lambda: exact(*MANY)}, rounds
    )
    return [
        *rows_of("few points", few, precision="float64"),
        *rows_of("1e52 points", many, precision="float64"),
    ]


if __name__ == "__main__":
    main(measure, __doc__)
