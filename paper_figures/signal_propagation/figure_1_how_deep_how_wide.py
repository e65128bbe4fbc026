"""Figure 1: how deep, how wide? Fluctuations of kernel and gradients, and where infinite width may be trusted."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.wide_networks.signal_propagation.predictions import exact_moments
from theorylab.settings.wide_networks.signal_propagation.presets import CRITICAL, FLUCTUATIONS
from theorylab.settings.wide_networks.signal_propagation.regimes import network_of
from theorylab.settings.wide_networks.signal_propagation.theory import exact, expansion
from theorylab.verdict.plotting import COLOURS, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: c of ReLU.
RATE = 5.0
#: Relative spread up to which infinite width is called right, and that at which it says nothing.
TRUSTED, LOST = 0.1, 1.0
#: Hidden widths of (d), and the depths of its curves of tanh.
WIDEST, DEEPEST = 3e4, 3000
MEASURED = ("kernel", "ntk", "log_kernel", "log_gradient")


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Relative spreads of ReLU networks at four widths with their exact curves, and the depths that a width bears."""
    setting, variables = get("signal_propagation"), {}
    widths = [width for width, _, _ in FLUCTUATIONS[preset]]
    for width in widths:
        case = setting.case(preset, f"width_{width}")
        found = results(setting, case.name, preset, folder)
        axis, depth = f"factors_{width}", found.depth.values
        # Second moments are drawn where a seed's own standard error of E k² can be trusted.
        light = [exact_moments.holds(dataclasses.replace(case.config, depth=int(d))) is None for d in depth]
        scale = {"kernel": np.ones(len(depth)), "ntk": depth.astype(float)}
        for name in MEASURED:
            values = found[f"{name}_variance"]
            if name in scale:
                kept = np.where(light, scale[name], np.nan)
                values = np.sqrt(values) / xarray.DataArray(kept, dims="depth")
            variables[f"{name}_{width}"] = values.drop_vars("depth").rename(depth=axis)
        variables[axis] = (axis, depth - 1)
        factors = np.unique(np.round(np.geomspace(1, width, 18)).astype(int))
        curve = f"curve_{width}"
        variables[curve] = (curve, factors)
        ratios = np.array([float(exact.ntk_ratio(width, int(f) + 1, RATE)) for f in factors])
        variables[f"ntk_theory_{width}"] = (curve, np.sqrt(ratios - 1))
        variables[f"kernel_theory_{width}"] = (curve, np.sqrt(np.expm1(factors * np.log1p(RATE / width))))
        one = float(exact.log_factor_moments(width, 0.0, 2.0).variance)
        variables[f"log_theory_{width}"] = (curve, one * factors)
    for kind in ("tanh", "chaotic"):
        network = network_of(dataclasses.replace(CRITICAL[kind], depth=DEEPEST))
        law = expansion.vertex(network, DEEPEST, 1.0)
        shown = np.unique(np.round(np.geomspace(1, DEEPEST - 1, 60)).astype(int))
        variables["deep"] = ("deep", shown)
        variables[f"{kind}_vertex"] = ("deep", (law.variance / law.kernel**2)[shown])
    seeds = setting.case(preset, f"width_{widths[0]}").seeds
    return xarray.Dataset(variables, attrs={"widths": widths, "seeds": seeds})


def ntk_limit(ratio: np.ndarray) -> np.ndarray:
    """E Θ²/(E Θ)² of ReLU networks at large width and depth, at L/n = ``ratio``."""
    # The sum over pairs of layers becomes an integral over what is between them.
    a = (RATE + 1) * ratio
    return np.exp(RATE * ratio) * (1 / 3 + 4 / 3 * (a + np.expm1(-a)) / a**2)


def draw(data: xarray.Dataset) -> Figure:
    """Draw the spread of the kernel (a) and of the tangent kernel (c), of logarithms (b), and trusted depths (d)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(10, 7.8))
    (kernel, logs), (ntk, deep) = panels
    widths = [int(width) for width in np.atleast_1d(data.attrs["widths"])]
    for width, color in zip(widths, gradient(len(widths)), strict=True):
        here, curve = data[f"factors_{width}"].values / width, data[f"curve_{width}"].values / width
        for axes, name, theory in ((kernel, "kernel", "kernel"), (ntk, "ntk", "ntk"), (logs, "log_kernel", "log")):
            axes.plot(curve, data[f"{theory}_theory_{width}"], color=color)
            points(axes, here, data[f"{name}_{width}"], color=color, label=f"$n = {width}$")
        points(logs, here, data[f"log_gradient_{width}"], color=color, fmt="x", markersize=7)
    fine = np.geomspace(1 / widths[-1], 1, 100)
    limits: tuple[tuple[Any, Any, str], ...] = (
        (kernel, np.sqrt(np.expm1(RATE * fine)), r"$(e^{5(L-1)/n} - 1)^{1/2}$"),
        (logs, RATE * fine, r"$5(L-1)/n$"),
        (ntk, np.sqrt(ntk_limit(fine) - 1), "wide and deep"),
    )
    for axes, values, label in limits:
        axes.plot(fine, values, "k:", linewidth=1, label=label)
        axes.set(xscale="log", yscale="log", xlabel="random factors over width, $(L-1)/n$")
    for axes in (kernel, ntk):
        axes.set_ylim(min(axes.get_ylim()[0], TRUSTED / 3), None)
        axes.axhspan(TRUSTED / 100, TRUSTED, color="grey", alpha=0.15, linewidth=0)
        axes.text(
            0.98, 0.9 * TRUSTED, "infinite width to 10%", ha="right", va="top", transform=axes.get_yaxis_transform()
        )
    logs.plot([], [], "x", color="grey", markersize=7, label="gradient, $\\ln|b_1|^2$")
    kernel.set(ylabel=r"standard deviation over mean of $k_L$", title="(a) kernel of ReLU networks")
    logs.set(ylabel=r"$\mathrm{Var}\,\ln k_L$, $\mathrm{Var}\,\ln|b_1|^2$", title="(b) signals and gradients alike")
    ntk.set(ylabel=r"standard deviation over mean of $\Theta_L$", title="(c) tangent kernel, gradients of all weights")
    key(kernel, line="theory at width $n$")
    for axes in (kernel, logs, ntk):
        axes.legend(loc="upper left")

    width = np.geomspace(5, WIDEST, 200)
    for name, rate, color in (("ReLU", RATE, COLOURS[0]), ("linear", 2.0, COLOURS[1])):
        for spread, line in ((TRUSTED, "-"), (LOST, "--")):
            factors = np.log1p(spread**2) / np.log1p(rate / width)
            deep.plot(width, factors, line, color=color, label=name if spread == TRUSTED else None)
    for name, label, color in (("tanh", "tanh", COLOURS[2]), ("chaotic", "tanh, $C_W = 2$", COLOURS[3])):
        needed = data[f"{name}_vertex"].values / TRUSTED**2
        # Where the spread first reaches the bound; deeper layers of less spread add nothing.
        deep.plot(np.maximum.accumulate(needed), data.deep, color=color, label=label)
    deep.plot([], [], "--", color="grey", label=f"{LOST:.0%}")
    deep.set(xscale="log", yscale="log", xlim=(width[0], width[-1]), ylim=(0.9, DEEPEST))
    deep.set(xlabel="hidden width $n$", ylabel="random factors $L - 1$")
    deep.set_title("(d) depth at which the kernel's spread is 10% (or 100%)")
    deep.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
