"""Figure 4: exponents without a spectrum. 1/tr K⁻¹ and the ridgeless test error against n."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paper_figures.kernels import draw_exponents, exponents_data
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.random_features import curves
from theorylab.verdict.plotting import letter, run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "random_features"


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Both proxies for a Gaussian power law of known exponents: simulated, predicted, and the fitted slopes."""
    config = get(SETTING).case(preset, "exponents").config
    return exponents_data(SETTING, curves, preset, folder, largest=np.inf).assign_attrs(
        alpha=config.eigenvalue_exponent, beta=config.target_exponent, num_modes=config.num_modes
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw both proxies for a Gaussian power law of known exponents."""
    import matplotlib.pyplot as plt

    alpha, beta = data.attrs["alpha"], data.attrs["beta"]
    figure, (above, below) = plt.subplots(2, 1, figsize=(5.0, 6.8), sharex=True)
    draw_exponents(above, below, data, "", {"inverse_trace": -alpha, "test_error": 1 - beta})
    law = rf"Gaussian power law, $\alpha={alpha:g}$, $\beta={beta:g}$"
    above.set_title(f"{law}\n$M={data.attrs['num_modes']}$, {data.sizes['seed']} instances")
    below.set_title("without a ridge")
    letter(above, below)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
