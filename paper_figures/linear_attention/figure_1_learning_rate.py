"""Figure 1: the learned step against context length, and the trained layer at other context lengths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from theorylab.settings.in_context.linear_attention.theory.baselines import bayes_excess
from theorylab.settings.in_context.linear_attention.theory.risk import (
    isotropic_context_length_risk,
    isotropic_learning_rate,
)

from experiments.linear_attention import cases, results
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw 1/η of trained layers against n (left), and loss against test context length (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    swept = {name: case for name, case in cases(preset).items() if name.startswith("length_")}
    first = next(iter(swept.values()))
    lengths = np.array([case.config.context_length for case in swept.values()])
    fine = np.linspace(0, 1.05 * max(lengths), 50)
    dim = first.config.dim
    for noise, color in zip(first.grid["noise_variance"], COLOURS, strict=False):
        left.plot(fine, 1 / isotropic_learning_rate(fine, dim, noise), color=color, label=rf"$\sigma^2$ = {noise:g}")
        for name, n in zip(swept, lengths, strict=True):
            points(left, [n], (n / results(name, preset, folder).learned_rate.sel(noise_variance=[noise])), color=color)
    left.plot(fine, fine + dim, ":", color="grey", linewidth=1, label=r"$n + d$: one too few, at $\sigma^2 = 0$")
    left.set(xlabel="training context length $n$", ylabel=r"inverse learned step $1/\hat\eta$", ylim=(0, None))
    left.set_title(rf"lines: $1/\eta^* = n + d + 1 + \sigma^2$, $d = {dim}$")
    left.legend()

    config = cases(preset)["context_mean"].config
    n, noise = config.context_length, config.noise_variance
    for name, color, mean in (("mean", COLOURS[0], True), ("sum", COLOURS[1], False)):
        data = results(f"context_{name}", preset, folder)
        m = n * data.context_ratio.values
        grid = np.geomspace(m[0] / 2, 2 * m[-1], 100)
        right.plot(
            grid,
            isotropic_context_length_risk(grid, n, dim, noise, mean=mean),
            color=color,
            label=f"{name} over the context",
        )
        points(right, m, data.test_loss, color=color)
    right.plot(grid, np.asarray(bayes_excess(grid, float(dim), noise)) + noise, "--", color=COLOURS[2], label="Bayes")
    rate = n * isotropic_learning_rate(n, dim, noise)
    right.axhline(dim * (1 - rate) ** 2 + noise, color="grey", linestyle=":", linewidth=1, label="floor of the mean")
    right.axvline(n, color="grey", linewidth=0.6)
    right.set(xscale="log", yscale="log", xlabel="test context length $m$", ylabel="loss (noisy target)")
    right.set_ylim(0.2, 200)
    right.set_title(f"trained at $n = {n}$, $\\sigma^2 = {noise:g}$")
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
