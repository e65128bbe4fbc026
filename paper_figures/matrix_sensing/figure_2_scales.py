"""Figure 2: a larger initialisation is faster, up to an optimum."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, instance, results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate, spectrum
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw errors of several initial scales with predicted slopes, and the slope of balanced starts against scale."""
    import dataclasses

    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    case, data = cases(preset)["scales"], results("scales", preset, folder)
    s = np.array(spectrum(case.config))
    for index, scale in enumerate(case.grid["init_scale"]):
        error = data.recovery_error.sel(init_scale=scale).isel(seed=0)
        left.plot(data.step, error, "o", color=f"C{index}", markersize=3.5, label=rf"$\alpha = {scale:g}$")
        start = instance(dataclasses.replace(case.config, init_scale=scale), 0)
        rate = effective_rate(case.config) * asymmetric.initial_rate(start.left, start.right, len(s))
        anchor = int(np.argmin(np.abs(np.log(error.values[1:]) - math.log(1e-5)))) + 1
        t0, e0 = float(data.step[anchor]), float(error[anchor])
        t = np.linspace(0, 3 * t0, 50)
        left.plot(t, e0 * np.exp(math.log1p(-rate) * (t - t0)), color=f"C{index}", linewidth=1)
    left.set(yscale="log", ylim=(1e-13, 3), xlim=(0, 20_000 if preset == "default" else 300), xlabel="step $t$",
             ylabel=r"$\|E_t\|_F$", title="lines: slopes from the initialisation")  # fmt: skip
    left.legend()

    case, data = cases(preset)["balanced"], results("balanced", preset, folder)
    ratio = 1 - case.config.init_ratio**-2
    rate = effective_rate(case.config)
    fine = np.linspace(0.1, 1.6, 200)
    right.plot(fine**2, asymmetric.balanced_rate(fine**2 * ratio, s[-1]), color="black", label="closed form")
    crude = asymmetric.crude_rate(fine, case.config.init_ratio)
    right.plot(fine**2, crude, ":", color="grey", label=r"$\alpha^2(1 - \gamma^{-2})$")
    measured = -np.expm1(data.error_slope.values) / rate
    right.plot(data.init_scale**2, measured[:, 0], "o", color="C1", label="simulation")
    right.plot(data.init_scale**2, measured[:, 1], "o", color="C1", markerfacecolor="white")
    best, _ = asymmetric.best_scale(float(s[-1]), case.config.init_ratio)
    right.axvline(best**2, color="grey", linewidth=0.8)
    right.set(
        ylim=(0, 0.5), xlabel=r"$\alpha^2$", ylabel=r"rate $\lambda$", title=r"orthonormal start; line: $\alpha_*^2$"
    )
    right.legend()
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
