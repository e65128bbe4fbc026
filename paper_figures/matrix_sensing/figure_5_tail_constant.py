"""Figure 5: with finitely many measurements the symmetric model keeps its 1/t law, with a larger constant."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import drawn
from theorylab.settings.factorisation.matrix_sensing.theory import measurements, symmetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """C(t) = 2 rate (t + mean 1/(2 rate ζ²)) |E| / sqrt(k − r) of each instance, and its early value in theory."""
    case = tl.get("matrix_sensing").case(preset, "measured tail")
    simulated = results("matrix_sensing", case.name, preset, folder)
    rate, counts = float(effective_rate(case.config)), case.grid["num_measurements"]
    n, r, k = case.config.dim, case.config.target_rank, case.config.model_rank
    offsets = np.empty((len(counts), case.seeds))
    for i, count in enumerate(counts):
        for seed in range(case.seeds):
            start = drawn(jax.random.key(seed), dataclasses.replace(case.config, num_measurements=count))
            offsets[i, seed] = np.mean(1 / (2 * rate * symmetric.tail_scales(start.left, r) ** 2))
    offset = xarray.DataArray(offsets, dims=("num_measurements", "seed"))
    constant = 2 * rate * (simulated.step + offset) * simulated.recovery_error / math.sqrt(k - r)
    early = [measurements.early_tail_constant(n, r, count) for count in counts]
    return xarray.Dataset(
        {"constant": constant, "constant_theory": ("num_measurements", early)},
        attrs={"dim": n, "target_rank": r, "model_rank": k, "init_scale": case.config.init_scale},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw the constant of the tail against the step, for several numbers of measurements."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    late = data.sel(step=slice(min(500, data.step.values[-1] // 3), None))
    for index, count in enumerate(data.num_measurements.values):
        for seed, fill in zip(range(data.sizes["seed"]), ("full", "none"), strict=False):
            label = f"$m = {count}$" if seed == 0 else None
            constant = late.constant.sel(num_measurements=count).isel(seed=seed)
            axes.plot(late.step, constant, "o", color=f"C{index}", fillstyle=fill, label=label)
        early = float(data.constant_theory.sel(num_measurements=count))
        axes.axhline(early, color=f"C{index}", linewidth=0.8, linestyle=":")
    axes.axhline(1, color="black", linewidth=1, label="population, exact")
    axes.plot([], [], ":", color="grey", linewidth=0.8, label="early value, leading order")
    axes.plot([], [], "o", color="grey", fillstyle="none", label="second instance")
    axes.set(xscale="log", ylim=(0.9, None), xlabel="step $t$", ylabel="constant of the tail, $C(t)$")
    text = rf"$n = {data.dim}$, $r = {data.target_rank}$, $k = {data.model_rank}$, $\alpha = {data.init_scale:g}$"
    axes.set_title(text)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.6), ncols=2)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
