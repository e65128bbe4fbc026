"""Figure 4: the gap over the two parameters that matter, and how many samples grokking needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.grokking import cases, results
from theorylab.settings.two_layer.grokking.theory.times import censored_median
from theorylab.verdict.plotting import points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw log10 of test time over train time against r = ε/α and κ = αε, and times and final loss against P/D."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 3.9))
    case, data = cases(preset)["phase_diagram"], results("phase_diagram", preset, folder)
    end = case.config.scaled_learning_rate * case.config.num_steps
    shown: dict[str, list[Any]] = {"gap": [], "censored": []}
    for alpha in case.grid["output_scale"]:
        for eps in case.grid["quadratic_coeff"]:
            cell = data.sel(output_scale=alpha, quadratic_coeff=eps)
            diverged = bool((cell.first_bad_step >= 0).any())
            train = censored_median(cell.train_time.values, end)
            test = censored_median(cell.test_time.values, end)
            place = (eps / alpha, alpha * eps)
            if diverged or train.censored:
                left.plot(*place, "x", color="grey", markersize=8)
            elif test.censored:
                shown["censored"].append((*place, np.log10(end / train.median)))
            else:
                shown["gap"].append((*place, np.log10(test.median / train.median)))
    every = [value for values in shown.values() for *_, value in values]
    norm = plt.Normalize(min(every, default=0), max(every, default=1))
    image = None
    for kind, marker in (("gap", "s"), ("censored", "^")):
        if shown[kind]:
            x, y, gap = np.array(shown[kind]).T
            image = left.scatter(x, y, c=gap, marker=marker, s=110, norm=norm, cmap="viridis")
    left.plot([], [], "s", color="grey", label="both reached")
    left.plot([], [], "^", color="grey", label=f"test not by τ = {end:g}: at least")
    left.plot([], [], "x", color="grey", label="train not reached")
    left.set(xscale="log", yscale="log", xlabel=r"$r = \varepsilon/\alpha$", ylabel=r"$\kappa = \alpha\varepsilon$",
             title="centred: $\\log_{10}$(test time/train time)")  # fmt: skip
    left.legend(loc="lower left", fontsize=7.5)
    low, high = left.get_ylim()
    left.set_ylim(low / 12, high)
    if image is not None:
        figure.colorbar(image, ax=left)

    case, data = cases(preset)["samples"], results("samples", preset, folder)
    dim = case.config.input_dim
    ratios = np.array(case.grid["num_samples"]) / dim
    end = case.config.scaled_learning_rate * case.config.num_steps
    for name, color in (("train_time", "C0"), ("test_time", "C1")):
        for ratio, times in zip(ratios, data[name].values, strict=True):
            reached = times[np.isfinite(times)]
            middle.plot(np.full(len(reached), ratio), reached, "o", color=color, markersize=4)
            if len(reached) < len(times):
                middle.plot(ratio, end, "^", color=color, markersize=7)
                missing = str(len(times) - len(reached))
                middle.annotate(
                    missing, (ratio, end), (0, 7), fontsize=8, textcoords="offset points", ha="center", color=color
                )
        medians = [censored_median(times, end).median for times in data[name].values]
        middle.plot(ratios, medians, "-", color=color, linewidth=1.2, label=name.replace("_", " ") + " (median)")
    middle.set(
        yscale="log",
        xlabel=r"$\nu = P/D$",
        ylabel=r"$\tau$",
        title=f"triangles: of {case.seeds} runs not there by then",
    )
    middle.set_ylim(None, 2 * end)
    middle.legend(loc="center right")

    points(right, ratios, data.test_loss.isel(step=-1), color="C1", label="test", linestyle="-")
    points(right, ratios, data.train_loss.isel(step=-1), color="C0", label="train", linestyle="-")
    right.set(yscale="log", ylim=(1e-8, 3), xlabel=r"$\nu = P/D$", ylabel=rf"loss at $\tau = {end:g}$")
    right.set_title(
        rf"$\alpha = {case.config.output_scale:g}$, $\varepsilon = {case.config.quadratic_coeff:g}$, $D = {dim}$"
    )
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
