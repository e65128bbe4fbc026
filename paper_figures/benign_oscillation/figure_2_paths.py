"""Figure 2: the weak feature grows while the residual oscillates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.step_size.oscillation import slow_manifold_share
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Residual and share of the weak feature along the steps, at some learning rates."""
    setting = get("benign_oscillation")
    config = setting.case(preset, "paths").config
    found = results(setting, "paths", preset, folder).isel(seed=0, drop=True)
    ratio = (config.weak_scale / config.strong_scale) ** 2
    ends = [float(slow_manifold_share(h, ratio)) if h > 0.5 else np.nan for h in found.learning_rate.values]
    return xarray.Dataset(
        {"residual": found.residual, "weak_shares": found.weak_shares, "end_theory": ("learning_rate", ends)},
        attrs={"weak_scale": config.weak_scale},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw shares of the weak feature (left) and the size of the residual (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    for rate, color in zip(data.learning_rate.values, COLOURS, strict=False):
        here = data.sel(learning_rate=rate).isel(step=slice(1, None))
        left.plot(here.step, here.weak_shares, ".-", color=color, linewidth=0.8)
        if np.isfinite(here.end_theory):
            left.axhline(float(here.end_theory), color=color, linestyle="--", linewidth=0.9)
        size = np.abs(here.residual)  # 1 less a number near 1: digits are lost below
        right.plot(
            here.step, size.where(size > 1e-8), ".-", color=color, linewidth=0.8, label=rf"$\eta S^2 = {rate:g}$"
        )
    left.plot([], [], "--", color="grey", linewidth=0.9, label="predicted end")
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="share of the weak feature, $s^2 b^2$")
    left.set_title(f"(a) the weak feature, $s/S = {data.attrs['weak_scale']:g}$")
    right.set(xscale="log", yscale="log", xlabel="step", ylabel="residual $|1 - f|$", ylim=(1e-8, 2))
    right.set_title("(b) the residual, at recorded steps")
    left.legend(loc="center left")
    right.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
