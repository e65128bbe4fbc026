"""Figure 5: with finitely many measurements the symmetric model keeps its 1/t law, with a larger constant."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, instance, results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.theory import measurements, symmetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw C(t) = 2 rate (t + mean 1/(2 rate ζ²)) |E| / sqrt(k − r) for several numbers of measurements."""
    import dataclasses

    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    case, data = cases(preset)["measured_tail"], results("measured_tail", preset, folder)
    rate = effective_rate(case.config)
    n, r, k = case.config.dim, case.config.target_rank, case.config.model_rank
    for index, count in enumerate(case.grid["num_measurements"]):
        for seed in range(case.seeds):
            start = instance(dataclasses.replace(case.config, num_measurements=count), seed)
            scales = symmetric.tail_scales(start.left, r)
            offset = np.mean(1 / (2 * rate * scales**2))
            steps = data.step.values
            error = data.recovery_error.sel(num_measurements=count).isel(seed=seed).values
            constant = 2 * rate * (steps + offset) * error / math.sqrt(k - r)
            late = steps >= 500 if preset == "default" else steps >= 100
            label = f"$m = {count}$" if seed == 0 else None
            axes.plot(steps[late], constant[late], "o-" if seed == 0 else "s--", color=f"C{index}", label=label)
        axes.axhline(measurements.tail_lower_bound(n, r, count), color=f"C{index}", linewidth=0.8, linestyle=":")
    axes.axhline(1, color="black", linewidth=1)
    axes.set(xscale="log", ylim=(0.9, None), xlabel="step $t$", ylabel="$C(t)$",
             title="line: population; dotted: lower bounds")  # fmt: skip
    axes.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
