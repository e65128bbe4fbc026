"""Figure 2: margins of softmax through the collapse, and of StableMax."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.step_size.numerical_collapse import collapse_gap, softmax_gap, stablemax_gap
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CASES = ("collapse", "half")


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Gaps along descent in float32 and float16, and of StableMax; their laws, and that of exact arithmetic."""
    setting = get("numerical_collapse")
    last = setting.case(preset, "power").config.num_steps
    times = np.geomspace(1, last, 120)
    variables = {}
    attrs = {}
    for name in CASES:
        config = setting.case(preset, name).config
        found = results(setting, name, preset, folder).isel(seed=0, drop=True)
        arguments = jnp.asarray(times), config.learning_rate, config.init_gap
        gap = collapse_gap(config.dtype, "softmax")
        variables[f"{name}_gap"], variables[f"{name}_lone"] = found.gap, found.lone_gap
        variables[f"{name}_theory"] = ("time", np.asarray(softmax_gap(*arguments, gap)))
        variables[f"{name}_lone_theory"] = ("time", np.asarray(softmax_gap(*arguments, gap, speed=1.0, after=0.0)))
        variables[f"{name}_exact"] = ("time", np.asarray(softmax_gap(*arguments, 1e3)))
        attrs[name] = gap
    config = setting.case(preset, "power").config
    variables["power_gap"] = results(setting, "power", preset, folder).isel(seed=0, drop=True).gap
    law = stablemax_gap(jnp.asarray(times), config.learning_rate, config.init_gap)
    variables["power_theory"] = ("time", np.asarray(law))
    return xarray.Dataset(variables, coords={"time": times}, attrs=attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw float32 (left), float16 (middle), StableMax (right)."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(12.6, 4.0))
    titles = {"collapse": "(a) softmax, float32", "half": "(b) softmax, float16"}
    step = data.step.values[1:]
    for axes, name in zip(panels, CASES, strict=False):
        axes.plot(data.time, data[f"{name}_exact"], ":", color="grey", label="exact arithmetic")
        axes.plot(data.time, data[f"{name}_theory"], color=COLOURS[0], label="both logits, half speed after collapse")
        axes.plot(step, data[f"{name}_gap"].values[1:], "o", color=COLOURS[0])
        axes.plot(data.time, data[f"{name}_lone_theory"], color=COLOURS[1], label="correct logit alone")
        axes.plot(step, data[f"{name}_lone"].values[1:], "o", color=COLOURS[1], markerfacecolor="white")
        axes.axhline(data.attrs[name], color="black", linewidth=0.6)
        axes.text(step[0], data.attrs[name], r" $\log(2/\varepsilon)$", va="bottom")
        axes.set(xscale="log", xlabel="step", ylabel=r"logit gap $\Delta$")
        axes.set_title(titles[name])
    panels[0].plot([], [], "o", color="grey", label="one run each")
    panels[0].legend(loc="upper left", bbox_to_anchor=(0.0, 0.93))
    panels[2].plot(
        data.time, data.power_theory, color=COLOURS[2], label=r"$(q^2 + 1)^2 \sim 8\eta t$, $q = 1 + \Delta/2$"
    )
    panels[2].plot(step, data.power_gap.values[1:], "o", color=COLOURS[2])
    panels[2].set(xscale="log", yscale="log", xlabel="step", ylabel=r"logit gap $\Delta$")
    panels[2].set_title("(c) StableMax, float32")
    panels[2].legend(loc="upper left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
