"""Figure 2: what delays the test loss: the output scale, the activation's curvature, the initial norm."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import gradient, letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Swept field, its symbol, the laziest of its values, title.
PANELS = (
    ("output_scale", r"$\alpha$", -1, r"output scale, $\varepsilon = 1/4$"),
    ("quadratic_coeff", r"$\varepsilon$", 0, r"curvature of the activation, $\alpha = 1$"),
    ("init_scale", r"$\sigma$", -1, r"initial weights, centred, $\alpha = 1$, $\varepsilon = 1/4$"),
)
LOSSES = ("train_loss", "test_loss")
#: Of the swept values every second is drawn where there are more than so many.
MOST = 5


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Train and test loss over their starts, ``LOSS_FIELD`` against the swept field and the time.

    ``LOSS_FIELD_theory`` is the mean over the solved linearised networks of the same instances.
    """
    setting, shown = tl.get("grokking"), {}
    for name, *_ in PANELS:
        case, time = setting.case(preset, name), f"time_{name}"
        every = case.grid[name]
        chosen = {name: list(every[:: 2 if len(every) > MOST else 1])}
        swept = results(setting, name, preset, folder, ignore="scaled_learning_rate").sel(chosen)
        lazy = dataclasses.replace(case.config, trainer="linearised")
        solved = tl.predict(setting, lazy, chosen, seeds=case.seeds, theory="lazy", observables=LOSSES)
        for curves, ending in ((swept, ""), (solved, "_theory")):
            rate = case.config.scaled_learning_rate
            later = curves.rename(step=time).assign_coords({time: rate * curves.step.values})
            for loss in LOSSES:
                relative = (later[loss] / later[loss].isel({time: 0})).isel({time: slice(1, None)})
                shown[f"{loss}_{name}{ending}"] = relative.rename(seed=f"seed_{name}").transpose(..., time)
    return xarray.Dataset({name: array.drop_vars(set(array.coords) - set(array.dims)) for name, array in shown.items()})


def draw(data: xarray.Dataset) -> Figure:
    """Draw train and test loss, each over its start, against τ; of the laziest value its linearisation too."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 4.2), sharey=True)
    for axes, (name, symbol, lazy, title) in zip(panels, PANELS, strict=True):
        values, time = data[name].values, data[f"time_{name}"].values
        few = np.unique(np.abs(time[:, None] - np.geomspace(time[0], time[-1], 18)).argmin(0))
        for number, (value, color) in enumerate(zip(values, gradient(len(values)), strict=True)):
            for loss, fill, line in zip(LOSSES, ("white", color), ("--", "-"), strict=True):
                curve = data[f"{loss}_{name}"].isel({name: number}).rename({f"seed_{name}": "seed"})
                label = f"{symbol} = {value:g}" if loss == "test_loss" else None
                look = {"color": color, "markerfacecolor": fill, "markersize": 3.5, "label": label}
                points(axes, time[few], curve[:, few], **look)
                if number == lazy % len(values):
                    solved = data[f"{loss}_{name}_theory"].isel({name: number}).mean(f"seed_{name}")
                    axes.plot(time, solved, line, color=color, linewidth=1.1)
        axes.set(xscale="log", yscale="log", ylim=(1e-3, 3), xlabel=r"$\tau = \gamma\,$step", title=title)
        axes.legend(loc="lower left")
    letter(*panels)
    seeds = data.sizes[f"seed_{PANELS[0][0]}"]
    last = panels[-1]
    last.errorbar([], [], [], fmt="o", color="grey", linewidth=1, label=f"test loss ± s.e., {seeds} data sets")
    last.errorbar([], [], [], fmt="o", color="grey", linewidth=1, markerfacecolor="white", label="train loss")
    last.plot([], [], color="grey", linewidth=1.1, label="linearised, of one colour: test")
    last.plot([], [], "--", color="grey", linewidth=1.1, label="linearised: train")
    last.legend(loc="lower left", fontsize=7)
    panels[0].set_ylabel("loss over its start")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
