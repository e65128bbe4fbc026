"""Figure 5: where benign overfitting ends; flipped labels are no longer memorised when clusters pull too strongly."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.xor.config import cluster_coupling
from theorylab.verdict.plotting import key, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("flipped_accuracy", "train_accuracy", "test_accuracy")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Final accuracies at every coupling, those of the simulation and of the cell model."""
    setting = tl.get("xor")
    case = setting.case(preset, "flips")
    # Couplings beyond the theory's range are swept on purpose.
    found = results("xor", case.name, preset, folder, ignore="cluster_coupling")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="cluster_coupling")
        model = tl.predict(setting, case.config, case.grid, seeds=case.seeds, theory="cell_model", observables=NAMES)
    coupling = [float(cluster_coupling(dataclasses.replace(case.config, mean_norm=x))) for x in case.grid["mean_norm"]]
    last = {name: found[name].isel(step=-1, drop=True) for name in NAMES}
    last |= {f"{name}_theory": model[name].isel(step=-1, drop=True) for name in NAMES}
    return xarray.Dataset(
        last, {"cluster_coupling": ("mean_norm", coupling)}, attrs={"num_steps": case.config.num_steps}
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw final accuracies on flipped labels, all training labels and clean test labels against λ = n|μ|²/p."""
    import matplotlib.pyplot as plt

    coupling = data.cluster_coupling.values
    figure, axes = plt.subplots(figsize=(5.4, 3.9))
    for name, color, label in zip(
        NAMES, ("C1", "C0", "C2"), ("flipped labels", "all training labels", "test (clean)"), strict=True
    ):
        points(axes, coupling, data[name], color=color, label=label)
        axes.plot(coupling, data[f"{name}_theory"].mean("seed"), color=color)
    axes.set(
        xlabel="$\\lambda = n|\\mu|^2/p$", ylabel=f"accuracy after {data.num_steps} steps", xscale="log",
        ylim=(0, 1.03),
    )  # fmt: skip
    ticks = [tick for tick in (2, 4, 8, 16, 24) if np.isclose(coupling, tick).any()]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    key(axes, seeds=data.sizes["seed"], of="runs", line="cell model")
    axes.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
