"""Figure 1: the network memorises lazily, then learns the target's direction; its linearisation never does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.grokking import cases, lazy_results, results
from theorylab.verdict.plotting import points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw losses, weight norm and kernel alignment, and the three parts of the test loss, against τ."""
    import matplotlib.pyplot as plt

    case, data, lazy = (
        cases(preset)["phenomenon"],
        results("phenomenon", preset, folder),
        lazy_results("phenomenon", preset),
    )
    time = case.config.scaled_learning_rate * data.step.values[1:]
    later = data.isel(step=slice(1, None))
    solved = lazy.isel(step=slice(1, None)).mean("seed")
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 3.9))

    for name, color in (("train_loss", "C0"), ("test_loss", "C1")):
        label = name.replace("_", " ")
        points(left, time, later[name], color=color, label=label, markersize=3)
        left.plot(time, solved[name], "-", color=color, linewidth=1.2, label=f"{label}, linearised (theory)")
    left.axhline(0.5, color="grey", linestyle=":", linewidth=1)
    left.text(time[-1], 0.42, "1/2: no features", ha="right", va="top", fontsize=8, color="grey")
    left.set(xscale="log", yscale="log", ylim=(1e-4, 1.5), xlabel=r"$\tau = \gamma\,$step", ylabel="mean squared error")
    left.legend(loc="lower left")

    points(middle, time, later.weight_norm, color="C2", markersize=3)
    middle.set(xscale="log", xlabel=r"$\tau = \gamma\,$step")
    middle.set_ylabel(r"weight norm $\sqrt{\mathrm{tr} M/D}$", color="C2")
    middle.set_ylim(0, None)
    other = middle.twinx()
    other.grid(False)
    other.spines["right"].set_visible(True)
    points(other, time, later.kernel_target_alignment, color="C3", fmt="s", markersize=3)
    other.set_ylabel("kernel-target alignment (squares)", color="C3")
    other.set_ylim(0, None)

    parts = (("variance_error", "A: mean of the output", "C4"), ("misalignment_error", "B: misalignment", "C5"),
             ("linear_power", "C: linear output", "C3"))  # fmt: skip
    for name, label, color in parts:
        points(right, time, later[name], color=color, label=label, markersize=3)
        right.plot(time, solved[name], "-", color=color, linewidth=1.2)
    right.plot([], [], "-", color="grey", linewidth=1.2, label="linearised (theory)")
    right.set(xscale="log", xlabel=r"$\tau = \gamma\,$step", ylabel="parts of the test loss", ylim=(0, None))
    right.legend(loc="upper right", bbox_to_anchor=(1.0, 0.85), fontsize=7.5, handlelength=1.2)  # between the curves
    config = case.config
    figure.suptitle(
        f"$D = {config.input_dim}$, $P = {config.num_samples}$, infinite width, $\\alpha = {config.output_scale:g}$, "
        f"$\\varepsilon = {config.quadratic_coeff:g}$, {case.seeds} seeds"
    )
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
