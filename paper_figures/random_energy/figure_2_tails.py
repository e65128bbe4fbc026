"""Figure 2: above h_CLT the kernel sum is normal, below it has heavy tails (Biroli and Mézard 2024)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.statistics import limits
from theorylab.settings.statistics.random_energy.predictions.finite import central_share
from theorylab.verdict.plotting import gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dimensions at which all points are drawn.
DIMS = (20, 40)
FINE = {"tiny": 6, "default": 40, "paper": 40}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Share of draws within the quartiles of the normal law, against the bandwidth."""
    setting = get("random_energy")
    cases = {case.config.dim: case for case in setting.sweeps[preset] if case.config.dim in DIMS}
    ratios = np.linspace(1.25, 2.6, FINE[preset])
    variables = {}
    for dim, case in cases.items():
        run = results(setting, case.name, preset, folder)
        own = limits.condensation_bandwidth(case.config.load)
        share = run.within_quartiles.rename(bandwidth="ratio", seed=f"seed_{dim}")
        variables[f"share_{dim}"] = share.assign_coords(ratio=np.round(run.bandwidth.values / own, 6))
        configs = [dataclasses.replace(case.config, bandwidth=r * own, num_draws=1) for r in ratios.tolist()]
        variables[f"theory_{dim}"] = ("fine", np.array([central_share(config) for config in configs]))
    return xarray.Dataset(variables, coords={"fine": ratios}, attrs={"dims": list(cases)})


def draw(data: xarray.Dataset) -> Figure:
    """Draw the share of draws within .6745 standard deviations of the mean against h/h_G."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, 3.9))
    dims = np.atleast_1d(data.attrs["dims"]).tolist()
    for dim, color in zip(dims, gradient(len(dims)), strict=True):
        axes.plot(data.fine, data[f"theory_{dim}"], color=color, label=f"$d = {dim}$")
        share = data[f"share_{dim}"].rename({f"seed_{dim}": "seed"})
        share = share.where(share.ratio > 0.85, drop=True)
        points(axes, share.ratio.values, share, color=color)
    axes.axhline(0.5, color="black", linestyle="--", linewidth=1.2, label="normal")
    for at, name in ((1, "$h_G$"), (2**0.5, r"$h_\mathrm{CLT}$")):
        axes.axvline(at, color="grey", linewidth=0.6)
        axes.text(at + 0.015, 1.03, name, ha="left", va="top")
    axes.set(xlabel=r"bandwidth $h/h_G$", ylim=(0.45, 1.04), xlim=(0.85, 2.65))
    axes.set_ylabel("share of draws within 0.6745 s.d. of the mean")
    axes.set_title(r"kernel sums of $n = e^{0.3 d}$ points")
    key(axes, seeds=data.sizes[f"seed_{dims[0]}"])
    axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
