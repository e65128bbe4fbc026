"""Figure 1: the landscape of one class, and its logit against its size at one, two and three layers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.factorisation.neural_collapse.config import counts_of
from theorylab.settings.factorisation.neural_collapse.theory import classes
from theorylab.verdict.plotting import COLOURS, below, gradient, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Sizes of the class in the landscape, which has two layers.
SHOWN = (2.0, 3.2, 4.18398, 6.0, 10.0)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Logits of all classes of every run by depth; branches and landscapes."""
    setting = get("neural_collapse")
    config, run = setting.case(preset, "sizes").config, results(setting, "sizes", preset, folder)
    counts = counts_of(config)
    fine, logits, total = np.geomspace(0.3, 30, 300), np.linspace(0, 1, 200), sum(counts)
    upper, lower, critical = [], [], []
    for depth in run.depth.values.tolist():
        product = config.weight_decay**depth
        cost = classes.class_cost(jnp.asarray(fine), depth, product, config.feature_decay)
        found = classes.branches(jnp.asarray(fine), total, cost, depth)
        exist = np.asarray(found.exist)
        upper.append(np.where(exist, found.minimum, np.nan))
        lower.append(np.where(exist & (depth > 1), found.saddle, np.nan))
        critical.append(float(classes.critical_count(float(total), depth, product, config.feature_decay)))
    sizes = jnp.asarray(SHOWN)[:, None]
    cost = classes.class_cost(sizes, 2, config.weight_decay**2, config.feature_decay)
    landscape = classes.class_loss(jnp.asarray(logits)[None], sizes, total, cost, 2)
    return xarray.Dataset(
        {
            "class_logit": run.class_logit,
            "upper_theory": (("depth", "size"), np.array(upper)),
            "lower_theory": (("depth", "size"), np.array(lower)),
            "critical_theory": ("depth", np.array(critical)),
            "landscape_theory": (("shown", "logit"), np.asarray(landscape / (sizes / (2 * total)))),
        },
        coords={"size": fine, "logit": logits, "shown": list(SHOWN), "count": ("class", list(counts))},
        attrs={"total": total},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw F(s) over F(0) at two layers (left), and logits against class sizes (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4))
    for size, color in zip(data.shown.values, gradient(len(data.shown)), strict=True):
        label = f"$n_k = {size:.3g}$" + (" $= n_*$" if abs(size - SHOWN[2]) < 1e-9 else "")
        left.plot(data.logit, data.landscape_theory.sel(shown=size), color=color, label=label)
    left.axhline(1, color="grey", linewidth=0.6)
    left.axvline(0.25, color="grey", linestyle=":", linewidth=0.9)
    left.set(xlabel="logit $s$", ylabel="$F(s)/F(0)$", ylim=(0.55, 1.75), title="(a) cost of one class, two layers")
    left.text(0.26, 1.66, "spinodal", fontsize=8.5)
    for depth, color in zip(data.depth.values, COLOURS, strict=False):
        here = data.sel(depth=depth)
        right.plot(data["size"], here.upper_theory, color=color, label=f"$M = {depth}$")
        right.plot(data["size"], here.lower_theory, "--", color=color, linewidth=1)
        right.axvline(float(here.critical_theory), color=color, linestyle=":", linewidth=0.9)
        for seed in range(data.sizes["seed"]):
            run = here.class_logit.isel(seed=seed)
            right.plot(data["count"], run, "o", color=color, markersize=3, alpha=0.35, markeredgewidth=0)
    right.plot([], [], "o", color="grey", markersize=3, label="runs of descent")
    right.plot([], [], "--", color="grey", linewidth=1, label="saddle")
    right.plot([], [], ":", color="grey", linewidth=0.9, label="$n_*$")
    right.set(xscale="log", xlabel=f"samples of the class $n_k$, of {data.attrs['total']}", ylabel="logit $s_k$")
    right.set_xticks([1, 3, 10, 25], ["1", "3", "10", "25"])
    right.set_title(f"(b) descent from {data.sizes['seed']} random starts")
    below(left, right)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
