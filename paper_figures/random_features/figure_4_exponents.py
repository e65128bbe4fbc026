"""Figure 4: exponents without a spectrum. 1/tr K⁻¹ and the ridgeless test error against n."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.random_features import cases, effective_kappa, measured_exponents, results, theory
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw both proxies for a Gaussian power law of known exponents and for real data."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator

    figure, panels = plt.subplots(2, 2, figsize=(9.0, 6.8), sharex="col")
    for (above, below), name in zip(panels.T, ("exponents_gaussian", "exponents_real"), strict=True):
        case = cases(preset)[name]
        data = results(name, preset, folder)
        config, n = case.config, np.asarray(case.grid["num_samples"], float)
        gaussian = config.model == "gaussian"
        smallest = n[len(n) // 2 - 1]
        alpha, beta = measured_exponents(data, smallest)
        # The eigensystem of a finite population predicts n well below its size.
        fine = np.geomspace(n[0], n[-1] if gaussian else min(n[-1], config.population / 5), 50)
        predictions = {
            "inverse_trace": effective_kappa(config, fine),
            "test_error": theory(config, num_samples=fine, num_features=np.inf, ridge=0.0)["test_error"],
        }
        known = {"inverse_trace": -config.eigenvalue_exponent, "test_error": 1 - config.target_exponent}
        for axes, (observable, predicted), slope, symbol in (
            (above, ("inverse_trace", predictions["inverse_trace"]), -alpha, r"-\alpha"),
            (below, ("test_error", predictions["test_error"]), 1 - beta, r"1-\beta"),
        ):
            measured = data[observable].squeeze(["ridge", "num_features"], drop=True)
            points(axes, n, measured, color=COLOURS[0], label="simulation ± s.e.")
            reach = "" if gaussian else r" ($n \leq M/5$)"
            axes.plot(fine, predicted, color=COLOURS[0], label=f"effective ridges{reach}")
            used = n[n >= smallest]
            means = np.exp(np.log(measured.mean("seed").sel(num_samples=used)).mean().item())
            line = means * (used / np.exp(np.log(used).mean())) ** slope
            axes.plot(used, 1.25 * line, "--", color=COLOURS[1], label=f"fitted slope ${symbol} = {slope:.2f}$")
            if gaussian:
                line = means * (n / np.exp(np.log(used).mean())) ** known[observable]
                axes.plot(n, line / 1.25, ":", color="black", label=f"true slope ${symbol} = {known[observable]:g}$")
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(n, [f"{value:g}" for value in n])
            axes.xaxis.set_ticks([], minor=True)
            low, high = axes.get_ylim()
            axes.set_ylim(low / (high / low) ** 0.25, high)
            if high < 10 * low:
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
                axes.yaxis.set_major_formatter("{x:g}")
                axes.yaxis.set_ticks([], minor=True)
            axes.legend(loc="lower left")
        if gaussian:
            above.set_title(
                "Gaussian power law\n"
                rf"$\alpha={config.eigenvalue_exponent:g}$, $\beta={config.target_exponent:g}$, "
                f"$M={config.num_modes}$"
            )
        else:
            above.set_title(
                f"{config.model.upper()} ($M={config.population}$), ReLU kernel\n"
                rf"measured $\alpha={alpha:.2f}$, $\beta={beta:.2f}$"
            )
        below.set_xlabel("training samples $n$")
    panels[0, 0].set_ylabel(r"$1/\mathrm{tr}\,K_n^{-1}$, kernel of unit scale")
    panels[1, 0].set_ylabel("ridgeless test error, clean labels")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
