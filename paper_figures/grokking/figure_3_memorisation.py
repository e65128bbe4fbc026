"""Figure 3: the lazy network memorises as the Marchenko–Pastur law says, and stays above 1/2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.grokking import cases, results
from theorylab.settings.two_layer.grokking.config import sample_ratio
from theorylab.settings.two_layer.grokking.theory.marchenko_pastur import memorisation
from theorylab.verdict.plotting import points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw train loss and linear power of linearised networks, over twice the initial train loss, against τ."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.9))
    for name, color in (("memorisation_2", "C0"), ("memorisation_4", "C1")):
        case, data = cases(preset)[name], results(name, preset, folder)
        config = case.config
        rate = config.scaled_learning_rate
        steps = np.unique(np.geomspace(1, config.num_steps, 150).astype(int))
        curves = memorisation(
            steps, sample_ratio=sample_ratio(config), quadratic_coeff=config.quadratic_coeff, scaled_learning_rate=rate
        )
        wrong = memorisation(steps, sample_ratio=sample_ratio(config), quadratic_coeff=0.0, scaled_learning_rate=rate)
        time = rate * data.step.values[1:]
        label = f"$\\nu = {sample_ratio(config):g}$, $\\varepsilon = {config.quadratic_coeff:g}$"
        panels = (
            (left, "relative_train_loss", curves.train_loss, wrong.train_loss),
            (right, "relative_linear_power", curves.linear_power, wrong.linear_power),
        )
        for axes, observable, right_curve, wrong_curve in panels:
            points(axes, time, data[observable].isel(step=slice(1, None)), color=color, label=label, markersize=3.5)
            axes.plot(rate * steps, right_curve, color=color, linewidth=1.3)
            axes.plot(rate * steps, wrong_curve, ":", color=color, linewidth=1)
    left.set(xscale="log", ylabel=r"train loss / 2 (its start)", ylim=(0, None))
    right.set(xscale="log", ylabel=r"linear power $C$ / 2 (initial train loss)", ylim=(0, None))
    for axes in (left, right):
        axes.set_xlabel(r"$\tau = \gamma\,$step")
        axes.plot([], [], "-", color="grey", linewidth=1.3, label="Marchenko–Pastur")
        axes.plot([], [], ":", color="grey", linewidth=1, label=r"without the diagonal $\varepsilon^2$")
        axes.legend()
    config = cases(preset)["memorisation_4"].config
    figure.suptitle(f"linearised network, $D = {config.input_dim}$, infinite width, $\\alpha\\varepsilon = 1$")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
