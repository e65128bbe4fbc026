"""Figure 2: the loss against the step in three scalings, at several widths."""

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
from theorylab.settings.factorisation.linear_networks.config import Config, problem
from theorylab.verdict.plotting import gradient, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"ntk": "(a) NTK scaling", "standard": "(b) standard scaling", "mup": "(c) muP"}


def kernel_loss(config: Config, rates: np.ndarray) -> np.ndarray:
    """Median loss at infinite width in NTK scaling: the kernel stays, initial outputs have unit variance."""
    task = problem(config)
    variances = np.asarray(task.variances)
    outputs = np.random.default_rng(0).standard_normal((4000, len(variances)))
    power = (outputs - np.asarray(task.target)) ** 2
    factors = (1 - 2 * rates[:, None] * variances) ** (2 * config.num_steps)
    loss = np.median(factors @ (variances * power).T / 2, axis=1)
    return np.where(rates < 1 / variances.max(), np.maximum(loss, 1e-8 * np.median(power @ variances) / 2), np.nan)


def mean_field_loss(config: Config, rates: np.ndarray) -> np.ndarray:
    """Loss of the infinitely wide network in muP: the map of P/m from its mean."""
    task = problem(config)

    def run(rate: jax.Array) -> jax.Array:
        gram = linear_map.mean_gram(task, config.width)
        last = jax.lax.fori_loop(0, config.num_steps, lambda _, gram: linear_map.gram_step(gram, task, rate), gram)
        return linear_map.loss_of(last, task)

    loss = np.array(jax.jit(jax.vmap(run))(jnp.asarray(rates)))
    first = float(linear_map.loss_of(linear_map.mean_gram(task, config.width), task))
    return np.where(loss < 10 * first, np.maximum(loss, 1e-8 * first), np.nan)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Last losses by scaling, width and step; curves of infinite width."""
    setting = get("linear_networks")
    runs = [results(setting, f"transfer_{scaling}", preset, folder).loss.isel(step=-1, drop=True) for scaling in TITLES]
    config = setting.case(preset, "transfer_ntk").config
    rates = np.geomspace(0.01, 0.75, 150)
    wide = dataclasses.replace(config, width=10**9, scaling="mup")
    return xarray.Dataset(
        {
            "loss": xarray.concat(runs, xarray.Variable("scaling", list(TITLES)), join="exact"),
            "ntk_theory": ("fine_rate", kernel_loss(config, rates)),
            "mup_theory": ("fine_rate", mean_field_loss(wide, rates)),
        },
        coords={"fine_rate": rates},
        attrs={"num_steps": config.num_steps},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw one panel for each scaling."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(11, 3.7), sharey=True)
    colours = gradient(data.sizes["width"])
    for axes, (scaling, title) in zip(panels, TITLES.items(), strict=True):
        for width, color in zip(data.width.values, colours, strict=True):
            loss = data.loss.sel(scaling=scaling, width=width).fillna(np.inf).transpose("learning_rate", "seed")
            low, middle, high = np.quantile(np.sort(loss, axis=1), (0.25, 0.5, 0.75), axis=1, method="nearest")
            kept = high < 20
            label = f"$m = {width}$" if width < 10**5 else rf"$m = 10^{{{round(np.log10(width))}}}$"
            bars = np.stack([middle[kept] - low[kept], high[kept] - middle[kept]])
            style = "o-" if scaling == "standard" else "o"
            look = {"fmt": style, "color": color, "markersize": 3, "linewidth": 0.8, "label": label}
            axes.errorbar(data.learning_rate.values[kept], middle[kept], yerr=bars, **look)
        if f"{scaling}_theory" in data:
            axes.plot(data.fine_rate, data[f"{scaling}_theory"], color="black", label="infinite width")
        axes.set(xscale="log", yscale="log", xlabel=r"step $\eta$", title=title, xlim=(9e-3, 1.0))
    panels[0].set(ylabel=f"loss after {data.attrs['num_steps']} steps")
    bars = f"median and quartiles of {data.sizes['seed']} networks"
    panels[0].errorbar([], [], [], fmt="o", color="grey", markersize=3, linewidth=0.8, label=bars)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
