"""Figure 1: more is better on real data. Test and train error against width and sample size, at five ridges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import ALONG, size_data, sizes_figure
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.finite_population import curves
from theorylab.verdict.plotting import run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "finite_population"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors on real data along k and along n: simulated, predicted, and at the predicted best ridge."""
    import xarray

    config = get(SETTING).case(preset, "width").config
    parts = [size_data(SETTING, curves, name, preset, folder) for name in ALONG]
    merged = xarray.merge(parts, join="exact", compat="equals")
    return merged.assign_attrs(data_set=config.data_set, population=config.population)


def draw(data: xarray.Dataset) -> Figure:
    """Draw test and train error against k (left) and n (right)."""
    title = f"ReLU features of {data.attrs['data_set'].upper()} ({data.attrs['population']} points)"
    return sizes_figure(data, title, "mean squared error, unit-power labels", [0.03, 0.1, 0.3, 1, 3], (0.02, 4))


if __name__ == "__main__":
    run_script(draw, __file__)
