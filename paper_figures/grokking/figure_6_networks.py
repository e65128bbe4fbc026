"""Grokking in networks: the output scale moves modular addition and images between lazy and rich.

python -m paper_figures.grokking_6_networks --preset default
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.grokking_networks import results
from theorylab.verdict.plotting import gradient, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = {
    "addition_mlp": "modular addition, two-layer network, squared loss",
    "addition_transformer": "modular addition, transformer, cross-entropy",
    "images_mlp": "MNIST images, three-layer network, squared loss",
}
#: Relative tolerance of the reference values: thousands of steps in float32 amplify rounding. Compiled without AVX,
#: accuracies move by up to 0.1 where a network is in transition, and not at all at the tiny preset.
REFERENCE_TOLERANCE = {"default": 0.2, "paper": 0.2}
PLACES = ("center left", "upper left", "upper left")  # of the legends


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw accuracies against steps, one panel per task, one colour per output scale."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    figure, panels = plt.subplots(1, 3, figsize=(13, 4.0), sharey=True)
    kinds = [
        Line2D([], [], color="grey", label="test"),
        Line2D([], [], color="grey", linestyle="--", label="train"),
    ]
    for axes, (name, title), place in zip(panels, PANELS.items(), PLACES, strict=True):
        data = results(name, preset, folder).isel(step=slice(1, None))
        for scale, color in zip(data.output_scale.values, gradient(data.sizes["output_scale"]), strict=True):
            one = data.sel(output_scale=scale)
            for seed in one.seed.values:
                label = rf"$\alpha$ = {scale:g}" if seed == 0 else None
                axes.plot(one.step, one.test_accuracy.sel(seed=seed), color=color, label=label, linewidth=1.3)
                axes.plot(one.step, one.train_accuracy.sel(seed=seed), "--", color=color, linewidth=0.9)
        axes.set(xscale="log", xlabel="step", ylabel="accuracy", ylim=(-0.02, 1.05))
        axes.set_title(title)
        axes.legend(handles=[*axes.get_legend_handles_labels()[0], *kinds], loc=place, fontsize=7.5)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
