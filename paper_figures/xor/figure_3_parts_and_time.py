"""Figure 3: grokking is the even part overtaking the odd one, and depends on step and initialisation by κ t alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.xor import RATIOS, cases, results
from theorylab.settings.two_layer.xor.config import step_init_ratio
from theorylab.settings.two_layer.xor.theory import memorisation
from theorylab.verdict.plotting import gradient, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw |O| and |E| at the centres, accuracies against κ t, and the memorisation curve at several widths."""
    import matplotlib.pyplot as plt

    figure, (parts, time, widths) = plt.subplots(1, 3, figsize=(12.4, 3.9))
    data = results("large", preset, folder)
    for name, color, label in (("linear_part", "C0", "odd (linear) part"), ("even_part", "C1", "even part")):
        values = data[name]
        parts.plot(data.step + 1, values.values.T, color=color, alpha=0.25, linewidth=0.8)
        parts.plot(data.step + 1, values.mean("seed"), "o-", color=color, label=label)
    parts.set(xscale="log", yscale="log", ylim=(1e-2, None), xlabel="step $t + 1$", title="$\\alpha = 10^{-12}$")
    parts.set_ylabel("$f$ at the cluster centres / $(\\alpha p/8n)$")
    parts.legend()
    for ratio, color in zip(RATIOS, gradient(len(RATIOS)), strict=True):
        data = results(f"ratio_{ratio:g}", preset, folder).sel(step=slice(1, None))
        x = ratio * data.step.values
        time.plot(x, data.train_accuracy.mean("seed"), "--", color=color)
        points(time, x, data.test_accuracy, color=color, label=f"$\\kappa = {ratio:g}$", fmt="o-", markersize=3)
    time.plot([], [], "k--", label="training")
    time.plot([], [], "ko-", markersize=3, label="test")
    time.set(xscale="log", xlabel="rescaled time $\\tau = \\kappa t$", ylabel="accuracy")
    time.set(title="same data, four step sizes", xlim=(1e-2, 1e3))
    time.legend(fontsize=7.5, loc="lower right")
    case, data = cases(preset)["memorisation"], results("memorisation", preset, folder)
    import dataclasses

    chosen = case.grid["width"]
    for width, color in zip(chosen, gradient(len(chosen)), strict=True):
        config = dataclasses.replace(case.config, width=width)
        ratio = float(step_init_ratio(config))
        points(widths, ratio * data.step.values, data.train_accuracy.sel(width=width), color=color,
               label=f"$m = {width}$")  # fmt: skip
        t = np.linspace(0, config.num_steps, 300)
        widths.plot(ratio * t, np.asarray(memorisation.training_accuracy(t, config)), color=color)
        widths.axvline(memorisation.memorisation_time(width), color=color, linestyle=":", linewidth=1)
    widths.set(xlim=(0, 0.7), xlabel="rescaled time $\\tau = \\kappa t$", ylabel="training accuracy")
    widths.set_title("memorisation: closed form")
    widths.plot([], [], "k:", linewidth=1, label="99%: $3.29/\\sqrt{m}$")
    widths.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
