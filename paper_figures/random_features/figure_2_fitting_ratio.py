"""Figure 2: overfitting can be obligatory. Test error of kernel regression against the fitting ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from paper_figures.kernels import draw_fitting, fitting_data, panel_of, renamed
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
    """Errors over ridges at four relative noises, of two power laws: simulated, predicted, and in closed form."""
    import xarray

    parts, attrs = [], {}
    for name in PANELS:
        config = get(SETTING).case(preset, f"fitting_{name}").config
        exponents = (config.eigenvalue_exponent, config.target_exponent)
        arguments = (SETTING, curves, f"fitting_{name}", preset, folder, RELATIVE_NOISE, exponents)
        parts.append(renamed(fitting_data(*arguments), name))
        attrs |= {f"{name}_num_modes": config.num_modes, "num_samples": config.num_samples}
    return xarray.merge(parts, join="exact", compat="equals").assign_attrs(attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw test error against train/test at four relative noises for a hard and an easy power law."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8.0, 4.7))
    for axes, name in zip(panels, PANELS, strict=True):
        title = f"Gaussian, {data.attrs[f'{name}_num_modes']} modes, n = {data.attrs['num_samples']}"
        draw_fitting(axes, panel_of(data, name), title)
    letter(*panels)
    panels[0].set_ylabel(r"test error $\mathcal{E}_\mathrm{test}$ (noisy labels)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
