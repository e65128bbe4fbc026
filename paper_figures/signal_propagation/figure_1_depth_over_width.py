"""Figure 1: fluctuations of kernel and tangent kernel against depth over width (Roberts, Yaida and Hanin 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.wide_networks.signal_propagation.presets import WIDTHS
from theorylab.settings.wide_networks.signal_propagation.theory import exact
from theorylab.verdict.plotting import gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Depth over width of the curves, each at the depths that its width has.
LONGEST = 1.0
#: c of ReLU.
RATE = 5.0


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Relative second moments of ReLU networks at several widths, and the exact curves."""
    setting, variables = get("signal_propagation"), {}
    for width in WIDTHS[preset]:
        found = results(setting, f"width_{width}", preset, folder)
        axis = f"depth_{width}"
        for name in ("kernel", "ntk"):
            # Over the exact mean, which one run's own would follow.
            depth = found.depth.values
            mean = xarray.DataArray(depth.astype(float) if name == "ntk" else np.ones(len(depth)), dims="depth")
            second = found[f"{name}_variance"] / mean**2 + 1
            variables[f"{name}_{width}"] = second.drop_vars("depth").rename(depth=axis)
        logs = found["log_kernel_variance"].drop_vars("depth").rename(depth=axis)
        variables[f"log_{width}"] = logs
        variables[axis] = (axis, found.depth.values)
        depths = np.unique(np.round(np.geomspace(2, max(3, LONGEST * width), 14)).astype(int))
        curve = f"curve_{width}"
        variables[f"depths_{width}"] = (curve, depths)
        variables[f"kernel_theory_{width}"] = (curve, (1 + RATE / width) ** (depths - 1.0))
        ratios = [float(exact.ntk_ratio(width, int(depth), RATE)) for depth in depths]
        variables[f"ntk_theory_{width}"] = (curve, ratios)
        one = float(exact.log_factor_moments(width, 0.0, 2.0).variance)
        variables[f"log_theory_{width}"] = (curve, one * (depths - 1.0))
    seeds = setting.case(preset, f"width_{WIDTHS[preset][0]}").seeds
    return xarray.Dataset(variables, attrs={"widths": list(WIDTHS[preset]), "seeds": seeds})


def draw(data: xarray.Dataset) -> Figure:
    """Draw E k²/(E k)² (a), Var ln k (b) and E Θ²/(E Θ)² (c)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(11, 3.8))
    widths = [int(width) for width in np.atleast_1d(data.attrs["widths"])]
    for width, color in zip(widths, gradient(len(widths)), strict=True):
        for axes, name in zip(panels, ("kernel", "log", "ntk"), strict=True):
            axes.plot((data[f"depths_{width}"] - 1) / width, data[f"{name}_theory_{width}"], color=color)
            values, depth = data[f"{name}_{width}"], data[f"depth_{width}"].values
            points(axes, (depth - 1) / width, values, color=color, label=f"$n = {width}$")
    fine = np.linspace(0.02, LONGEST, 100)
    panels[0].plot(fine, np.exp(RATE * fine), "k:", linewidth=1, label=r"$e^{5(L-1)/n}$")
    panels[1].plot(fine, RATE * fine, "k:", linewidth=1, label=r"$5(L-1)/n$")
    panels[0].set(yscale="log", ylabel=r"$\mathrm{E}\,k_L^2/(\mathrm{E}\,k_L)^2$", title="(a) kernel")
    panels[1].set(ylabel=r"$\mathrm{Var}\,\ln k_L$", title="(b) logarithm of the kernel")
    panels[2].set(yscale="log", ylabel=r"$\mathrm{E}\,\Theta_L^2/(\mathrm{E}\,\Theta_L)^2$", title="(c) tangent kernel")
    for axes in panels:
        axes.set(xlabel="random factors over width, $(L-1)/n$")
        axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
