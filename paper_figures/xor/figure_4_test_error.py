"""Figure 4: the test error of trained networks, down to where no test set reaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.settings.two_layer.xor import Config, at_ratio
from theorylab.settings.two_layer.xor.predictions import draw as draw_instance
from theorylab.settings.two_layer.xor.predictions import final_network, sampled_error
from theorylab.settings.two_layer.xor.theory import network_error
from theorylab.verdict.plotting import gradient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH = np.array([1.0, 1.0, -1.0, -1.0])


def config_of(preset: str, num_train: int, snr: float) -> Config:
    """The network whose error is measured: no label noise, 20 large steps."""
    width, steps = (16, 5) if preset == "tiny" else (100, 20)
    return at_ratio(
        100.0, snr=snr, num_train=num_train, input_dim=100 * num_train if preset == "tiny" else 200 * num_train,
        width=width, num_steps=steps, num_test=4, label_noise=0.0,
    )  # fmt: skip


def brute_force(net: Any, draws: int, seed: int) -> np.ndarray:
    """Errors per cluster by counting."""
    rng = np.random.default_rng(seed)
    mean, factor, signs = (np.asarray(part) for part in net)
    z = rng.standard_normal((draws, mean.shape[1])) @ factor.T
    return np.array([np.mean(t * (np.maximum(m + z, 0) @ signs) < 0) for m, t in zip(mean, TRUTH, strict=True)])


def draw(preset: str = "default", folder: str | Path = "results") -> Figure:
    """Draw estimates and bound against importance sampling, and the error against n γ for several n."""
    import jax
    import matplotlib.pyplot as plt

    tiny = preset == "tiny"
    sizes = (20,) if tiny else (25, 50, 100, 200)
    ratios = (5.0, 20.0) if tiny else (3.0, 6.0, 12.0, 25.0, 50.0)
    seeds, draws = (2, 2000) if tiny else (4, 100_000)
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.4, 4.0))
    closed = jax.jit(lambda net: (network_error.gaussian_error(net), network_error.lipschitz_bound(net)))
    columns: dict[str, list[Any]] = {"is": [], "form": [], "gaussian": [], "bound": [], "brute": []}
    table = np.zeros((len(sizes), len(ratios)))
    for row, (n, color) in enumerate(zip(sizes, gradient(len(sizes)), strict=True)):
        worst = np.zeros((len(ratios), seeds))
        for column, snr in enumerate(ratios):
            config = config_of(preset, n, snr)
            for seed in range(seeds):
                key = jax.random.fold_in(jax.random.key(7), seed)
                net = final_network(draw_instance(key, config), config)
                error = sampled_error(jax.random.fold_in(key, 1), net)
                worst[column, seed] = np.mean(error.error)
                if n in (20, 100):
                    gaussian, bound = closed(net)
                    parts = (error.error, error.form, gaussian, bound)
                    for name, part in zip(("is", "form", "gaussian", "bound"), parts, strict=True):
                        columns[name] += list(np.asarray(part))
                    columns["brute"] += list(brute_force(net, draws, seed))
        table[row] = np.exp(np.log(np.maximum(worst, 1e-300)).mean(1))
        effective = n * np.array(ratios)
        right.plot(effective, worst, ".", color=color, markersize=4, alpha=0.6)
        right.plot(effective, table[row], "o-", color=color, label=f"$n = {n}$")
    values = {name: np.array(part) for name, part in columns.items()}
    seen = values["brute"] > 0
    left.plot(values["is"][seen], values["brute"][seen], "o", color="black", markersize=4, label="counting")
    for name, marker, color, label in (
        ("form", "x", "C0", "design point $\\Phi(-|\\xi^*|)$"), ("gaussian", "^", "C1", "Gaussian $f$ (wrong)"),
        ("bound", "s", "C2", "rigorous bound"),
    ):  # fmt: skip
        for axes in (left, middle):
            axes.plot(values["is"], values[name], marker, color=color, markersize=4, fillstyle="none", label=label)
    low = max(float(values["is"].min()), 1e-90)
    for axes, bottom, title in (
        (left, 1e-5, "each point: one cluster of one network"),
        (middle, low, "down to the end"),
    ):
        line = np.array([bottom, 1.0])
        axes.plot(line, line, "-", color="grey", linewidth=1)
        axes.set(xscale="log", yscale="log", xlim=(bottom, 1.3), ylim=(bottom, 3), title=title)
        axes.set(xlabel="test error by importance sampling", ylabel="test error by others")
    left.legend(fontsize=7.5)
    right.set(xscale="log", yscale="log", xlabel="$n\\gamma = n|\\mu|^4/p$", ylim=(max(1e-9, table.min() / 3), 1),
              ylabel="test error (mean of four clusters)", title="large points: geometric mean over runs")  # fmt: skip
    right.legend(fontsize=7.5)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
