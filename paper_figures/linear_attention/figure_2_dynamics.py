"""Figure 2: gradient flow of the layer from a structured start, query-key weights merged and separate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
from theorylab.settings.in_context.linear_attention.theory.dynamics import curvatures, plateau_losses

from experiments.linear_attention import cases, results
from theorylab.settings.in_context.linear_attention.data import eigenvalues
from theorylab.settings.in_context.linear_attention.predictions import predict_flow
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw the loss of gradient descent on the whole layer beside the solution of the reduced equations."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 3.9))
    titles = {"flow": r"merged $W_K^\top W_Q$", "separate_flow": "separate $W_K$, $W_Q$: saddle to saddle"}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        config = cases(preset)[name].config
        data = results(name, preset, folder)
        predicted = jax.jit(lambda config=config: predict_flow(jax.random.key(0), config)["loss"])()
        time = data.step.values * config.learning_rate
        values = eigenvalues(config)[0]
        plateaus = plateau_losses(
            values, curvatures(values, config.context_length, config.noise_variance), config.noise_variance
        )
        shown = np.asarray(plateaus) if name == "separate_flow" else np.asarray(plateaus)[[0, -1]]
        for index, level in enumerate(shown):
            axes.axhline(level, color="grey", linestyle=":", linewidth=1, label="plateaus" if index == 0 else None)
        axes.plot(time, predicted, color=COLOURS[0], label="reduced equations")
        axes.plot(
            time, data.loss.mean("seed"), "o", color=COLOURS[1], markersize=3.5, label="gradient descent, whole layer"
        )
        axes.set(xlabel="time (loss halved, context averaged)", ylabel="exact loss (noisy target)")
        spectrum = ", ".join(f"{v:.2f}" for v in np.asarray(values))
        axes.set_title(f"{title}\n$\\lambda$ = {spectrum}; $\\epsilon$ = {config.initial_scale:g}")
    panels[0].legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
