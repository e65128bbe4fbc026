"""Figure 3: layers as steps of gradient descent, and few prompts on few tasks (Lu et al. 2024, Figure 1)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from theorylab.settings.in_context.linear_attention.theory.baselines import (
    gradient_steps_excess,
    least_squares_excess,
    wishart_spectra,
)
from theorylab.settings.in_context.linear_attention.theory.task_diversity import pretraining_errors

from experiments.linear_attention import cases, results
from theorylab.verdict.plotting import COLOURS, gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw excess losses against n/d by depth (left), and errors against the number of prompts (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    dim, noise, generator = 10, 0.25, np.random.default_rng(0)
    lengths = (5, 20) if preset == "tiny" else (2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80)
    spectra = {n: wishart_spectra(generator, 200 if preset == "tiny" else 2000, n, dim) for n in lengths}
    ratios = np.array(lengths) / dim
    for steps, color in zip((1, 2, 3, 4, 6), gradient(5), strict=True):
        excess = [float(gradient_steps_excess(n, dim, noise, steps)) for n in lengths]
        left.plot(ratios, excess, color=color, label=f"{steps} layer{'s' if steps > 1 else ''}")
    bayes = [np.mean(np.sum(noise / (s + noise), axis=1)) for s in spectra.values()]
    left.plot(ratios, bayes, "--", color="black", label="Bayes")
    squares = np.array([float(least_squares_excess(n, dim, noise)) for n in lengths])
    left.plot(ratios, np.where(np.isfinite(squares), squares, np.nan), ":", color=COLOURS[1], label="least squares")
    left.set(xscale="log", yscale="log", xlabel="$n/d$", ylabel="excess loss", ylim=(5e-2, 2e1))
    left.set_title(f"optimal steps of gradient descent, $d = {dim}$, $\\sigma^2 = {noise:g}$ (theory)")
    left.set_xticks([0.2, 0.5, 1, 2, 4, 8], ["0.2", "0.5", "1", "2", "4", "8"])
    left.legend()

    swept = {name: case for name, case in cases(preset).items() if name.startswith("prompts_")}
    for (name, case), color in zip(swept.items(), COLOURS, strict=False):
        c, dim = case.config, case.config.dim
        alpha, kappa = c.context_length / dim, c.num_tasks / dim
        for taus in (np.geomspace(0.15, 0.96, 60), np.geomspace(1.04, 8, 60)):
            curves = np.array(
                [[float(e) for e in pretraining_errors(alpha, kappa, t, c.noise_variance)] for t in taus.tolist()]
            )
            right.plot(taus, curves[:, 0], color=color, label=rf"$\alpha$ = {alpha:g}" if taus[0] < 1 else None)
            right.plot(taus, curves[:, 1], "--", color=color)
        data = results(name, preset, folder)
        x = np.array(case.grid["prompt_ratio"])
        points(right, x, data.fresh_task_error, color=color)
        points(right, x, data.pool_error, color=color, markerfacecolor="white")
    right.plot([], [], color="grey", label="fresh tasks")
    right.plot([], [], "--", color="grey", label="tasks of the pool")
    right.set(xscale="log", yscale="log", xlabel=r"prompts$/d^2$, $\tau$", ylabel="error (noisy target)")
    right.set_title(
        rf"$\tau d^2$ prompts, $K = {kappa:g}d$ tasks, $\sigma^2 = {c.noise_variance:g}$; points at $d = {dim}$"
    )
    right.set_xticks([0.2, 0.5, 1, 2, 4, 8], ["0.2", "0.5", "1", "2", "4", "8"])
    for axes in (left, right):
        axes.xaxis.set_ticks([], minor=True)
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
