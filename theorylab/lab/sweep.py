"""The sweep engine: one compiled program per combination of sizes, batched over scalars and seeds.

``sweep`` runs a setting's simulator, ``predict`` its theories, on the same cells with the same keys.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.lab import store as results
from theorylab.lab.grid import Grid, Plan, make_plan, seed_keys
from theorylab.lab.program import Program
from theorylab.lab.setting import ConfigError, Setting, Theory

if TYPE_CHECKING:
    import xarray

DEFAULT_MEMORY_BUDGET = 4 * 2**30
Progress = Callable[[int, int], None]


def sweep(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    seeds: int = 20,
    base_seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    progress: bool | Progress = False,
) -> xarray.Dataset:
    """Simulate every cell of a grid for every seed.

    Parameters
    ----------
    setting
        What to simulate.
    config
        Base configuration; default: the setting's default values.
    grid
        ``{field: values}``; the sweep is over their product. Scalars are batched into one compiled program,
        static fields (sizes, choices) get one program per combination.
    seeds, base_seed
        Number of instances. Seed s uses the key of the bits (base_seed, s) in every cell (``jax.random.key(s)`` at
        base seed 0), so that cells differ by their hyper-parameters alone and results do not depend on batching.
    store
        Folder of the results (Zarr). An existing one is continued where it stopped; without a store, results
        stay in memory.
    memory_budget
        Bytes that one compiled batch may take; batches are sized to fit.
    progress
        ``True`` for a progress bar with the time left, or a function ``(cells finished, cells in all)``.

    Returns
    -------
    xarray.Dataset
        One variable per observable with dimensions (swept fields, ``seed``, inner dimensions);
        ``first_bad_step`` is -1 where a cell is finite, else the first step with a non-finite observable
        (0 for observables without steps). Attributes hold the provenance.

    Raises
    ------
    ConfigError
        For bad input, before anything is compiled.
    StoreError
        If the store cannot be written or belongs to another sweep.
    """
    config = setting.config() if config is None else config
    plan = make_plan(setting, config, grid)
    if isinstance(seeds, bool) or int(seeds) != seeds or seeds < 1:
        raise ConfigError(f"seeds = {seeds!r} is not allowed: must be a whole number >= 1")
    if isinstance(base_seed, bool) or int(base_seed) != base_seed or not 0 <= base_seed < 2**32:
        raise ConfigError(f"base_seed = {base_seed!r} is not allowed: must be a whole number from 0 to 2^32 - 1")
    if memory_budget <= 0:
        raise ConfigError(f"memory_budget = {memory_budget!r} is not allowed: must be > 0 bytes")
    attributes = _identity(setting, plan, seeds, base_seed)
    resumed = store is not None and os.path.exists(store)
    if resumed:
        results.check_same_sweep(store, attributes)  # type: ignore[arg-type]

    total = int(np.prod(plan.shape, dtype=int)) * seeds
    with _reporter(progress, total) as report:
        return _run(setting, plan, seeds, base_seed, store, resumed, memory_budget, attributes, report)


def _identity(setting: Setting, plan: Plan, seeds: int, base_seed: int) -> dict[str, Any]:
    fields = {f.name: getattr(plan.config, f.name) for f in dataclasses.fields(plan.config)}
    return {
        "theorylab_schema": results.SCHEMA,
        "setting": setting.name,
        "config": results.to_json(fields),
        "grid": results.to_json(plan.grid),
        "seeds": int(seeds),
        "base_seed": int(base_seed),
        **results.provenance(),
    }


def _run(
    setting: Setting,
    plan: Plan,
    seeds: int,
    base_seed: int,
    store: str | os.PathLike[str] | None,
    resumed: bool,
    memory_budget: int,
    attributes: dict[str, Any],
    report: Progress,
) -> xarray.Dataset:
    import xarray

    done = 0
    total = int(np.prod(plan.shape, dtype=int)) * seeds
    programs = [(chosen, cell, Program(setting.simulate, cell, plan, seeds)) for chosen, cell in plan.static_cells()]
    finished = np.zeros((*plan.shape, seeds), bool)
    arrays: dict[str, np.ndarray] = {}
    created = resumed
    if resumed:
        finished = results.finished_cells(store)  # type: ignore[arg-type]
    else:
        # All programs are traced before any runs: together they fix the layout of the results.
        variables, coords = _layout(setting, plan, seeds, programs)
        arrays = (
            {}
            if store
            else {name: results.blank(coords, dims, dtype, name) for name, (dims, dtype, _) in variables.items()}
        )

    while programs:
        chosen, cell, program = programs.pop(0)  # popped, so that its memory is freed when it is done
        whole = tuple(slice(chosen[d], chosen[d] + 1) if d in chosen else slice(None) for d in plan.dims)
        if finished[whole].all():
            done += finished[whole].size
            report(done, total)
            continue
        program.fit(memory_budget)
        if store is not None and not created:
            chunks = dict.fromkeys(plan.static, 1) | {"seed": program.block[0]}
            results.create(store, coords=coords, variables=variables, chunks=chunks, attributes=attributes)
            created = True
        for block in program.blocks():
            index = _block_index(plan, chosen, block)
            cells = finished[tuple(index[d] for d in (*plan.dims, "seed"))]
            if not cells.all():
                outputs = program.run(base_seed, block)
                outputs[results.FIRST_BAD_STEP] = _first_bad_step(setting, cell, outputs, 1 + len(plan.scalar))
                values = {name: _ordered(plan, value) for name, value in outputs.items()}
                if store is not None:
                    results.write_block(store, index, values)
                else:
                    for name, value in values.items():
                        arrays[name][tuple(index.get(d, slice(None)) for d in variables[name][0])] = value
            done += cells.size
            report(done, total)

    if store is not None:
        if "finished_at" not in results.open_results(store).attrs:
            results.set_attributes(store, finished_at=results.now())
        return results.open_results(store)
    arrays[results.FINISHED] = np.ones_like(finished)
    return xarray.Dataset(
        {name: (variables[name][0], array, variables[name][2]) for name, array in arrays.items()},
        coords=coords,
        attrs={**attributes, "finished_at": results.now()},
    )


def _layout(setting: Setting, plan: Plan, seeds: int, programs: Sequence[Any]) -> tuple[dict, dict]:
    """Variables and coordinates of a sweep's results, from the traced outputs of all its programs."""
    coords: dict[str, Any] = {name: list(values) for name, values in plan.grid.items()}
    coords["seed"] = np.arange(seeds)
    lead = (*plan.dims, "seed")
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]] = {}
    for _, cell, program in programs:
        inner = {name: np.asarray(values) for name, values in setting.coords(cell).items()}
        for name, output in program.outputs.items():
            observable = setting.observable(name)
            shape = output.shape[1 + len(plan.scalar) :]
            if len(shape) != len(observable.dims):
                raise ValueError(f"{setting.name}.simulate returns {name} of shape {shape}, not {observable.dims}")
            for dim, length in zip(observable.dims, shape, strict=True):
                if len(inner[dim]) != length:
                    raise ValueError(f"{name} has {length} entries along {dim}, its coordinate {len(inner[dim])}")
                if dim in coords and not np.array_equal(coords[dim], inner[dim]):
                    raise ConfigError(
                        f"the grid over {', '.join(plan.static)} changes the coordinate {dim!r} of {name}: "
                        "sweep these values one by one"
                    )
                coords[dim] = inner[dim]
            attrs = {"long_name": observable.description, "symbol": observable.symbol}
            dtype = np.result_type(output.dtype, np.float32) if output.dtype != bool else np.float64
            variables[name] = ((*lead, *observable.dims), dtype, attrs)
    variables[results.FIRST_BAD_STEP] = (
        lead,
        np.int64,
        {"long_name": "first non-finite step; -1 where finite"},
    )
    variables[results.FINISHED] = (lead, np.bool_, {"long_name": "cell is finished"})
    return variables, coords


