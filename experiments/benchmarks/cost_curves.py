"""What a cell costs: time and memory of each setting's simulation against seeds, width, samples and steps.

One axis at a time is varied about a base configuration, seeds batched in one program as in a sweep. Memory is what XLA
reserves for the compiled program (arguments, results and temporary arrays). Exponents are fitted to the three values of
each axis, so that constant costs at the smallest still count. Compilation is timed too: it should depend on none of the
axes. Then a sweep over scalar fields and seeds of each setting, through the laboratory: it must compile one program,
however many cells.

    python -m experiments.benchmarks.cost_curves [--rounds 3] [--only xor]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.benchmarks.racing import compilations, compiled, human, timed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (2, 16, 128)


class Curves(NamedTuple):
    """What is varied in one setting."""

    setting: str
    fields: Mapping[str, Any]
    #: What an axis is called -> its field and values. The base value is among them.
    axes: Mapping[str, tuple[str, tuple[int, ...]]]
    #: Scalar fields of the sweep that must compile once.
    grid: Mapping[str, tuple[float, ...]]
    seeds: tuple[int, ...] = SEEDS


CURVES: dict[str, Curves] = {
    "random features": Curves(
        "random_features",
        {"num_samples": 100, "num_features": 100, "num_modes": 400},
        {"width": ("num_features", (100, 300, 900)), "samples": ("num_samples", (100, 200, 400))},
        {"ridge": (0.01, 0.1, 1.0, 10.0)},
        seeds=(2, 8, 32),
    ),
    "linear attention, prompts": Curves(
        "linear_attention",
        {"training": "prompts", "batch_size": 64, "num_steps": 40, "num_test": 100},
        {
            # A layer has no width; each program takes long to compile.
            "samples": ("batch_size", (64, 256, 1024)), "steps": ("num_steps", (40, 160, 640)),
        },
        {"noise_variance": (0.0, 0.25, 0.5, 1.0)},
        seeds=(2, 8, 32),
    ),
    "matrix sensing, measured": Curves(
        "matrix_sensing",
        {"operator": "gaussian", "dim": 30, "num_measurements": 400, "model_rank": 5, "num_steps": 100,
         "init_scale": 0.1},
        {
            "width": ("model_rank", (5, 12, 30)), "samples": ("num_measurements", (400, 1600, 6400)),
            "steps": ("num_steps", (100, 400, 1600)),
        },
        {"learning_rate": (0.02, 0.05, 0.1, 0.2)},
        seeds=(2, 8, 32),
    ),
    "XOR clusters, coefficients": Curves(
        "xor",
        {"num_train": 50, "width": 100, "num_steps": 40, "num_test": 40},
        {
            "width": ("width", (100, 500, 2500)), "samples": ("num_train", (50, 150, 400)),
            "steps": ("num_steps", (40, 320, 2560)),
        },
        {"learning_rate": (1e-13, 1e-12), "mean_norm": (10.0, 20.0)},
    ),
    "grokking, moments": Curves(
        "grokking",
        {"input_dim": 20, "num_samples": 100, "num_steps": 50, "width": 100, "scaled_learning_rate": 0.004},
        {
            "width": ("width", (100, 800, 6400)), "samples": ("num_samples", (100, 500, 2500)),
            "steps": ("num_steps", (50, 400, 3200)),
        },
        {"output_scale": (0.5, 1.0, 2.0), "quadratic_coeff": (0.25, 0.5)},
    ),
    "grokking, neurons": Curves(
        "grokking",
        {"trainer": "network", "input_dim": 20, "num_samples": 100, "num_steps": 50, "width": 100,
         "scaled_learning_rate": 0.004},
        {
            "width": ("width", (100, 300, 900)), "samples": ("num_samples", (100, 300, 900)),
            "steps": ("num_steps", (50, 200, 800)),
        },
        {"output_scale": (0.5, 1.0, 2.0), "quadratic_coeff": (0.25, 0.5)},
        seeds=(2, 8, 32),
    ),
}  # fmt: skip


def cell(simulate: Any, config: Any, seeds: int, rounds: int) -> dict[str, float]:
    """Median seconds, bytes and seconds of compilation of one program of so many seeds."""
    import jax

    from theorylab.lab.program import bytes_needed

    keys = jax.random.split(jax.random.key(0), seeds)
    # Every observable is returned, so that XLA keeps the training.
    program, compiling = compiled(jax.jit(jax.vmap(lambda key: simulate(key, config))), keys)
    timed(program, keys)
    return {
        "seconds": statistics.median(timed(program, keys).wall for _ in range(rounds)),
        "bytes": float(bytes_needed(program)),
        "compile": compiling,
    }


def measure_setting(name: str, rounds: int) -> list[dict[str, Any]]:
    """Points of all axes of one setting, and the compilations of a sweep."""
    import theorylab

    curves = CURVES[name]
    setting = theorylab.get(curves.setting)
    base = setting.config(**curves.fields)
    axes = {"seeds": ("", curves.seeds), **curves.axes}
    known: dict[Any, dict[str, float]] = {}  # the base is a point of every axis
    points: list[dict[str, Any]] = []
    for axis, (field, values) in axes.items():
        for value in values:
            config = dataclasses.replace(base, **{field: value}) if field else base
            seeds = curves.seeds[0] if field else value
            if (config, seeds) not in known:
                known[config, seeds] = cell(setting.simulate, config, seeds, rounds)
            points.append({"curves": name, "axis": axis, "field": field or "seeds", "value": value,
                           **known[config, seeds]})  # fmt: skip
    grid = dict(curves.grid)
    cells = int(np.prod([len(values) for values in grid.values()])) * 4
    with compilations() as seconds:
        theorylab.sweep(setting, base, grid, seeds=4)
    points.append({"curves": name, "axis": "sweep", "field": ", ".join(grid), "cells": cells, "programs": len(seconds)})
    if len(seconds) != 1:
        raise ArithmeticError(
            f"{name}: a sweep of {cells} cells over scalars and seeds compiled {len(seconds)} programs"
        )
    return points


def measure(rounds: int, only: str | None = None) -> list[dict[str, Any]]:
    """Points of every setting whose name contains ``only``."""
    import warnings

    from theorylab.runtime import configure

    rounds = min(rounds, 3)
    configure(cache=False)
    warnings.filterwarnings("ignore", category=UserWarning, module="theorylab")
    points = []
    for name in CURVES:
        if only is None or only.lower() in name.lower():
            points += measure_setting(name, rounds)
    return points


def exponent(values: Sequence[float], costs: Sequence[float]) -> float:
    """Slope of ln cost against ln value, by least squares."""
    return float(np.polyfit(np.log(values), np.log(costs), 1)[0])


def curve(points: Sequence[Mapping[str, Any]], name: str, axis: str) -> list[Mapping[str, Any]]:
    """Points of one curve, in order."""
    return [point for point in points if (point["curves"], point["axis"]) == (name, axis)]


def names(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the settings that there are points of."""
    return list(dict.fromkeys(point["curves"] for point in points))


