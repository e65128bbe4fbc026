"""Figure 1: recall of a noisy point sharpens with log n, not with the dimension (Biroli et al. 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.statistics.memorisation import critical_snr, exact_means
from theorylab.verdict.plotting import gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Points of a curve.
FINE = {"tiny": 5, "default": 36, "paper": 36}
#: The data set of the right panel.
FIXED = 256


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Planted weight and separation against snr, for some sizes."""
    setting = get("memorisation")
    ratios = np.linspace(0.15, 2.1, FINE[preset])
    variables = {}
    for case in setting.sweeps[preset]:
        config, name = case.config, case.name
        critical = critical_snr(config.num_samples, config.dim)
        run = results(setting, name, preset, folder)
        at = np.round(run.snr.values / critical, 6)
        for observable in ("planted_weight", "separation"):
            values = run[observable].rename(snr="ratio").assign_coords(ratio=at)
            variables[f"{observable}_{name}"] = values
        exact = [exact_means(config.num_samples, config.dim, r * critical) for r in ratios.tolist()]
        variables[f"planted_weight_theory_{name}"] = ("fine", np.array([e.planted_weight for e in exact]))
        variables[f"separation_theory_{name}"] = ("fine", np.array([e.separation for e in exact]))
    return xarray.Dataset(variables, coords={"fine": ratios})


def draw(data: xarray.Dataset) -> Figure:
    """Draw the planted weight at a fixed load (a), and the separation for a fixed number of points (b)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    names = [
        str(name).removeprefix("separation_theory_") for name in data if str(name).startswith("separation_theory_")
    ]
    sizes = {name: (int(name.split("_")[1]), int(name.split("_")[3])) for name in names}
    panels = (
        (left, "planted_weight", [name for name in names if sizes[name][1] != FIXED]),
        (right, "separation", [name for name in names if sizes[name][1] == FIXED]),
    )
    for axes, observable, chosen in panels:
        for name, color in zip(chosen, gradient(len(chosen)), strict=True):
            dim, num = sizes[name]
            label = f"$d = {dim}$" + (f", $n = {num}$" if axes is left else "")
            axes.plot(data.fine, data[f"{observable}_theory_{name}"], color=color, label=label)
            points(axes, data.ratio.values, data[f"{observable}_{name}"], color=color)
        axes.axvline(1, color="grey", linewidth=0.6)
        axes.set(xlabel=r"signal over noise, snr/snr$_c$", ylim=(-0.02, 1.04), xlim=(0.1, 2.15))
    left.plot([0.1, 1, 1, 2.15], [0, 0, 1, 1], "k--", linewidth=1.2, label=r"$\log n \to \infty$")
    left.set_ylabel("posterior weight of the true point, $w_1$")
    right.set_ylabel(r"separation, $|m|^2/d$")
    left.set_title(r"(a) fixed load, $n = e^{0.208 d}$: sharpens")
    right.set_title(f"(b) fixed $n = {FIXED}$: the width does not shrink")
    key(left, seeds=data.sizes["seed"])
    for axes in (left, right):
        axes.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
