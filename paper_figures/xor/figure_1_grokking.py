"""Figure 1: memorised after one step, generalised much later; large steps and gradient flow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.xor import cases, cell_paths, results
from theorylab.settings.two_layer.xor.config import step_init_ratio
from theorylab.settings.two_layer.xor.theory import memorisation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw training and test accuracy against the step, with the cell model and the memorisation curve."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.0), sharey=True)
    for axes, name in zip(panels, ("large", "small"), strict=True):
        case, data = cases(preset)[name], results(name, preset, folder)
        x = data.step.values + 1
        model = cell_paths(case.config, case.seeds)
        for observable, color, label in (("train_accuracy", "C0", "training"), ("test_accuracy", "C1", "test (clean)")):
            runs, predicted = data[observable], model[observable]
            mean, spread = runs.mean("seed"), runs.std("seed", ddof=1)
            axes.fill_between(x, mean - spread, np.minimum(mean + spread, 1), color=color, alpha=0.18, linewidth=0)
            error = spread / np.sqrt(case.seeds)
            axes.errorbar(x, mean, error, fmt="o", color=color, linewidth=1, markersize=4, label=label)
            axes.plot(x, predicted.mean(0), color=color, label=f"{label}: cell model")
        if name == "small":
            t = np.unique(np.geomspace(1, case.config.num_steps, 80).round())
            curve = np.asarray(memorisation.training_accuracy(np.concatenate([[0.0], t]), case.config))
            axes.plot(np.concatenate([[1.0], t + 1]), curve, "k--", linewidth=1, label="training: closed form")
        axes.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
        ratio = float(step_init_ratio(case.config))
        axes.set(
            xscale="log", xlabel="step $t + 1$", ylim=(0.38, 1.03),
            title=f"$\\alpha = {_power(case.config.learning_rate)}$: $\\kappa = {ratio:.3g}$, "
            f"$m = {case.config.width}$, {case.seeds} runs",
        )  # fmt: skip
        axes.legend(loc="lower right" if name == "large" else "upper left", fontsize=8)
    panels[0].set_ylabel("accuracy")
    return figure


def _power(value: float) -> str:
    return f"10^{{{round(np.log10(value))}}}"


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
