"""Figure 5: more layers at one context length, and memorisation of pre-training tasks (Lu et al. 2024, Figure 4)."""

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
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def best_polynomial(spectra: np.ndarray, noise_variance: float, num_steps: int) -> np.polynomial.Chebyshev:
    """Return r of degree k - 1 that minimises the mean of sum_j (1 - s_j r(s_j))² + σ² s_j r(s_j)² over spectra."""
    s = spectra.ravel()
    basis = np.polynomial.chebyshev.chebvander(2 * s / s.max() - 1, num_steps - 1)
    rows = np.concatenate([basis * s[:, None], np.sqrt(noise_variance * s)[:, None] * basis])
    target = np.concatenate([np.ones_like(s), np.zeros_like(s)])
    return np.polynomial.Chebyshev(np.linalg.lstsq(rows, target, rcond=None)[0], domain=[0, s.max()])


def prompt_errors(
    generator: np.random.Generator, count: int, context_length: int, dim: int, noise_variance: float, filters: list
) -> np.ndarray:
    """Return |r(S) b - w|² on fresh prompts for each r, [filters, prompts]."""
    x = generator.standard_normal((count, context_length, dim))
    w = generator.standard_normal((count, dim))
    y = np.einsum("pnd,pd->pn", x, w) + noise_variance**0.5 * generator.standard_normal((count, context_length))
    values, vectors = np.linalg.eigh(np.swapaxes(x, 1, 2) @ x)
    b = np.einsum("pde,pd->pe", vectors, np.einsum("pnd,pn->pd", x, y))
    w = np.einsum("pde,pd->pe", vectors, w)
    return np.array([np.sum((r(values) * b - w) ** 2, axis=1) for r in filters])


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw excess loss against layers (left), and fresh minus pool error against tasks per dimension (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    swept = {name: case for name, case in cases(preset).items() if name.startswith("layers_")}
    config = next(iter(swept.values())).config
    n, d, noise = config.context_length, config.dim, float(config.noise_variance)
    generator, layers = np.random.default_rng(0), list(range(1, 7))
    spectra = wishart_spectra(generator, 1000 if preset == "tiny" else 20_000, n, d)
    excess = [float(gradient_steps_excess(n, d, noise, k)) for k in layers]
    left.plot(layers, excess, color="black", label="theory: $k$ optimal steps")
    filters = [best_polynomial(spectra, noise, k) for k in layers]
    errors = prompt_errors(generator, 500 if preset == "tiny" else 20_000, n, d, noise, filters)
    left.errorbar(
        layers,
        errors.mean(axis=1),
        yerr=errors.std(axis=1, ddof=1) / errors.shape[1] ** 0.5,
        fmt="o",
        markersize=9,
        markerfacecolor="none",
        color=COLOURS[0],
        label="these steps on fresh prompts",
    )
    for name, case in swept.items():
        label = "trained layers, mean of seeds" if name == "layers_1" else None
        loss = results(name, preset, folder).sampled_loss.expand_dims("layers")
        points(left, [case.config.num_layers], loss - noise, color=COLOURS[1], label=label)
    left.axhline(float(least_squares_excess(n, d, noise)), color="grey", linestyle=":", label="least squares")
    left.axhline(np.mean(np.sum(noise / (spectra + noise), axis=1)), color=COLOURS[2], linestyle="--", label="Bayes")
    left.set(yscale="log", xlabel="layers $k$", ylabel="excess loss", ylim=(0.07, 2))
    left.set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    left.set_title(f"$n = {n}$, $d = {d}$, $\\sigma^2 = {noise:g}$")
    left.legend()

    swept = {name: case for name, case in cases(preset).items() if name.startswith("pool_")}
    config = next(iter(swept.values())).config
    rho = float(config.noise_variance)
    ratios = np.geomspace(0.15, 10, 12 if preset == "tiny" else 50)
    for alpha, color in zip((10, 20, 40), COLOURS, strict=False):
        curve = [pretraining_errors(alpha, kappa, 0.2 * alpha, rho) for kappa in ratios.tolist()]
        gaps = [float(errors.fresh - errors.pool) for errors in curve]
        right.plot(ratios, gaps, color=color, label=rf"$\alpha$ = {alpha}")
        if f"pool_{alpha}" in swept:
            data = results(f"pool_{alpha}", preset, folder)
            x = np.array(swept[f"pool_{alpha}"].grid["num_tasks"]) / config.dim
            points(right, x, data.fresh_task_error - data.pool_error, color=color)
    right.axvline(1, color="grey", linewidth=0.6)
    right.set(xscale="log", yscale="log", xlabel=r"tasks per dimension $\kappa = K/d$", ylim=(3e-3, 3))
    right.set(ylabel="error on fresh tasks $-$ on the pool")
    right.set_xticks([0.2, 0.5, 1, 2, 4, 8], ["0.2", "0.5", "1", "2", "4", "8"])
    right.set_title(
        rf"$\alpha d$ tokens, $\tau d^2$ prompts, $\tau = \alpha/5$, $\sigma^2 = {rho:g}$; points at $d = {config.dim}$"
    )
    for axes in (left.yaxis, right.xaxis):
        axes.set_ticks([], minor=True)
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
