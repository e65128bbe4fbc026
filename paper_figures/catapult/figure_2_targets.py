"""Figure 2: which steps are stable in muP, where the target decides: for large targets they are no interval."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.catapult import problem, rates, stable_rates
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Target scales and steps of the maps: the whole, and a part of it.
VIEWS = {"whole": ((0.1, 1.25), (0.25, 0.8)), "part": ((0.9, 1.1), (0.32, 0.4))}
#: Target scales, and steps, of a map.
GRID = {"tiny": (12, 40), "default": (140, 240), "paper": (400, 600)}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Stability of every step at infinite width, by the map of P/m; first and last limits of networks."""
    case = get("catapult").case(preset, "targets")
    count, tried = GRID[preset]
    base = dataclasses.replace(case.config, num_rates=tried)

    @jax.jit
    def stability(targets: jax.Array, low: float, high: float) -> jax.Array:
        def column(target: jax.Array) -> jax.Array:
            config = dataclasses.replace(base, target_scale=target, lowest_rate=low, highest_rate=high)
            return stable_rates(linear_map.mean_gram(problem(config), config.width), config)

        return jax.vmap(column)(targets)

    variables = {}
    for view, (scales, steps) in VIEWS.items():
        targets = np.linspace(*scales, count)
        variables[f"target_{view}"] = (f"target_{view}", targets)
        config = dataclasses.replace(base, lowest_rate=steps[0], highest_rate=steps[1])
        variables[f"rate_{view}"] = (f"rate_{view}", np.asarray(rates(config)))
        stable = np.asarray(stability(jnp.asarray(targets), *steps))
        variables[f"stable_{view}"] = ((f"target_{view}", f"rate_{view}"), stable.astype(float))
    measured = results("catapult", case.name, preset, folder)[["first_unstable", "last_stable", "switches"]]
    edge = 4 / linear_map.kernel_edge(case.config.problem, case.config.scaling, case.config.width)
    return measured.assign(variables).assign_attrs(edge=edge, width=case.config.width)


def draw(data: xarray.Dataset) -> Figure:
    """Draw stable steps over target scales: all of them (left), and enlarged (right)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10.4, 4.4))
    for axes, view in zip(panels, VIEWS, strict=True):
        axes.pcolormesh(
            data[f"target_{view}"], data[f"rate_{view}"], data[f"stable_{view}"].T, cmap="Greys_r", vmin=-1.2, vmax=1,
            rasterized=True,
        )  # fmt: skip
        axes.grid(visible=False)
        (left, right), (low, high) = VIEWS[view]
        axes.set(xlim=(left, right), ylim=(low, high), xlabel="scale of the target $s$", ylabel=r"step $\eta$")
        for name, marker, color, side in (("first_unstable", "o", COLOURS[0], 9), ("last_stable", "s", COLOURS[1], 5)):
            points(
                axes, data.target_scale.values, data[name], color=color, fmt=marker, label=name.replace("_", " "),
                markerfacecolor="white", markersize=side,
            )  # fmt: skip
    whole, part = panels
    whole.axhline(data.attrs["edge"], color="black", linestyle="--", linewidth=1, label=r"$4/\lambda_{\max}(K_0)$")
    (left, right), (low, high) = VIEWS["part"]
    whole.plot([left, right, right, left, left], [low, low, high, high, low], color="black", linewidth=0.8)
    whole.set_title(f"(a) muP, $m = 10^{{{round(np.log10(data.attrs['width']))}}}$")
    part.set_title("(b) the same, enlarged")
    whole.fill([], [], color="darkgrey", label="unstable at infinite width")
    whole.legend(loc="lower left", frameon=True)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
