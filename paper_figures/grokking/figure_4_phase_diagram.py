"""Figure 4: the gap over the two parameters that matter, and how many samples grokking needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.grokking.times import censored_median
from theorylab.verdict.plotting import letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Times of every run of the phase diagram; times and final losses of every run against the number of samples."""
    setting = tl.get("grokking")
    shown, attrs = {}, {}
    for name, kept in (
        ("phase_diagram", ("train_time", "test_time")),
        ("samples", ("train_time", "test_time", "train_loss", "test_loss")),
    ):
        config = setting.case(preset, name).config
        swept = results(setting, name, preset, folder, ignore="scaled_learning_rate").isel(step=-1, drop=True)
        swept = swept.rename({"seed": f"seed_{name}"})
        shown |= {f"{observable}_{name}": swept[observable] for observable in kept}
        if name == "phase_diagram":
            shown["diverged"] = (swept.first_bad_step >= 0).any(f"seed_{name}")
        attrs[f"end_{name}"] = config.scaled_learning_rate * config.num_steps
        attrs |= {field: getattr(config, field) for field in ("input_dim", "output_scale", "quadratic_coeff")}
    return xarray.Dataset(shown).drop_attrs().assign_attrs(attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw log10 of test time over train time against r = ε/α and κ = αε, and times and final loss against P/D."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12.6, 3.9))
    end = data.end_phase_diagram
    shown: dict[str, list[Any]] = {"gap": [], "censored": []}
    for alpha in data.output_scale.values:
        for eps in data.quadratic_coeff.values:
            cell = data.sel(output_scale=alpha, quadratic_coeff=eps)
            train = censored_median(cell.train_time_phase_diagram.values, end)
            test = censored_median(cell.test_time_phase_diagram.values, end)
            place = (eps / alpha, alpha * eps)
            if bool(cell.diverged) or train.censored:
                left.plot(*place, "x", color="grey", markersize=8)
            elif test.censored:
                shown["censored"].append((*place, np.log10(end / train.median)))
            else:
                shown["gap"].append((*place, np.log10(test.median / train.median)))
    if shown["gap"]:
        x, y, gap = np.array(shown["gap"]).T
        image = left.scatter(x, y, c=gap, marker="s", s=110, vmin=0, cmap="viridis")
        figure.colorbar(image, ax=left, label=r"$\log_{10}$(test time/train time)")
    for x, y, least in shown["censored"]:  # bounds are no values: written, not coloured
        text = {"ha": "center", "va": "bottom", "textcoords": "offset points", "fontsize": 7}
        left.annotate(f"$\\geq${least:.1f}", (x, y), (0, 6), **text)
    x, y, _ = np.array(shown["censored"]).reshape(-1, 3).T
    told = f"test not by $\\tau$ = {end:g}: at least this"
    left.plot(x, y, "^", color="grey", markersize=9, fillstyle="none", label=told)
    left.plot([], [], "s", color="grey", label="both reached")
    left.plot([], [], "x", color="grey", label="train not reached")
    left.set(xscale="log", yscale="log", xlabel=r"$r = \varepsilon/\alpha$", ylabel=r"$\kappa = \alpha\varepsilon$")
    left.set_title(f"centred, median of {data.sizes['seed_phase_diagram']}")
    left.legend(loc="lower left", fontsize=7.5)
    low, high = left.get_ylim()
    left.set_ylim(low / 12, 2 * high)

    dim, end = data.input_dim, data.end_samples
    ratios = data.num_samples.values / dim
    for name, color in (("train_time", "C0"), ("test_time", "C1")):
        for ratio, times in zip(ratios, data[f"{name}_samples"].values, strict=True):
            reached = times[np.isfinite(times)]
            middle.plot(np.full(len(reached), ratio), reached, "o", color=color, markersize=4)
            if len(reached) < len(times):
                middle.plot(ratio, end, "^", color=color, markersize=7)
                missing = str(len(times) - len(reached))
                middle.annotate(
                    missing, (ratio, end), (0, 7), fontsize=8, textcoords="offset points", ha="center", color=color
                )
        medians = [censored_median(times, end).median for times in data[f"{name}_samples"].values]
        middle.plot(ratios, medians, "-", color=color, linewidth=1.2, label=name.replace("_", " ") + " (median)")
    middle.set(
        yscale="log",
        xlabel=r"$\nu = P/D$",
        ylabel=r"$\tau$",
        title="time to learn",
    )
    middle.plot(
        [],
        [],
        "^",
        color="grey",
        markersize=7,
        label=rf"so many of {data.sizes['seed_samples']} not by $\tau$ = {end:g}",
    )
    middle.set_ylim(None, 2 * end)
    middle.legend(loc="center right")

    points(right, ratios, data.test_loss_samples.rename(seed_samples="seed"), color="C1", label="test", linestyle="-")
    points(right, ratios, data.train_loss_samples.rename(seed_samples="seed"), color="C0", label="train", linestyle="-")
    right.set(yscale="log", ylim=(1e-8, 3), xlabel=r"$\nu = P/D$", ylabel=rf"loss at $\tau = {end:g}$")
    right.set_title(
        rf"$\alpha = {data.attrs['output_scale']:g}$, $\varepsilon = {data.attrs['quadratic_coeff']:g}$, $D = {dim}$"
    )
    letter(left, middle, right)
    right.legend(title=f"mean ± s.e. of {data.sizes['seed_samples']}", title_fontsize=8.5)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
