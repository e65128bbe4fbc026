"""Figure 1: few points make up the kernel sum below h_G, and the best bandwidth lies there (Biroli and Mézard 2024)."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.statistics import limits
from theorylab.settings.statistics.nearest import unseen_share
from theorylab.settings.statistics.random_energy import exact_means
from theorylab.verdict.plotting import below, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Points of a curve, in h/h_G.
FINE = {"tiny": 12, "default": 70, "paper": 70}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Participation and Kullback-Leibler divergence against the bandwidth, for some dimensions."""
    setting = get("random_energy")
    cases = {case.config.dim: case for case in setting.sweeps[preset]}
    ratios = np.geomspace(0.33, 2.6, FINE[preset])
    critical = limits.condensation_bandwidth(0.3)
    variables = {}
    for dim, case in cases.items():
        run = results(setting, case.name, preset, folder)
        own = limits.condensation_bandwidth(case.config.load)
        at = {"ratio": np.round(run.bandwidth.values / own, 6)}
        measured = run.participation.rename(bandwidth="ratio").assign_coords(at)
        if case.config.sampler == "nearest":  # it measures participation where these hold half of the mean sum
            log_num = math.log(case.config.num_samples)
            seen = [unseen_share(dim, log_num, h) < 0.5 for h in run.bandwidth.values.tolist()]
            measured = measured.where(xarray.DataArray(seen, dims="ratio"))
        variables[f"participation_{dim}"] = measured.rename(seed=f"seed_{dim}")
        gap = np.log(run.bandwidth) - 0.5 - run.log_partition
        variables[f"divergence_{dim}"] = gap.rename(bandwidth="ratio", seed=f"seed_{dim}").assign_coords(at)
        configs = [dataclasses.replace(case.config, bandwidth=r * own, num_draws=1) for r in ratios.tolist()]
        exact = np.array([exact_means(config) for config in configs])
        variables[f"participation_theory_{dim}"] = ("fine", exact[:, 0])
        variables[f"divergence_theory_{dim}"] = ("fine", np.log(ratios * own) - 0.5 - exact[:, 1])
    return xarray.Dataset(
        variables,
        coords={"fine": ratios},
        attrs={
            "dims": list(cases),
            "condensation": critical,
            "optimal": limits.optimal_bandwidth(0.3),
        },
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw participation (a) and divergence per dimension (b) against h/h_G."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    dims = np.atleast_1d(data.attrs["dims"]).tolist()
    for dim, color in zip(dims, gradient(len(dims)), strict=True):
        left.plot(data.fine, data[f"participation_theory_{dim}"], color=color, label=f"$d = {dim}$")
        right.plot(data.fine, data[f"divergence_theory_{dim}"], color=color, label=f"$d = {dim}$")
        measured = data[f"participation_{dim}"].rename({f"seed_{dim}": "seed"})
        points(left, measured.ratio.values, measured, color=color)
        gap = data[f"divergence_{dim}"].rename({f"seed_{dim}": "seed"})
        points(right, gap.ratio.values, gap, color=color)
    condensed = np.linspace(0.3, 1, 100)
    left.plot([*condensed, 2.6], [*(1 - condensed**2), 0], "k--", linewidth=1.2, label=r"$d \to \infty$")
    optimal = data.attrs["optimal"] / data.attrs["condensation"]
    for axes in (left, right):
        axes.set(xscale="log", xlabel=r"bandwidth $h/h_G$", xlim=(0.32, 2.7))
        axes.set_xticks([0.4, 0.6, 1, 1.4, 2], ["0.4", "0.6", "1", r"$\sqrt{2}$", "2"])
        axes.xaxis.set_ticks([], minor=True)
        axes.axvline(1, color="grey", linewidth=0.6)
        axes.axvline(2**0.5, color="grey", linewidth=0.6, linestyle=":")
    key(left, seeds=data.sizes[f"seed_{dims[0]}"])
    below(left, right)
    right.axvline(optimal, color="black", linewidth=0.8, linestyle="--")
    right.set_ylim(0, 1.0)
    right.text(optimal * 0.985, 0.97, r"$h_\mathrm{opt}$", ha="right", va="top")
    right.text(1.015, 0.97, r"$h_G$", ha="left", va="top")
    right.text(2**0.5 * 1.015, 0.97, r"$h_\mathrm{CLT}$", ha="left", va="top")
    left.set_ylabel("participation $Y$")
    right.set_ylabel("Kullback-Leibler divergence per dimension")
    left.set_title(r"(a) $n = e^{0.3 d}$ points")
    right.set_title("(b) the best bandwidth is where few points count")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
