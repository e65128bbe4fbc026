"""Figure 2: which classes survive descent from random starts, by their size and the scale of the start."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.factorisation.neural_collapse.config import class_costs, class_sizes, counts_of
from theorylab.settings.factorisation.neural_collapse.predictions import threshold
from theorylab.settings.factorisation.neural_collapse.theory import classes
from theorylab.settings.factorisation.neural_collapse.train import COLLAPSED
from theorylab.verdict.plotting import COLOURS, below, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Shares of runs in which a class survives, losses of all runs, and the losses of all choices of branches."""
    setting = get("neural_collapse")
    config, run = setting.case(preset, "phases").config, results(setting, "phases", preset, folder)
    finite = np.isfinite(run.final_loss)
    survived = (run.class_logit > COLLAPSED).where(finite)
    counts, cost, total = class_sizes(config), class_costs(config), sum(counts_of(config))
    found = classes.branches(counts, total, cost, config.depth)
    gains = np.asarray(counts / (2 * total) - classes.class_loss(found.minimum, counts, total, cost, config.depth))
    choices = (np.arange(2 ** len(gains))[:, None] >> np.arange(len(gains))) & 1
    return xarray.Dataset(
        {
            "survived": survived.mean("seed"),
            "diverged": 1 - finite.mean("seed"),
            "final_loss": run.final_loss,
            "branch_losses_theory": ("choice", np.sort(0.5 - choices @ gains)),
        },
        coords={"count": ("class", list(counts_of(config)))},
        attrs={"critical": threshold(config), "depth": config.depth},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw shares of survival (left), and final losses among the losses of all choices of branches (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4))
    scales = data.init_scale.values
    for count, color in zip(data["count"].values, COLOURS, strict=False):
        share = data.survived.isel({"class": int(np.argmax(data["count"].values == count))})
        left.plot(scales, share, "o-", color=color, linewidth=1, label=f"$n_k = {count}$")
    left.axhline(1, color="black", linewidth=0.8, linestyle="--")
    left.set(xlabel="scale of the random start", ylabel="share of runs in which the class survives", ylim=(-0.05, 1.1))
    left.set_title(
        rf"(a) {data.attrs['depth']} layers, $n_* = {data.attrs['critical']:.2f}$: all survive at the minimum"
    )
    for number, loss in enumerate(data.branch_losses_theory.values):
        label = "theory, every choice of branches" if number == 0 else None
        right.axhline(loss, color="black", linewidth=0.5, label=label, zorder=0)
    for seed in range(data.sizes["seed"]):
        label = "descent" if seed == 0 else None
        right.plot(
            scales, data.final_loss.isel(seed=seed), "o", color=COLOURS[0], markersize=3.5, alpha=0.5, label=label
        )
    low = float(data.branch_losses_theory[0])
    right.set(xlabel="scale of the random start", ylabel="loss after training", ylim=(low - 0.01, low + 0.15))
    right.set_title(f"(b) {data.sizes['seed']} descents, each to a choice of branches")
    below(left, right)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
