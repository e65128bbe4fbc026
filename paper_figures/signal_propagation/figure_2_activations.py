"""Figure 2: fluctuations of the kernel along the depth, for five activations (Roberts, Yaida and Hanin 2022)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.wide_networks.signal_propagation.regimes import network_of
from theorylab.settings.wide_networks.signal_propagation.theory import expansion
from theorylab.verdict.plotting import COLOURS, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = {"relu": "ReLU", "linear": "linear", "tanh": "tanh", "sin": "sin", "chaotic": "tanh, $C_W = 2$"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """n Var k/K² along the depth: networks, leading order, and the next."""
    setting, variables = get("signal_propagation"), {}
    for kind in KINDS:
        case = setting.case(preset, f"chain_{kind}")
        width, longest = case.config.width, max(case.grid["depth"])
        network = network_of(dataclasses.replace(case.config, depth=longest))
        first, second = (law(network, longest, width) for law in (expansion.vertex, expansion.closure))
        scale = width / first.kernel**2
        variables[f"{kind}_leading"] = ("layer", scale * first.variance)
        variables[f"{kind}_closure"] = ("layer", scale * second.variance)
        found = results(setting, f"chain_{kind}", preset, folder)
        at = xarray.DataArray(scale[found.depth.values - 1], dims="depth")
        variables[kind] = (at * found["kernel_variance"]).drop_vars("depth")
    variables["layer"], variables["depth"] = np.arange(1, longest + 1), np.asarray(case.grid["depth"])
    return xarray.Dataset(variables, attrs={"width": width})


def draw(data: xarray.Dataset) -> Figure:
    """Draw all activations (a), and those below one on a scale of their own (b)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4))
    for axes in panels:
        for (kind, label), color in zip(KINDS.items(), COLOURS, strict=False):
            if axes is panels[1] and kind in ("relu", "linear"):
                continue
            axes.plot(data.layer, data[f"{kind}_closure"], color=color)
            axes.plot(data.layer, data[f"{kind}_leading"], ":", color=color)
            points(axes, data.depth.values, data[kind], color=color, label=label)
        axes.plot([], [], color="grey", label="second order")
        axes.plot([], [], ":", color="grey", label="leading order")
        axes.set(xlabel="layer $L$", ylabel=r"$n\,\mathrm{Var}\,k_L/K_L^2$", ylim=(0, None))
        axes.set_xticks([layer for layer in (1, 5, 10, 15, 20, 50, 100) if layer <= int(data.layer[-1])])
        axes.legend()
    key(panels[0], line="", seeds=None)
    panels[0].legend()
    panels[0].set_title(f"(a) $n = {data.attrs['width']}$: at criticality it grows, by class")
    panels[1].set_title("(b) enlarged: slope 2/3 for tanh and sin; chaos saturates")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
