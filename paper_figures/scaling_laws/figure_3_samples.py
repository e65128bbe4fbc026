"""Figure 3: descent on samples, its best time to stop, and what width and samples leave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.contours import around_spectrum
from theorylab.settings.kernels.scaling_laws.config import powers
from theorylab.settings.kernels.scaling_laws.theory import equivalent, power_laws
from theorylab.training.iterate import log_spaced_steps
from theorylab.verdict.plotting import COLOURS, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Losses along descent, measured and by the double contour; irreducible losses against width and samples."""
    setting = get("scaling_laws")
    case = setting.case(preset, "stopping")
    config, counts, noises = case.config, case.grid["num_samples"], case.grid["noise_variance"]
    found = results(setting, case.name, preset, folder)
    steps = log_spaced_steps(config.num_steps, 20)
    variances, energies = powers(config)
    rate = config.learning_rate
    curves = np.array(
        [
            [
                equivalent.descent_losses(contour, variances, energies, n, noise, rate, steps)
                for noise in noises
            ]
            for n in counts
            for contour in [around_spectrum(variances, n, rate * config.num_steps)]
        ]
    )  # fmt: skip
    widths = results(setting, "phase I", preset, folder).irreducible_loss.rename(seed="sketch_seed")
    sketched = setting.case(preset, "phase I").config
    sizes = np.geomspace(float(min(*counts, *widths.width.values)) / 1.5, 1.5 * max(*counts, *widths.width.values), 60)
    a, b = config.spectrum_exponent, config.target_exponent
    variables: dict[str, Any] = {
        "loss": found.loss,
        "curves": (("num_samples", "noise_variance", "fine"), curves),
        "sample_floor": found.irreducible_loss.isel(noise_variance=0),
        "width_floor": widths,
        "sample_theory": ("size", [equivalent.sample_irreducible_loss(variances, energies, n) for n in sizes]),
        "width_theory": ("size", [equivalent.width_irreducible_loss(*powers(sketched), m) for m in sizes]),
        "sample_law": ("size", [power_laws.sample_floor(a, b, n).loss for n in sizes]),
        "width_law": ("size", [power_laws.width_floor(a, b, m).loss for m in sizes]),
    }
    return xarray.Dataset(variables, coords={"fine": list(steps), "size": sizes}, attrs={"a": a, "b": b})


def draw(data: xarray.Dataset) -> Figure:
    """Draw losses without and with label noise, and the irreducible losses."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 4.1))
    counts = data.num_samples.values
    for axes, noise, letter in zip(panels, data.noise_variance.values, "ab", strict=False):
        for n, colour in zip(counts, gradient(len(counts)), strict=True):
            here = data.sel(num_samples=n, noise_variance=noise)
            line = here.curves.values[1:]
            axes.plot(data.fine[1:], line, color=colour, label=f"$n = {n}$")
            if noise:
                best = int(line.argmin())
                axes.plot(data.fine[1 + best], line[best], "v", color=colour, markersize=7, markeredgecolor="black")
            points(axes, data.step[1:], here.loss.isel(step=slice(1, None)), color=colour, markersize=3.5)
        axes.set(xscale="log", yscale="log", xlabel="steps $t$")
        axes.set_title(rf"({letter}) label noise $\sigma^2 = {noise:g}$")
    panels[0].set_ylabel("population loss")
    key(panels[0], seeds=data.sizes["seed"], line="")
    panels[0].legend(title="double contour")
    panels[1].plot([], [], "v", color="grey", markeredgecolor="black", label="best time to stop")
    panels[1].legend(loc="lower left")
    last = panels[2]
    last.plot(data["size"], data.sample_theory, color=COLOURS[0], label="samples $n$: equivalent")
    last.plot(data["size"], data.sample_law, ":", color=COLOURS[0], label="power law, $D = \\infty$")
    points(last, counts, data.sample_floor, color=COLOURS[0])
    last.plot(data["size"], data.width_theory, color=COLOURS[1], label="width $M$: equivalent")
    last.plot(data["size"], data.width_law, ":", color=COLOURS[1], label="power law, $D = \\infty$")
    points(last, data.width.values, data.width_floor.rename(sketch_seed="seed"), color=COLOURS[1])
    last.set(xscale="log", yscale="log", xlabel="samples $n$ or width $M$", ylabel="irreducible loss")
    last.set_title(rf"(c) $a = {data.attrs['a']:g}$, $b = {data.attrs['b']:g}$")
    last.legend(loc="lower left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
