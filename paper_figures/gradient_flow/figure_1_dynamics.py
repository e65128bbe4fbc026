"""Figure 1: gradient flow of the layer from a structured start, query-key weights merged and separate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.gradient_flow import (
    curvatures,
    flow_loss,
    plateau_losses,
    solve_flow,
    spectrum,
    structured_start,
)
from theorylab.verdict.plotting import COLOURS, letter, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"merged": r"merged $W_K^\top W_Q$", "separate": "separate $W_K$, $W_Q$: saddle to saddle"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """The loss along both flows, as ``merged_loss`` and so on, with the losses of the plateaus."""
    setting, variables, spectra = get("gradient_flow"), {}, {}
    for name in TITLES:
        config = setting.case(preset, name).config
        found = results(setting, name, preset, folder)
        values, separate = spectrum(config), name == "separate"
        gamma = curvatures(values, config.context_length, config.noise_variance)
        plateaus = np.asarray(plateau_losses(values, gamma, config.noise_variance))
        time = found.step.values * config.time_step
        fine = np.linspace(0, time[-1], 401)  # the recorded steps are too few to draw a line through
        start = structured_start(config.initial_scale, values, separate=separate)
        path = solve_flow(start, jnp.asarray(fine), values, gamma, separate=separate, substeps=20)
        gains = path.readout[:, None] * path.attention ** (2 if separate else 1)
        noise = config.noise_variance
        line = jax.vmap(lambda gain, v=values, g=gamma, s=noise: flow_loss(gain, v, g, s))(gains)
        variables |= {
            f"{name}_loss": (f"{name}_time", found.loss.mean("seed").values),
            f"{name}_loss_theory": (f"{name}_fine_time", np.asarray(line)),
            f"{name}_plateaus_theory": (f"{name}_plateau", plateaus if separate else plateaus[[0, -1]]),
            f"{name}_spectrum": (f"{name}_direction", np.asarray(values)),
        }
        spectra |= {f"{name}_time": time, f"{name}_fine_time": fine}
    scale = setting.case(preset, "merged").config.initial_scale
    return xarray.Dataset(variables, coords=spectra, attrs={"initial_scale": scale})


def draw(data: xarray.Dataset) -> Figure:
    """Draw the loss of gradient descent on the whole layer beside the solution of the reduced equations."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 3.9))
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        for index, level in enumerate(data[f"{name}_plateaus_theory"].values):
            axes.axhline(level, color="grey", linestyle=":", linewidth=1, label="plateaus" if index == 0 else None)
        axes.plot(data[f"{name}_fine_time"], data[f"{name}_loss_theory"], color=COLOURS[0], label="reduced equations")
        look = {"color": COLOURS[1], "markersize": 3.5, "label": "gradient descent, whole layer"}
        axes.plot(data[f"{name}_time"], data[f"{name}_loss"], "o", **look)
        axes.set(xlabel="time (loss halved, context averaged)", ylabel="exact loss (noisy target)")
        spectrum = ", ".join(f"{v:.2f}" for v in data[f"{name}_spectrum"].values)
        axes.set_title(f"{title}\n$\\lambda$ = {spectrum}; $\\epsilon$ = {data.attrs['initial_scale']:g}")
    letter(*panels)
    panels[0].legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
