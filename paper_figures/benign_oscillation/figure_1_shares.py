"""Figure 1: how much of the weak feature is learned at every learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
import xarray

from paper_figures.step_size import weak_shares
from theorylab.catalogue import Preset
from theorylab.settings.step_size.oscillation import SIGN_CHANGE, marginal_share
from theorylab.verdict.plotting import COLOURS, below, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Shares at the end, simulated, by the slow manifold, by marginal stability, and below the oscillation."""
    shares = weak_shares(preset, folder)
    above = jnp.asarray(shares.above.values)
    marginal = [np.asarray(marginal_share(above, ratio)) for ratio in shares.ratio.values.tolist()]
    return shares.assign(marginal_theory=(("weak_scale", "above"), marginal))


def draw(data: xarray.Dataset) -> Figure:
    """Draw shares (left), and how far they lie above marginal stability (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    rates = data.learning_rate.values
    late = rates > 0.505
    for scale, color in zip(data.weak_scale.values, COLOURS, strict=False):
        here = data.sel(weak_scale=scale)
        label = f"$s/S = {scale:g}$"
        left.plot(data.above, here.share_theory, color=color, label=label)
        left.plot(data.above, here.marginal_theory, "--", color=color, linewidth=0.9)
        left.plot(data.below, here.smooth_theory, color=color)
        left.plot(rates, here.weak_share, "o", color=color)
        right.plot(data.above[1:], here.share_theory[1:] / here.marginal_theory[1:] - 1, color=color, label=label)
        marginal = np.interp(rates[late], data.above.values, here.marginal_theory.values)
        right.plot(rates[late], here.weak_share.values[late] / marginal - 1, "o", color=color)
    left.plot([], [], "--", color="grey", linewidth=0.9, label="marginal stability")
    left.plot([], [], color="grey", label="theory")
    left.plot([], [], "o", color="grey", label="gradient descent")
    left.axvline(0.5, color="grey", linewidth=0.6)
    left.set(xlabel=r"learning rate $\eta S^2$", ylabel="share of the weak feature, $s^2 b^2$")
    left.set_title(f"(a) from $a = b = {data.attrs['init_scale']:g}$")
    for axes in (left, right):
        axes.axvspan(SIGN_CHANGE, 0.93, color="grey", alpha=0.12, label="erratic: depends on the start")
        axes.set_xlim(None, 0.93)
    right.set(xlabel=r"learning rate $\eta S^2$", ylabel="share over the marginal one, minus 1", ylim=(0, 0.07))
    right.set_title("(b) overshoot: the oscillation takes time to die")
    below(left, right, columns=2)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
