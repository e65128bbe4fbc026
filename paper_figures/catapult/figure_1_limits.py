"""Figure 1: the largest stable step of every seed against its own kernel, and over widths."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.catapult import mean_field_limit
from theorylab.verdict.plotting import COLOURS, below, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {"ntk": "NTK", "standard": "standard", "mup": "muP"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Limits and their ratios by scaling, width and seed; limits of infinite width."""
    setting = get("catapult")
    runs = [results(setting, f"widths_{scaling}", preset, folder) for scaling in NAMES]
    kept = [run[["last_stable", "first_unstable", "limit_ratio", "switches"]] for run in runs]
    widths = np.geomspace(16, 4096, 60).astype(int)
    mup = dataclasses.replace(setting.case(preset, "widths_mup").config, width=10**6)
    limit = float(mean_field_limit.predict(jax.random.key(0), mup)["first_unstable"])
    lines = [
        [4 / linear_map.kernel_edge("spread", scaling, w) for w in widths.tolist()] for scaling in ("ntk", "standard")
    ]
    return xarray.concat(kept, xarray.Variable("scaling", list(NAMES)), join="exact").assign(
        limit_theory=(("scaling", "fine_width"), np.array([*lines, np.full(len(widths), limit)])), fine_width=widths
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw limits against 4/λ of their own kernels (left), and their means over widths (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4))
    colours = gradient(data.sizes["width"])
    for scaling, marker in (("ntk", "o"), ("standard", "s")):
        for width, color in zip(data.width.values, colours, strict=True):
            here = data.sel(scaling=scaling, width=width)
            label = f"$m = {width}$" if scaling == "ntk" else None
            left.plot(
                here.last_stable / here.limit_ratio, here.last_stable, marker, color=color, label=label, markersize=4
            )
    ends = np.array([1.2e-3, 1.6])
    left.plot(ends, ends, color="black", label=r"$4/\lambda_{\max}(K_0)$")
    left.plot(ends, ends / 2, ":", color="grey", label=r"$2/\lambda_{\max}(K_0)$, a quadratic's")
    left.set(
        xscale="log", yscale="log", xlabel=r"$4/\lambda_{\max}(K_0)$ of the same network", ylabel="largest stable step"
    )
    left.set_title("(a) each network, NTK and standard scaling")
    left.plot([], [], "s", color="grey", markersize=4, label="squares: standard scaling")
    for (scaling, name), color in zip(NAMES.items(), COLOURS, strict=False):
        here = data.sel(scaling=scaling)
        right.plot(data.fine_width, here.limit_theory, color=color, label=name)
        measured = here.first_unstable if scaling == "mup" else here.last_stable
        points(right, data.width.values, measured, color=color)
    right.set(xscale="log", yscale="log", xlabel="width $m$", ylabel="last stable step (muP: first unstable)")
    right.set_title("(b) against the width")
    key(right, seeds=data.sizes["seed"], of="networks", line="infinite width")
    below(left, right, columns=2)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
