"""Figure 4: finitely many measurements slow the asymmetric model, by a Wishart factor."""

from __future__ import annotations

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

SHOWN = ("model_rank", "init_scale", "num_steps")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Rates of each instance: measured, of the tangent kernel, of the Wishart edge, of the population."""
    case = tl.get("matrix_sensing").case(preset, "measurements")
    simulated = results("matrix_sensing", case.name, preset, folder)
    rate, n, r = float(effective_rate(case.config)), case.config.dim, case.config.target_rank
    counts = case.grid["num_measurements"]
    fine = np.geomspace(counts[0], counts[-1], 3 * len(counts) - 2).round().astype(int)
    edges, population = np.empty((len(fine), case.seeds)), np.empty(case.seeds)
    for seed in range(case.seeds):
        start = drawn(jax.random.key(seed), case.config)
        levels = np.asarray(asymmetric.slow_levels(start.left, start.right, r))
        population[seed] = abs(levels[0])
        edges[:, seed] = [measurements.wishart_rate(levels, n, n, r, count, draws=50)[0] for count in fine.tolist()]
    return xarray.Dataset(
        {
            "rate": -np.expm1(simulated.error_slope) / rate,
            "tangent_rate_theory": -np.expm1(simulated.limit_slope) / rate,
            "wishart_rate_theory": (("fine", "seed"), edges),
            "population_rate_theory": ("seed", population),
        },
        {"fine": fine},
        attrs={"dim": n, "target_rank": r} | {name: getattr(case.config, name) for name in SHOWN},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw the rate against the number of measurements: measured, tangent kernel, Wishart edge, population."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    n = data.attrs["dim"]
    x = data.num_measurements / n
    for index in range(data.sizes["seed"]):
        one, color, first = data.isel(seed=index), f"C{index}", index == 0
        axes.plot(x, one.rate, "o", color=color, label="simulation" if first else None)
        look = {"color": color, "markersize": 9, "label": "tangent kernel" if first else None}
        axes.plot(x, one.tangent_rate_theory, "+", **look)
        look = {"color": color, "linewidth": 1.2}
        label = "Wishart, from the initialisation" if first else None
        axes.plot(data.fine / n, one.wishart_rate_theory, label=label, **look)
        label = "population" if first else None
        axes.plot(x[[0, -1]], [one.population_rate_theory] * 2, linestyle=":", label=label, **look)
    axes.set(yscale="log", xlabel="$m/n$", ylabel=r"rate $\lambda$", ylim=(9e-3, None))
    axes.set_title(f"$n = {n}$, $r = {data.target_rank}$, $k = {data.model_rank}$, $\\alpha = {data.init_scale:g}$")
    told = f"{data.sizes['seed']} instances, one colour each;\nno point: not there in {data.num_steps:,} steps"
    axes.legend(title=told, title_fontsize=8.5)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
