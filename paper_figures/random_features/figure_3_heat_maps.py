"""Figure 3: test and train error over samples and features: theory, experiment, and their ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from paper_figures.kernels import ERRORS, simulated
from theorylab.catalogue import Preset, get
from theorylab.settings.kernels.random_features import curves
from theorylab.verdict.plotting import letter, run_script

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

SETTING = "random_features"
#: Cells of the theory's maps, each way.
CELLS = 48


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Errors over (n, k) at a small and a large ridge: simulated on a few sizes, predicted on many."""
    config = get(SETTING).case(preset, "sizes").config
    data = simulated(SETTING, "sizes", preset, folder)
    fine_n, fine_k = (centres(refine(edges(data[size].values))) for size in ("num_samples", "num_features"))
    data = data.assign_coords(fine_num_samples=fine_n, fine_num_features=fine_k)
    coarse = data.num_samples.values.astype(float), data.num_features.values.astype(float)
    for (n, k), fine in (((fine_n, fine_k), "fine_"), (coarse, "")):
        predicted = curves.errors(
            config, num_samples=n[:, None], num_features=k[None, :], ridge=data.ridge.values[:, None, None]
        )
        for error in ERRORS:
            name, dims = f"{error}_{fine}theory", ("ridge", f"{fine}num_samples", f"{fine}num_features")
            data[name] = (dims, predicted[error])
    return data.assign_attrs(noise_variance=config.noise_variance, num_modes=config.num_modes)


def draw(data: xarray.Dataset) -> Figure:
    """Draw heat maps over (n, k) at a small and a large ridge: theory, experiment, experiment over theory."""
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator

    samples, features = data.num_samples.values, data.num_features.values
    fine_n, fine_k = refine(edges(samples)), refine(edges(features))
    figure, panels = plt.subplots(3, 4, figsize=(11.5, 8.4), sharex=True, sharey=True)
    ratio = LogNorm(0.5, 2)

    for column, (error, ridge) in enumerate((error, ridge) for ridge in data.ridge.values for error in ERRORS):
        predicted = data[f"{error}_fine_theory"].sel(ridge=ridge).values
        measured = data[error].mean("seed").sel(ridge=ridge).transpose("num_samples", "num_features").values
        norm = LogNorm(max(measured.min(), measured.max() * 1e-4), measured.max())
        above, below, last = panels[:, column]
        above.pcolormesh(fine_k, fine_n, predicted, norm=norm, cmap="viridis")
        image = below.pcolormesh(edges(features), edges(samples), measured, norm=norm, cmap="viridis")
        steps = (1,) if norm.vmax > 100 * norm.vmin else (1, 2, 5) if norm.vmax > 5 * norm.vmin else (1, 1.5, 2, 4, 6)
        figure.colorbar(
            image,
            ax=panels[:2, column],
            location="bottom",
            label="mean squared error",
            shrink=0.95,
            ticks=LogLocator(subs=steps),
            format="%g",
        ).minorticks_off()
        above.set_title(f"{error.replace('_', ' ')}, $\\delta$ = {ridge:g}\ntheory")
        below.set_title("experiment")
        theory = data[f"{error}_theory"].sel(ridge=ridge).values
        shown = last.pcolormesh(edges(features), edges(samples), measured / theory, norm=ratio, cmap="RdBu_r")
        last.set(title="experiment / theory", xlabel="random features $k$")
    bar = figure.colorbar(shown, ax=panels[2], label="ratio", extend="both", ticks=[0.5, 0.7, 1, 1.4, 2], format="%g")
    bar.minorticks_off()
    for axes in panels.flat:
        line = {"color": "black" if axes in panels[2] else "white", "linewidth": 1, "label": "$n = k$"}
        axes.plot(edges(features)[[0, -1]], edges(features)[[0, -1]], ":", **line)
        axes.set(xscale="log", yscale="log", xlim=edges(features)[[0, -1]], ylim=edges(samples)[[0, -1]])
        axes.grid(False)
        for axis, sizes in ((axes.xaxis, features), (axes.yaxis, samples)):
            axis.set_ticks(sizes, [f"{size:g}" for size in sizes])
            axis.set_ticks([], minor=True)
    for axes in panels[:, 0]:
        axes.set_ylabel("training samples $n$")
    figure.suptitle(
        rf"Gaussian random features, $\alpha=\beta=1.5$, $\sigma^2={data.attrs['noise_variance']:g}$, "
        f"$M={data.attrs['num_modes']}$; experiment: mean of {data.sizes['seed']} instances",
        fontsize=11,
    )
    letter(*panels.flat)
    panels[0, 0].legend(loc="lower right", labelcolor="white")
    return figure


def edges(sizes: np.ndarray) -> np.ndarray:
    """Edges of cells around sizes that are a factor apart."""
    factor = np.sqrt(sizes[1] / sizes[0])
    return np.append(sizes / factor, sizes[-1] * factor)


def refine(edges: np.ndarray) -> np.ndarray:
    return np.geomspace(edges[0], edges[-1], CELLS + 1)


def centres(edges: np.ndarray) -> np.ndarray:
    return np.sqrt(edges[1:] * edges[:-1])


if __name__ == "__main__":
    run_script(draw, __file__)
