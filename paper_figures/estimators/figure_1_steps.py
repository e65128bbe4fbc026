"""Figure 1: steps of gradient descent between predicting zero, least squares and Bayes, against the context length."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.estimators import bayes_excess_exact, least_squares_excess
from theorylab.settings.in_context.gradient_steps import (
    best_polynomial,
    gradient_steps_excess,
    sampled_excesses,
    wishart_spectra,
)
from theorylab.verdict.plotting import COLOURS, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (1, 2, 3, 4, 6)
#: Context lengths at which lines are drawn, beside those of points.
FINE = {"tiny": 6, "default": 40, "paper": 40}
#: Wishart matrices for which more than two steps are best, and prompts on which they are tried.
DRAWS = {"tiny": 200, "default": 4000, "paper": 4000}
#: Least squares has no finite variance so near n = d: no points there.
NEAR = 3


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Excess losses (over σ²) of the estimators and of k optimal steps, against the context length."""
    config = get("estimators").case(preset, "lengths").config
    found = results("estimators", "lengths", preset, folder)
    lengths, d, noise = found.context_length.values.tolist(), config.dim, config.noise_variance
    generator, count = np.random.default_rng(0), DRAWS[preset]
    more = [k for k in STEPS if k not in found.gradient_steps]
    tried = []
    for n in lengths:
        spectra = wishart_spectra(generator, count, n, d)
        filters = [best_polynomial(spectra, noise, k) for k in more]
        errors = sampled_excesses(generator, count, n, d, noise, filters)
        tried.append([errors.mean(axis=1), errors.std(axis=1, ddof=1) / count**0.5])
    fine = np.unique(np.concatenate([lengths, np.geomspace(lengths[0], lengths[-1], FINE[preset]).round()])).astype(int)
    steps = [[float(gradient_steps_excess(n, d, noise, k)) for n in fine.tolist()] for k in STEPS]
    squares = np.array([float(least_squares_excess(n, d, noise)) for n in fine.tolist()])
    finite = abs(found.context_length - d) > NEAR
    return xarray.Dataset(
        {
            "steps_excess": found.gradient_steps_loss - noise,
            "more_excess": (("context_length", "kind", "more"), tried),
            "steps_excess_theory": (("steps", "fine"), steps),
            "bayes_excess": found.bayes_loss - noise,
            "bayes_excess_theory": ("fine", [float(bayes_excess_exact(n, d, noise)) for n in fine.tolist()]),
            "least_squares_excess": (found.least_squares_loss - noise).where(finite),
            "least_squares_excess_theory": ("fine", np.where(np.isfinite(squares), squares, np.nan)),
        },
        coords={"steps": list(STEPS), "more": more, "kind": ["mean", "error"], "fine": fine},
        attrs={"dim": d, "noise_variance": noise},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw excess losses against n/d: lines are theory, points are estimators on fresh prompts."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.2, 4.4))
    dim, noise = data.attrs["dim"], data.attrs["noise_variance"]
    ratios, fine = data.context_length.values / dim, data.fine.values / dim
    for steps, color in zip(STEPS, gradient(len(STEPS)), strict=True):
        label = f"{steps} layer{'s' if steps > 1 else ''}"
        axes.plot(fine, data.steps_excess_theory.sel(steps=steps), color=color, label=label)
        if steps in data.gradient_steps:
            points(axes, ratios, data.steps_excess.sel(gradient_steps=steps), color=color)
        else:
            mean, error = data.more_excess.sel(more=steps).values.T
            axes.errorbar(ratios, mean, error, fmt="o", color=color, linewidth=1)
    axes.plot(fine, data.bayes_excess_theory, "--", color="black", label="Bayes")
    points(axes, ratios, data.bayes_excess, color="black")
    axes.plot(fine, data.least_squares_excess_theory, ":", color=COLOURS[1], label="least squares")
    points(axes, ratios, data.least_squares_excess, color=COLOURS[1])
    axes.set(xscale="log", yscale="log", xlabel="$n/d$", ylabel="excess loss", ylim=(5e-2, 2e1))
    axes.set_title(f"optimal steps of gradient descent, $d = {dim}$, $\\sigma^2 = {noise:g}$")
    axes.set_xticks([0.2, 0.5, 1, 2, 4, 8], ["0.2", "0.5", "1", "2", "4", "8"])
    axes.xaxis.set_ticks([], minor=True)
    key(axes, seeds=data.sizes["seed"], line="", what="on fresh prompts")
    axes.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
