"""Figure 1: memorised after one step, generalised much later; large steps and gradient flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.xor.config import step_init_ratio
from theorylab.settings.two_layer.xor.theory import memorisation
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = ("large", "small")  # steps


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Accuracies of both runs with those of the cell model, and the closed form of memorisation at small steps."""
    setting, parts = tl.get("xor"), []
    for name in RUNS:
        case = setting.case(preset, name)
        model = tl.predict(setting, case.config, seeds=case.seeds, theory="cell_model")
        simulated = results("xor", name, preset, folder)
        part = xarray.Dataset(attrs={
            f"learning_rate_{name}": case.config.learning_rate, f"width_{name}": case.config.width,
            f"step_init_ratio_{name}": float(step_init_ratio(case.config)),
        })  # fmt: skip
        for observable in ("train_accuracy", "test_accuracy"):
            dims = {"seed": f"seed_{name}", "step": f"step_{name}"}
            part[f"{observable}_{name}"] = simulated[observable].transpose("seed", "step").rename(dims)
            part[f"{observable}_{name}_theory"] = model[observable].transpose("seed", "step").rename(dims)
        parts.append(part)
    steps = np.concatenate([[0.0], np.unique(np.geomspace(1, case.config.num_steps, 80).round())])
    curve = memorisation.training_accuracy(steps, step_init_ratio=step_init_ratio(case.config), width=case.config.width)
    parts.append(xarray.Dataset({"train_accuracy_closed": ("step_closed", np.asarray(curve))}, {"step_closed": steps}))
    return xarray.merge(parts, combine_attrs="no_conflicts")


def draw(data: xarray.Dataset) -> Figure:
    """Draw training and test accuracy against the step, with the cell model and the memorisation curve."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.0), sharey=True)
    for axes, name in zip(panels, RUNS, strict=True):
        x, seed = data[f"step_{name}"].values + 1, f"seed_{name}"
        for observable, color, label in (("train_accuracy", "C0", "training"), ("test_accuracy", "C1", "test (clean)")):
            runs = data[f"{observable}_{name}"]
            mean, spread = runs.mean(seed), runs.std(seed, ddof=1)
            axes.fill_between(x, mean - spread, np.minimum(mean + spread, 1), color=color, alpha=0.18, linewidth=0)
            error = spread / np.sqrt(runs.sizes[seed])
            axes.errorbar(x, mean, error, fmt="o", color=color, linewidth=1, markersize=4, label=label)
            predicted = data[f"{observable}_{name}_theory"].mean(seed)
            axes.plot(x, predicted, color=color, label=f"{label}: cell model")
        if name == "small":
            curve = data["train_accuracy_closed"]
            axes.plot(curve.step_closed + 1, curve, "k--", linewidth=1, label="training: closed form")
        axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        ratio, width = data.attrs[f"step_init_ratio_{name}"], data.attrs[f"width_{name}"]
        power = round(np.log10(data.attrs[f"learning_rate_{name}"]))
        axes.set(
            xscale="log", xlabel="step $t + 1$", ylim=(0.38, 1.03),
            title=f"$\\alpha = 10^{{{power}}}$: $\\kappa = {ratio:.3g}$, $m = {width}$, {data.sizes[seed]} runs",
        )  # fmt: skip
        if name == "large":
            axes.plot([], [], color="grey", linewidth=8, alpha=0.3, label="band: ± standard deviation of runs")
            axes.plot([], [], "|", color="grey", markersize=10, label="bars: ± standard error")
        axes.legend(loc="lower right" if name == "large" else "upper left", fontsize=7.5)
    letter(*panels)
    panels[0].set_ylabel("accuracy")
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
