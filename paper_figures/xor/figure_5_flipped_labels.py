"""Figure 5: where benign overfitting ends; flipped labels are no longer memorised when clusters pull too strongly."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.xor import cases, cell_paths, results
from theorylab.settings.two_layer.xor.config import cluster_coupling
from theorylab.verdict.plotting import points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw final accuracies on flipped labels, all training labels and clean test labels against λ = n|μ|²/p."""
    import matplotlib.pyplot as plt

    case, data = cases(preset)["flips"], results("flips", preset, folder)
    configs = [dataclasses.replace(case.config, mean_norm=norm) for norm in case.grid["mean_norm"]]
    coupling = np.array([float(cluster_coupling(config)) for config in configs])
    models = [cell_paths(config, case.seeds) for config in configs]
    figure, axes = plt.subplots(figsize=(5.4, 3.9))
    for name, color, label in (
        ("flipped_accuracy", "C1", "flipped labels"), ("train_accuracy", "C0", "all training labels"),
        ("test_accuracy", "C2", "test (clean)"),
    ):  # fmt: skip
        points(axes, coupling, data[name].isel(step=-1), color=color, label=label)
        axes.plot(coupling, [np.nanmean(model[name][:, -1]) for model in models], color=color)
    axes.set(
        xlabel="$\\lambda = n|\\mu|^2/p$", ylabel=f"accuracy after {case.config.num_steps} steps", xscale="log",
        title="points: simulation; lines: cell model", ylim=(0, 1.03),
    )  # fmt: skip
    ticks = [2, 4, 8, 16, 24] if preset != "tiny" else list(coupling)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
