"""Figure 4: finitely many measurements slow the asymmetric model, by a Wishart factor."""

from __future__ import annotations

import dataclasses
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
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Rates of each instance: measured, of the tangent kernel, of the Wishart edge, of the population."""
    case = tl.get("matrix_sensing").case(preset, "measurements")
    simulated = results("matrix_sensing", case.name, preset, folder)
    rate, n, r = float(effective_rate(case.config)), case.config.dim, case.config.target_rank
    counts = case.grid["num_measurements"]
    edges, population = np.empty((2, len(counts), case.seeds))
    for i, count in enumerate(counts):
        for seed in range(case.seeds):
            start = drawn(jax.random.key(seed), dataclasses.replace(case.config, num_measurements=count))
            levels = np.asarray(asymmetric.slow_levels(start.left, start.right, r))
            edges[i, seed] = measurements.wishart_rate(levels, n, n, r, count, draws=50)[0]
            population[i, seed] = abs(levels[0])
    dims = ("num_measurements", "seed")
    return xarray.Dataset(
        {
            "rate": -np.expm1(simulated.error_slope) / rate,
            "tangent_rate_theory": -np.expm1(simulated.limit_slope) / rate,
            "wishart_rate_theory": (dims, edges),
            "population_rate_theory": (dims, population),
        },
        attrs={"dim": n},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw the rate against the number of measurements: measured, tangent kernel, Wishart edge, population."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    x = data.num_measurements / data.attrs["dim"]
    look = {
        "rate": {"marker": "o", "linestyle": "", "label": "simulation"},
        "tangent_rate_theory": {"marker": "+", "linestyle": "", "markersize": 9, "label": "tangent kernel"},
        "wishart_rate_theory": {"linewidth": 1.2, "label": "Wishart, from the initialisation"},
        "population_rate_theory": {"linestyle": ":", "linewidth": 1.2, "label": "population"},
    }
    for index in range(data.sizes["seed"]):
        for name, options in look.items():
            shown = options if index == 0 else {**options, "label": None}
            axes.plot(x, data[name].isel(seed=index), color=f"C{index}", **shown)
    axes.set(yscale="log", xlabel="$m/n$", ylabel=r"rate $\lambda$", title="colours: instances")
    axes.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
