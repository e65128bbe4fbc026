"""Figure 1: how far the kernel is from its limit, and how far it moves, against the width."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.kernels.ntk import limit, predictions
from theorylab.settings.kernels.ntk.data import data_of
from theorylab.settings.kernels.ntk.presets import WIDTHS
from theorylab.verdict.plotting import COLOURS, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"relu": "ReLU", "tanh": "tanh"}
POWERS = {"relu": -0.75, "tanh": -1.0}
FINE = {"tiny": 3, "default": 11, "paper": 15}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Deviation and drift of both activations, with the exact and the asymptotic laws."""
    setting, variables = get("ntk"), {}
    ends = WIDTHS[preset][0], WIDTHS[preset][-1]
    # Even widths only.
    fine = 2 * np.unique(np.round(np.geomspace(ends[0] / 2, ends[1] / 2, FINE[preset])).astype(int))
    for kind in KINDS:
        found = results(setting, f"widths_{kind}", preset, folder)
        config = setting.case(preset, f"widths_{kind}").config
        moments = limit.moments(kind, data_of(config).x)
        variables[f"{kind}_deviation"], variables[f"{kind}_drift"] = found["kernel_deviation"], found["kernel_drift"]
        laws, key = [], jax.random.key(0)  # which neither theory reads
        for width in fine.tolist():
            here = dataclasses.replace(config, width=width)
            driven = float(predictions.driven_neurons.predict(key, here)["kernel_drift"])
            power = float(predictions.width_exponent.predict(key, here)["kernel_drift"])
            laws.append((limit.mean_square_deviation(moments, width), driven, power))
        for name, law in zip(("deviation_theory", "driven", "power"), np.array(laws).T, strict=True):
            variables[f"{kind}_{name}"] = ("fine", law)
    case = setting.case(preset, "widths_relu")
    attrs = {"seeds": case.seeds, "label_scale": case.config.label_scale}
    return xarray.Dataset(variables, coords={"fine": fine}, attrs=attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw the initial kernel's deviation (a) and the kernel's motion (b)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4))
    for (kind, label), color in zip(KINDS.items(), COLOURS, strict=False):
        left.plot(data.fine, data[f"{kind}_deviation_theory"], color=color)
        points(left, data.width.values, data[f"{kind}_deviation"], color=color, label=label)
        right.plot(data.fine, data[f"{kind}_driven"], color=color)
        right.plot(data.fine, data[f"{kind}_power"], ":", color=color)
        slope = {"relu": "-3/4", "tanh": "-1"}[kind]
        points(right, data.width.values, data[f"{kind}_drift"], color=color, label=rf"{label}, $m^{{{slope}}}$")
    key(left, seeds=data.sizes["seed"], of="networks", line="exact, $m^{-1}$")
    right.plot([], [], color="grey", label="driven neurons")
    right.plot([], [], ":", color="grey", label="leading order")
    left.set(ylabel=r"mean of $|K_0 - \Theta|^2/|\Theta|^2$", title="(a) scatter of the initial kernel")
    right.set(ylabel=r"mean of $|K_T - K_0|/|K_0|$")
    right.set_title(rf"(b) motion in training, $s_y = {data.attrs['label_scale']:g}$")
    for axes in (left, right):
        axes.set(xscale="log", yscale="log", xlabel="width $m$")
        axes.set_xticks(data.width.values, [str(width) for width in data.width.values])
        axes.xaxis.set_ticks([], minor=True)
        axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
