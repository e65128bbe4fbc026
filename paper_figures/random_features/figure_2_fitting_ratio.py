"""Figure 2: overfitting can be obligatory. Test error of kernel regression against the fitting ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.random_features import RELATIVE_NOISE, cases, clean_error, measured_exponents, results, theory
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw test error against train/test at four relative noises: two Gaussian power laws and real data."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(11.5, 4.6))
    for axes, name in zip(panels, ("fitting_hard", "fitting_easy", "fitting_real"), strict=True):
        panel(axes, name, preset, folder)
    panels[0].set_ylabel(r"test error $\mathcal{E}_\mathrm{test}$ (noisy labels)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def panel(axes: Axes, name: str, preset: str, folder: str | Path) -> None:
    from theorylab.settings.kernels.theory.power_law import (
        fitting_ratio_test_error,
        interpolation_threshold,
        optimal_fitting_ratio,
    )

    case, data = cases(preset)[name], results(name, preset, folder).isel(num_samples=0, num_features=0)
    (n,), config = case.grid["num_samples"], case.config
    if config.model == "gaussian":
        exponents = (config.eigenvalue_exponent, config.target_exponent)
        unit = 1.0
        title = f"Gaussian, {config.num_modes} modes, n = {n}"
    else:
        exponents = measured_exponents(results("exponents_real", preset, folder), n / 8)
        # A data set's power law has a prefactor, which the closed form does not know: one number for all curves.
        unit = clean_error(config) / float(fitting_ratio_test_error(0.0, n, 0.0, *exponents))
        title = f"{config.model.upper()}, ReLU kernel, n = {n} of {config.population}"
    alpha, beta = exponents

    r = np.linspace(0, 0.995, 300)
    for noise, variance, color in zip(RELATIVE_NOISE, case.grid["noise_variance"], COLOURS, strict=False):
        closed = np.asarray(fitting_ratio_test_error(r, n, noise, alpha, beta))
        axes.plot(r**2, unit * closed, color=color, label=rf"$\sigma^2_\mathrm{{rel}}$ = {noise:g}")
        exact = theory(config, num_samples=n, ridge=np.geomspace(1e-7, 1e5, 160), noise_variance=variance)
        axes.plot(exact["train_error"] / exact["test_error"], exact["test_error"], "--", color=color, linewidth=1)
        axes.axvline(float(optimal_fitting_ratio(noise, alpha, beta)) ** 2, color=color, linestyle=":", linewidth=1.3)
        measured = data.sel(noise_variance=variance)
        ratio = measured.train_error.mean("seed") / measured.test_error.mean("seed")
        residual = (measured.train_error - ratio * measured.test_error) / measured.test_error.mean("seed")
        spread = residual.std("seed", ddof=1) / np.sqrt(residual.sizes["seed"])
        points(axes, ratio, measured.test_error, color=color, xerr=spread)
    axes.plot([], [], color="grey", label=r"closed form of $(\alpha, \beta)$")
    axes.plot([], [], "--", color="grey", linewidth=1, label="effective ridges, finite spectrum")
    axes.plot([], [], ":", color="grey", label="predicted optimum $r_*^2$")
    axes.errorbar([], [], [], fmt="o", color="grey", label="simulation ± s.e.")

    axes.set(yscale="log", xlim=(-0.04, 1.04))
    axes.set_xlabel(r"fitting ratio $\mathcal{E}_\mathrm{train} / \mathcal{E}_\mathrm{test}$")
    threshold = float(interpolation_threshold(alpha, beta))
    measured_ones = "" if config.model == "gaussian" else "measured "
    law = rf"{measured_ones}$\alpha$ = {alpha:.3g}, $\beta$ = {beta:.3g}"
    verdict = rf"best to interpolate if $\sigma^2_\mathrm{{rel}} \leq$ {threshold:.2g}"
    axes.set_title(f"{title}\n{law}\n{verdict if threshold >= 0 else 'never best to interpolate'}")


if __name__ == "__main__":
    run_script(draw, __file__)
