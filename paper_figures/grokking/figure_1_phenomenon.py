"""Figure 1: the network memorises lazily, then learns the target's direction; its linearisation never does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import key, letter, points, run_script

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
    """Draw losses, the three parts of the test loss, weight norm and kernel alignment, against τ."""
    import matplotlib.pyplot as plt

    later = data.isel(step=slice(1, None))
    time, told = data.scaled_learning_rate * later.step.values, {"color": "grey", "linewidth": 1.2}
    figure, ((losses, parts), (norm, alignment)) = plt.subplots(2, 2, figsize=(9.4, 7.0), sharex=True)

    for name, color in (("train_loss", "C0"), ("test_loss", "C1")):
        points(losses, time, later[name], color=color, label=name.replace("_", " "), markersize=3)
        losses.plot(time, later[f"{name}_theory"].mean("seed"), "-", color=color, linewidth=1.2)
    losses.axhline(0.5, color="grey", linestyle=":", linewidth=1)
    losses.text(time[-1], 0.42, "1/2: no features", ha="right", va="top", fontsize=8, color="grey")
    losses.plot([], [], label="theory: linearised network", **told)
    losses.set(yscale="log", ylim=(1e-4, 1.5), ylabel="mean squared error", title="losses")
    losses.legend(loc="lower left")

    for name, label, color in PARTS:
        points(parts, time, later[name], color=color, label=label, markersize=3)
        parts.plot(time, later[f"{name}_theory"].mean("seed"), "-", color=color, linewidth=1.2)
    parts.set(ylabel="parts of the test loss", ylim=(0, None), title="parts of the test loss")
    parts.legend(loc="upper right", bbox_to_anchor=(1.0, 0.85))  # between the curves

    for axes, name, color in ((norm, "weight_norm", "C2"), (alignment, "kernel_target_alignment", "C3")):
        points(axes, time, later[name], color=color, markersize=3)
        axes.set(xscale="log", xlabel=r"$\tau = \gamma\,$step", ylim=(0, None))
    norm.set(ylabel=r"$\sqrt{\mathrm{tr} M/D}$", title="norm of the weights")
    alignment.set(ylabel="alignment of kernel and target", title="features")
    key(alignment, seeds=data.sizes["seed"], line="")
    alignment.legend(loc="lower right")
    letter(losses, parts, norm, alignment)
    figure.suptitle(
        f"$D = {data.input_dim}$, $P = {data.num_samples}$, infinite width, $\\alpha = {data.output_scale:g}$, "
        f"$\\varepsilon = {data.quadratic_coeff:g}$"
    )
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
