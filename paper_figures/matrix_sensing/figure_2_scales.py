"""Figure 2: a larger initialisation is faster, up to an optimum."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import drawn
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Errors of several initial scales with predicted slopes; rates of balanced starts with the closed form."""
    setting = tl.get("matrix_sensing")
    case, simulated = setting.case(preset, "scales"), results("matrix_sensing", "scales", preset, folder)
    s = np.array(spectrum(case.config))
    slopes = []
    for scale in case.grid["init_scale"]:
        start = drawn(jax.random.key(0), dataclasses.replace(case.config, init_scale=scale))
        rate = float(effective_rate(case.config)) * float(asymmetric.initial_rate(start.left, start.right, len(s)))
        slopes.append(math.log1p(-rate))
    curves = xarray.Dataset(
        {"error": simulated.recovery_error.isel(seed=0, drop=True), "slope_theory": ("init_scale", slopes)}
    )

    case, simulated = setting.case(preset, "balanced"), results("matrix_sensing", "balanced", preset, folder)
    fine, gamma = np.linspace(0.1, 1.6, 200), case.config.init_ratio
    rates = xarray.Dataset(
        {
            "rate": (-np.expm1(simulated.error_slope) / float(effective_rate(case.config))).rename(init_scale="scale"),
            "rate_theory": ("fine", asymmetric.balanced_rate(fine**2 * (1 - gamma**-2), s[-1])),
            "leading_order_theory": ("fine", asymmetric.crude_rate(fine, gamma)),
            "best_scale_theory": asymmetric.best_scale(float(s[-1]), gamma)[0],
        },
        {"fine": fine},
    )
    sizes = {"dim": case.config.dim, "target_rank": case.config.target_rank, "model_rank": case.config.model_rank}
    return xarray.merge([curves, rates], combine_attrs="drop").assign_attrs(sizes)


def draw(data: xarray.Dataset) -> Figure:
    """Draw errors of several initial scales with predicted slopes, and the rate of balanced starts against scale."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    steps = data.step.values
    for index, scale in enumerate(data.init_scale.values):
        error = data.error.sel(init_scale=scale).values
        left.plot(steps, error, "o", color=f"C{index}", markersize=3.5, label=rf"$\alpha = {scale:g}$")
        anchor = int(np.argmin(np.abs(np.log(error[1:]) - math.log(1e-5)))) + 1
        t0, e0 = float(steps[anchor]), float(error[anchor])
        t = np.linspace(0, 4 * t0, 50)
        slope = float(data.slope_theory.sel(init_scale=scale))
        left.plot(t, e0 * np.exp(slope * (t - t0)), color=f"C{index}", linewidth=1)
    last = min(20_000, int(steps[-1]))
    left.set(yscale="log", ylim=(1e-13, 3), xlim=(0, last), xlabel="step $t$", ylabel=r"error $\|E_t\|_F$")
    left.set_xticks(np.linspace(0, last, 5))
    left.set_title(f"$n = {data.dim}$, $r = {data.target_rank}$, $k = {data.model_rank}$, one instance")
    left.plot([], [], color="grey", linewidth=1, label="theory: slope, from the start")
    left.legend()

    right.plot(data.fine**2, data.rate_theory, color="black", label="closed form")
    right.plot(data.fine**2, data.leading_order_theory, ":", color="grey", label=r"$\alpha^2(1 - \gamma^{-2})$")
    measured = data.rate.transpose("scale", "seed").values
    right.plot(data.scale**2, measured[:, 0], "o", color="C1", markersize=4, label="simulation, first instance")
    right.plot(data.scale**2, measured[:, 1], "o", color="C1", markersize=8, fillstyle="none", label="second instance")
    best = float(data.best_scale_theory) ** 2
    right.axvline(best, color="grey", linewidth=0.8, label=rf"best: $\alpha_*^2 = {best:.2f}$")
    right.set(ylim=(0, 0.5), xlabel=r"$\alpha^2$", ylabel=r"rate $\lambda$", title="orthonormal start")
    letter(left, right)
    right.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
