"""Figure 3: the largest eigenvalue of one batch's Hessian, and of an eigenvalue in additive noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.outliers import additive_outlier, outlier
from theorylab.verdict.plotting import COLOURS, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Top eigenvalues of batch Hessians, with what the spike's sample norm says; those in additive noise."""
    setting = get("sgd_stability")
    config = setting.case(preset, "batch sizes").config
    batches = results(setting, "batch sizes", preset, folder)
    noisy = results(setting, "spikes in noise", preset, folder).noisy_sharpness.rename(seed="noise_seed")
    sizes = np.geomspace(4, float(batches.batch_size.max()), 80)
    spikes = np.linspace(float(noisy.spike.min()), float(noisy.spike.max()), 80)
    return xarray.Dataset(
        {
            "batch_sharpness": batches.batch_sharpness,
            "sharpness_of_norm": batches.sharpness_of_norm,
            "noisy_sharpness": noisy,
            "batch_theory": ("size", [float(outlier(config.spike, (config.dim - 1) / size)) for size in sizes]),
            "noisy_theory": ("ell", [float(additive_outlier(spike, config.noise_scale)) for spike in spikes]),
        },
        coords={"size": sizes, "ell": spikes},
        attrs={"spike": config.spike, "dim": config.dim, "noise_scale": config.noise_scale},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw means against the batch size, single batches against their prediction, and additive noise."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 4.0))
    spike, sigma = data.attrs["spike"], data.attrs["noise_scale"]
    left.plot(data["size"], data.batch_theory, color=COLOURS[1], label=r"$\ell(1 + \gamma/(\ell - 1))$")
    points(left, data.batch_size.values, data.batch_sharpness, color=COLOURS[1], label="measured")
    left.axhline(spike, color="grey", linestyle=":", label=r"population, $\ell$")
    left.set(xscale="log", yscale="log", xlabel="batch size $B$", ylabel=r"mean of $\lambda_\max(H_B)$")
    left.set_title(rf"(a) a spike of {spike:g} above a bulk of 1, $d = {data.attrs['dim']}$")
    left.legend()

    shown = [size for size in data.batch_size.values if size >= 4][-5:]
    for size, color in zip(shown, COLOURS, strict=False):
        here = data.sel(batch_size=size)
        middle.plot(here.sharpness_of_norm, here.batch_sharpness, ".", color=color, label=f"$B = {size:g}$")
    both = np.concatenate(
        [data.sel(batch_size=shown)[name].values.ravel() for name in ("sharpness_of_norm", "batch_sharpness")]
    )
    ends = np.array([0.95 * both.min(), 1.05 * both.max()])
    middle.plot(ends, ends, color="black", linewidth=1)
    middle.plot([], [], color="black", linewidth=1, label="equal")
    middle.set(xscale="log", yscale="log", xlabel=r"from the spike's sample norm, $n_2 + \gamma n_2/(n_2 - 1)$")
    middle.set(ylabel=r"$\lambda_\max(H_B)$")
    middle.set_title("(b) single batches")
    for axis in (middle.xaxis, middle.yaxis):
        axis.set_ticks([20, 30, 50, 100], ["20", "30", "50", "100"])
        axis.set_ticks([], minor=True)
    left.yaxis.set_ticks([], minor=True)
    left.yaxis.set_ticks([25, 50, 100, 200], ["25", "50", "100", "200"])
    middle.legend()

    right.plot(
        data.ell / sigma, data.noisy_theory / sigma, color=COLOURS[2], label=r"$\ell + \sigma^2/\ell$, or $2\sigma$"
    )
    points(right, data.spike.values / sigma, data.noisy_sharpness.rename(noise_seed="seed") / sigma, color=COLOURS[2])
    key(right, seeds=data.sizes["noise_seed"], line="", what="measured")
    right.axvline(1, color="grey", linewidth=0.6)
    right.set(xlabel=r"eigenvalue over noise, $\ell/\sigma$", ylabel=r"largest eigenvalue over $\sigma$")
    right.set_title(rf"(c) additive (Wigner) noise, $d = {data.attrs['dim']}$")
    right.legend()
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
