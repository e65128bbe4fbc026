"""Data and panels that figures of several settings of the kernels' family share.

A setting's simulation and theory differ between random features and real data; what is drawn of them does not.
``curves`` is the setting's own module of that name: theory on arrays of sizes, ridges and noises.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.statistics import standard_error
from theorylab.settings.kernels.exponents import measured_exponents
from theorylab.settings.kernels.theory import (
    fitting_ratio_test_error,
    interpolation_threshold,
    optimal_fitting_ratio,
)
from theorylab.verdict.plotting import COLOURS, gradient, key, letter, points

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ERRORS = ("test_error", "train_error")
ALONG = {"width": "num_features", "samples": "num_samples"}
SYMBOLS = {"num_features": "k", "num_samples": "n"}
WORDS = {"num_features": "random features $k$", "num_samples": "training samples $n$"}


def simulated(
    setting: str, name: str, preset: Preset, folder: str | Path, variables: tuple[str, ...] = ERRORS
) -> xarray.Dataset:
    """Results of a sweep: the variables that are drawn, without attributes."""
    return results(setting, name, preset, folder)[list(variables)].drop_attrs()


def renamed(data: xarray.Dataset, name: str) -> xarray.Dataset:
    """Data of one panel among those of others: ``test_error`` becomes ``NAME_test_error``."""
    return data.rename({str(variable): f"{name}_{variable}" for variable in data.data_vars})


def panel_of(data: xarray.Dataset, name: str) -> xarray.Dataset:
    """Undo :func:`renamed`."""
    mine = [str(variable) for variable in data.data_vars if str(variable).startswith(f"{name}_")]
    return data[mine].rename({variable: variable.removeprefix(f"{name}_") for variable in mine})


# --- errors against a size, at several ridges -------------------------------------------------------------------


def size_data(setting: str, curves: Any, name: str, preset: Preset, folder: str | Path) -> xarray.Dataset:
    """Test and train error along one size at several ridges, and the theory's best error."""
    case, along = get(setting).case(preset, name), ALONG[name]
    fixed = {"num_features": "num_samples", "num_samples": "num_features"}[along]
    value, x, ridges = getattr(case.config, fixed), np.asarray(case.grid[along], float), np.asarray(case.grid["ridge"])
    fine = np.sort(np.concatenate([np.geomspace(x[0], x[-1], 80), value * np.geomspace(0.7, 1.4, 41)]))
    fine = np.clip(fine, x[0], x[-1])
    few = np.geomspace(x[0], x[-1], 24)  # the envelope is smooth
    data = simulated(setting, name, preset, folder)
    data = data.assign_coords({f"fine_{along}": fine, f"few_{along}": few})
    predicted = curves.errors(case.config, **{along: fine[None, :], "ridge": ridges[:, None]})
    for error in ERRORS:
        data[f"{error}_theory"] = (("ridge", f"fine_{along}"), predicted[error])
    best = curves.best_test_error(case.config, **{fixed: value, along: few})
    data["best_test_error_theory"] = ((f"few_{along}",), best)
    data[fixed] = value
    return renamed(data, name)


