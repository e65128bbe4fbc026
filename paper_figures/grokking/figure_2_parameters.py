"""Figure 2: what delays the test loss: the output scale, the activation's curvature, the initial norm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.grokking import cases, results
from theorylab.verdict.plotting import gradient, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = (
    ("output_scale", r"$\alpha$", "output scale, $\\varepsilon = 1/4$"),
    ("quadratic_coeff", r"$\varepsilon$", r"curvature of the activation, $\alpha = 1$"),
    ("init_scale", r"$\sigma$", r"initial weights, centred, $\alpha = 1$, $\varepsilon = 1/4$"),
)


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw train (dashed) and test loss (solid), each over its start, against τ."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 3.9), sharey=True)
    for axes, (name, symbol, title) in zip(panels, PANELS, strict=True):
        case, data = cases(preset)[name], results(name, preset, folder)
        values = case.grid[name]
        time = case.config.scaled_learning_rate * data.step.values[1:]
        for value, color in zip(values, gradient(len(values)), strict=True):
            one = data.sel({name: value})
            for loss, line in (("train_loss", "--"), ("test_loss", "-")):
                curve = (one[loss] / one[loss].isel(step=0)).mean("seed")
                label = f"{symbol} = {value:g}" if line == "-" else None
                axes.plot(time, curve.isel(step=slice(1, None)), line, color=color, linewidth=1.3, label=label)
        axes.set(xscale="log", yscale="log", ylim=(1e-3, 2), xlabel=r"$\tau = \gamma\,$step", title=title)
        axes.legend(loc="lower left")
    panels[0].set_ylabel("loss over its start: train (dashed), test (solid)")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
