"""Figure 4: the test error of trained networks, down to where no test set reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

from theorylab.catalogue import Preset
from theorylab.verdict.plotting import below, gradient, letter

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Test errors of every cluster by importance sampling; for one number of samples also by everything else.

    ``test_error`` counts errors among fresh points, ``test_error_theory`` is importance sampling; beside it the
    first-order design point, a Gaussian output, and the rigorous bound.
    """
    import jax

    from theorylab.settings.two_layer.xor.adapter import draw as draw_instance
    from theorylab.settings.two_layer.xor.adapter import final_network, sampled_error
    from theorylab.settings.two_layer.xor.presets import NETWORKS
    from theorylab.settings.two_layer.xor.theory import network_error

    chosen = NETWORKS[preset]
    closed = jax.jit(lambda net: (network_error.gaussian_error(net), network_error.lipschitz_bound(net)))
    sampled = np.zeros((len(chosen.num_train), len(chosen.snr), chosen.seeds, 4))
    others = np.zeros((5, *sampled.shape[1:]))
    for row, n in enumerate(chosen.num_train):
        for column, snr in enumerate(chosen.snr):
            config = chosen.config(n, snr)
            for seed in range(chosen.seeds):
                key = jax.random.fold_in(jax.random.key(7), seed)
                net = final_network(draw_instance(key, config), config)
                error = sampled_error(jax.random.fold_in(key, 1), net)
                sampled[row, column, seed] = error.error
                if n == chosen.shown:
                    counted = network_error.counted_error(net, chosen.draws, seed)
                    others[:, column, seed] = (counted, error.error, error.form, *closed(net))
    names = ("test_error", "test_error_theory", "test_error_design_point", "test_error_gaussian", "test_error_bound")
    dims = ("snr", "seed", "cluster")
    return xarray.Dataset(
        {
            "test_error_theory_by_size": (("num_train", *dims), sampled),
            **{name: (dims, values) for name, values in zip(names, others, strict=True)},
        },
        {"num_train": list(chosen.num_train), "snr": list(chosen.snr)},
        attrs={"num_train": chosen.shown, "draws": chosen.draws},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw estimates and bound against importance sampling, and the error against n γ for several n."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.4, 4.0))
    runs = data.test_error_theory_by_size.mean("cluster")
    means = np.exp(np.log(np.maximum(runs, 1e-300)).mean("seed"))
    for n, color in zip(data.num_train.values, gradient(data.sizes["num_train"]), strict=True):
        effective = n * data.snr.values
        right.plot(effective, runs.sel(num_train=n), ".", color=color, markersize=4, alpha=0.6)
        right.plot(effective, means.sel(num_train=n), "o-", color=color, label=f"$n = {n}$")
    sampled, counted = data.test_error_theory.values.ravel(), data.test_error.values.ravel()
    seen = counted > 0
    left.plot(sampled[seen], counted[seen], "o", color="black", markersize=4, label="counting")
    none = (counted == 0) & (sampled < 1e-2)
    left.plot(sampled[none], np.full(none.sum(), 1 / data.draws), "v", color="black", markersize=4, fillstyle="none",
              label=f"none of {data.draws:,}: below this")  # fmt: skip
    for name, marker, color, label in (
        ("design_point", "x", "C0", "design point $\\Phi(-|\\xi^*|)$"), ("gaussian", "^", "C1", "Gaussian $f$ (wrong)"),
        ("bound", "s", "C2", "rigorous bound"),
    ):  # fmt: skip
        values = data[f"test_error_{name}"].values.ravel()
        for axes in (left, middle):
            axes.plot(sampled, values, marker, color=color, markersize=4, fillstyle="none", label=label)
    low = max(float(sampled.min()), 1e-90)
    for axes, bottom, title in (
        (left, 2e-6, "each cluster of each network"),
        (middle, low, "the same, down to the end"),
    ):
        line = np.array([bottom, 1.0])
        axes.plot(line, line, "-", color="grey", linewidth=1)
        axes.set(xscale="log", yscale="log", xlim=(bottom, 1.3), ylim=(bottom, 3), title=title)
        axes.set(xlabel="test error by importance sampling", ylabel="test error by others")
    right.set(
        xscale="log", yscale="log", ylim=(max(1e-9, float(means.min()) / 3), 1), xlabel="$n\\gamma = n|\\mu|^4/p$",
        ylabel="test error", title="mean of the four clusters",
    )  # fmt: skip
    right.plot([], [], ".", color="grey", markersize=4, label="single runs")
    right.plot([], [], "o-", color="grey", label=f"geometric mean of {data.sizes['seed']}")
    letter(left, middle, right)
    below(left, columns=2)
    below(right)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
