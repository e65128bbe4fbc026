"""Figure 3: grokking is the even part overtaking the odd one, and depends on step and initialisation by κ t alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.xor.config import step_init_ratio
from theorylab.settings.two_layer.xor.presets import RATIOS
from theorylab.settings.two_layer.xor.theory import memorisation
from theorylab.verdict.plotting import below, gradient, key, letter, points

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Both parts of f, accuracies at four step sizes, and memorisation at several widths with its closed form."""
    setting = tl.get("xor")
    large = results("xor", "large", preset, folder)
    parts = [large[["linear_part", "even_part"]].rename(seed="seed_large", step="step_large")]
    for ratio in RATIOS:
        name = f"ratio_{ratio:g}"
        found = results("xor", name, preset, folder)[["train_accuracy", "test_accuracy"]]
        dims = {"seed": "seed_ratio", "step": f"step_{name}"}
        parts.append(found.rename(**{key: f"{key}_{name}" for key in found.data_vars}, **dims))
    case = setting.case(preset, "memorisation_widths")
    found = results("xor", case.name, preset, folder)[["train_accuracy"]]
    widths = case.grid["width"]
    ratios = [float(step_init_ratio(dataclasses.replace(case.config, width=width))) for width in widths]
    t = np.linspace(0, case.config.num_steps, 300)
    curves = [
        np.asarray(memorisation.training_accuracy(t, step_init_ratio=ratio, width=width))
        for ratio, width in zip(ratios, widths, strict=True)
    ]
    parts += [
        found.rename(seed="seed_width", step="step_width", train_accuracy="train_accuracy_width"),
        xarray.Dataset(
            {
                "train_accuracy_width_theory": (("width", "step_closed"), np.array(curves)),
                "step_init_ratio": ("width", ratios),
                "memorisation_time": ("width", [memorisation.memorisation_time(width) for width in widths]),
            },
            {"width": list(widths), "step_closed": t},
        ),
    ]
    return xarray.merge(parts, combine_attrs="drop")


def draw(data: xarray.Dataset) -> Figure:
    """Draw |O| and |E| at the centres, accuracies against κ t, and the memorisation curve at several widths."""
    import matplotlib.pyplot as plt

    figure, (parts, time, widths) = plt.subplots(1, 3, figsize=(12.4, 4.4))
    step = data.step_large + 1
    for name, color, label in (("linear_part", "C0", "odd (linear) part"), ("even_part", "C1", "even part")):
        values = data[name].transpose("step_large", "seed_large")
        parts.plot(step, values, color=color, alpha=0.25, linewidth=0.8)
        parts.plot(step, values.mean("seed_large"), "o-", color=color, label=label)
    parts.set(xscale="log", yscale="log", ylim=(1e-2, None), xlabel="step $t + 1$", title="$\\alpha = 10^{-12}$")
    parts.set_ylabel("$f$ at the cluster centres / $(\\alpha p/8n)$")
    parts.plot([], [], color="grey", alpha=0.5, linewidth=0.8, label=f"each of {data.sizes['seed_large']} runs")
    for ratio, color in zip(RATIOS, gradient(len(RATIOS)), strict=True):
        name = f"ratio_{ratio:g}"
        after = data.sel({f"step_{name}": slice(1, None)})
        x = ratio * after[f"step_{name}"].values
        time.plot(x, after[f"train_accuracy_{name}"].mean("seed_ratio"), "--", color=color)
        test = after[f"test_accuracy_{name}"].rename(seed_ratio="seed")
        points(time, x, test, color=color, label=f"$\\kappa = {ratio:g}$", fmt="o-", markersize=3)
    time.plot([], [], "k--", label="training")
    key(time, seeds=data.sizes["seed_ratio"], of="runs", line="", what="test")
    time.set(xscale="log", xlabel="rescaled time $\\tau = \\kappa t$", ylabel="accuracy")
    time.set(title="same data, four step sizes", xlim=(1e-2, 1e3))
    for width, color in zip(data.width.values, gradient(data.sizes["width"]), strict=True):
        one = data.sel(width=width)
        ratio = float(one.step_init_ratio)
        simulated = one.train_accuracy_width.rename(seed_width="seed")
        points(widths, ratio * one.step_width.values, simulated, color=color, label=f"$m = {width}$")
        widths.plot(ratio * one.step_closed.values, one.train_accuracy_width_theory, color=color)
        widths.axvline(float(one.memorisation_time), color=color, linestyle=":", linewidth=1)
    widths.set(xlim=(0, 0.7), xlabel="rescaled time $\\tau = \\kappa t$", ylabel="training accuracy")
    widths.set_title("memorisation")
    widths.plot([], [], "k:", linewidth=1, label="99%: $3.29/\\sqrt{m}$")
    key(widths, seeds=data.sizes["seed_width"], of="runs", line="closed form")
    letter(parts, time, widths)
    below(parts, columns=2)
    below(time, widths)
    return figure


if __name__ == "__main__":
    from theorylab.verdict.plotting import run_script

    run_script(draw, __file__)