def _block_index(plan: Plan, chosen: dict[str, int], block: tuple[slice, ...]) -> dict[str, slice]:
    index = {name: slice(i, i + 1) for name, i in chosen.items()}
    return index | dict(zip(("seed", *plan.scalar), block, strict=True))


def _ordered(plan: Plan, value: np.ndarray) -> np.ndarray:
    """Bring a program's output (seed, *scalars, *inner) into the order (*grid, seed, *inner)."""
    lead = 1 + len(plan.scalar)
    scalars = [1 + plan.scalar.index(name) for name in plan.dims if name in plan.scalar]
    value = np.transpose(value, (*scalars, 0, *range(lead, value.ndim)))
    return np.expand_dims(value, [i for i, name in enumerate(plan.dims) if name in plan.static])


def _first_bad_step(setting: Setting, cell: Any, outputs: dict[str, np.ndarray], lead: int) -> np.ndarray:
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


def predict(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    seeds: int = 20,
    base_seed: int = 0,
    theory: str | Theory,
) -> xarray.Dataset:
    """Evaluate one theory on every cell of a grid (and, for theories of the instance, on every seed).

    Arguments are those of :func:`sweep`. An ensemble theory's variables have no ``seed`` dimension.
    The values outside the theory's range of validity are whatever its formula gives: ask
    ``Theory.valid``, as :func:`theorylab.lab.compare.compare` does. A host-side theory is not called there.
    """
    import xarray

    config = setting.config() if config is None else config
    plan = make_plan(setting, config, grid)
    theory = setting.theory(theory) if isinstance(theory, str) else theory
    seeds = 1 if theory.kind == "ensemble" else seeds
    coords: dict[str, Any] = {name: list(values) for name, values in plan.grid.items()}
    coords["seed"] = np.arange(seeds)
    lead = (*plan.dims, "seed")
    arrays: dict[str, np.ndarray] = {}
    for config_cell, index, values in (_predict_compiled if theory.traceable else _predict_on_host)(
        setting, plan, theory, seeds, base_seed
    ):
        coords |= {name: np.asarray(v) for name, v in setting.coords(config_cell).items()}
        for name, value in values.items():
            if name not in arrays:
                inner = tuple(len(coords[d]) for d in setting.observable(name).dims)
                arrays[name] = np.full((*plan.shape, seeds, *inner), np.nan)
            arrays[name][tuple(index[d] for d in lead)] = value
    dataset = xarray.Dataset(
        {name: ((*lead, *setting.observable(name).dims), array) for name, array in arrays.items()},
        coords=coords,
        attrs={"theory": theory.name, "kind": theory.kind, "source": theory.source},
    )
    return dataset.isel(seed=0, drop=True) if theory.kind == "ensemble" else dataset


