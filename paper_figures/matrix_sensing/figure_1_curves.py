"""Figure 1: over-parameterised, the symmetric model slows to 1/t while the asymmetric one stays linear."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.matrix_sensing import cases, instance, results
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate, spectrum
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, symmetric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw the squared error against the step: log-log with the universal tail, and half-logarithmic with slopes."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0))
    colors = {"symmetric": ("C0", "C1"), "asymmetric": ("C2", "C3")}
    for name in ("symmetric", "asymmetric"):
        case, data = cases(preset)[name], results(name, preset, folder)
        ranks = case.grid["model_rank"]
        for rank, color in zip(ranks, colors[name], strict=True):
            error = data.recovery_error.sel(model_rank=rank).isel(seed=0)
            kind = "$k = r$" if rank == ranks[0] else f"$k = {rank} > r$"
            for axes in (left, right):
                axes.plot(data.step, error**2, "o", color=color, markersize=3.5, label=f"{name}, {kind}")
            rate = effective_rate(case.config)
            start = instance(case_config(case, rank), 0)
            s = np.array(spectrum(case.config))
            if name == "symmetric" and rank > ranks[0]:
                scales = symmetric.tail_scales(start.left, len(s))
                t = np.geomspace(30, case.config.num_steps, 200)
                tail = np.array([symmetric.descent_tail_expansion(scales, rate, step) for step in t])
                left.plot(t, tail**2, color="black", linewidth=1, label="tail from the initialisation")
                continue
            if name == "symmetric":
                predicted = symmetric.exact_rank_slope(s[-1], rate)
            elif rank == ranks[0]:
                predicted = math.log1p(-rate * asymmetric.exact_rank_rate(start.left, start.right, s))
            else:
                predicted = math.log1p(-rate * asymmetric.initial_rate(start.left, start.right, len(s)))
            # The line's slope is the theory's; its height is that of the point nearest to 1e-14.
            anchor = int(np.argmin(np.abs(np.log(error.values[1:] ** 2) - math.log(1e-14)))) + 1
            t0, e0 = float(data.step[anchor]), float(error[anchor]) ** 2
            t = np.linspace(0, 2 * t0, 50)
            right.plot(t, e0 * np.exp(2 * predicted * (t - t0)), color=color, linewidth=1)
    left.set(xscale="log", yscale="log", ylim=(1e-28, 10), xlim=(1, None), title="dashed: slope −2 of the 1/t law")
    guide = np.array([1e2, case.config.num_steps * 3])
    left.plot(guide, 1e-1 * (guide / 1e2) ** -2.0, "--", color="grey", linewidth=1)
    right.set(yscale="log", ylim=(1e-24, 10), xlim=(0, 1600 if preset == "default" else 300),
              title="lines: predicted slopes through one point")  # fmt: skip
    for axes in (left, right):
        axes.set(xlabel="step $t$", ylabel=r"$\|E_t\|_F^2$")
    left.legend()
    return figure


def case_config(case, rank):  # type: ignore[no-untyped-def]
    import dataclasses

    return dataclasses.replace(case.config, model_rank=rank)


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
