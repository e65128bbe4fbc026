"""Figure 3: one rebalancing step removes the dependence on the initial scale."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate, spectrum
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw errors with and without the step, and the rate after it against its scale."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    case, data = cases(preset)["rebalanced"], results("rebalanced", preset, folder)
    plain = results("scales", preset, folder)
    s = np.array(spectrum(case.config))
    betas = np.array(case.grid["rebalance_scale"])
    best = betas[np.argmin(np.abs(betas**2 - s[-1]))]
    rate = effective_rate(case.config)
    for index, scale in enumerate(case.grid["init_scale"]):
        error = data.recovery_error.sel(init_scale=scale, rebalance_scale=best).isel(seed=0)
        left.plot(data.step, error, "o", color=f"C{index}", markersize=3.5, label=rf"rebalanced, $\alpha = {scale:g}$")
        if scale in plain.init_scale.values:
            left.plot(plain.step, plain.recovery_error.sel(init_scale=scale).isel(seed=0), "--", color=f"C{index}",
                      label=rf"plain, $\alpha = {scale:g}$ ($2\eta$)")  # fmt: skip
        measured = -np.expm1(data.error_slope.sel(init_scale=scale).isel(seed=0).values) / rate
        right.plot(betas**2, measured, "osD"[index], color=f"C{index}", label=rf"$\alpha = {scale:g}$",
                   fillstyle="none",
                   markersize=5 + 2 * index)  # fmt: skip
    t = np.linspace(0, 1500, 50)
    slope = math.log1p(-rate * float(asymmetric.rebalanced_rate(best, s)))
    left.plot(t, 1e-2 * np.exp(slope * t), color="black", linewidth=1, label=r"slope $\ln(1 - \eta s_r)$")
    left.set(yscale="log", ylim=(1e-14, 1), xlim=(0, 1500 if preset == "default" else 300), ylabel=r"$\|E\|_F$",
             xlabel="steps (since the rebalancing)", title=rf"$\beta^2 = s_r = {best**2:.1f}$")  # fmt: skip
    left.legend(loc="center right", bbox_to_anchor=(1.0, 0.32), fontsize=7.5)  # below the plain runs
    boosted = results("boosted", preset, folder)
    right.plot(betas**2, -np.expm1(boosted.error_slope.isel(seed=0).values) / rate, "x", color="C3", label="boost only")
    fine = np.linspace(0.05, 2.1, 300)
    right.plot(fine, [float(asymmetric.rebalanced_rate(math.sqrt(b), s)) for b in fine], color="black",
               label=r"$\min(\beta^2, s_r^2/\beta^2)$")  # fmt: skip
    right.plot(fine, [float(asymmetric.rebalanced_rate(math.sqrt(b), s, boost_only=True)) for b in fine], ":",
               color="C3", label="boost only, theory")  # fmt: skip
    right.set(xlabel=r"$\beta^2$", ylabel=r"rate $\lambda$", title="rate after the step")
    right.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
