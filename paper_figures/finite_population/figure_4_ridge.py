"""Figure 4: test and train error of kernel regression on real data against the ridge, at four relative noises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import draw_ridge, ridge_data, ridge_legend
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.finite_population import curves
from theorylab.settings.kernels.finite_population.presets import RELATIVE_NOISE
from theorylab.verdict.plotting import letter, run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "finite_population"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors over ridges at four relative noises: simulated and predicted."""
    config = get(SETTING).case(preset, "fitting").config
    return ridge_data(SETTING, curves, "fitting", preset, folder, RELATIVE_NOISE).assign_attrs(
        data_set=config.data_set, population=config.population, num_samples=config.num_samples
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw test error (above) and train error (below) against the ridge."""
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(5.4, 6.8), sharex=True)
    title = "{}, ReLU kernel, n = {} of {}".format(
        data.attrs["data_set"].upper(), data.attrs["num_samples"], data.attrs["population"]
    )
    draw_ridge(above, below, data, title)
    above.set_ylabel("test error (noisy labels)")
    below.set_ylabel("train error (noisy labels)")
    letter(above, below)
    ridge_legend(figure, above, 3, data.sizes["seed"])
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