def draw(points: Sequence[Mapping[str, Any]]) -> Figure:
    """Time (top) and memory (bottom) against each axis, a line per setting; above each panel the exponents."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    from theorylab.verdict.plotting import COLOURS

    axes = ("seeds", "width", "samples", "steps")
    found_names = names(points)
    colours = dict(zip(CURVES, COLOURS, strict=False))
    figure, grid = plt.subplots(2, len(axes), figsize=(12, 6), sharex="col", sharey="row")
    for column, axis in enumerate(axes):
        for name in found_names:
            found = curve(points, name, axis)
            if not found:
                continue
            values = [point["value"] for point in found]
            for row, (cost, scale) in enumerate((("seconds", 1.0), ("bytes", 2**20))):
                costs = [point[cost] / scale for point in found]
                grid[row, column].loglog(values, costs, "o-", color=colours[name])
                grid[row, column].text(
                    0.01 + 0.165 * found_names.index(name), 1.02, f"{exponent(values, costs):.2f}",
                    transform=grid[row, column].transAxes, color=colours[name], fontsize=9,
                )  # fmt: skip
        grid[1, column].set_xlabel(axis)
    grid[0, 0].set_ylabel("seconds")
    grid[1, 0].set_ylabel("MiB")
    handles = [Line2D([], [], color=colours[name], marker="o", label=name) for name in found_names]
    title = "cost of one program; above each panel the exponents of its lines"
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), title=title, columnspacing=1.2)
    return figure


def tables(points: Sequence[Mapping[str, Any]]) -> str:
    """Exponents of time and memory, and what sweeps compiled, as Markdown."""
    lines = ["| setting | axis | field | values | time | exponent | memory, MiB | exponent | compile |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in names(points):
        for axis in ("seeds", "width", "samples", "steps"):
            found = curve(points, name, axis)
            if not found:
                continue
            values, times, sizes, compiling = (
                [point[field] for point in found] for field in ("value", "seconds", "bytes", "compile")
            )
            lines.append(
                f"| {name} | {axis} | `{found[0]['field']}` | {values[0]} to {values[-1]} | {human(times[0])} to "
                f"{human(times[-1])} | {exponent(values, times):.2f} | {sizes[0] / 2**20:.3g} to "
                f"{sizes[-1] / 2**20:.3g} | {exponent(values, sizes):.2f} | {min(compiling):.1f} to "
                f"{max(compiling):.1f} s |"
            )
    lines += ["", "| setting | swept | cells | programs compiled |", "|---|---|---|---|"]
    for name in names(points):
        for point in curve(points, name, "sweep"):
            lines.append(f"| {name} | `{point['field']}`, seeds | {point['cells']} | {point['programs']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="part of a setting's name")
    parser.add_argument("--json", type=Path, help="file for the points")
    arguments = parser.parse_args()
    points = measure(arguments.rounds, arguments.only)
    print(tables(points))
    if arguments.json:
        rounded = [{k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in p.items()} for p in points]
        arguments.json.write_text(json.dumps(rounded), encoding="utf-8")


if __name__ == "__main__":
    main()
