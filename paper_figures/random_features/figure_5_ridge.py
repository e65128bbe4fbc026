"""Figure 5: test and train error of kernel regression against the ridge, at four relative noises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import draw_ridge, panel_of, renamed, ridge_data, ridge_legend
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.random_features import curves
from theorylab.settings.kernels.random_features.presets import RELATIVE_NOISE
from theorylab.verdict.plotting import letter, run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "random_features"
PANELS = ("hard", "easy")


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors over ridges at four relative noises, of two power laws: simulated and predicted."""
    import xarray

    parts, attrs = [], {}
    for name in PANELS:
        config = get(SETTING).case(preset, f"fitting_{name}").config
        arguments = (SETTING, curves, f"fitting_{name}", preset, folder, RELATIVE_NOISE)
        parts.append(renamed(ridge_data(*arguments), name))
        law = rf"$\alpha={config.eigenvalue_exponent:g}$, $\beta={config.target_exponent:g}$"
        attrs[f"{name}_title"] = f"Gaussian, {law}, {config.num_modes} modes, n = {config.num_samples}"
    return xarray.merge(parts, join="exact", compat="equals").assign_attrs(attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw test error (above) and train error (below) against the ridge."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(8.4, 6.6), sharex="col")
    for (above, below), name in zip(panels.T, PANELS, strict=True):
        draw_ridge(above, below, panel_of(data, name), data.attrs[f"{name}_title"])
    panels[0, 0].set_ylabel("test error (noisy labels)")
    panels[1, 0].set_ylabel("train error (noisy labels)")
    letter(*panels.flat)
    ridge_legend(figure, panels[0, 0], 4, data.sizes["seed"])
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