Blocks = Iterator[tuple[Any, dict[str, slice], dict[str, np.ndarray]]]


def _predict_compiled(setting: Setting, plan: Plan, theory: Theory, seeds: int, base_seed: int) -> Blocks:
    for chosen, cell in plan.static_cells():
        program = Program(theory.predict, cell, plan, seeds)
        program.fit(DEFAULT_MEMORY_BUDGET)
        for block in program.blocks():
            outputs = program.run(base_seed, block)
            yield cell, _block_index(plan, chosen, block), {n: _ordered(plan, v) for n, v in outputs.items()}


def _predict_on_host(setting: Setting, plan: Plan, theory: Theory, seeds: int, base_seed: int) -> Blocks:
    keys = seed_keys(base_seed, np.arange(seeds))
    for position, cell in plan.cells():
        if theory.valid(cell) is None:
            for seed, key in enumerate(keys):
                index = {name: slice(i, i + 1) for name, i in zip((*plan.dims, "seed"), (*position, seed), strict=True)}
                yield cell, index, {name: np.asarray(v) for name, v in theory.predict(key, cell).items()}


@contextmanager
def _reporter(progress: bool | Progress, total: int) -> Iterator[Progress]:
    """Turn ``progress`` into a function of (cells finished, cells in all)."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        from rich.console import Console

        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("cells", total=total)
            yield lambda done, total: bar.update(task, completed=done)
