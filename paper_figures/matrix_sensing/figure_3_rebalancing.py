"""Figure 3: one rebalancing step removes the dependence on the initial scale."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Errors with the step of the best scale and without it, rates after it, and the closed forms of both variants."""
    case = tl.get("matrix_sensing").case(preset, "rebalanced, scales")
    simulated = results("matrix_sensing", case.name, preset, folder).isel(seed=0, drop=True)
    boosted = results("matrix_sensing", "boosted, scales", preset, folder).isel(seed=0, drop=True)
    plain = results("matrix_sensing", "scales", preset, folder).isel(seed=0, drop=True)
    s, rate = np.array(spectrum(case.config)), float(effective_rate(case.config))
    betas = np.array(case.grid["rebalance_scale"])
    best = betas[np.argmin(np.abs(betas**2 - s[-1]))]
    fine = np.linspace(0.05, 2.1, 300)
    both, boost = ([float(asymmetric.rebalanced_rate(math.sqrt(b), s, boost_only=only)) for b in fine]
                   for only in (False, True))  # fmt: skip
    return xarray.Dataset(
        {
            "error": simulated.recovery_error.sel(rebalance_scale=best, drop=True),
            "slope_theory": math.log1p(-rate * float(asymmetric.rebalanced_rate(best, s))),
            "plain_error": plain.recovery_error.rename(init_scale="plain_scale", step="plain_step"),
            "rate": -np.expm1(simulated.error_slope) / rate,
            "boosted_rate": -np.expm1(boosted.error_slope) / rate,
            "rate_theory": ("beta_squared", both),
            "boosted_rate_theory": ("beta_squared", boost),
        },
        {"beta_squared": fine},
        {"best_scale": float(best)},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw errors with and without the step, and the rate after it against its scale."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    betas = data.rebalance_scale.values
    for index, scale in enumerate(data.init_scale.values):
        error = data.error.sel(init_scale=scale)
        left.plot(data.step, error, "o", color=f"C{index}", markersize=3.5, label=rf"rebalanced, $\alpha = {scale:g}$")
        if scale in data.plain_scale.values:
            left.plot(data.plain_step, data.plain_error.sel(plain_scale=scale), "o", color=f"C{index}", markersize=3.5,
                      fillstyle="none", label=rf"plain, $\alpha = {scale:g}$ ($2\eta$)")  # fmt: skip
        right.plot(betas**2, data.rate.sel(init_scale=scale), "osD"[index], color=f"C{index}",
                   label=rf"$\alpha = {scale:g}$", fillstyle="none", markersize=5 + 2 * index)  # fmt: skip
    t = np.linspace(0, 1500, 50)
    line = 1e-2 * np.exp(float(data.slope_theory) * t)
    left.plot(t, line, color="black", linewidth=1, label=r"theory: slope $\ln(1 - \eta s_r)$")
    left.set(yscale="log", ylim=(1e-14, 1), xlim=(0, min(1500, data.step.values[-1])), ylabel=r"$\|E\|_F$",
             xlabel="steps (since the rebalancing)",
             title=rf"$\beta^2 = s_r = {data.attrs['best_scale'] ** 2:.1f}$, one instance")  # fmt: skip
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.32), fontsize=7.5)  # below the plain runs
    right.plot(betas**2, data.boosted_rate, "x", color="C3", label="boost only")
    right.plot(data.beta_squared, data.rate_theory, color="black", label=r"$\min(\beta^2, s_r^2/\beta^2)$")
    right.plot(data.beta_squared, data.boosted_rate_theory, ":", color="C3", label="boost only, theory")
    right.set(xlabel=r"$\beta^2$", ylabel=r"rate $\lambda$", title="rate after the step")
    letter(left, right)
    right.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
