"""Figure 5: dynamical mean-field theory and simulation, at varied and fixed rates of feature learning."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray

import theorylab as tl
from theorylab.catalogue import Preset
from theorylab.gallery.results import results
from theorylab.settings.two_layer.grokking import Config
from theorylab.settings.two_layer.grokking.config import sample_ratio
from theorylab.settings.two_layer.grokking.controls import without_reaction, wrong_dmft
from theorylab.settings.two_layer.grokking.mean_field import LARGEST_EDGE, STABLE_STEPS, learned_edge, model_of
from theorylab.settings.two_layer.grokking.theory.dmft import Dynamics, dmft, in_finite_dimension
from theorylab.settings.two_layer.grokking.theory.dmft_march import Model
from theorylab.settings.two_layer.grokking.theory.dmft_seed import noise_driven_dmft, seeded_dmft
from theorylab.verdict.plotting import COLOURS, gradient, key, letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


#: Relative tolerance of the reference values: the march averages derivatives in float32, and amplifies their rounding.
REFERENCE_TOLERANCE = {"default": 1e-3, "paper": 1e-3}
LOSSES = ("train_loss", "test_loss")
SEEDED = {
    "noise": "chance and data noise",
    "seeded": r"planted $(1 + \chi)/D$",
    "chance": r"planted $1/D$ (chance only)",
}


def data(preset: Preset, folder: str | Path = "results") -> xarray.Dataset:
    """Losses at every output scale (``_varied``: one activation, ``_fixed``: one ε/α), overlaps of an isotropic start.

    Theories run over all steps (``time_theory``). NaN: near the edge of stability nothing is drawn of the theory beyond
    where its solution may leave.
    """
    setting = tl.get("grokking")
    varied = setting.case(preset, "rate_varied")
    base, scales = varied.config, varied.grid["output_scale"]
    num = 500 if preset == "tiny" else 3000
    solve = _solver(base.num_steps, num)
    swept = results(setting, "rate_varied", preset, folder)
    steps = np.arange(base.num_steps + 1)
    shown: dict[str, list[np.ndarray]] = {}

    def add(ending: str, config: Config, simulated: xarray.Dataset) -> None:
        near_edge = learned_edge(config) > LARGEST_EDGE
        solution = (_solver(min(STABLE_STEPS, base.num_steps), num) if near_edge else solve)(config)
        for loss in LOSSES:
            curve = np.full(len(steps), np.nan)
            values = getattr(solution, loss)
            curve[: len(values)] = values
            shown.setdefault(f"{loss}_{ending}_theory", []).append(curve)
            shown.setdefault(f"{loss}_{ending}", []).append(simulated[loss].transpose("seed", "step").values)

    for scale in scales:
        add("varied", dataclasses.replace(base, output_scale=scale), swept.sel(output_scale=scale))
    for scale in scales:
        case = setting.case(preset, f"rate_fixed_{scale:g}")
        add("fixed", case.config, results(setting, case.name, preset, folder))
    wrong = _solver(base.num_steps, num, memoryless=True)(dataclasses.replace(base, output_scale=1.0))
    dims = {3: ("output_scale", "seed", "time"), 2: ("output_scale", "time_theory")}
    rate = base.scaled_learning_rate
    planted = xarray.Dataset(
        {
            **{name: (dims[np.ndim(values)], np.stack(values)) for name, values in shown.items()},
            **{f"{loss}_without_responses": ("time_theory", getattr(wrong, loss)) for loss in LOSSES},
        },
        coords={"output_scale": list(scales), "time": rate * swept.step.values, "time_theory": rate * steps},
        attrs={
            "input_dim": base.input_dim, "sample_ratio": sample_ratio(base), "spike_overlap": base.spike_overlap,
            "quadratic_coeff": base.quadratic_coeff,
        },
    )  # fmt: skip
    return planted.merge(_isotropic(setting.case(preset, "isotropic_start").config, preset, folder, num))


def _solver(num_steps: int, num: int, memoryless: bool = False) -> Callable[[Config], Dynamics]:
    """One compiled program of the planted theory for all parameters."""

    @jax.jit
    def solve(model: Model, overlap: Any, dim: Any) -> Dynamics:
        options: dict[str, Any] = {"spike_overlap": overlap, "num_steps": num_steps, "num_particles": num}
        if memoryless:
            return wrong_dmft(jax.random.key(0), model, without_reaction, **options)
        return in_finite_dimension(dmft(jax.random.key(0), model, **options), model, dim)

    return lambda config: jax.tree.map(np.asarray, solve(model_of(config), config.spike_overlap, config.input_dim))


def _isotropic(config: Config, preset: Preset, folder: str | Path, num: int) -> xarray.Dataset:
    """Overlap of a start without a planted spike, and three theories of what seeds it."""
    model, size = model_of(config), {"num_steps": config.num_steps, "num_particles": num}
    dim, key = config.input_dim, jax.random.key(0)
    solvers = {
        "noise": lambda: noise_driven_dmft(key, model, input_dim=dim, **size),
        "seeded": lambda: seeded_dmft(key, model, input_dim=dim, **size),
        "chance": lambda: dmft(key, model, spike_overlap=1 / dim, **size),
    }
    simulated = results("grokking", "isotropic_start", preset, folder)
    rate = config.scaled_learning_rate
    return xarray.Dataset(
        {
            "overlap": (("seed_isotropic", "time_isotropic"), simulated.target_overlap.values),
            **{
                f"overlap_{name}_theory": ("time_isotropic_theory", np.asarray(solve().spike_overlap))
                for name, solve in solvers.items()
            },
        },
        coords={
            "time_isotropic": rate * simulated.step.values,
            "time_isotropic_theory": rate * np.arange(config.num_steps + 1),
        },
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw losses at varied and at fixed ε/α (left, middle) and the overlap of an isotropic start (right)."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.2))
    for axes, ending in ((left, "varied"), (middle, "fixed")):
        for number, color in enumerate(gradient(data.sizes["output_scale"])):
            _losses(axes, data.isel(output_scale=number), ending, color)
        if ending == "varied":
            for loss in LOSSES:
                wrong = data[f"{loss}_without_responses"]
                axes.plot(data.time_theory[1:], wrong[1:], ":", color="black", linewidth=1)
    text = rf"$D$ = {data.input_dim}, $\nu$ = {data.sample_ratio:g}, $\rho_0$ = {data.spike_overlap:g}"
    left.set_title(rf"$\varepsilon$ = {data.quadratic_coeff:g}; {text}")
    middle.set_title(rf"$\varepsilon/\alpha$ = {data.quadratic_coeff:g}; {text}")
    kinds = [
        Line2D([], [], color="grey", label="test"),
        Line2D([], [], color="grey", linestyle="--", label="train"),
        Line2D([], [], color="black", linestyle=":", label=r"without responses ($\alpha$ = 1)"),
    ]
    for axes in (left, middle):
        axes.set(xscale="log", yscale="log", xlabel=r"$\tau = \gamma\,t$", ylabel="loss")
    left.legend(handles=[*left.get_legend_handles_labels()[0], *kinds], loc="lower left", fontsize=7.5)
    key(middle, seeds=data.sizes["seed"], of="data sets", line="")
    middle.legend(loc="lower left")

    for (name, label), color, line in zip(SEEDED.items(), COLOURS, ("-", "--", ":"), strict=False):
        overlap = data[f"overlap_{name}_theory"]
        right.plot(data.time_isotropic_theory[1:], overlap[1:], line, color=color, label=label)
    late = data.overlap.rename(seed_isotropic="seed").isel(time_isotropic=slice(1, None))
    points(right, late.time_isotropic, late, color="black")
    right.set(xscale="log", yscale="log", xlabel=r"$\tau = \gamma\,t$", ylabel=r"overlap $\beta^\top M\beta/D^2$")
    right.set_title(rf"isotropic start; $D$ = {data.input_dim}, $\varepsilon/\alpha$ = {data.quadratic_coeff:g}")
    key(right, seeds=data.sizes["seed_isotropic"], of="data sets", line="")
    letter(left, middle, right)
    right.legend(loc="lower right")
    return figure


def _losses(axes: Axes, data: xarray.Dataset, ending: str, color: Any) -> None:
    """One output scale: theory as lines, to where it is known, and simulation as points."""
    known = np.isfinite(data[f"test_loss_{ending}_theory"].values)
    theory = data.isel(time_theory=known).isel(time_theory=slice(1, None))
    label = rf"$\alpha$ = {data.output_scale.item():g}"
    axes.plot(theory.time_theory, theory[f"test_loss_{ending}_theory"], color=color, label=label)
    axes.plot(theory.time_theory, theory[f"train_loss_{ending}_theory"], "--", color=color)
    late = data.isel(time=slice(1, None))
    points(axes, late.time, late[f"test_loss_{ending}"], color=color)
    points(axes, late.time, late[f"train_loss_{ending}"], color=color, markerfacecolor="white")


if __name__ == "__main__":
    run_script(draw, __file__)
