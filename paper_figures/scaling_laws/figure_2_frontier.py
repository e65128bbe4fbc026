"""Figure 2: local slopes of the compute-optimal frontier, and the phase diagram."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from paper_figures.scaling_laws.figure_1_compute import PHASES, contour_losses
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.scaling_laws.theory import power_laws
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Features, widths and steps of the theory.
SIZES: dict[str, tuple[int, tuple[float, ...], int]] = {
    "tiny": (500, (8.0, 16.0, 32.0, 64.0), 2000),
    "default": (6000, (16.0, 32.0, 64.0, 128.0, 256.0, 512.0), 20_000),
    "paper": (20_000, (16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0), 100_000),
}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Slopes between successive switches of width, from the contour; nothing is simulated."""
    setting = get("scaling_laws")
    features, widths, steps = SIZES[preset]
    variables: dict[str, Any] = {}
    attrs: dict[str, float] = {}
    for name in PHASES:
        config = dataclasses.replace(
            setting.case(preset, f"phase {name}").config, num_features=features, num_steps=steps
        )
        losses = np.array([contour_losses(config, int(width)) for width in widths])
        edge = power_laws.frontier(losses, np.array(widths))
        a, b = config.spectrum_exponent, config.target_exponent
        law = power_laws.phase(a, b)
        middle = np.sqrt(edge.compute[1:] * edge.compute[:-1])
        variables |= {
            f"compute_{name}": ("slope", middle),
            f"loss_slope_{name}": ("slope", -edge.loss_slopes),
            f"width_slope_{name}": ("slope", edge.width_slopes),
        }
        attrs |= {f"a_{name}": a, f"b_{name}": b, f"loss_{name}": law.loss, f"width_{name}": law.width}
    return xarray.Dataset(variables, attrs=attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw slopes of the loss, of the width, and the phases."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 4.0))
    for name, color in zip(PHASES, COLOURS, strict=False):
        a, b = data.attrs[f"a_{name}"], data.attrs[f"b_{name}"]
        for axes, kind in ((left, "loss"), (middle, "width")):
            label = f"{name}: $a = {a:g}$, $b = {b:g}$"
            axes.plot(data[f"compute_{name}"], data[f"{kind}_slope_{name}"], "s-", color=color, label=label)
            axes.axhline(data.attrs[f"{kind}_{name}"], color=color, linestyle=":", linewidth=1.2)
    left.set(xscale="log", xlabel="compute $C$", ylabel=r"$-\mathrm{d}\log L/\mathrm{d}\log C$", ylim=(0.2, 0.8))
    middle.set(xscale="log", xlabel="compute $C$", ylabel=r"$\mathrm{d}\log M/\mathrm{d}\log C$", ylim=(0.35, 0.7))
    left.set_title("(a) the loss on the frontier")
    middle.set_title("(b) the best width")
    middle.plot([], [], ":", color="grey", linewidth=1.2, label=r"$C \to \infty$")
    middle.legend(loc="upper right")

    a = np.linspace(1, 3, 101)
    regions = ((np.full_like(a, 1.0), a + 1), (a + 1, 2 * a), (2 * a, np.full_like(a, 6.0)))
    for name, color, (low, high) in zip(PHASES, COLOURS, regions, strict=False):
        right.fill_between(a, low, high, color=color, alpha=0.2, linewidth=0)
        right.plot(data.attrs[f"a_{name}"], data.attrs[f"b_{name}"], "s", color=color)
    right.plot(a, a + 1, color="black", linewidth=1)
    right.plot(a, 2 * a, color="black", linewidth=1)
    words = (
        (2.2, 1.9, "I: own modes meet the floor\n" + r"$L \sim C^{-(b-1)/(a+1)}$"),
        (2.66, 4.3, "II: own modes\nmeet the mixing\n" + r"$L \sim C^{-(b-1)/b}$"),
        (1.5, 5.0, "III: SGD's noise meets\nthe mixing\n" + r"$L \sim C^{-1+1/(2a)}$"),
    )
    for x, y, text in words:
        right.text(x, y, text, ha="center", va="center", fontsize=8.5)
    right.set(xlabel="exponent $a$ of the features", ylabel="exponent $b$ of the target", xlim=(1, 3), ylim=(1, 6))
    right.set_title("(c) phases")
    right.grid(False)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
