"""Figure 1: the subgradient method against outliers; its plateau, its step budget and its pair sums."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.robust_recovery.data import drawn
from theorylab.settings.factorisation.robust_recovery.theory import subgradient
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Relative tolerance of the reference values: signs of residuals near zero amplify rounding. Compiled without AVX,
#: plateaus move by 0.1%, and nothing moves at the tiny preset.
REFERENCE_TOLERANCE = {"default": 0.01, "paper": 0.01}


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Errors of both losses with outliers, pair sums, plateaus of several scales, and a phase diagram of budgets."""
    setting = tl.get("robust_recovery")

    def swept(name: str) -> xarray.Dataset:
        # Some steps of the phase diagram are too large on purpose.
        return results(setting, name, preset, folder, ignore="learning_rate")

    case, simulated, square = setting.case(preset, "curves, l1"), swept("curves, l1"), swept("curves, l2")
    s = np.array(spectrum(case.config))
    pair_sums = np.empty((len(case.grid["outlier_prob"]), case.seeds))
    for i, p in enumerate(case.grid["outlier_prob"]):
        for seed in range(case.seeds):
            instance = drawn(jax.random.key(seed), dataclasses.replace(case.config, outlier_prob=p))
            pair_sums[i, seed] = subgradient.instance_scale(instance.rows, (instance.corruption == 0).astype(float))
    curves = xarray.Dataset(
        {
            "error": simulated.recovery_error.isel(seed=0, drop=True) / np.linalg.norm(s),
            "square_error": square.recovery_error.isel(seed=0, drop=True).rename(step="square_step")
            / np.linalg.norm(s),
            "pair_sum": simulated.pair_sum,
            "pair_sum_theory": (("outlier_prob", "seed"), pair_sums),
        }
    )

    case = setting.case(preset, "scales")
    smallest = dataclasses.replace(case.config, init_scale=case.grid["init_scale"][-1])
    exponents = [
        subgradient.plateau_exponent(drawn(jax.random.key(seed), smallest).rows, s, smallest.dim, loss="l1")
        for seed in range(case.seeds)
    ]
    plateaus = xarray.Dataset(
        {
            "plateau": swept("scales").final_error.rename(init_scale="scale"),
            "plateau_exponent_theory": ("seed", exponents),
        }
    )

    case = setting.case(preset, "budgets")
    first, scales = np.array(case.grid["learning_rate"]), np.array(case.grid["init_scale"])
    final = swept("budgets").final_error.isel(seed=0, drop=True).transpose("learning_rate", "init_scale").values
    budgets = xarray.Dataset(
        {
            "final_error": (("step_sum", "log_scale"), final),
            "budget_slope_theory": subgradient.budget_constant(s.tolist()) / subgradient.SIGN,
        },
        {"step_sum": first / (1 - case.config.step_decay), "log_scale": np.log(1 / scales)},
    )
    return xarray.merge([curves, plateaus, budgets], combine_attrs="drop")


def draw(data: xarray.Dataset) -> Figure:
    """Draw errors against the step, the plateau against the scale, recovery against the budget, and pair sums."""
    import matplotlib.pyplot as plt

    figure, ((curves, plateau), (budget, pairs)) = plt.subplots(2, 2, figsize=(9.4, 7.4))
    probabilities = data.outlier_prob.values
    for index, p in enumerate(probabilities):
        one, color = data.sel(outlier_prob=p), f"C{index}"
        curves.plot(data.step[1:], one.error[1:], "o", color=color, markersize=3.5, label=f"l1, $p = {p:g}$")
        curves.plot(data.square_step[1:], one.square_error[1:], "o", color=color, markersize=3.5, fillstyle="none")
        pairs.plot(1 - p + 0 * data.seed, one.pair_sum, "o", color=color)
        own = one.pair_sum_theory
        label = "theory, of the instance" if index == 0 else None
        pairs.plot(np.full(len(own), 1 - p), own, "+", color="black", markersize=9, label=label)
    curves.plot([], [], "o", color="grey", markersize=3.5, fillstyle="none", label="square loss")
    curves.set(xscale="log", yscale="log", xlabel="step", ylabel="relative error", title="one instance with outliers")
    curves.legend()
    ends = np.array([1 - max(probabilities), 1.0])
    pairs.plot(ends, subgradient.SIGN * ends, color="black", linewidth=1, label=r"$\sqrt{2/\pi}\,(1-p)$")
    pairs.plot([], [], "o", color="grey", label=f"simulation, {data.sizes['seed']} instances")
    pairs.set(xlabel="$1 - p$", ylabel=r"median $(|E_t| + |E_{t+1}|)/(2 s_1 \eta_t)$", title="pair sums")
    pairs.legend()

    scales = data.scale.values
    for seed in range(data.sizes["seed"]):
        final = data.plateau.isel(seed=seed).values
        exponent = float(data.plateau_exponent_theory.isel(seed=seed))
        plateau.plot(scales, final, "o", color=f"C{seed}", label=f"instance {seed + 1}")
        plateau.plot(scales, final[-1] * (scales / scales[-1]) ** exponent, color=f"C{seed}", linewidth=1,
                     label=rf"theory: $\alpha^{{{exponent:.2f}}}$, from its measurements")  # fmt: skip
    plateau.plot(scales, final[-1] * (scales / scales[-1]) ** 2, ":", color="grey", label=r"$\alpha^2$ (population)")
    plateau.set(
        xscale="log", yscale="log", xlabel=r"initial scale $\alpha$", ylabel="final relative error", title="l1 steps"
    )
    plateau.legend(loc="upper left", fontsize=7.5)

    x, y = np.meshgrid(data.step_sum, data.log_scale, indexing="ij")
    shown = budget.scatter(x, y, c=np.log10(data.final_error.values), cmap="viridis_r", s=60)
    figure.colorbar(shown, ax=budget, label="log10 of the final relative error")
    line = float(data.budget_slope_theory) * np.array([0, 15])
    budget.plot(line, [0, 15], color="black", label="theory: enough steps, to the right")
    budget.set(xlim=(0, 1.05 * x.max()), ylim=(y.min() - 1, y.max() + 3), xlabel=r"$\eta_0/(1-\rho)$",
               ylabel=r"$\ln(1/\alpha)$", title="recovery by the sum of all steps")  # fmt: skip
    budget.legend(loc="upper left", frameon=True)
    letter(curves, plateau, budget, pairs)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