def draw_sizes(axes: Axes, data: xarray.Dataset, name: str) -> None:
    """Draw one panel of :func:`size_data`; scales, limits and title are the figure's."""
    along = ALONG[name]
    fixed = {"num_features": "num_samples", "num_samples": "num_features"}[along]
    panel = panel_of(data, name)
    value, ridges = float(panel[fixed]), panel.ridge.values
    for ridge, color in zip(ridges, gradient(len(ridges), "plasma"), strict=True):
        here = panel.sel(ridge=ridge)
        fine, x = here[f"fine_{along}"], here[along]
        axes.plot(fine, here.test_error_theory, color=color, label=rf"$\delta$ = {ridge:g}")
        axes.plot(fine, here.train_error_theory, ":", color=color, linewidth=1.2)
        points(axes, x, here.test_error, color=color)
        points(axes, x, here.train_error, color=color, markerfacecolor="white", markersize=3.5)
    best = panel.best_test_error_theory
    axes.plot(panel[f"few_{along}"], best, "--", color="black", label="optimal ridge (theory)", zorder=5)
    axes.plot([], [], color="grey", label="test: theory")
    key(axes, line="", what="test: simulation")
    axes.plot([], [], ":", color="grey", label="train: theory")
    axes.errorbar([], [], [], fmt="o", color="grey", markerfacecolor="white", label="train: simulation ± s.e.")
    axes.axvline(value, color="grey", linewidth=0.6, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel=WORDS[along])
    axes.yaxis.set_tick_params(which="minor", labelleft=False)
    axes.set_title(f"${SYMBOLS[fixed]} = {value:g}$, {panel.sizes['seed']} instances")


def sizes_figure(
    data: xarray.Dataset, title: str, ylabel: str, ticks: list[float], ylim: tuple[float, float]
) -> Figure:
    """Draw errors against k (left) and n (right)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.6))
    for axes, name in zip(panels, ALONG, strict=True):
        draw_sizes(axes, data, name)
        axes.set(ylim=ylim, ylabel=ylabel)
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_title(f"{title}\n{axes.get_title()}")
    letter(*panels)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


# --- kernel regression at several label noises --------------------------------------------------------------


def noise_data(setting: str, name: str, preset: Preset, folder: str | Path, relative_noise: Any) -> xarray.Dataset:
    """Test and train error over ridges and label noises, which go by their size relative to the clean error."""
    data = simulated(setting, name, preset, folder)
    variances = data.noise_variance.values
    data = data.assign_coords(noise_variance=list(relative_noise)).rename(noise_variance="relative_noise")
    return data.assign(noise_variance=("relative_noise", variances))


def fitting_data(
    setting: str,
    curves: Any,
    name: str,
    preset: Preset,
    folder: str | Path,
    relative_noise: Any,
    exponents: tuple[float, float],
    *,
    measured: bool = False,
) -> xarray.Dataset:
    """What the panel of a fitting ratio shows; ``measured`` exponents' closed form takes its scale from the theory."""
    config = get(setting).case(preset, name).config
    data = noise_data(setting, name, preset, folder, relative_noise)
    noises, variances = np.asarray(relative_noise), data.noise_variance.values
    ratio, ridges = np.linspace(0, 0.995, 300), np.geomspace(1e-7, 1e5, 160)
    # A data set's power law has a prefactor, which the closed form does not know: one number for all curves.
    unit = 1.0
    if measured:
        clean = float(curves.errors(config, ridge=0.0, noise_variance=0.0)["test_error"])
        unit = clean / float(fitting_ratio_test_error(0.0, config.num_samples, 0.0, *exponents))
    closed = [np.asarray(fitting_ratio_test_error(ratio, config.num_samples, s, *exponents)) for s in noises]
    predicted = curves.errors(config, ridge=ridges[None, :], noise_variance=variances[:, None])
    data = data.assign_coords(fitting_ratio=ratio, fine_ridge=ridges)
    data["closed_test_error_theory"] = (("relative_noise", "fitting_ratio"), unit * np.stack(closed))
    for error in ERRORS:
        data[f"{error}_theory"] = (("relative_noise", "fine_ridge"), predicted[error])
    best = [float(optimal_fitting_ratio(s, *exponents)) for s in noises]
    data["optimal_fitting_ratio_theory"] = (("relative_noise",), best)
    data["interpolation_threshold_theory"] = float(interpolation_threshold(*exponents))
    data["exponents"] = (("exponent",), np.array(exponents))
    return data


