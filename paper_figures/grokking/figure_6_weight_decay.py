"""Figure 6: weight decay shortens the delay of large output scales, and lifts the floor of the test loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.grokking.config import sample_ratio
from theorylab.settings.two_layer.grokking.optimiser import Optimiser
from theorylab.settings.two_layer.grokking.theory.population import (
    OrderParameters,
    population_curves,
    stationary_loss,
)
from theorylab.verdict.plotting import below, gradient, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Times and final test losses of every run against the decay; test losses of many samples, with the flow's."""
    setting = tl.get("grokking")
    config = setting.case(preset, "decay").config
    swept = results(setting, "decay", preset, folder).isel(step=-1, drop=True)
    shown = swept[["train_time", "test_time", "test_loss"]]
    unit = sample_ratio(config) * config.quadratic_coeff
    strength = swept.weight_decay * swept.output_scale / unit
    parts = xarray.Dataset(
        {**shown.data_vars, "strength": strength},
        attrs={
            "input_dim": config.input_dim, "num_samples": config.num_samples, "threshold": config.test_threshold,
            "end": config.scaled_learning_rate * config.num_steps, "quadratic_coeff": config.quadratic_coeff,
        },
    )  # fmt: skip
    grid = np.geomspace(1e-3, 3, 200)
    parts["floor_theory"] = ("strength_theory", np.asarray(stationary_loss(grid, 1.0, 1.0, 1.0)))
    parts = parts.assign_coords(strength_theory=grid)

    many = setting.case(preset, "decay_many_samples").config
    simulated = results(setting, "decay_many_samples", preset, folder, ignore="scaled_learning_rate")
    ratio, rate = sample_ratio(many), many.scaled_learning_rate
    steps = np.arange(many.num_steps + 1)
    curves = [
        population_curves(
            OrderParameters(np.ones(()), np.ones(())), steps.tolist(), input_dim=many.input_dim, sample_ratio=ratio,
            output_scale=many.output_scale, quadratic_coeff=many.quadratic_coeff, scaled_learning_rate=rate,
            optimiser=Optimiser(decay),
        )[1].total
        for decay in simulated.weight_decay.values
    ]  # fmt: skip
    strengths = simulated.weight_decay.values * many.output_scale / (ratio * many.quadratic_coeff)
    floor = stationary_loss(strengths, 1.0, 1.0, 1.0)
    return parts.merge(
        xarray.Dataset(
            {
                "many_samples": (
                    ("strength_many", "seed_many", "time_many"),
                    simulated.test_loss.transpose("weight_decay", "seed", "step").values,
                ),
                "many_samples_theory": (("strength_many", "time_theory"), np.stack(curves)),
                "many_samples_floor": ("strength_many", np.asarray(floor)),
            },
            coords={
                "strength_many": strengths,
                "time_many": ratio * rate * simulated.step.values,
                "time_theory": ratio * rate * steps,
            },
            attrs={"many_dim": many.input_dim, "many_count": many.num_samples},
        ),
        combine_attrs="no_conflicts",
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw the delay over that without decay and the final test loss against Λ, and test losses of many samples."""
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.0))
    for number, (color, marker) in enumerate(zip(gradient(data.sizes["output_scale"]), "osD", strict=False)):
        one = data.isel(output_scale=number)
        _delays(left, one, color, marker, 0.95 - 0.1 * number, rf"$\alpha$ = {one.output_scale.item():g}")
        decayed = one.isel(weight_decay=slice(1, None))
        points(middle, decayed.strength, decayed.test_loss, color=color, fmt=marker + "-", markersize=4)
    known = data.strength_theory <= 1.5
    middle.plot(
        data.strength_theory[known], data.floor_theory[known], "--", color="black", linewidth=1.2,
        label=r"$\Lambda^2/3$, many samples",
    )  # fmt: skip
    middle.axhline(data.threshold, color="grey", linestyle=":", linewidth=1, label="counts as learned")
    strength = r"decay $\Lambda = \lambda' \alpha/(\nu \varepsilon)$"
    text = rf"(a) $D$ = {data.input_dim}, $P$ = {data.num_samples}, $\varepsilon$ = {data.quadratic_coeff:g}"
    middle.set(xscale="log", yscale="log", xlabel=strength, ylabel=rf"test loss at $\tau$ = {data.end:g}")
    left.set(xscale="log", xlabel=strength, ylabel="delay over that without decay", title=text, ylim=(0.4, 1.5))
    left.axhline(1, color="grey", linestyle=":", linewidth=1)
    left.set_xlim(*middle.get_xlim())
    left.plot([], [], "^", color="grey", markersize=5, label=rf"so many not by $\tau$ = {data.end:g}")
    middle.set(title="(b) the floor that decay leaves", ylim=(3e-4, 1))

    for number, color in enumerate(gradient(data.sizes["strength_many"], "plasma")):
        one = data.isel(strength_many=number)
        label = rf"$\Lambda$ = {one.strength_many.item():.2g}"
        right.plot(one.time_theory, one.many_samples_theory, color=color, linewidth=1.3, label=label)
        late = one.many_samples.rename(seed_many="seed").isel(time_many=slice(1, None))
        points(right, late.time_many, late, color=color, markersize=3.5)
        if one.many_samples_floor > 0:
            right.axhline(one.many_samples_floor, color=color, linestyle=":", linewidth=1)
    right.set(xscale="log", yscale="log", xlabel=r"$s = \nu\tau$", ylabel="test loss", ylim=(2e-3, 2))
    right.set_title(rf"(c) $D$ = {data.many_dim}, $P$ = {data.many_count:,}: flow and simulation")
    key(right, seeds=data.sizes["seed_many"], of="data sets", line="flow; dotted: its end")
    below(left, middle, right, columns=2)
    return figure


def _delays(axes: Axes, data: xarray.Dataset, color: str, marker: str, height: float, label: str) -> None:
    """Median and quartiles over data sets of the delay over that of the same data without decay.

    A delay that has not ended counts as longer than all others; triangles where these are half or more, with their
    number.
    """
    delay = data.test_time - data.train_time
    ratio = (delay / delay.isel(weight_decay=0)).isel(weight_decay=slice(1, None)).transpose("seed", ...)
    low, middle, high = np.quantile(ratio.fillna(np.inf), (0.25, 0.5, 0.75), axis=0, method="nearest")
    place = data.strength[1:].values
    shown = np.isfinite(middle)
    above = np.where(np.isfinite(high), high, 10.0)  # beyond the frame
    bars = np.stack([middle[shown] - low[shown], above[shown] - middle[shown]])
    axes.errorbar(
        place[shown], middle[shown], bars, fmt=marker + "-", color=color, markersize=4, linewidth=1, label=label
    )
    for x, missing in zip(place[~shown], np.isnan(ratio).sum("seed").values[~shown], strict=True):
        axes.plot(x, height, "^", color=color, markersize=5, transform=axes.get_xaxis_transform())
        place_of = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "top"}
        axes.annotate(f"{missing}", (x, height - 0.025), color=color, fontsize=8, **place_of)


if __name__ == "__main__":
    run_script(draw, __file__)
