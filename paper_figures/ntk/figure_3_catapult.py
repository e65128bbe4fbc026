"""Figure 3: the kernel's top eigenvalue before and after training, at steps on both sides of 2/λ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"tanh": "tanh", "relu": "ReLU"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Step times the top eigenvalue, before and after, of every network."""
    setting, variables = get("ntk"), {}
    for kind in KINDS:
        found = results(setting, f"rates_{kind}", preset, folder)
        for name in ("sharpness", "final_sharpness"):
            variables[f"{kind}_{name}"] = (("rate", "seed"), found[name].values)
    config = setting.case(preset, "rates_tanh").config
    return xarray.Dataset(variables, attrs={"width": config.width, "label_scale": config.label_scale})


def draw(data: xarray.Dataset) -> Figure:
    """Draw ηλ_T against ηλ_0 for tanh (a) and ReLU (b)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4), sharey=True)
    below, above = np.array([0.3, 2.0]), np.array([2.0, 3.2])
    for axes, (kind, label), letter, color in zip(panels, KINDS.items(), "ab", COLOURS, strict=False):
        axes.plot(below, below, color="black", label=r"the kernel stays: $\eta\lambda_0$")
        axes.plot(above, 4 - above, color=COLOURS[2], label=r"mirror: $4 - \eta\lambda_0$")
        axes.axhline(2, color="grey", linewidth=0.6)
        axes.axvline(2, color="grey", linewidth=0.6)
        before, after = data[f"{kind}_sharpness"].values.ravel(), data[f"{kind}_final_sharpness"].values.ravel()
        axes.plot(before, after, ".", color=color, markersize=3, label="networks")
        axes.set(xlabel=r"$\eta\lambda_1(K_0)$", title=f"({letter}) {label}", xlim=(0.3, 3.4), ylim=(0.3, 2.3))
        axes.legend()
    panels[0].set_ylabel(r"$\eta\lambda_1(K_T)$")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
