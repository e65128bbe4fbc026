"""Figure 6: the subgradient method against outliers; its plateau, its step budget and its pair sums."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, instance, results
from theorylab.settings.factorisation.matrix_sensing.config import spectrum
from theorylab.settings.factorisation.matrix_sensing.theory import subgradient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Relative tolerance of the reference values: signs of residuals near zero amplify rounding. Compiled without AVX,
#: plateaus move by 0.1%, and nothing moves at the tiny preset.
REFERENCE_TOLERANCE = {"default": 0.01, "paper": 0.01}


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw errors against the step, the plateau against the scale, recovery against the budget, and pair sums."""
    import dataclasses

    import matplotlib.pyplot as plt

    figure, ((curves, plateau), (budget, pairs)) = plt.subplots(2, 2, figsize=(9.4, 7.4))
    case, data = cases(preset)["outliers"], results("outliers", preset, folder)
    square = results("outliers_l2", preset, folder)
    s = np.array(spectrum(case.config))
    size = np.linalg.norm(s)
    for index, p in enumerate(case.grid["outlier_prob"]):
        color = f"C{index}"
        for source, line in ((data, "-"), (square, "--")):
            error = source.recovery_error.sel(outlier_prob=p).isel(seed=0) / size
            curves.plot(source.step[1:], error[1:], line, color=color, label=f"$p = {p:g}$" if line == "-" else None)
        pairs.plot(1 - p + 0 * data.seed, data.pair_sum.sel(outlier_prob=p), "o", color=color)
        kept = dataclasses.replace(case.config, outlier_prob=p)
        own = [subgradient.instance_scale(i.rows, (i.corruption == 0).astype(float))
               for i in (instance(kept, seed) for seed in range(case.seeds))]  # fmt: skip
        pairs.plot(
            np.full(len(own), 1 - p), own, "+", color="black", markersize=9, label="instance" if index == 0 else None
        )
    curves.set(
        xscale="log", yscale="log", xlabel="step", ylabel="relative error", title="l1 (solid), square loss (dashed)"
    )
    curves.legend()
    ends = np.array([1 - max(case.grid["outlier_prob"]), 1.0])
    pairs.plot(ends, subgradient.SIGN * ends, color="black", linewidth=1, label=r"$\sqrt{2/\pi}\,(1-p)$")
    pairs.set(
        xlabel="$1 - p$", ylabel=r"median $(|E_t| + |E_{t+1}|)/(2 s_1 \eta_t)$", title="pair sums (colours: simulation)"
    )
    pairs.legend()

    case, data = cases(preset)["plateau"], results("plateau", preset, folder)
    scales = np.array(case.grid["init_scale"])
    for seed in range(case.seeds):
        final = data.final_error.isel(seed=seed).values
        rows = instance(dataclasses.replace(case.config, init_scale=float(scales[-1])), seed).rows
        exponent = subgradient.plateau_exponent(rows, s, case.config.dim, loss="l1")
        plateau.plot(scales, final, "o", color=f"C{seed}", label=f"instance {seed + 1}")
        plateau.plot(scales, final[-1] * (scales / scales[-1]) ** exponent, color=f"C{seed}", linewidth=1,
                     label=rf"$\alpha^{{{exponent:.2f}}}$ (from its measurements)")  # fmt: skip
    plateau.plot(scales, final[-1] * (scales / scales[-1]) ** 2, ":", color="grey", label=r"$\alpha^2$ (population)")
    plateau.set(
        xscale="log", yscale="log", xlabel=r"initial scale $\alpha$", ylabel="final relative error", title="l1 steps"
    )
    plateau.legend()

    case, data = cases(preset)["budget"], results("budget", preset, folder)
    first, scales = np.array(case.grid["learning_rate"]), np.array(case.grid["init_scale"])
    log = np.log(1 / scales)
    x = np.broadcast_to(first[:, None] / (1 - case.config.step_decay), data.final_error.isel(seed=0).shape)
    y = np.broadcast_to(log[None, :], x.shape)
    error = np.log10(data.final_error.isel(seed=0).values)
    shown = budget.scatter(x, y, c=error, cmap="viridis_r", s=60)
    figure.colorbar(shown, ax=budget, label="log10 of the final relative error")
    budget.plot(subgradient.budget_constant(s.tolist()) * np.array([0, 15]) / subgradient.SIGN, [0, 15], color="black")
    budget.set(xlim=(0, 1.05 * x.max()), ylim=(log.min() - 1, log.max() + 1), xlabel=r"$\eta_0/(1-\rho)$",
               ylabel=r"$\ln(1/\alpha)$", title="recovery below and right of the line")  # fmt: skip
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
