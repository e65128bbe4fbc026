"""Figure 1: more layers at one context length, against as many optimal steps of gradient descent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.estimators import least_squares_excess
from theorylab.settings.in_context.gradient_steps import (
    best_polynomial,
    gradient_steps_excess,
    sampled_excesses,
    wishart_spectra,
)
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Wishart matrices for which the steps are best, and prompts on which they are tried.
SPECTRA = {"tiny": 1000, "default": 20_000, "paper": 20_000}
PROMPTS = {"tiny": 500, "default": 20_000, "paper": 20_000}
STEPS = range(1, 7)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Excess losses (over σ²) of trained layers, of optimal steps in theory and on prompts, least squares, Bayes."""
    setting = get("deep_layers")
    cases = [case for case in setting.sweeps[preset] if case.name.startswith("layers_")]
    config = cases[0].config
    n, d, noise = config.context_length, config.dim, config.noise_variance
    layers = xarray.Variable("layers", [case.config.num_layers for case in cases])
    losses = [results(setting, case.name, preset, folder).sampled_loss for case in cases]
    generator = np.random.default_rng(0)
    spectra = wishart_spectra(generator, SPECTRA[preset], n, d)
    filters = [best_polynomial(spectra, noise, k) for k in STEPS]
    errors = sampled_excesses(generator, PROMPTS[preset], n, d, noise, filters)
    return xarray.Dataset(
        {
            "excess": xarray.concat(losses, layers, join="exact") - noise,
            "excess_theory": ("steps", [float(gradient_steps_excess(n, d, noise, k)) for k in STEPS]),
            "steps_excess": ("steps", errors.mean(axis=1)),
            "steps_excess_error": ("steps", errors.std(axis=1, ddof=1) / errors.shape[1] ** 0.5),
            "least_squares_excess_theory": float(least_squares_excess(n, d, noise)),
            "bayes_excess_theory": np.mean(np.sum(noise / (spectra + noise), axis=1)),
        },
        coords={"steps": list(STEPS)},
        attrs={"context_length": n, "dim": d, "noise_variance": noise},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw excess loss against the number of layers."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.6, 4.2))
    axes.plot(data.steps, data.excess_theory, color="black", label="theory: $k$ optimal steps")
    axes.errorbar(
        data.steps,
        data.steps_excess,
        yerr=data.steps_excess_error,
        fmt="o",
        markersize=9,
        markerfacecolor="none",
        color=COLOURS[0],
        label="these steps on fresh prompts",
    )
    for k in data.layers.values:
        label = "trained layers, mean of seeds" if k == 1 else None
        points(axes, [k], data.excess.sel(layers=[k]), color=COLOURS[1], label=label)
    axes.axhline(float(data.least_squares_excess_theory), color="grey", linestyle=":", label="least squares")
    axes.axhline(float(data.bayes_excess_theory), color=COLOURS[2], linestyle="--", label="Bayes")
    axes.set(yscale="log", xlabel="layers $k$", ylabel="excess loss", ylim=(0.07, 2))
    axes.set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    n, d, noise = (data.attrs[name] for name in ("context_length", "dim", "noise_variance"))
    axes.set_title(f"$n = {n}$, $d = {d}$, $\\sigma^2 = {noise:g}$")
    axes.yaxis.set_ticks([], minor=True)
    axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
