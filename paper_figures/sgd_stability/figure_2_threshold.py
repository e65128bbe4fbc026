"""Figure 2: growth of the mean square through the critical rate, and the critical rates of given points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.lab.predict import predict
from theorylab.numerics.second_moments import critical_learning_rate, growth
from theorylab.settings.step_size.sgd_stability.config import spectrum
from theorylab.verdict.plotting import COLOURS, key, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAYS = {"replacement": "with replacement", "no_replacement": "without replacement"}


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Growth against the learning rate at three batch sizes; sharpness on given points, measured and predicted."""
    setting = get("sgd_stability")
    found = results(setting, "rates", preset, folder)
    eigenvalues = spectrum(setting.case(preset, "rates").config)
    relative = np.linspace(0.15, 1.4, 60)

    def curve(size: jax.Array, own: bool = True, cross: bool = True) -> jax.Array:
        rates = relative * critical_learning_rate(eigenvalues, size)
        return jax.vmap(lambda rate: growth(eigenvalues, rate, size, own=own, cross=cross).rate)(rates)

    sizes = jnp.asarray(found.batch_size.values, float)
    variables = {
        "growth": found.growth,
        "growth_theory": (("batch_size", "relative"), np.stack([curve(size) for size in sizes])),
        "growth_one_term": (("batch_size", "relative"), np.stack([curve(size, own=False) for size in sizes])),
        "growth_no_cross": (("batch_size", "relative"), np.stack([curve(size, cross=False) for size in sizes])),
    }
    for case in setting.sweeps[preset]:
        if case.name.startswith("points_"):
            runs = results(setting, case.name, preset, folder)
            told = predict(setting, case.config, case.grid, theory="given_batches", seeds=case.seeds)
            for name, values in (("measured", runs), ("predicted", told)):
                chosen = values.effective_sharpness.rename(seed=f"seed_{case.config.num_samples}")
                variables[f"{name}_{case.config.num_samples}"] = chosen
    points_config = next(case.config for case in setting.sweeps[preset] if case.name.startswith("points_"))
    fresh = 2 / float(critical_learning_rate(spectrum(points_config), points_config.batch_size))
    return xarray.Dataset(
        variables,
        coords={"relative": relative},
        attrs={"fresh": fresh, "point_batch": points_config.batch_size, "point_dim": points_config.dim},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw growth (left), and measured against predicted critical rates of given points (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    for size, color in zip(data.batch_size.values, COLOURS, strict=False):
        here = data.sel(batch_size=size)
        left.plot(data.relative, here.growth_theory, color=color, label=f"$B = {size:g}$")
        left.plot(data.relative, here.growth_one_term, ":", color=color, linewidth=1)
        left.plot(data.relative, here.growth_no_cross, "--", color=color, linewidth=1)
        points(left, data.relative_rate.values, here.growth, color=color)
    key(left, seeds=data.sizes["seed"], line="exact")
    left.plot([], [], ":", color="grey", label="wrong: one of two covariance terms")
    left.plot([], [], "--", color="grey", label="wrong: cross term dropped")
    left.axhline(1, color="grey", linewidth=0.6)
    left.axvline(1, color="grey", linewidth=0.6)
    left.set(xlabel=r"learning rate over the critical one, $\eta/\eta^*$", ylim=(0.6, 1.6))
    left.set(ylabel=r"largest growth of $\mathrm{E}\,|w|^2$ in a step, $\rho$")
    left.set_title(r"(a) fresh batches, $\lambda_i = 1/i$, $d = 20$")
    left.legend(loc="upper left")

    counts = sorted(int(name.partition("_")[2]) for name in data.data_vars if name.startswith("measured_"))
    lowest, highest = np.inf, 0.0
    for count, color in zip(counts, COLOURS, strict=False):
        for way, fill in (("replacement", color), ("no_replacement", "white")):
            told = 2 / data[f"predicted_{count}"].sel(sampling=way).values
            seen = 2 / data[f"measured_{count}"].sel(sampling=way).values
            label = f"$n = {count}$" if way == "replacement" else None
            right.plot(told, seen, "o", color=color, markerfacecolor=fill, label=label)
            lowest, highest = min(lowest, told.min()), max(highest, told.max())
    ends = np.array([0.9 * lowest, 1.1 * highest])
    right.plot(ends, ends, color="black", linewidth=1)
    right.axvline(2 / data.attrs["fresh"], color="grey", linestyle=":", linewidth=1, label="fresh samples")
    right.plot([], [], color="black", linewidth=1, label="equal")
    right.plot([], [], "o", color="grey", markerfacecolor="white", label="without replacement")
    right.set(xscale="log", yscale="log", xlabel=r"critical rate predicted for these points", ylabel="measured")
    right.set_title(rf"(b) batches of {data.attrs['point_batch']:g} of $n$ points, $d = {data.attrs['point_dim']}$")
    for axis in (right.xaxis, right.yaxis):
        axis.set_ticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        axis.set_ticks([], minor=True)
    right.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
