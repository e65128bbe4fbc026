"""Figure 3: exponents of real data, without a spectrum. 1/tr K⁻¹ and the ridgeless test error against n."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import draw_exponents, exponents_data
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.finite_population import curves
from theorylab.verdict.plotting import letter, run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "finite_population"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Both proxies on real data: simulated, predicted, and the fitted slopes."""
    config = get(SETTING).case(preset, "exponents").config
    # The theory is not judged beyond.
    largest = config.population / 2
    return exponents_data(SETTING, curves, preset, folder, largest).assign_attrs(
        data_set=config.data_set, population=config.population
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw both proxies on real data."""
    import matplotlib.pyplot as plt

    alpha, beta = data.exponents.values
    figure, (above, below) = plt.subplots(2, 1, figsize=(5.0, 6.8), sharex=True)
    draw_exponents(above, below, data, r" ($n \leq M/2$)", {})
    above.set_title(
        f"{data.attrs['data_set'].upper()} ($M={data.attrs['population']}$), ReLU kernel\n"
        rf"measured $\alpha={alpha:.2f}$, $\beta={beta:.2f}$, {data.sizes['seed']} samples"
    )
    below.set_title("without a ridge")
    letter(above, below)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
