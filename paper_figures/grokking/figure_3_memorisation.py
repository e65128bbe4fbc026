"""Figure 3: the lazy network memorises as the Marchenko–Pastur law says, and stays above 1/2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.grokking.config import sample_ratio
from theorylab.settings.two_layer.grokking.theory.marchenko_pastur import memorisation
from theorylab.verdict.plotting import letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = ("memorisation_2", "memorisation_4")
SHOWN = ("relative_train_loss", "relative_linear_power")


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Simulated curves of both runs, the theory's on a finer grid, and the theory's without the diagonal ε²."""
    setting, parts, dim = tl.get("grokking"), [], 0
    for name in RUNS:
        config = setting.case(preset, name).config
        dim, rate = config.input_dim, config.scaled_learning_rate
        swept = results(setting, name, preset, folder, ignore="scaled_learning_rate").isel(step=slice(1, None))
        steps = np.unique(np.geomspace(1, config.num_steps, 150).astype(int))
        time, fine = f"time_{name}", f"time_{name}_theory"
        part = xarray.Dataset(
            coords={time: rate * swept.step.values, fine: rate * steps},
            attrs={f"ratio_{name}": sample_ratio(config), f"curvature_{name}": config.quadratic_coeff},
        )
        for curvature, ending in ((config.quadratic_coeff, "theory"), (0.0, "without_diagonal")):
            curves = memorisation(
                steps, sample_ratio=sample_ratio(config), quadratic_coeff=curvature, scaled_learning_rate=rate
            )
            for observable, curve in zip(SHOWN, (curves.train_loss, curves.linear_power), strict=True):
                part[f"{observable}_{name}_{ending}"] = (fine, np.asarray(curve))
        for observable in SHOWN:
            part[f"{observable}_{name}"] = ((f"seed_{name}", time), swept[observable].transpose("seed", "step").values)
        parts.append(part)
    return xarray.merge(parts, combine_attrs="no_conflicts").assign_attrs(input_dim=dim)


def draw(data: xarray.Dataset) -> Figure:
    """Draw train loss and linear power of linearised networks, over twice the initial train loss, against τ."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.9))
    for name, color in zip(RUNS, ("C0", "C1"), strict=True):
        time, fine = data[f"time_{name}"], data[f"time_{name}_theory"]
        label = f"$\\nu = {data.attrs[f'ratio_{name}']:g}$, $\\varepsilon = {data.attrs[f'curvature_{name}']:g}$"
        for axes, observable in zip((left, right), SHOWN, strict=True):
            runs = data[f"{observable}_{name}"].rename({f"seed_{name}": "seed"})
            points(axes, time, runs, color=color, label=label, markersize=3.5)
            axes.plot(fine, data[f"{observable}_{name}_theory"], color=color, linewidth=1.3)
            axes.plot(fine, data[f"{observable}_{name}_without_diagonal"], ":", color=color, linewidth=1)
    left.set(xscale="log", ylabel=r"train loss / 2 (its start)", ylim=(0, None))
    right.set(xscale="log", ylabel=r"linear power $C$ / 2 (initial train loss)", ylim=(0, None))
    for axes in (left, right):
        axes.set_xlabel(r"$\tau = \gamma\,$step")
        axes.plot([], [], "-", color="grey", linewidth=1.3, label="Marchenko–Pastur")
        axes.plot([], [], ":", color="grey", linewidth=1, label=r"without the diagonal $\varepsilon^2$")
        axes.legend()
    left.set_title("train loss")
    right.set_title("what the linear part of the output has")
    letter(left, right)
    seeds = data.sizes[f"seed_{RUNS[0]}"]
    figure.suptitle(
        f"linearised network, $D = {data.input_dim}$, infinite width, $\\alpha\\varepsilon = 1$; mean ± s.e. of {seeds}"
    )
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
