"""Figure 1: few prompts on few tasks, and memorisation of the pool (Lu et al. 2024, Figures 1 and 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.in_context.task_diversity import pretraining_errors
from theorylab.verdict.plotting import COLOURS, below, key, letter, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Contexts of the theory's curves on the right, tokens per dimension.
ALPHAS = (10, 20, 40)
#: Points of these curves.
FINE = {"tiny": 12, "default": 50, "paper": 50}
TICKS = ([0.2, 0.5, 1, 2, 4, 8], ["0.2", "0.5", "1", "2", "4", "8"])


def of_this_size(config: Any, ratios: Iterable[float]) -> np.ndarray:
    """Both errors at the configuration's own size, to first order in 1/d, ``[ratios, 2]``; NaN where too crude."""
    theory, key = get("task_diversity").theory("pool_regression"), jax.random.key(0)
    found = []
    for ratio in ratios:
        cell = dataclasses.replace(config, prompt_ratio=ratio)
        both = theory.predict(key, cell) if theory.holds(cell) is None else {}
        found.append([float(both.get(name, np.nan)) for name in theory.predicts])
    return np.array(found)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Both errors against the number of prompts; their difference against the number of tasks."""
    setting = get("task_diversity")
    cases = {case.name: case.config for case in setting.sweeps[preset]}
    few = [name for name in cases if name.startswith("prompts_")]
    first, pools = cases[few[0]], [name for name in cases if name.startswith("pool_")]
    alphas = [cases[name].context_length // cases[name].dim for name in few]
    alpha = xarray.Variable("alpha", alphas)
    runs = [results(setting, name, preset, folder) for name in few]
    taus = np.stack([np.geomspace(0.15, 0.96, 60), np.geomspace(1.04, 8, 60)])
    kappa = first.num_tasks / first.dim
    curves = [
        [
            [[float(e) for e in pretraining_errors(a, kappa, t, first.noise_variance)] for t in side]
            for side in taus.tolist()
        ]
        for a in alphas
    ]
    finite = np.array([[of_this_size(cases[name], side) for side in taus.tolist()] for name in few])
    errors = {
        name: xarray.concat([run[name] for run in runs], alpha, join="exact")
        for name in ("fresh_task_error", "pool_error")
    }
    variables = {
        **errors,
        "fresh_task_error_theory": (("alpha", "side", "tau"), np.array(curves)[..., 0]),
        "pool_error_theory": (("alpha", "side", "tau"), np.array(curves)[..., 1]),
        "fresh_task_error_finite": (("alpha", "side", "tau"), finite[..., 0]),
        "pool_error_finite": (("alpha", "side", "tau"), finite[..., 1]),
        "tau_theory": (("side", "tau"), taus),
    }
    noise, ratios = cases[pools[0]].noise_variance, np.geomspace(0.15, 10, FINE[preset])
    gaps = [[pretraining_errors(a, ratio, 0.2 * a, noise) for ratio in ratios.tolist()] for a in ALPHAS]
    variables["gap_theory"] = (("context_ratio", "kappa"), [[float(e.fresh - e.pool) for e in row] for row in gaps])
    for name in pools:
        found = results(setting, name, preset, folder)
        dim = f"tasks_{name.removeprefix('pool_')}"
        gap = (found.fresh_task_error - found.pool_error).rename(num_tasks=dim, seed="pool_seed")
        config, counts = cases[name], np.unique(np.geomspace(3, 10 * cases[name].dim, FINE[preset]).astype(int))
        sizes = (dataclasses.replace(config, num_tasks=count) for count in counts.tolist())
        both = np.concatenate([of_this_size(size, [config.prompt_ratio]) for size in sizes])
        variables[f"{name}_finite"] = f"fine_{name}", both[:, 0] - both[:, 1]
        variables[f"fine_{name}"] = f"fine_{name}", counts / config.dim
        variables[name] = gap.assign_coords({dim: found.num_tasks.values / cases[name].dim})
    return xarray.Dataset(
        variables,
        coords={"kappa": ratios, "context_ratio": list(ALPHAS)},
        attrs={
            "dim": first.dim,
            "tasks_ratio": kappa,
            "noise_variance": first.noise_variance,
            "pool_dim": cases[pools[0]].dim,
            "pool_noise_variance": noise,
        },
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw errors against the number of prompts (left), fresh minus pool error against tasks per dimension (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.2))
    for alpha, color in zip(data.alpha.values, COLOURS, strict=False):
        here = data.sel(alpha=alpha)
        for side in (0, 1):
            curve = here.isel(side=side)
            label = rf"$\alpha$ = {alpha:g}" if side == 0 else None
            left.plot(curve.tau_theory, curve.fresh_task_error_finite, color=color, label=label)
            left.plot(curve.tau_theory, curve.pool_error_finite, "--", color=color)
            left.plot(curve.tau_theory, curve.fresh_task_error_theory, ":", color=color, linewidth=1)
            left.plot(curve.tau_theory, curve.pool_error_theory, ":", color=color, linewidth=1)
        points(left, data.prompt_ratio.values, here.fresh_task_error, color=color)
        points(left, data.prompt_ratio.values, here.pool_error, color=color, markerfacecolor="white")
    left.plot([], [], color="grey", label="fresh tasks")
    left.plot([], [], "--", color="grey", label="tasks of the pool")
    left.set(xscale="log", yscale="log", xlabel=r"prompts$/d^2$, $\tau$", ylabel="error (noisy target)")
    kappa, noise, dim = (data.attrs[name] for name in ("tasks_ratio", "noise_variance", "dim"))
    left.set_title(rf"$\tau d^2$ prompts, $K = {kappa:g}d$ tasks, $\sigma^2 = {noise:g}$")
    left.plot([], [], ":", color="grey", linewidth=1, label=r"theory, $d \to \infty$")
    key(left, seeds=data.sizes["seed"], line=f"theory, $d = {dim}$", what=f"simulation, $d = {dim}$,")

    for alpha, color in zip(ALPHAS, COLOURS, strict=False):
        limit = data.gap_theory.sel(context_ratio=alpha)
        right.plot(data.kappa, limit, ":", color=color, linewidth=1, label=rf"$\alpha$ = {alpha}")
        if f"pool_{alpha}" in data:
            right.plot(data[f"fine_pool_{alpha}"], data[f"pool_{alpha}_finite"], color=color)
            gap = data[f"pool_{alpha}"].rename(pool_seed="seed")
            points(right, data[f"tasks_{alpha}"].values, gap, color=color)
    right.axvline(1, color="grey", linewidth=0.6)
    right.set(xscale="log", yscale="log", xlabel=r"tasks per dimension $\kappa = K/d$", ylim=(3e-3, 3))
    right.set(ylabel="error on fresh tasks $-$ on the pool")
    noise, dim = data.attrs["pool_noise_variance"], data.attrs["pool_dim"]
    right.set_title(rf"$\alpha d$ tokens, $\tau d^2$ prompts, $\tau = \alpha/5$, $\sigma^2 = {noise:g}$")
    right.plot([], [], ":", color="grey", linewidth=1, label=r"theory, $d \to \infty$")
    key(right, seeds=data.sizes["pool_seed"], line=f"theory, $d = {dim}$", what=f"simulation, $d = {dim}$,")
    letter(left, right)
    for axes in (left, right):
        axes.set_xticks(*TICKS)
        axes.xaxis.set_ticks([], minor=True)
    below(left, right, columns=2)
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
