"""Figure 2: the first step is linear, the features come later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (0, 1, 15)  # shown of decision boundary and features
SEEDS = {"tiny": 2, "default": 8, "paper": 8}
NEURON = ("seed", "step", "neuron", "pair")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Alignments of all neurons in the network and in the cell model, the law of the first step, one run's boundary.

    ``density_theory`` is that of alignments in units of α|μ|²/(n√m) after one step on the first pair, for neurons
    with a_j > 0; ``output`` is f in the plane of the means, in units of the largest alignments.
    """
    import jax

    from theorylab.lab.grid import seed_keys
    from theorylab.settings.two_layer.xor.adapter import neuron_alignments
    from theorylab.settings.two_layer.xor.theory import first_step

    config = tl.get("xor").case(preset, "large").config
    found = neuron_alignments(seed_keys(0, np.arange(SEEDS[preset])), config, STEPS)

    def law(labels: Any) -> Any:
        return first_step.alignment_law(
            labels.pair, labels.side, labels.observed, mean_norm=config.mean_norm, input_dim=config.input_dim
        )

    drift, variance = (np.asarray(a)[:, 0] for a in jax.jit(jax.vmap(law))(found["labels"]))
    signs, alignment = np.asarray(found["signs"]), np.asarray(found["alignment"])
    edge = _edge(alignment[:, 1, :, 0][signs > 0] / 2)
    grid, start = np.linspace(-edge, edge, 200), float(np.mean(alignment[:, 0] ** 2))
    mean, spread = drift / 2, np.sqrt(variance + start) / 2
    density = np.exp(-(((grid[:, None] - mean) / spread) ** 2) / 2) / np.sqrt(2 * np.pi) / spread
    scale = np.array([np.quantile(np.abs(a), 0.98) for a in alignment[0]])
    line = np.linspace(-1.6, 1.6, 161)
    return xarray.Dataset(
        {
            "signs": (("seed", "neuron"), signs),
            "signs_theory": (("seed", "neuron"), np.asarray(found["model_signs"])),
            "alignment": (NEURON, alignment),
            "alignment_theory": (NEURON, np.asarray(found["model_alignment"])),
            "density_theory": ("first_alignment", density.mean(1)),
            "scale": ("step", scale),
            "output": (
                ("step", "y", "x"),
                np.stack([_output(signs[0], a / s, line) for a, s in zip(alignment[0], scale, strict=True)]),
            ),
        },
        {"step": list(STEPS), "pair": [1, 2], "first_alignment": grid, "x": line, "y": line},
    )


def _edge(values: np.ndarray) -> float:
    return float(np.quantile(np.abs(values), 0.999)) * 1.1


def _output(signs: np.ndarray, alignment: np.ndarray, line: np.ndarray) -> np.ndarray:
    """The output f in the plane of the means, from the neurons' projections on it."""
    x, y = np.meshgrid(line, line)
    f = np.zeros_like(x)
    for sign, (a, b) in zip(signs, alignment, strict=True):
        f += sign * np.maximum(a * x + b * y, 0)
    return f


def draw(data: xarray.Dataset) -> Figure:
    """Draw the decision boundary in the plane of the means with the neurons' alignments, and their histograms."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 3, figsize=(9.8, 6.6))
    for axes, step in zip(panels[0], data.step.values, strict=True):
        _boundary(axes, data.isel(seed=0).sel(step=step))
    # Histograms: ⟨w, μ⟩ in units of α|μ|²/(n√m) is v/2; neurons with a_j > 0 of all runs.
    positive, model_positive = data.signs.values > 0, data.signs_theory.values > 0
    last = data.step.values[-1]
    shown: list[tuple[Any, int, int, str]] = [
        (panels[1, 0], 1, 1, "$t = 1$, $\\mu_1$"), (panels[1, 1], last, 1, f"$t = {last}$, $\\mu_1$ (own pair)"),
        (panels[1, 2], last, 2, f"$t = {last}$, $\\mu_2$ (other pair)"),
    ]  # fmt: skip
    for axes, step, pair, title in shown:
        values = data.alignment.sel(step=step, pair=pair).values[positive] / 2
        modelled = data.alignment_theory.sel(step=step, pair=pair).values[model_positive] / 2
        edge = _edge(values)
        bins = np.linspace(-edge, edge, 41)
        axes.hist(values, bins, density=True, color="C0", alpha=0.45, label="simulation")
        axes.hist(modelled, bins, density=True, histtype="step", color="C1", linewidth=1.4, label="cell model")
        if step == 1:
            axes.plot(data.first_alignment, data.density_theory, "k--", linewidth=1.2, label="law of the first step")
        axes.set(
            xlabel=f"$\\langle w_j, \\mu_{pair}\\rangle\\, n\\sqrt{{m}}/(\\alpha|\\mu|^2)$, $a_j > 0$",
            title=title, yticks=[],
        )  # fmt: skip
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
        axes.legend(fontsize=7.5, loc="upper center", ncols=2)
    panels[1, 0].set_ylabel("density")
    letter(*panels.flat)
    panels[0, 0].set_title(f"{panels[0, 0].get_title()}, one run")
    panels[1, 0].set_title(f"{panels[1, 0].get_title()}, {data.sizes['seed']} runs")
    return figure


def _boundary(axes: Any, data: xarray.Dataset) -> None:
    """The sign of f in the plane of the means, and the projections of the neurons on it."""
    step = int(data.step)
    axes.contourf(data.x, data.y, np.sign(data.output), levels=[-2, 0, 2], colors=["#F4D3BF", "#CBDDEE"])
    axes.contour(data.x, data.y, data.output, levels=[0], colors="black", linewidths=1.2)
    some = data.isel(neuron=slice(0, 400))
    for sign, color in ((1, "C0"), (-1, "C1")):
        at = some.alignment.values[some.signs.values == sign] / float(data.scale)
        axes.plot(at[:, 0], at[:, 1], ".", color=color, markersize=2.5, alpha=0.7,
                  label=f"$a_j {'>' if sign > 0 else '<'} 0$")  # fmt: skip
    axes.plot([1, -1], [0, 0], "P", color="C0", markeredgecolor="black", markersize=8)
    axes.plot([0, 0], [1, -1], "X", color="C1", markeredgecolor="black", markersize=8)
    axes.set(
        xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", title=f"$t = {step}$", xlabel="along $\\mu_1$",
        ylabel="along $\\mu_2$" if step == 0 else "",
    )  # fmt: skip
    axes.grid(False)
    if step == 0:
        axes.legend(loc="upper right", fontsize=7.5, frameon=True)


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
