"""Figure 1: gradient flow of the layer from a structured start, query-key weights merged and separate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.lab.predict import predict
from theorylab.settings.in_context.gradient_flow import curvatures, plateau_losses, spectrum
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = {"merged": r"merged $W_K^\top W_Q$", "separate": "separate $W_K$, $W_Q$: saddle to saddle"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """The loss along both flows, as ``merged_loss`` and so on, with the losses of the plateaus."""
    setting, variables, spectra = get("gradient_flow"), {}, {}
    for name in TITLES:
        config = setting.case(preset, name).config
        found = results(setting, name, preset, folder)
        predicted = predict(setting, config, seeds=1, theory="reduced_equations", observables=["loss"])
        values = spectrum(config)
        gamma = curvatures(values, config.context_length, config.noise_variance)
        plateaus = np.asarray(plateau_losses(values, gamma, config.noise_variance))
        time = found.step.values * config.time_step
        variables |= {
            f"{name}_loss": (f"{name}_time", found.loss.mean("seed").values),
            f"{name}_loss_theory": (f"{name}_time", predicted.loss.isel(seed=0).values),
            f"{name}_plateaus_theory": (f"{name}_plateau", plateaus if name == "separate" else plateaus[[0, -1]]),
            f"{name}_spectrum": (f"{name}_direction", np.asarray(values)),
        }
        spectra[f"{name}_time"] = time
    scale = setting.case(preset, "merged").config.initial_scale
    return xarray.Dataset(variables, coords=spectra, attrs={"initial_scale": scale})


def draw(data: xarray.Dataset) -> Figure:
    """Draw the loss of gradient descent on the whole layer beside the solution of the reduced equations."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9.4, 3.9))
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        for index, level in enumerate(data[f"{name}_plateaus_theory"].values):
            axes.axhline(level, color="grey", linestyle=":", linewidth=1, label="plateaus" if index == 0 else None)
        time = data[f"{name}_time"]
        axes.plot(time, data[f"{name}_loss_theory"], color=COLOURS[0], label="reduced equations")
        axes.plot(
            time, data[f"{name}_loss"], "o", color=COLOURS[1], markersize=3.5, label="gradient descent, whole layer"
        )
        axes.set(xlabel="time (loss halved, context averaged)", ylabel="exact loss (noisy target)")
        spectrum = ", ".join(f"{v:.2f}" for v in data[f"{name}_spectrum"].values)
        axes.set_title(f"{title}\n$\\lambda$ = {spectrum}; $\\epsilon$ = {data.attrs['initial_scale']:g}")
    panels[0].legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
