"""Figure 1: more is better. Test and train error against width and against sample size, at five ridges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.random_features import best_test_error, cases, results, theory
from theorylab.verdict.plotting import gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SYMBOLS = {"num_features": "k", "num_samples": "n"}


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw test and train error against k (above) and n (below), real data (left) and the Gaussian model (right)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(9.4, 7.4))
    for column, kind in enumerate(("real", "gaussian")):
        for row, (name, along) in enumerate((("width", "num_features"), ("samples", "num_samples"))):
            panel(panels[row, column], f"{kind}_{name}", along, preset, folder)
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def panel(axes: Axes, name: str, along: str, preset: str, folder: str | Path) -> None:
    case, data = cases(preset)[name], results(name, preset, folder)
    fixed = {"num_features": "num_samples", "num_samples": "num_features"}[along]
    value = case.grid[fixed][0]
    x = np.asarray(case.grid[along], float)
    fine = np.sort(np.concatenate([np.geomspace(x[0], x[-1], 80), value * np.geomspace(0.7, 1.4, 41)]))
    fine = np.clip(fine, x[0], x[-1])
    ridges = case.grid["ridge"][:5]
    sizes: dict[str, Any] = {fixed: value, along: fine}

    for ridge, color in zip(ridges, gradient(len(ridges), "plasma"), strict=True):
        predicted = theory(case.config, ridge=ridge, **sizes)
        measured = data.sel(ridge=ridge).isel({fixed: 0})
        axes.plot(fine, predicted["test_error"], color=color, label=rf"$\delta$ = {ridge:g}")
        axes.plot(fine, predicted["train_error"], ":", color=color, linewidth=1.2)
        points(axes, x, measured.test_error, color=color)
        points(axes, x, measured.train_error, color=color, markerfacecolor="white", markersize=3.5)

    noise = case.config.noise_variance
    few = np.geomspace(x[0], x[-1], 24)  # the envelope is smooth
    envelope = best_test_error(case.config, **{fixed: value, along: few})
    axes.plot(few, envelope, "--", color="black", label="optimal ridge (theory)", zorder=5)
    axes.plot([], [], color="grey", label="test: theory")
    axes.errorbar([], [], [], fmt="o", color="grey", label="test: simulation ± s.e.")
    axes.plot([], [], ":", color="grey", label="train: theory")
    axes.errorbar([], [], [], fmt="o", color="grey", markerfacecolor="white", label="train: simulation ± s.e.")
    axes.axvline(value, color="grey", linewidth=0.6, zorder=0)

    axes.set(xscale="log", yscale="log")
    if case.config.model == "gaussian":
        axes.set_ylim(0.1, 5)
        axes.set_yticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
        model = rf"Gaussian power law, $\alpha=\beta=1.5$, $\sigma^2={noise:g}$, $M={case.config.num_modes}$"
    else:
        axes.set_ylim(0.02, 4)
        axes.set_yticks([0.03, 0.1, 0.3, 1, 3], ["0.03", "0.1", "0.3", "1", "3"])
        model = f"ReLU features of {case.config.model.upper()} ({case.config.population} points)"
    axes.yaxis.set_tick_params(which="minor", labelleft=False)
    axes.set_title(f"{model}\n${SYMBOLS[fixed]} = {value:g}$ fixed")
    words = {"num_features": "random features $k$", "num_samples": "training samples $n$"}[along]
    axes.set_xlabel(words)
    axes.set_ylabel("mean squared error, noisy labels" if noise else "mean squared error, unit-power labels")


if __name__ == "__main__":
    run_script(draw, __file__)
