"""Figure 1: over-parameterised, the symmetric model slows to 1/t while the asymmetric one stays linear."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.matrix_sensing.config import effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import drawn
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, symmetric
from theorylab.verdict.plotting import letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODELS = ("symmetric", "asymmetric")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Errors of the first instance at exact rank and beyond, their predicted slopes, and the symmetric tail."""
    parts = []
    for model in MODELS:
        case = tl.get("matrix_sensing").case(preset, f"curves, {model}")
        simulated = results("matrix_sensing", case.name, preset, folder)
        rate, s = float(effective_rate(case.config)), np.array(spectrum(case.config))
        slopes = []
        for rank in case.grid["model_rank"]:
            start = drawn(jax.random.key(0), dataclasses.replace(case.config, model_rank=rank))
            if model == "asymmetric" and rank == len(s):
                slopes.append(math.log1p(-rate * float(asymmetric.exact_rank_rate(start.left, start.right, s))))
            elif model == "asymmetric":
                slopes.append(math.log1p(-rate * float(asymmetric.initial_rate(start.left, start.right, len(s)))))
            elif rank == len(s):
                slopes.append(float(symmetric.exact_rank_slope(s[-1], rate)))
            else:
                slopes.append(math.nan)  # no slope, but a tail
                scales = symmetric.tail_scales(start.left, len(s))
                steps = np.geomspace(30, case.config.num_steps, 200)
                tail = [float(symmetric.descent_tail_expansion(scales, rate, step)) for step in steps]
                parts.append(xarray.Dataset({"tail_theory": ("tail_step", tail)}, {"tail_step": steps}))
        error = simulated.recovery_error.isel(seed=0, drop=True).rename(step=f"step_{model}")
        slope = ("model_rank", slopes)
        parts.append(xarray.Dataset({f"error_{model}": error, f"slope_{model}_theory": slope}))
    sizes = {"dim": case.config.dim, "target_rank": case.config.target_rank, "init_scale": case.config.init_scale}
    return xarray.merge(parts, combine_attrs="drop").assign_attrs(sizes)


def draw(data: xarray.Dataset) -> Figure:
    """Draw the error against the step: log-log with the universal tail, and half-logarithmic with slopes."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    colors = {"symmetric": ("C0", "C1"), "asymmetric": ("C2", "C3")}
    for model in MODELS:
        steps = data[f"step_{model}"].values
        for index, rank in enumerate(data.model_rank.values):
            color = colors[model][index]
            error = data[f"error_{model}"].sel(model_rank=rank).values
            kind = "$k = r$" if index == 0 else f"$k = {rank} > r$"
            for axes in (left, right):
                axes.plot(steps, error, "o", color=color, markersize=3.5, label=f"{model}, {kind}")
            slope = float(data[f"slope_{model}_theory"].sel(model_rank=rank))
            if math.isnan(slope):
                left.plot(
                    data.tail_step, data.tail_theory, color="black", linewidth=1, label="tail, from the start alone"
                )
                continue
            # The line's slope is the theory's; its height is that of the point nearest to 1e-7.
            anchor = int(np.argmin(np.abs(np.log(error[1:]) - math.log(1e-7)))) + 1
            t0, e0 = float(steps[anchor]), float(error[anchor])
            t = np.linspace(0, 2 * t0, 50)
            right.plot(t, e0 * np.exp(slope * (t - t0)), color=color, linewidth=1)
    guide = np.array([1e2, data.step_asymmetric.values[-1] * 3])
    left.plot(guide, 0.3 * (guide / 1e2) ** -1.0, "--", color="grey", linewidth=1, label="$1/t$, to compare")
    right.plot([], [], color="grey", linewidth=1, label="theory: slope (height of one point)")
    left.set(xscale="log", yscale="log", ylim=(1e-14, 5), xlim=(1, None))
    right.set(yscale="log", ylim=(1e-12, 5), xlim=(0, min(1600, data.step_symmetric.values[-1])))
    left.set_title(rf"$n = {data.dim}$, $r = {data.target_rank}$, $\alpha = {data.init_scale:g}$, one instance")
    right.set_title("the same, linear in the step")
    for axes in (left, right):
        axes.set(xlabel="step $t$", ylabel=r"error $\|E_t\|_F$")
    letter(left, right)
    left.legend()
    right.legend(*[part[-1:] for part in right.get_legend_handles_labels()], loc="upper right")
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
