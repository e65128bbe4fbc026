"""Figure 2: the edge of numerical stability: softmax collapse, StableMax and perpendicular gradients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import COLOURS, letter, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANTS = {
    "softmax": "softmax",
    "perpendicular": r"softmax, $\perp$Grad",
    "stablemax": "StableMax",
    "stablemax_perpendicular": r"StableMax, $\perp$Grad",
}
#: Relative tolerance of the reference values: thousands of steps in float32 amplify rounding. Compiled without AVX, the
#: last test accuracy of ⊥Grad moves by up to 0.29; nothing moves at the tiny preset.
REFERENCE_TOLERANCE = {"default": 0.35, "paper": 0.35}


SHOWN = ("train_accuracy", "test_accuracy", "collapsed_fraction", "weight_norm")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Every run of every way to train."""
    runs = [results("grokking_networks", f"stability_{name}", preset, folder)[[*SHOWN]] for name in VARIANTS]
    return xarray.concat([run.drop_attrs() for run in runs], xarray.Variable("variant", list(VARIANTS)))


def draw(data: xarray.Dataset) -> Figure:
    """Draw test accuracy, the share of collapsed samples and the weight norm; one row per learning rate."""
    import matplotlib.pyplot as plt

    runs = {name: data.sel(variant=name) for name in VARIANTS}
    rates = data.learning_rate.values
    figure, rows = plt.subplots(len(rates), 3, figsize=(12, 3.2 * len(rates) + 0.4), squeeze=False)
    for row, rate in zip(rows, rates, strict=True):
        for (name, run), color in zip(runs.items(), COLOURS, strict=False):
            one = run.sel(learning_rate=rate).isel(step=slice(1, None))
            for seed in one.seed.values:
                label = VARIANTS[name] if seed == 0 else None
                row[0].plot(one.step, one.test_accuracy.sel(seed=seed), color=color, label=label)
                row[0].plot(one.step, one.train_accuracy.sel(seed=seed), "--", color=color, linewidth=0.9)
                row[1].plot(one.step, one.collapsed_fraction.sel(seed=seed), color=color)
                row[2].plot(one.step, one.weight_norm.sel(seed=seed), color=color)
        titles = ("accuracy", "softmax collapsed", "weight norm")
        labels = ("accuracy", "share of training samples", "$|w|$")
        for axes, title, label in zip(row, titles, labels, strict=True):
            axes.set(xscale="log", xlabel="step", ylabel=label)
            axes.set_title(f"{title}; learning rate {np.round(rate, 6):g}")
        row[0].set_ylim(-0.02, 1.05)
        row[1].set_ylim(-0.02, 1.05)
        row[2].set_yscale("log")
    rows[0][0].plot([], [], color="grey", label=f"test, {data.sizes['seed']} runs each")
    rows[0][0].plot([], [], "--", color="grey", linewidth=0.9, label="train")
    letter(*rows.flat)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
