"""Figure 1: the learned step against context length, and the trained layer at other context lengths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.estimators import bayes_excess
from theorylab.settings.in_context.linear_attention.theory.isotropic import (
    isotropic_context_length_risk,
    isotropic_learning_rate,
)
from theorylab.verdict.plotting import COLOURS, key, letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NORMALISATIONS = ("mean", "sum")


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Inverse learned steps against the training context length; losses against the test context length."""
    lengths = [c.config.context_length for c in get("linear_attention").sweeps[preset] if c.name.startswith("length_")]
    steps = [n / results("linear_attention", f"length_{n}", preset, folder).learned_rate for n in lengths]
    learned = xarray.concat(steps, xarray.Variable("context_length", lengths), coords="minimal", compat="override")
    tested = [results("linear_attention", f"context_{name}", preset, folder).test_loss for name in NORMALISATIONS]
    test_loss = xarray.concat(tested, xarray.Variable("normalisation", list(NORMALISATIONS)), join="exact")

    config = get("linear_attention").case(preset, "context_mean").config
    n, d, noise = config.context_length, config.dim, config.noise_variance
    test_lengths = n * test_loss.context_ratio.values
    fine, grid = np.linspace(0, 1.05 * max(lengths), 50), np.geomspace(test_lengths[0] / 2, 2 * test_lengths[-1], 100)
    inverse = np.array([1 / isotropic_learning_rate(fine, d, s) for s in learned.noise_variance.values])
    risks = np.array([isotropic_context_length_risk(grid, n, d, noise, mean=name == "mean") for name in NORMALISATIONS])
    return xarray.Dataset(
        {
            "inverse_step": learned,
            "inverse_step_theory": (("noise_variance", "fine_context_length"), inverse),
            "test_loss": test_loss,
            "test_loss_theory": (("normalisation", "test_length"), risks),
            "bayes_theory": ("test_length", np.asarray(bayes_excess(grid, float(d), noise)) + noise),
        },
        coords={"fine_context_length": fine, "test_length": grid},
        attrs={
            "dim": d,
            "trained_at": n,
            "test_noise_variance": noise,
            "floor_theory": d * (1 - n * float(isotropic_learning_rate(n, d, noise))) ** 2 + noise,
        },
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw 1/η of trained layers against n (left), and loss against test context length (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    fine, dim = data.fine_context_length.values, data.attrs["dim"]
    for noise, color in zip(data.noise_variance.values, COLOURS, strict=False):
        here = data.sel(noise_variance=noise)
        left.plot(fine, here.inverse_step_theory, color=color, label=rf"$\sigma^2$ = {noise:g}")
        for n in data.context_length.values:
            points(left, [n], here.inverse_step.sel(context_length=[n]), color=color)
    left.plot(fine, fine + dim, ":", color="grey", linewidth=1, label=r"$n + d$: one too few, at $\sigma^2 = 0$")
    left.set(xlabel="training context length $n$", ylabel=r"inverse learned step $1/\hat\eta$", ylim=(0, None))
    left.set_title(rf"$d = {dim}$")
    key(left, seeds=data.sizes["seed"], of="layers", line=r"theory: $1/\eta^* = n + d + 1 + \sigma^2$")
    left.legend()

    n, noise, grid = data.attrs["trained_at"], data.attrs["test_noise_variance"], data.test_length.values
    for name, color in zip(NORMALISATIONS, COLOURS, strict=False):
        here = data.sel(normalisation=name)
        right.plot(grid, here.test_loss_theory, color=color, label=f"{name} over the context")
        points(right, n * data.context_ratio.values, here.test_loss, color=color)
    right.plot(grid, data.bayes_theory, "--", color=COLOURS[2], label="Bayes")
    right.axhline(data.attrs["floor_theory"], color="grey", linestyle=":", linewidth=1, label="floor of the mean")
    right.axvline(n, color="grey", linewidth=0.6)
    right.set(xscale="log", yscale="log", xlabel="test context length $m$", ylabel="loss (noisy target)")
    right.set_ylim(0.2, 200)
    right.set_title(f"trained at $n = {n}$, $\\sigma^2 = {noise:g}$")
    key(right, line="", what="fresh prompts")
    letter(left, right)
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
