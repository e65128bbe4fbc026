"""Figure 4: how large a step? Critical steps of descent, of SGD, of the catapult, and where oscillation is benign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray

from paper_figures.step_size import critical_rates, weak_shares
from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.step_size.sgd_stability.config import spectrum
from theorylab.verdict.plotting import COLOURS, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Steps times the largest curvature: critical ones by batch size, largest stable ones of networks by width, and
    the shares of a weak feature by step.
    """
    stability = get("sgd_stability")
    batches = results(stability, "one spectrum", preset, folder)
    eigenvalues = spectrum(stability.case(preset, "one spectrum").config)
    sizes, *rates = critical_rates(eigenvalues, float(batches.batch_size.max()))
    critical, lower, upper = (float(eigenvalues[0]) * rate for rate in rates)
    networks = results("catapult", "widths_harmonic", preset, folder)
    shares = weak_shares(preset, folder).isel(weak_scale=[0, -1])
    return (
        shares.assign_coords(size=sizes)
        .assign(
            sgd_step=2 * eigenvalues[0] / batches.effective_sharpness,
            sgd_theory=("size", critical),
            lower_theory=("size", lower),
            upper_theory=("size", upper),
            network_step=4 * networks.limit_ratio.rename(seed="network"),
        )
        .assign_attrs(dim=len(eigenvalues))
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
    key(left, line="", what="measured")
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
    middle.set(xscale="log", xlabel="width $m$", title="(b) two linear layers: largest stable step")
    middle.legend(loc="lower left", bbox_to_anchor=(0, 0.1))

    # Of the minimum that fits with the strong feature alone.
    curvature = 4 * data.attrs["strong_scale"] ** 2
    for scale, color in zip(data.weak_scale.values, COLOURS[2:], strict=False):
        here = data.sel(weak_scale=scale)
        right.plot(here.share_theory, curvature * data.above, color=color, label=f"$s/S = {scale:g}$")
        right.plot(here.smooth_theory, curvature * data.below, color=color)
        right.plot(here.weak_share, curvature * data.learning_rate, "o", color=color)
    right.plot([], [], "o", color="grey", label="gradient descent")
    right.set(xlabel="share of the weak feature learned", title="(c) two features: benign oscillation")
    right.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