def draw_fitting(axes: Axes, data: xarray.Dataset, title: str, word: str = "") -> None:
    """Draw test error against the fitting ratio train/test; ``word`` says how the exponents are known."""
    for noise, color in zip(data.relative_noise.values, COLOURS, strict=False):
        here = data.sel(relative_noise=noise)
        label = rf"$\sigma^2_\mathrm{{rel}}$ = {noise:g}"
        axes.plot(here.fitting_ratio**2, here.closed_test_error_theory, color=color, label=label)
        theory = here.test_error_theory
        axes.plot(here.train_error_theory / theory, theory, "--", color=color, linewidth=1)
        axes.axvline(float(here.optimal_fitting_ratio_theory) ** 2, color=color, linestyle=":", linewidth=1.3)
        ratio = here.train_error.mean("seed") / here.test_error.mean("seed")
        residual = (here.train_error - ratio * here.test_error) / here.test_error.mean("seed")
        spread = standard_error(residual, "seed")
        points(axes, ratio, here.test_error, color=color, xerr=spread)
    axes.plot([], [], color="grey", label=r"closed form of $(\alpha, \beta)$")
    axes.plot([], [], "--", color="grey", linewidth=1, label="effective ridges, finite spectrum")
    axes.plot([], [], ":", color="grey", label="predicted optimum $r_*^2$")
    key(axes, seeds=data.sizes["seed"], of="instances", line="")
    axes.set(yscale="log", xlim=(-0.04, 1.04))
    axes.set_xlabel(r"fitting ratio $\mathcal{E}_\mathrm{train} / \mathcal{E}_\mathrm{test}$")
    threshold, (alpha, beta) = float(data.interpolation_threshold_theory), data.exponents.values
    law = rf"{word}$\alpha$ = {alpha:.3g}, $\beta$ = {beta:.3g}"
    verdict = rf"best to interpolate if $\sigma^2_\mathrm{{rel}} \leq$ {threshold:.2g}"
    axes.set_title(f"{title}\n{law}\n{verdict if threshold >= 0 else 'never best to interpolate'}")


def ridge_data(
    setting: str, curves: Any, name: str, preset: Preset, folder: str | Path, relative_noise: Any
) -> xarray.Dataset:
    """The same sweep against the ridge, and the theory at ridge 0."""
    config = get(setting).case(preset, name).config
    data = noise_data(setting, name, preset, folder, relative_noise)
    variances, ridges = data.noise_variance.values, data.ridge.values[data.ridge.values > 0]
    fine = np.geomspace(ridges[0] / 3, ridges[-1], 100)
    predicted = curves.errors(config, ridge=fine[None, :], noise_variance=variances[:, None])
    ridgeless = curves.errors(config, ridge=0.0, noise_variance=variances)["test_error"]
    data = data.assign_coords(fine_ridge=fine)
    for error in ERRORS:
        data[f"{error}_theory"] = (("relative_noise", "fine_ridge"), predicted[error])
    data["ridgeless_test_error_theory"] = (("relative_noise",), ridgeless)
    return data


def draw_ridge(above: Axes, below: Axes, data: xarray.Dataset, title: str) -> None:
    """Draw test error (above) and train error (below) against the ridge; ridge 0 stands at the left end."""
    ridges = data.ridge.values[data.ridge.values > 0]
    zero = ridges[0] / 6
    fine = data.fine_ridge.values
    for noise, color in zip(data.relative_noise.values, COLOURS, strict=False):
        here = data.sel(relative_noise=noise)
        test, ridgeless = here.test_error_theory.values, float(here.ridgeless_test_error_theory)
        above.plot(fine, test, color=color, label=rf"$\sigma^2_\mathrm{{rel}}$ = {noise:g}")
        below.plot(fine, here.train_error_theory, color=color)
        points(above, ridges, here.test_error.sel(ridge=ridges), color=color)
        points(below, ridges, here.train_error.sel(ridge=ridges), color=color)
        points(above, [zero], here.test_error.sel(ridge=[0.0]), color=color)
        above.plot([zero / 1.6, zero * 1.6], [ridgeless] * 2, color=color)
        best = int(np.argmin(test))
        place = (fine[best], test[best]) if test[best] < ridgeless else (zero, ridgeless)
        above.plot(*place, "v", color="black", markersize=6, zorder=5)
    for axes in (above, below):
        axes.set(xscale="log", yscale="log")
        decades = 10.0 ** np.arange(np.ceil(np.log10(ridges[0])), np.log10(ridges[-1]) + 0.1, 2)
        axes.set_xticks([zero, *decades], ["0", *(f"$10^{{{np.log10(d):.0f}}}$" for d in decades)])
        axes.minorticks_off()
    below.set_xlabel(r"ridge $\delta$ (absolute)")
    above.set_title(title)


