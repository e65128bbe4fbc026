"""Figure 1: opposing signals at the edge of stability, every parameter trained and the map of the moments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.lab.predict import predict
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Sharpness and loss along single runs, trained and predicted, and where gradient flow would end."""
    setting = get("linear_networks")
    case, run = setting.case(preset, "edge"), results(setting, "edge", preset, folder)
    lines = predict(setting, case.config, case.grid, seeds=1, theory="gram_map", observables=["loss", "sharpness"])
    slow = {"learning_rate": case.grid["learning_rate"][:1]}
    flow = predict(setting, case.config, slow, seeds=1, theory="outlier_sharpness")
    names = ("loss", "sharpness")
    variables = {name: run[name].isel(seed=0) for name in names}
    variables |= {f"{name}_theory": lines[name].isel(seed=0) for name in names}
    return xarray.Dataset(
        {name: array.drop_vars("seed", errors="ignore") for name, array in variables.items()},
        attrs={"width": case.config.width, "flow_end": float(flow.final_sharpness.values.ravel()[0])},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw sharpness (left) and loss (right) against the step."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.9))
    shown = slice(None, None, 3)
    last = min(240, int(data.step[-1]))
    for rate, color in zip(data.learning_rate.values, COLOURS, strict=False):
        here = data.sel(learning_rate=rate)
        for axes, name in ((left, "sharpness"), (right, "loss")):
            axes.plot(here.step, here[f"{name}_theory"], color=color, linewidth=1.2, label=rf"$\eta = {rate:g}$")
            axes.plot(here.step[shown], here[name][shown], "o", color=color, markersize=3)
        left.axhline(2 / rate, color=color, linestyle="--", linewidth=0.9)
    left.axhline(data.attrs["flow_end"], color="black", linestyle=":", linewidth=1.2)
    middle = last / 2
    left.text(middle, data.attrs["flow_end"] + 1.5, "end of gradient flow, predicted", fontsize=8.5)
    left.text(middle, 2 / float(data.learning_rate[0]) + 0.8, r"$2/\eta$, dashed", fontsize=8.5)
    left.set(xlabel="step", ylabel=r"largest Hessian eigenvalue", ylim=(0, 75), xlim=(0, last), title="(a) sharpness")
    right.set(xlabel="step", ylabel="loss", yscale="log", xlim=(0, last))
    right.set_title(f"(b) loss, one network of {data.attrs['width']} neurons")
    right.plot([], [], "o", color="grey", markersize=3, label="every parameter trained")
    right.plot([], [], color="grey", linewidth=1.2, label="map of the moments")
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
