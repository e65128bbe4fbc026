"""Grokking: mean-field theory and simulation.

python -m paper_figures.grokking_5_dmft --preset default
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from experiments.grokking_mean_field import cases, results
from theorylab.settings.two_layer.grokking import Config
from theorylab.settings.two_layer.grokking.config import sample_ratio
from theorylab.settings.two_layer.grokking.mean_field import LARGEST_EDGE, STABLE_STEPS, learned_edge
from theorylab.settings.two_layer.grokking.theory.dmft import Dynamics, Model, dmft
from theorylab.settings.two_layer.grokking.theory.dmft_seed import noise_driven_dmft, seeded_dmft
from theorylab.verdict.plotting import COLOURS, gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Relative tolerance of the reference values: the march averages derivatives in float32, and amplifies their rounding.
REFERENCE_TOLERANCE = {"default": 1e-3, "paper": 1e-3}


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw losses at varied and at fixed ε/α (left, middle) and the overlap of an isotropic start (right)."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2))
    every = cases(preset)
    base, scales = every["rate_varied"].config, every["rate_varied"].grid["output_scale"]
    num = 500 if preset == "tiny" else 3000
    solve = _planted(num, base)
    colours = gradient(len(scales))
    varied = results("rate_varied", preset, folder)
    for scale, color in zip(scales, colours, strict=True):
        config = dataclasses.replace(base, output_scale=scale)
        simulated = varied.sel(output_scale=scale)
        # Near the edge of stability the theory is not drawn beyond where its solution may leave.
        shorter = dataclasses.replace(base, num_steps=STABLE_STEPS)
        predicted = (solve if learned_edge(config) <= LARGEST_EDGE else _planted(num, shorter))(config)
        _losses(left, config, predicted, simulated, color, rf"$\alpha$ = {scale:g}")
    config = dataclasses.replace(base, output_scale=1.0)
    wrong = solve(config, reaction=0.0)
    times = config.scaled_learning_rate * np.arange(config.num_steps + 1)
    left.plot(times[1:], wrong.train_loss[1:], ":", color="black", linewidth=1)
    left.plot(times[1:], wrong.test_loss[1:], ":", color="black", linewidth=1)
    for scale, color in zip(scales, colours, strict=True):
        config = every[f"rate_fixed_{scale:g}"].config
        simulated = results(f"rate_fixed_{scale:g}", preset, folder)
        _losses(middle, config, solve(config), simulated, color, rf"$\alpha$ = {scale:g}")
    text = rf"$D$ = {base.input_dim}, $\nu$ = {sample_ratio(base):g}, $\rho_0$ = {base.spike_overlap:g}"
    left.set_title(rf"$\varepsilon$ = {base.quadratic_coeff:g}; {text}")
    middle.set_title(rf"$\varepsilon/\alpha$ = {base.quadratic_coeff:g}; {text}")
    kinds = [
        Line2D([], [], color="grey", label="test"),
        Line2D([], [], color="grey", linestyle="--", label="train"),
        Line2D([], [], color="black", linestyle=":", label=r"without responses ($\alpha$ = 1)"),
    ]
    for axes in (left, middle):
        axes.set(xscale="log", yscale="log", xlabel=r"$\tau = \gamma\,t$", ylabel="loss")
    left.legend(handles=[*left.get_legend_handles_labels()[0], *kinds], loc="lower left", fontsize=7.5)
    middle.legend(loc="lower left")
    _isotropic(right, every["isotropic"].config, results("isotropic", preset, folder), num)
    return figure


def _model(config: Config) -> Model:
    return Model(
        config.output_scale, config.quadratic_coeff, config.scaled_learning_rate, sample_ratio(config)
    )  # fmt: skip


def _planted(num: int, base: Config) -> Any:
    """One compiled program for all panels."""

    @jax.jit
    def solve(model: Model, overlap: Any, reaction: Any) -> Dynamics:
        return dmft(
            jax.random.key(0), model, spike_overlap=overlap, num_steps=base.num_steps, num_particles=num,
            field_reaction=reaction,
        )  # fmt: skip

    return lambda config, reaction=1.0: jax.tree.map(np.asarray, solve(_model(config), config.spike_overlap, reaction))


def _losses(axes: Axes, config: Config, theory: Dynamics, data: Any, color: Any, label: str) -> None:
    times = config.scaled_learning_rate * np.arange(len(theory.train_loss))
    axes.plot(times[1:], theory.test_loss[1:], color=color, label=label)
    axes.plot(times[1:], theory.train_loss[1:], "--", color=color)
    late = data.isel(step=slice(1, None))
    at = config.scaled_learning_rate * late.step.values
    points(axes, at, late.test_loss, color=color)
    points(axes, at, late.train_loss, color=color, markerfacecolor="white")


def _isotropic(axes: Axes, config: Config, data: Any, num: int) -> None:
    """Overlap of a start without a planted spike, and three theories of what seeds it."""
    model, size = _model(config), {"num_steps": config.num_steps, "num_particles": num}
    dim, key = config.input_dim, jax.random.key(0)
    theories = {
        "chance and data noise": lambda: noise_driven_dmft(key, model, input_dim=dim, **size),
        r"planted $(1 + \chi)/D$": lambda: seeded_dmft(key, model, input_dim=dim, **size),
        r"planted $1/D$ (chance only)": lambda: dmft(key, model, spike_overlap=1 / dim, **size),
    }
    times = config.scaled_learning_rate * np.arange(config.num_steps + 1)
    for (name, solve), color, line in zip(theories.items(), COLOURS, ("-", "--", ":"), strict=False):
        overlap = np.asarray(jax.jit(solve)().spike_overlap)
        axes.plot(times[1:], overlap[1:], line, color=color, label=name)
    late = data.isel(step=slice(1, None))
    points(axes, config.scaled_learning_rate * late.step.values, late.target_overlap, color="black")
    axes.set(xscale="log", yscale="log", xlabel=r"$\tau = \gamma\,t$", ylabel=r"overlap $\beta^\top M\beta/D^2$")
    axes.set_title(rf"isotropic start; $D$ = {dim}, $\varepsilon/\alpha$ = {config.quadratic_coeff:g}")
    axes.legend(loc="lower right")


if __name__ == "__main__":
    run_script(draw, __file__)
