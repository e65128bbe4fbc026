"""Figure 2: what delays the test loss: the output scale, the activation's curvature, the initial norm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import gradient, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = (
    ("output_scale", r"$\alpha$", "output scale, $\\varepsilon = 1/4$"),
    ("quadratic_coeff", r"$\varepsilon$", r"curvature of the activation, $\alpha = 1$"),
    ("init_scale", r"$\sigma$", r"initial weights, centred, $\alpha = 1$, $\varepsilon = 1/4$"),
)
LOSSES = ("train_loss", "test_loss")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Train and test loss over their starts, mean over seeds, ``LOSS_FIELD`` against the swept field and the time."""
    setting, shown = tl.get("grokking"), {}
    for name, *_ in PANELS:
        swept = results(setting, name, preset, folder, ignore="scaled_learning_rate")
        rate = setting.case(preset, name).config.scaled_learning_rate
        time = f"time_{name}"
        curves = swept.rename(step=time).assign_coords({time: rate * swept.step.values})
        for loss in LOSSES:
            relative = (curves[loss] / curves[loss].isel({time: 0})).mean("seed")
            shown[f"{loss}_{name}"] = relative.isel({time: slice(1, None)}).transpose(name, time)
    return xarray.Dataset({name: array.drop_vars(set(array.coords) - set(array.dims)) for name, array in shown.items()})


def draw(data: xarray.Dataset) -> Figure:
    """Draw train (dashed) and test loss (solid), each over its start, against τ."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 3.9), sharey=True)
    for axes, (name, symbol, title) in zip(panels, PANELS, strict=True):
        values = data[name].values
        for number, (value, color) in enumerate(zip(values, gradient(len(values)), strict=True)):
            for loss, line in zip(LOSSES, ("--", "-"), strict=True):
                label = f"{symbol} = {value:g}" if line == "-" else None
                curve = data[f"{loss}_{name}"].isel({name: number})
                axes.plot(data[f"time_{name}"], curve, line, color=color, linewidth=1.3, label=label)
        axes.set(xscale="log", yscale="log", ylim=(1e-3, 2), xlabel=r"$\tau = \gamma\,$step", title=title)
        axes.legend(loc="lower left")
    panels[0].set_ylabel("loss over its start: train (dashed), test (solid)")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
