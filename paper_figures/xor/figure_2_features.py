"""Figure 2: the first step is linear, the features come later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.xor import STEPS, cases, features
from theorylab.settings.two_layer.xor.theory import first_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw the decision boundary in the plane of the means with the neurons' alignments, and their histograms."""
    import jax
    import jax.numpy as jnp
    import matplotlib.pyplot as plt

    config = cases(preset)["large"].config
    seeds = 2 if preset == "tiny" else 8
    found = features(preset, seeds)
    figure, panels = plt.subplots(2, 3, figsize=(9.8, 6.6))
    for column, step in enumerate(STEPS):
        _boundary(panels[0, column], found["signs"][0], found["alignment"][0, column], step)
    # Histograms: ⟨w, μ⟩ in units of α|μ|²/(n√m) is v/2; neurons with a_j > 0 of all runs.
    positive, model_positive = found["signs"] > 0, found["model_signs"] > 0
    law = jax.vmap(lambda labels: first_step.alignment_law(labels, config))
    drift, variance = (np.asarray(a) for a in jax.jit(law)(jax.tree.map(jnp.asarray, found["labels"])))
    start = float(np.mean(found["alignment"][:, 0] ** 2))
    shown: list[tuple[Any, int, int, str]] = [
        (panels[1, 0], 1, 0, "$t = 1$, $\\mu_1$"), (panels[1, 1], 2, 0, f"$t = {STEPS[2]}$, $\\mu_1$ (own pair)"),
        (panels[1, 2], 2, 1, f"$t = {STEPS[2]}$, $\\mu_2$ (other pair)"),
    ]  # fmt: skip
    for axes, column, pair, title in shown:
        values = found["alignment"][:, column, :, pair][positive] / 2
        modelled = found["model_alignment"][:, column, :, pair][model_positive] / 2
        edge = float(np.quantile(np.abs(values), 0.999)) * 1.1
        bins = np.linspace(-edge, edge, 41)
        axes.hist(values, bins, density=True, color="C0", alpha=0.45, label="simulation")
        axes.hist(modelled, bins, density=True, histtype="step", color="C1", linewidth=1.4, label="cell model")
        if column == 1:
            grid = np.linspace(-edge, edge, 200)[:, None]
            mean, spread = drift[:, pair] / 2, np.sqrt(variance[:, pair] + start) / 2
            density = np.exp(-(((grid - mean) / spread) ** 2) / 2) / np.sqrt(2 * np.pi) / spread
            axes.plot(grid[:, 0], density.mean(1), "k--", linewidth=1.2, label="law of the first step")
        axes.set(
            xlabel=f"$\\langle w_j, \\mu_{pair + 1}\\rangle\\, n\\sqrt{{m}}/(\\alpha|\\mu|^2)$, $a_j > 0$",
            title=title, yticks=[],
        )  # fmt: skip
        axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
        axes.legend(fontsize=7.5, loc="upper center", ncols=2)
    panels[1, 0].set_ylabel("density")
    return figure


def _boundary(axes: Any, signs: np.ndarray, alignment: np.ndarray, step: int) -> None:
    """The sign of f in the plane of the means, and the projections of the neurons on it."""
    scale = np.quantile(np.abs(alignment), 0.98)
    line = np.linspace(-1.6, 1.6, 161)
    x, y = np.meshgrid(line, line)
    f = np.zeros_like(x)
    for sign, (a, b) in zip(signs, alignment / scale, strict=True):
        f += sign * np.maximum(a * x + b * y, 0)
    axes.contourf(x, y, np.sign(f), levels=[-2, 0, 2], colors=["#F4D3BF", "#CBDDEE"])
    axes.contour(x, y, f, levels=[0], colors="black", linewidths=1.2)
    chosen = slice(0, 400)
    for sign, color in ((1, "C0"), (-1, "C1")):
        at = alignment[chosen][signs[chosen] == sign] / scale
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
        axes.legend(loc="upper right", fontsize=7.5)


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
