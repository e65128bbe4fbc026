"""Figure 1: the output scale moves modular addition and images between lazy and rich."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray

from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.verdict.plotting import gradient, letter, run_script

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


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Accuracies of every run, ``train_accuracy_TASK`` and ``test_accuracy_TASK``."""
    shown = {}
    for name in PANELS:
        swept = results("grokking_networks", name, preset, folder)
        dims = {dim: f"{dim}_{name}" for dim in ("output_scale", "seed", "step")}
        for observable in ("train_accuracy", "test_accuracy"):
            shown[f"{observable}_{name}"] = swept[observable].rename(dims)
    return xarray.Dataset(shown).drop_attrs()


def draw(data: xarray.Dataset) -> Figure:
    """Draw accuracies against steps, one panel per task, one colour per output scale."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    figure, panels = plt.subplots(1, 3, figsize=(13, 4.0), sharey=True)
    kinds = [
        Line2D([], [], color="grey", label="test, single runs"),
        Line2D([], [], color="grey", linestyle="--", label="train"),
    ]
    for axes, (name, title), place in zip(panels, PANELS.items(), PLACES, strict=True):
        every = {f"{dim}_{name}": dim for dim in ("output_scale", "seed", "step")}
        train, test = (data[f"{kind}_accuracy_{name}"].rename(every) for kind in ("train", "test"))
        for scale, color in zip(test.output_scale.values, gradient(test.sizes["output_scale"]), strict=True):
            for seed in test.seed.values:
                label = rf"$\alpha$ = {scale:g}" if seed == 0 else None
                run = {"output_scale": scale, "seed": seed}
                later = slice(1, None)
                axes.plot(test.step[later], test.sel(run)[later], color=color, label=label, linewidth=1.3)
                axes.plot(train.step[later], train.sel(run)[later], "--", color=color, linewidth=0.9)
        axes.set(xscale="log", xlabel="step", ylabel="accuracy", ylim=(-0.02, 1.05))
        axes.set_title(title)
        axes.legend(handles=[*axes.get_legend_handles_labels()[0], *kinds], loc=place, fontsize=7.5)
    letter(*panels)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
