"""Figure 3: how fast the weak feature grows, on the cycle of the strong one and beyond."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.step_size.oscillation import GOLDEN, cycle_rate
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Growth in a window in which the weak feature is negligible; on the cycle; and from the mean square."""
    setting = get("benign_oscillation")
    config = setting.case(preset, "growth").config
    found = results(setting, "growth", preset, folder).isel(seed=0, drop=True)
    rates = np.linspace(0.5, 0.67, 80)
    ratios = [float(scale / config.strong_scale) ** 2 for scale in found.weak_scale.values]
    cycle = [np.asarray(cycle_rate(jnp.asarray(rates), r)) for r in ratios]
    return xarray.Dataset(
        {
            "weak_rate": found.weak_rate,
            "oscillation_rate": found.oscillation_rate,
            "cycle_theory": (("weak_scale", "rate"), cycle),
        },
        coords={"rate": rates, "weak_scale": found.weak_scale.values},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw growth over r(1 - r)/2 at two strengths of the weak feature."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.6, 4.2), sharey=True)
    for axes, letter, scale in zip(panels, "ab", data.weak_scale.values, strict=False):
        here, unit = data.sel(weak_scale=scale), scale**2 * (1 - scale**2) / 2
        axes.plot(data.rate, here.cycle_theory / unit, color=COLOURS[0], label="cycle of period two, exact")
        label = r"$\langle x^2\rangle$ of the run"
        axes.plot(data.learning_rate, here.oscillation_rate / unit, "x", color=COLOURS[1], markersize=3.5, label=label)
        axes.plot(
            data.learning_rate, here.weak_rate / unit, "o", color="black", markersize=3, label="growth of the run"
        )
        axes.axvline(GOLDEN, color="grey", linestyle=":", label=r"$(\sqrt{5} - 1)/2$, the cycle doubles")
        axes.set(xlabel=r"learning rate $\eta S^2$", ylim=(0, 0.5))
        axes.set_title(f"({letter}) $s/S = {scale:g}$")
    panels[0].set(ylabel=r"growth of $\ln b$ per step, over $r(1 - r)/2$")
    panels[0].legend(loc="upper left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
