"""Figure 1: more is better. Test and train error against width and against sample size, at five ridges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import ALONG, size_data, sizes_figure
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.random_features import curves
from theorylab.verdict.plotting import run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "random_features"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors of the Gaussian model along k and along n: simulated, predicted, and at the predicted best ridge."""
    import xarray

    config = get(SETTING).case(preset, "width").config
    parts = [size_data(SETTING, curves, name, preset, folder) for name in ALONG]
    merged = xarray.merge(parts, join="exact", compat="equals")
    return merged.assign_attrs(noise_variance=config.noise_variance, num_modes=config.num_modes)


def draw(data: xarray.Dataset) -> Figure:
    """Draw test and train error against k (left) and n (right)."""
    noise, modes = data.attrs["noise_variance"], data.attrs["num_modes"]
    title = rf"Gaussian power law, $\alpha=\beta=1.5$, $\sigma^2={noise:g}$, $M={modes}$"
    return sizes_figure(data, title, "mean squared error, noisy labels", [0.1, 0.3, 1, 3], (0.1, 5))


if __name__ == "__main__":
    run_script(draw, __file__)
