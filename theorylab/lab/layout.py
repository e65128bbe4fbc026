"""How results lie in arrays: their variables and coordinates, and where a block of a program goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from theorylab.contract import ConfigError, ContractError, Setting
from theorylab.lab import memory
from theorylab.lab import store as results
from theorylab.lab.grid import Plan
from theorylab.lab.job import Job
from theorylab.lab.metadata import ALLOW_NAN
from theorylab.lab.program import Program


class Traced(NamedTuple):
    """A program per combination of static fields, and the layout of all results; nothing is compiled."""

    programs: list[Program]
    variables: dict[str, Any]
    coords: dict[str, Any]


def traced(job: Job, seeds: int | None = None) -> Traced:
    """Trace all programs of a sweep, for so many seeds each (all of them unless given).

    Raises
    ------
    ConfigError
        If one cell of any of them, or the results, need more memory than there is.
    """
    cells = [cell for _, cell in job.plan.static_cells()]
    programs = [job.program(cell, seeds or job.seeds) for cell in cells]
    variables, coords = lay_out(job, cells, [program.outputs for program in programs])
    for program in programs:
        program.refuse_if_too_large()
    return Traced(programs, variables, coords)


def lay_out(job: Job, cells: Sequence[Any], outputs: Sequence[Mapping[str, Any]]) -> tuple[dict, dict]:
    """Return variables and coordinates of a sweep's results.

    ``outputs`` are the traced outputs of a program per combination of static fields, whose configurations are
    ``cells``. Variables are ``{name: (dimensions, dtype, attributes)}``.

    Raises
    ------
    ContractError
        If the simulator's shapes are not those that the setting declares.
    ConfigError
        If combinations of static fields have different inner coordinates.
    """
    setting, plan = job.setting, job.plan
    for output in outputs:  # asked before coordinates are made, which may be as many
        batch = 1 + len(plan.scalar)
        one = {name: array.shape[batch:] for name, array in output.items()}
        memory.check_results(one, job.cells(job.seeds) // len(cells))
    coords: dict[str, Any] = {name: list(values) for name, values in plan.grid.items()}
    coords["seed"] = np.arange(job.seeds)
    coords[results.BASE_SEED] = np.full(job.seeds, job.base_seed)
    lead = (*plan.dims, "seed")
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]] = {}
    for cell, output in zip(cells, outputs, strict=True):
        inner = {name: np.asarray(values) for name, values in setting.coords(cell).items()}
        known = [observable.name for observable in setting.observables]
        if unknown := [name for name in output if name not in known]:
            raise ContractError(f"{setting.name}.simulate returns {unknown[0]!r}, no observable: {', '.join(known)}")
        for name, array in output.items():
            observable = setting.observable(name)
            shape = array.shape[1 + len(plan.scalar) :]
            if len(shape) != len(observable.dims):
                raise ContractError(f"{setting.name}.simulate returns {name} of shape {shape}, not {observable.dims}")
            for dim, length in zip(observable.dims, shape, strict=True):
                if len(inner[dim]) != length:
                    raise ContractError(f"{name} has {length} entries along {dim}, its coordinate {len(inner[dim])}")
            join_coords(plan, coords, {dim: inner[dim] for dim in observable.dims}, name)
            attrs: dict[str, Any] = {"long_name": observable.description, "symbol": observable.symbol}
            if observable.allow_nan:
                attrs[ALLOW_NAN] = 1
            dtype = np.result_type(array.dtype, np.float32) if array.dtype != bool else np.float64
            variables[name] = ((*lead, *observable.dims), dtype, attrs)
    bad = {"long_name": "first non-finite step; -1 where finite"}
    variables[results.FIRST_BAD_STEP] = (lead, np.int64, bad)
    variables[results.FINISHED] = (lead, np.bool_, {"long_name": "cell is finished"})
    return variables, coords


def join_coords(plan: Plan, coords: dict[str, Any], inner: Mapping[str, np.ndarray], name: str) -> None:
    """Add inner coordinates of an observable to those of other combinations of static fields, which must be the same.

    Raises
    ------
    ConfigError
        If they are not.
    """
    for dim, values in inner.items():
        if dim in coords and not np.array_equal(coords[dim], values):
            raise ConfigError(
                f"the grid over {', '.join(plan.static)} changes the coordinate {dim!r} of {name}: "
                "sweep these values one by one"
            )
        coords[dim] = values


def block_index(plan: Plan, chosen: dict[str, int], block: tuple[slice, ...]) -> dict[str, slice]:
    """Where a block over (seed, *scalars) of one combination of static fields lies, by dimension."""
    index = {name: slice(i, i + 1) for name, i in chosen.items()}
    return index | dict(zip(("seed", *plan.scalar), block, strict=True))


def ordered(plan: Plan, value: np.ndarray) -> np.ndarray:
    """Bring a program's output (seed, *scalars, *inner) into the order (*grid, seed, *inner)."""
    lead = 1 + len(plan.scalar)
    scalars = [1 + plan.scalar.index(name) for name in plan.dims if name in plan.scalar]
    value = np.transpose(value, (*scalars, 0, *range(lead, value.ndim)))
    return np.expand_dims(value, [i for i, name in enumerate(plan.dims) if name in plan.static])


def first_bad_step(setting: Setting, cell: Any, outputs: dict[str, np.ndarray], lead: int) -> np.ndarray:
    """First non-finite step over all observables of each cell; -1 where everything is finite."""
    never = np.iinfo(np.int64).max
    first = np.full(next(iter(outputs.values())).shape[:lead], never)
    for name, value in outputs.items():
        observable = setting.observable(name)
        if not observable.allow_nan:
            steps = np.asarray(setting.coords(cell)["step"]) if "step" in observable.dims else None
            bad = first_bad_steps(value, lead, observable.dims, steps)
            first = np.minimum(first, np.where(bad < 0, never, bad))
    return np.where(first == never, -1, first)


def first_bad_steps(value: np.ndarray, lead: int, dims: Sequence[str], steps: np.ndarray | None) -> np.ndarray:
    """First step with a non-finite entry, -1 where there is none; 0 stands in where there are no steps.

    ``value`` has ``lead`` batch axes followed by ``dims``.
    """
    bad = ~np.isfinite(value)
    if steps is None:
        return np.where(bad.any(axis=tuple(range(lead, value.ndim))), 0, -1)
    axis = lead + list(dims).index("step")
    bad = bad.any(axis=tuple(a for a in range(lead, value.ndim) if a != axis))
    return np.where(bad.any(-1), steps[bad.argmax(-1)], -1)
