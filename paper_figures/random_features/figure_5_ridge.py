"""Figure 5: test and train error of kernel regression against the ridge, at four relative noises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.random_features import RELATIVE_NOISE, cases, results, theory
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw test error (above) and train error (below) against the ridge."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(11.5, 6.6), sharex="col")
    for column, name in enumerate(("fitting_hard", "fitting_easy", "fitting_real")):
        case = cases(preset)[name]
        data = results(name, preset, folder).isel(num_samples=0, num_features=0)
        (n,), config = case.grid["num_samples"], case.config
        above, below = panels[:, column]
        ridges = np.asarray(case.grid["ridge"])
        ridges = ridges[ridges > 0]
        fine = np.geomspace(ridges[0] / 3, ridges[-1], 100)
        zero = ridges[0] / 6  # where ridge 0 is drawn
        for noise, variance, color in zip(RELATIVE_NOISE, case.grid["noise_variance"], COLOURS, strict=False):
            predicted = theory(config, num_samples=n, ridge=fine, noise_variance=variance)
            ridgeless = theory(config, num_samples=n, ridge=0.0, noise_variance=variance)["test_error"]
            measured = data.sel(noise_variance=variance)
            above.plot(fine, predicted["test_error"], color=color, label=rf"$\sigma^2_\mathrm{{rel}}$ = {noise:g}")
            below.plot(fine, predicted["train_error"], color=color)
            points(above, ridges, measured.test_error.sel(ridge=ridges), color=color)
            points(below, ridges, measured.train_error.sel(ridge=ridges), color=color)
            points(above, [zero], measured.test_error.sel(ridge=[0.0]), color=color)
            above.plot([zero / 1.6, zero * 1.6], [ridgeless] * 2, color=color)
            best = int(np.argmin(predicted["test_error"]))
            if predicted["test_error"][best] < ridgeless:
                above.plot(fine[best], predicted["test_error"][best], "v", color="black", markersize=6, zorder=5)
            else:
                above.plot(zero, ridgeless, "v", color="black", markersize=6, zorder=5)
        for axes in (above, below):
            axes.set(xscale="log", yscale="log")
            decades = 10.0 ** np.arange(np.ceil(np.log10(ridges[0])), np.log10(ridges[-1]) + 0.1, 2)
            axes.set_xticks([zero, *decades], ["0", *(f"$10^{{{np.log10(d):.0f}}}$" for d in decades)])
            axes.minorticks_off()
        below.set_xlabel(r"ridge $\delta$ (absolute)")
        if config.model == "gaussian":
            law = rf"$\alpha={config.eigenvalue_exponent:g}$, $\beta={config.target_exponent:g}$"
            above.set_title(f"Gaussian, {law}, {config.num_modes} modes, n = {n}")
        else:
            above.set_title(f"{config.model.upper()}, ReLU kernel, n = {n} of {config.population}")
    panels[0, 0].set_ylabel("test error (noisy labels)")
    panels[1, 0].set_ylabel("train error (noisy labels)")
    axes = panels[0, 0]
    axes.plot([], [], color="grey", label="effective ridges")
    axes.errorbar([], [], [], fmt="o", color="grey", label="simulation ± s.e.")
    axes.plot([], [], "v", color="black", label="best ridge (theory)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=7)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
