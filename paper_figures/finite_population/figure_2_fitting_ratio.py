"""Figure 2: the fitting ratio on real data. Test error of kernel regression against train/test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import draw_fitting, exponents_of, fitting_data, simulated
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.finite_population import curves
from theorylab.settings.kernels.finite_population.presets import RELATIVE_NOISE
from theorylab.verdict.plotting import run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "finite_population"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors over ridges at four relative noises: simulated, predicted, and in closed form at measured exponents."""
    config = get(SETTING).case(preset, "fitting").config
    sizes = simulated(SETTING, "exponents", preset, folder, ("inverse_trace", "test_error"))
    exponents = exponents_of(sizes, config.num_samples / 8)
    data = fitting_data(SETTING, curves, "fitting", preset, folder, RELATIVE_NOISE, exponents, measured=True)
    return data.assign_attrs(data_set=config.data_set, population=config.population, num_samples=config.num_samples)


def draw(data: xarray.Dataset) -> Figure:
    """Draw test error against train/test at four relative noises."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.0, 4.8))
    title = "{}, ReLU kernel, n = {} of {}".format(
        data.attrs["data_set"].upper(), data.attrs["num_samples"], data.attrs["population"]
    )
    draw_fitting(axes, data, title, "measured ")
    axes.set_ylabel(r"test error $\mathcal{E}_\mathrm{test}$ (noisy labels)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
