"""Figure 1: the network memorises lazily, then learns the target's direction; its linearisation never does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = (
    ("variance_error", "A: mean of the output", "C4"),
    ("misalignment_error", "B: misalignment", "C5"),
    ("linear_power", "C: linear output", "C3"),
)
SOLVED = ("train_loss", "test_loss", *(name for name, *_ in PARTS))


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """One network's curves, and the solved linearised networks of the same instances."""
    setting = tl.get("grokking")
    case = setting.case(preset, "phenomenon")
    simulated = results(setting, case.name, preset, folder, ignore="scaled_learning_rate")
    linearised = dataclasses.replace(case.config, trainer="linearised")
    lazy = tl.predict(setting, linearised, seeds=case.seeds, theory="lazy", observables=SOLVED)
    kept = simulated[[*SOLVED, "weight_norm", "kernel_target_alignment"]]
    shown = kept.assign({f"{name}_theory": lazy[name] for name in SOLVED})
    return shown.drop_attrs().assign_attrs(
        {name: getattr(case.config, name) for name in (
            "input_dim", "num_samples", "output_scale", "quadratic_coeff", "scaled_learning_rate"
        )}
    )  # fmt: skip


def draw(data: xarray.Dataset) -> Figure:
    """Draw losses, weight norm and kernel alignment, and the three parts of the test loss, against τ."""
    import matplotlib.pyplot as plt

    later = data.isel(step=slice(1, None))
    time = data.scaled_learning_rate * later.step.values
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 3.9))

    for name, color in (("train_loss", "C0"), ("test_loss", "C1")):
        label = name.replace("_", " ")
        points(left, time, later[name], color=color, label=label, markersize=3)
        solved = later[f"{name}_theory"].mean("seed")
        left.plot(time, solved, "-", color=color, linewidth=1.2, label=f"{label}, linearised (theory)")
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

    for name, label, color in PARTS:
        points(right, time, later[name], color=color, label=label, markersize=3)
        right.plot(time, later[f"{name}_theory"].mean("seed"), "-", color=color, linewidth=1.2)
    right.plot([], [], "-", color="grey", linewidth=1.2, label="linearised (theory)")
    right.set(xscale="log", xlabel=r"$\tau = \gamma\,$step", ylabel="parts of the test loss", ylim=(0, None))
    right.legend(loc="upper right", bbox_to_anchor=(1.0, 0.85), fontsize=7.5, handlelength=1.2)  # between the curves
    figure.suptitle(
        f"$D = {data.input_dim}$, $P = {data.num_samples}$, infinite width, $\\alpha = {data.output_scale:g}$, "
        f"$\\varepsilon = {data.quadratic_coeff:g}$, {data.sizes['seed']} seeds"
    )
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
