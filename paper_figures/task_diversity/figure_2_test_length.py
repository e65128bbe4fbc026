"""Figure 2: a layer fitted at one context length, tried with shorter and longer contexts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.task_diversity import pretraining_errors
from theorylab.verdict.plotting import COLOURS, key, letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"fresh_task_error": "fresh tasks", "pool_error": "tasks of the pool"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Both errors against the test length, measured, to first order in 1/d, and in the limit of large d."""
    setting = get("task_diversity")
    config, runs = setting.case(preset, "lengths").config, results(setting, "lengths", preset, folder)
    theory, d, n = setting.theory("pool_regression"), config.dim, config.context_length
    taus, lengths = runs.prompt_ratio.values, runs.test_length.values
    fine = np.unique(np.geomspace(lengths.min(), lengths.max(), 40).round().astype(int))
    found = np.empty((4, len(taus), len(fine)))
    for row, tau in enumerate(taus.tolist()):
        for column, m in enumerate(fine.tolist()):
            there = dataclasses.replace(config, prompt_ratio=tau, test_length=m)
            first = theory.predict(jax.random.key(0), there)
            limit = pretraining_errors(n / d, config.num_tasks / d, tau, config.noise_variance, m / d)
            found[:, row, column] = [*(float(first[name]) for name in TITLES), *map(float, limit)]
    names = [f"{name}_{kind}" for kind in ("finite", "limit") for name in TITLES]
    curves = {name: (("prompt_ratio", "fine"), values) for name, values in zip(names, found, strict=True)}
    return xarray.Dataset(
        {name: runs[name] for name in TITLES} | curves,
        coords={"fine": fine},
        attrs={"dim": d, "trained_at": n, "num_tasks": config.num_tasks, "noise_variance": config.noise_variance},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw the error on fresh tasks (left) and on the pool (right) against the test length."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.2), sharey=True)
    lengths = data.test_length.values
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        for tau, color in zip(data.prompt_ratio.values, COLOURS, strict=False):
            here = data.sel(prompt_ratio=tau)
            axes.plot(data.fine, here[f"{name}_finite"], color=color, label=rf"$\tau$ = {tau:g}")
            axes.plot(data.fine, here[f"{name}_limit"], ":", color=color, linewidth=1)
            points(axes, lengths, here[name], color=color)
        axes.axvline(data.attrs["trained_at"], color="grey", linewidth=0.6)
        axes.set(xscale="log", yscale="log", xlabel="context tokens at test $m$", title=title)
        axes.set_xticks(lengths, [str(m) for m in lengths])
        axes.set_yticks([0.4, 0.6, 1, 2, 4], ["0.4", "0.6", "1", "2", "4"])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([], minor=True)
    panels[0].set_ylabel("error (noisy target)")
    dim, count, noise = (data.attrs[name] for name in ("dim", "num_tasks", "noise_variance"))
    panels[0].plot([], [], ":", color="grey", linewidth=1, label=r"theory, $d \to \infty$")
    key(panels[0], seeds=data.sizes["seed"], line=f"theory, $d = {dim}$", what=f"simulation, $d = {dim}$,")
    panels[0].legend()
    figure.suptitle(
        rf"trained at $n = {data.attrs['trained_at']}$ (grey), $K = {count}$ tasks, $\sigma^2 = {noise:g}$", fontsize=10
    )
    letter(*panels)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
