"""Figure 1: loss against compute for several widths, with the compute-optimal frontier of each phase."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.lab.predict import predict
from theorylab.settings.kernels.scaling_laws.config import powers
from theorylab.settings.kernels.scaling_laws.theory import equivalent, power_laws
from theorylab.training.iterate import log_spaced_steps
from theorylab.verdict.plotting import gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PHASES = ("I", "II", "III")
#: The drawn steps of a line.
PER_DECADE = 20


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Losses of SGD, of its exact mean and of the contour in every phase; switches of the frontier."""
    setting = get("scaling_laws")
    variables: dict[str, Any] = {}
    attrs: dict[str, float] = {}
    for name in PHASES:
        case = setting.case(preset, f"phase {name}")
        config, widths = case.config, np.array(case.grid["width"], float)
        found = results(setting, case.name, preset, folder)
        exact = predict(setting, config, case.grid, theory="sgd_mean", seeds=case.seeds)
        variables[f"sgd_{name}"] = found.loss.rename(step=f"step_{name}")
        variables[f"mean_{name}"] = exact.loss.mean("seed").rename(step=f"step_{name}")
        losses = np.array([contour_losses(config, int(width)) for width in widths])
        kept = np.array(log_spaced_steps(config.num_steps, PER_DECADE)[1:])
        variables[f"contour_{name}"] = (("width", f"line_{name}"), losses[:, kept])
        edge = power_laws.frontier(losses, widths)
        variables[f"switch_compute_{name}"] = (f"switch_{name}", edge.compute)
        variables[f"switch_loss_{name}"] = (f"switch_{name}", edge.loss)
        variables[f"line_{name}"] = (f"line_{name}", kept)
        law = power_laws.phase(config.spectrum_exponent, config.target_exponent)
        attrs |= {f"a_{name}": config.spectrum_exponent, f"b_{name}": config.target_exponent, f"slope_{name}": law.loss}
    return xarray.Dataset(variables, attrs=attrs)


def contour_losses(config: Any, width: int) -> np.ndarray:
    """Losses after every number of steps, from the contour."""
    variances, energies = powers(config)
    modes = equivalent.width_modes(variances, energies, width, config.learning_rate * config.num_steps)
    return equivalent.sgd_losses(modes, config.learning_rate, config.batch_size, range(config.num_steps + 1))


def draw(data: xarray.Dataset) -> Figure:
    """Draw a panel for each phase."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 4.3))
    for axes, name, letter in zip(panels, PHASES, "abc", strict=True):
        widths, steps = data.width.values, data[f"line_{name}"].values
        colours = gradient(len(widths))
        for width, colour, losses in zip(widths, colours, data[f"contour_{name}"].values, strict=True):
            axes.plot(width * steps, losses, color=colour, label=f"$M = {width:g}$", linewidth=1.3)
        for width, colour in zip(widths, colours, strict=True):
            recorded = data[f"step_{name}"].values[1:]
            here = {"width": width, f"step_{name}": recorded}
            axes.plot(width * recorded, data[f"mean_{name}"].sel(here), "--", color="black", linewidth=0.7, zorder=3)
            points(axes, width * recorded, data[f"sgd_{name}"].sel(here), color=colour, markersize=3.2)
        compute, loss = data[f"switch_compute_{name}"].values, data[f"switch_loss_{name}"].values
        axes.plot(compute, loss, "s", color="black", markerfacecolor="white", markersize=5, zorder=5)
        slope = data.attrs[f"slope_{name}"]
        ends = np.array([compute[0] / 3, compute[-1] * 8])
        guide = 0.6 * loss[-1] * (ends / compute[-1]) ** -slope
        axes.plot(ends, guide, color="#D55E00", linewidth=1.2, zorder=4)
        middle, beside = np.sqrt(ends.prod()) / 3, 0.72 * np.sqrt(guide.prod()) * 3**slope
        axes.text(middle, beside, rf"$C^{{-{slope:.3g}}}$", color="#D55E00", ha="right", va="top")
        axes.set(xscale="log", yscale="log", xlabel="compute $C = M t B$")
        axes.set_title(
            rf"({letter}) phase {name}, $a = {data.attrs[f'a_{name}']:g}$, $b = {data.attrs[f'b_{name}']:g}$"
        )
    panels[0].set_ylabel("population loss")
    panels[0].legend(loc="lower left", title="contour")
    panels[1].plot([], [], "o", color="grey", markersize=3.2, label="one-pass SGD")
    panels[1].plot([], [], "--", color="black", linewidth=0.7, label="exact, for its sketches")
    panels[1].plot([], [], "s", color="black", markerfacecolor="white", label="frontier: the next width")
    handles = panels[1].get_legend_handles_labels()
    panels[1].legend(handles[0][-3:], handles[1][-3:], loc="lower left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
