"""Figure 4: finitely many measurements slow the asymmetric model, by a Wishart factor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, instance, results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw the rate against the number of measurements: measured, tangent kernel, Wishart edge, population."""
    import dataclasses

    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    case, data = cases(preset)["measurements"], results("measurements", preset, folder)
    rate = effective_rate(case.config)
    n, r = case.config.dim, case.config.target_rank
    counts = np.array(case.grid["num_measurements"])
    for seed in range(case.seeds):
        color = f"C{seed}"
        first = seed == 0
        measured = -np.expm1(data.error_slope.isel(seed=seed).values) / rate
        tangent = -np.expm1(data.tangent_slope.isel(seed=seed).values) / rate
        axes.plot(counts / n, measured, "o", color=color, label="simulation" if first else None)
        axes.plot(counts / n, tangent, "+", color=color, markersize=9, label="tangent kernel" if first else None)
        edges, population = [], []
        for count in counts:
            start = instance(dataclasses.replace(case.config, num_measurements=int(count)), seed)
            levels = asymmetric.slow_levels(start.left, start.right, r)
            edges.append(measurements.wishart_rate(levels, n, n, r, int(count), draws=50)[0])
            population.append(abs(levels[0]))
        axes.plot(
            counts / n, edges, color=color, linewidth=1.2, label="Wishart, from the initialisation" if first else None
        )
        axes.plot(counts / n, population, ":", color=color, linewidth=1.2, label="population" if first else None)
    axes.set(yscale="log", xlabel="$m/n$", ylabel=r"rate $\lambda$", title="colours: instances")
    axes.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
