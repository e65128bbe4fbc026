"""Figure 4: how large a step? Critical steps of descent, of SGD, of the catapult, and where oscillation is benign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.second_moments import critical_learning_rate, learning_rate_bounds
from theorylab.settings.step_size.oscillation import flow_growth, slow_manifold_share
from theorylab.settings.step_size.sgd_stability.config import spectrum
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Steps times the largest curvature: critical ones by batch size, largest stable ones of networks by width, and
    the shares of a weak feature by step.
    """
    stability, wells = get("sgd_stability"), get("benign_oscillation")
    batches = results(stability, "one spectrum", preset, folder)
    eigenvalues = spectrum(stability.case(preset, "one spectrum").config)
    sizes = np.geomspace(1, float(batches.batch_size.max()), 100)
    rates = jax.vmap(lambda size: (critical_learning_rate(eigenvalues, size), *learning_rate_bounds(eigenvalues, size)))
    critical, lower, upper = (float(eigenvalues[0]) * np.asarray(part) for part in rates(jnp.asarray(sizes)))

    networks = results("catapult", "widths_harmonic", preset, folder)
    config = wells.case(preset, "shares").config
    shares = results(wells, "shares", preset, folder).isel(seed=0, drop=True)
    chosen = shares.sel(weak_scale=shares.weak_scale[[0, -1]])
    ratios = [float(scale / config.strong_scale) ** 2 for scale in chosen.weak_scale.values]
    above, below = np.linspace(0.5, 0.92, 100), np.linspace(0.28, 0.46, 20)
    first = (config.strong_scale * config.init_scale) ** 2
    return xarray.Dataset(
        {
            "sgd_step": 2 * eigenvalues[0] / batches.effective_sharpness,
            "sgd_theory": ("size", critical),
            "lower_theory": ("size", lower),
            "upper_theory": ("size", upper),
            "network_step": 4 * networks.limit_ratio.rename(seed="network"),
            "weak_share": chosen.weak_share,
            "share_theory": (("weak_scale", "above"), [slow_manifold_share(jnp.asarray(above), r) for r in ratios]),
            "smooth_theory": (
                ("weak_scale", "below"),
                [[r * first * np.exp(2 * float(flow_growth(h, r, first))) for h in below.tolist()] for r in ratios],
            ),
        },
        coords={"size": sizes, "above": above, "below": below},
        attrs={"dim": len(eigenvalues), "curvature": 4 * float(config.strong_scale) ** 2},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw SGD (left), two-layer networks (middle) and two features (right) against one axis of steps."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.4, 4.2), sharey=True)
    for axes in (left, middle, right):
        axes.axhline(2, color="black", linewidth=1)
        axes.axhline(4, color="grey", linewidth=0.8, linestyle="--")
    left.fill_between(data["size"], data.lower_theory, data.upper_theory, color="grey", alpha=0.2, label="bounds")
    left.plot(data["size"], data.sgd_theory, color=COLOURS[0], label="SGD, exact")
    points(left, data.batch_size.values, data.sgd_step, color=COLOURS[0])
    left.plot([], [], color="black", linewidth=1, label="full batch, 2")
    left.set(xscale="log", xlabel="batch size $B$", ylim=(0, 5))
    left.set_ylabel(r"step times the largest curvature, $\eta\,\lambda_{\max}$")
    left.set_title(rf"(a) regression, $\lambda_i = 1/i$, $d = {data.attrs['dim']}$: largest stable step")
    left.legend(loc="upper left", bbox_to_anchor=(0, 0.78))

    for network in data.network.values:
        here = data.network_step.sel(network=network)
        middle.plot(data.width, here, "o", color=COLOURS[1], markersize=4, alpha=0.6, markeredgewidth=0)
    middle.plot([], [], "o", color=COLOURS[1], label="networks, each by its own kernel")
    middle.plot([], [], "--", color="grey", label=r"catapult's limit, 4")
    middle.set(xscale="log", xlabel="width $m$", title="(b) two linear layers, same inputs: the same")
    middle.legend(loc="lower left", bbox_to_anchor=(0, 0.1))

    curvature = data.attrs["curvature"]
    for scale, color in zip(data.weak_scale.values, COLOURS[2:], strict=False):
        here = data.sel(weak_scale=scale)
        right.plot(here.share_theory, curvature * data.above, color=color, label=f"$s/S = {scale:g}$")
        right.plot(here.smooth_theory, curvature * data.below, color=color)
        right.plot(here.weak_share, curvature * data.learning_rate, "o", color=color)
    right.set(xlabel="share of the weak feature learned", title="(c) two features: benign oscillation")
    right.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
