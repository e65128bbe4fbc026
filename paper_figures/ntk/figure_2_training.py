"""Figure 2: training at steps below and above 2/λ, and the mean loss of narrow networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.kernels.ntk import limit
from theorylab.settings.kernels.ntk.data import data_of
from theorylab.settings.kernels.ntk.predictions import means
from theorylab.settings.kernels.ntk.theory import dynamics
from theorylab.verdict.plotting import COLOURS, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Losses of networks and of linearisations at two steps; excess of narrow ones over the limit."""
    setting, variables = get("ntk"), {}
    case = setting.case(preset, "curves")
    config, found = case.config, results(setting, "curves", preset, folder)
    variables["loss"], variables["linear_loss"] = found["loss"], found["linear_loss"]
    x, unit = data_of(config)
    theta = jnp.asarray(limit.moments(config.activation, x).kernel)
    fine = np.unique(np.round(np.geomspace(1, config.num_steps, 80)).astype(int))
    rates = found.learning_rate.values.tolist()
    curves = [
        dynamics.trajectory(theta, jnp.asarray(config.label_scale * unit), rate, jnp.asarray(fine)).loss
        for rate in rates
    ]
    variables["limit_loss"] = (("learning_rate", "fine"), np.array(curves))

    narrow = setting.case(preset, "narrow")
    law = means(narrow.config)
    variables["correction"] = ("narrow_step", law.loss_slope / law.loss)
    for width in narrow.grid.get("width", (narrow.config.width,)):
        some = results(setting, "narrow", preset, folder)
        some = some.sel(width=width) if "width" in some.dims else some
        ratio = some["linear_loss"].drop_vars("step") / law.loss[some.step.values - 1]
        variables[f"excess_{width}"] = (
            (width * (ratio - 1)).drop_vars("width", errors="ignore").rename(step="narrow_at", seed="narrow_seed")
        )
    variables["narrow_steps"] = ("narrow_at", some.step.values)
    return xarray.Dataset(
        variables,
        coords={"fine": fine, "narrow_step": np.arange(1, narrow.config.num_steps + 1)},
        attrs={
            "width": config.width,
            "widths": list(narrow.grid.get("width", (narrow.config.width,))),
            "top": float(np.linalg.eigvalsh(np.asarray(theta)[: len(unit), : len(unit)])[-1]),
        },
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw losses against steps (a) and the excess of the mean loss, times the width (b)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4))
    for rate, color in zip(data.learning_rate.values, COLOURS, strict=False):
        here = data.sel(learning_rate=rate)
        left.plot(data.fine, here.limit_loss, color=color)
        label = rf"$\eta = {rate:g}$, $\eta\lambda = {rate * data.attrs['top']:.2f}$"
        points(left, data.step.values, here.loss, color=color, label=label)
        left.plot(data.step, here.linear_loss.median("seed"), "x", color=color, markersize=4)
    key(left, seeds=data.sizes["seed"], of="networks", line="infinite width")
    left.plot([], [], "x", color="grey", markersize=4, label="own linearisation (median)")
    left.set(xscale="log", yscale="log", xlabel="step $t$", ylabel="loss $L_t$", ylim=(1e-6, 1e7))
    left.set_title(f"(a) ReLU, $m = {data.attrs['width']}$")

    widths = [int(width) for width in np.atleast_1d(data.attrs["widths"])]
    right.plot(data.narrow_step, data.correction, color="black", label="order $1/m$")
    for width, color in zip(widths, gradient(len(widths)), strict=True):
        excess = data[f"excess_{width}"].rename(narrow_seed="seed")
        points(right, data.narrow_steps.values, excess, color=color, label=f"$m = {width}$")
    key(right, seeds=data.sizes["narrow_seed"], of="networks", line="")
    right.axhline(0, color="grey", linewidth=0.6)
    right.set(xlabel="step $t$", ylabel=r"$m\,(\mathrm{E}\,L_t/L_t^\infty - 1)$")
    right.set_title("(b) linearised networks: excess of the mean loss")
    for axes in (left, right):
        axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