def ridge_legend(figure: Figure, axes: Axes, ncols: int, seeds: int) -> None:
    """Explain lines and points of :func:`draw_ridge` below the figure."""
    key(axes, seeds=seeds, of="instances", line="effective ridges")
    axes.plot([], [], "v", color="black", label="best ridge (theory)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=ncols)


# --- exponents without a spectrum ---------------------------------------------------------------------------


def exponents_data(setting: str, curves: Any, preset: Preset, folder: str | Path, largest: float) -> xarray.Dataset:
    """Both proxies against n, the theory up to ``largest``, and the exponents measured over the upper sizes."""
    case = get(setting).case(preset, "exponents")
    data = simulated(setting, "exponents", preset, folder, ("inverse_trace", "test_error"))
    n = np.asarray(case.grid["num_samples"], float)
    fine = np.geomspace(n[0], min(n[-1], largest), 50)
    data = data.assign_coords(fine_num_samples=fine)
    data["inverse_trace_theory"] = (("fine_num_samples",), curves.effective_kappa(case.config, fine))
    theory = curves.errors(case.config, num_samples=fine, num_features=np.inf, ridge=0.0)["test_error"]
    data["test_error_theory"] = (("fine_num_samples",), theory)
    smallest = n[len(n) // 2 - 1]
    data["smallest"] = smallest
    data["exponents"] = (("exponent",), np.array(exponents_of(data, smallest)))
    return data


def exponents_of(data: xarray.Dataset, smallest: float) -> tuple[float, float]:
    """Measure (α, β) on the results of a sweep over sample sizes."""
    means = data[["inverse_trace", "test_error"]].mean("seed")
    return measured_exponents(means.num_samples.values, means.inverse_trace.values, means.test_error.values, smallest)


def draw_exponents(above: Axes, below: Axes, data: xarray.Dataset, reach: str, known: dict[str, float]) -> None:
    """Draw 1/tr K⁻¹ (above) and the ridgeless test error (below) against n; ``known`` are their true slopes."""
    from matplotlib.ticker import LogLocator

    n, fine, smallest = data.num_samples.values.astype(float), data.fine_num_samples, float(data.smallest)
    alpha, beta = data.exponents.values
    for axes, observable, slope, symbol in (
        (above, "inverse_trace", -alpha, r"-\alpha"),
        (below, "test_error", 1 - beta, r"1-\beta"),
    ):
        measured = data[observable]
        points(axes, n, measured, color=COLOURS[0], label="simulation ± s.e.")
        axes.plot(fine, data[f"{observable}_theory"], color=COLOURS[0], label=f"effective ridges{reach}")
        used = n[n >= smallest]
        means = np.exp(np.log(measured.mean("seed").sel(num_samples=used)).mean().item())
        line = means * (used / np.exp(np.log(used).mean())) ** slope
        axes.plot(used, 1.25 * line, "--", color=COLOURS[1], label=f"fitted slope ${symbol} = {slope:.2f}$")
        if known:
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
        axes.legend(loc="lower left", title="slopes are shifted apart", title_fontsize=8.5, alignment="left")
    above.set_ylabel(r"$1/\mathrm{tr}\,K_n^{-1}$, kernel of unit scale")
    below.set_ylabel("ridgeless test error, clean labels")
    below.set_xlabel("training samples $n$")
