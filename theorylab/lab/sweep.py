"""The sweep engine: one compiled program per combination of sizes, batched over scalars and seeds.

``sweep`` runs a setting's simulator on every cell of a grid, for every seed. Several processes
share a sweep through its store alone: each knows its number and how many there are, and takes its share of the cells.
They never exchange a message, so that one that dies takes nothing with it but its unfinished cells.
"""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError, Setting
from theorylab.lab import store as results
from theorylab.lab.grid import Grid, Plan, block_index, make_plan, ordered
from theorylab.lab.program import Program

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
    processes: tuple[int, int] = (0, 1),
    store_timeout: float = 600.0,
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
        ``True`` for a progress bar with the time left, or a function ``(cells finished, cells in all)`` of this
        process's share.
    processes
        ``(index, count)`` of this process among those that share the sweep and its store, each on its own local
        devices (:func:`theorylab.runtime.find_processes` reads them from Slurm or MPI). The cells are dealt out in
        turn: whole combinations of static fields where there are enough, else these cut along the seeds, so that
        each chunk of the store belongs to one process. Blocks of the same shape give the same bits as one process
        alone, others differ by rounding. The cells of a process that died are finished by the next run, whatever
        its number of processes. ``jax.distributed`` is not needed: cells are independent, and its processes would
        all end when one of them does.
    store_timeout
        Seconds that the other processes wait for process 0 to create the store.

    Returns
    -------
    xarray.Dataset
        One variable per observable with dimensions (swept fields, ``seed``, inner dimensions);
        ``first_bad_step`` is -1 where a cell is finite, else the first step with a non-finite observable
        (0 for observables without steps). Attributes hold the provenance. With several processes: what the store
        holds once this process's share is done; ``finished`` says which cells are there.

    Raises
    ------
    ConfigError
        For bad input, before anything is compiled.
    StoreError
        If the store cannot be written, belongs to another sweep, or is not created in time.

    Warns
    -----
    UserWarning
        Where another run is writing some of the same cells: this one waits for it, and computes what it leaves.

    Examples
    --------
    Gradient descent on a matrix product with one column more than the target's rank, from two initial scales:

    >>> from theorylab import sweep
    >>> from theorylab.settings.factorisation.matrix_sensing import SETTING, Config
    >>> config = Config(dim=6, target_rank=1, model_rank=2, num_steps=2000)
    >>> data = sweep(SETTING, config, {"init_scale": (0.3, 0.5)}, seeds=3)
    >>> data["final_error"].dims, data["final_error"].shape
    (('init_scale', 'seed'), (2, 3))
    >>> bool((data["first_bad_step"] == -1).all())  # no run diverged
    True
    """
    job = _job(setting, config, grid, seeds, base_seed, memory_budget)
    _check_processes(processes)
    if store is None:
        if processes[1] > 1:
            raise ConfigError("several processes share their results through a store: name one")
        return _run_in_memory(job, progress)
    return _run_stored(job, store, progress, processes, store_timeout)


def create_store(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    store: str | os.PathLike[str],
    seeds: int = 20,
    base_seed: int = 0,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    processes: tuple[int, int] = (0, 1),
) -> None:
    """Create the empty store of a sweep, which :func:`sweep` then fills; an existing one is left as it is.

    :func:`sweep` does this itself. A program with several sweeps may have process 0 create all stores first, so that
    nobody waits for it to finish a sweep. Arguments and errors are those of :func:`sweep`.
    """
    job = _job(setting, config, grid, seeds, base_seed, memory_budget)
    _check_processes(processes)
    if not os.path.exists(store):
        _create(job, store, processes[1], _identity(job))


@dataclasses.dataclass(frozen=True)
class _Job:
    """A validated sweep."""

    setting: Setting
    plan: Plan
    seeds: int
    base_seed: int
    memory_budget: int

    def cells(self, seeds: int) -> int:
        return math.prod(self.plan.shape) * seeds

    def program(self, cell: Any, seeds: int) -> Program:
        return Program(self.setting.simulate, cell, self.plan, seeds)


def _job(setting: Setting, config: Any, grid: Grid | None, seeds: int, base_seed: int, memory_budget: int) -> _Job:
    plan = make_plan(setting, setting.config() if config is None else config, grid)
    if isinstance(seeds, bool) or int(seeds) != seeds or seeds < 1:
        raise ConfigError(f"seeds = {seeds!r} is not allowed: must be a whole number >= 1")
    if isinstance(base_seed, bool) or int(base_seed) != base_seed or not 0 <= base_seed < 2**32:
        raise ConfigError(f"base_seed = {base_seed!r} is not allowed: must be a whole number from 0 to 2^32 - 1")
    if memory_budget <= 0:
        raise ConfigError(f"memory_budget = {memory_budget!r} is not allowed: must be > 0 bytes")
    return _Job(setting, plan, int(seeds), int(base_seed), memory_budget)


def _check_processes(processes: tuple[int, int]) -> None:
    index, count = processes
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in processes)
    if not whole or not 0 <= index < count:
        raise ConfigError(
            f"processes = {processes!r} is not allowed: must be (index, count), whole numbers with 0 <= index < count"
        )


def _identity(job: _Job) -> dict[str, Any]:
    config = job.plan.config
    return {
        "theorylab_schema": results.SCHEMA,
        "setting": job.setting.name,
        "config": results.to_json({f.name: getattr(config, f.name) for f in dataclasses.fields(config)}),
        "grid": results.to_json(job.plan.grid),
        "seeds": job.seeds,
        "base_seed": job.base_seed,
        **results.provenance(),
    }


def _run_in_memory(job: _Job, progress: bool | Progress) -> xarray.Dataset:
    import xarray

    attributes = _identity(job)
    programs = [(chosen, cell, job.program(cell, job.seeds)) for chosen, cell in job.plan.static_cells()]
    variables, coords = _layout(job, programs)
    arrays = {name: results.blank(coords, dims, dtype, name) for name, (dims, dtype, _) in variables.items()}
    total, done = job.cells(job.seeds), 0
    with _reporter(progress, total) as report:
        while programs:
            chosen, cell, program = programs.pop(0)  # popped, so that its memory is freed when it is done
            program.fit(job.memory_budget)
            for block in program.blocks():
                index = block_index(job.plan, chosen, block)
                for name, value in _outputs(job, cell, program, block).items():
                    arrays[name][tuple(index.get(d, slice(None)) for d in variables[name][0])] = value
                done += math.prod(s.stop - s.start for s in block)
                report(done, total)
    arrays[results.FINISHED] = np.ones_like(arrays[results.FINISHED])
    return xarray.Dataset(
        {name: (variables[name][0], array, variables[name][2]) for name, array in arrays.items()},
        coords=coords,
        attrs={**attributes, "finished_at": results.now()},
    )


@dataclasses.dataclass(frozen=True)
class _Share:
    """What one process computes of one combination of static fields: some seeds, that is some chunks of the store."""

    number: int
    seeds: slice
    chunks: range


def _pieces(num_cells: int, count: int) -> int:
    """Return into how many parts to cut the seeds, for the parts of all combinations to be a multiple of ``count``."""
    return count // math.gcd(num_cells, count)


def _shares(num_cells: int, seeds: int, chunk: int, processes: tuple[int, int]) -> tuple[list[_Share], int]:
    """Shares of one process, dealt out in turn, and the largest number of seeds in any process's share.

    A chunk is in the share of one process only, for any number of processes.
    """
    index, count = processes
    chunks = -(-seeds // chunk)
    pieces = min(chunks, _pieces(num_cells, count))
    shares = []
    for turn in range(index, num_cells * pieces, count):
        number, piece = divmod(turn, pieces)
        first, last = piece * chunks // pieces, (piece + 1) * chunks // pieces
        own = slice(first * chunk, min(last * chunk, seeds))
        shares.append(_Share(number, own, range(number * chunks + first, number * chunks + last)))
    return shares, min(-(-chunks // pieces) * chunk, seeds)


def _create(job: _Job, store: str | os.PathLike[str], count: int, attributes: dict[str, Any]) -> dict[int, Program]:
    """Create a store for ``count`` processes; returns the programs by their number, since they are traced already.

    All programs are traced before any runs: together they fix the layout of the results. The first one's block fixes
    the chunks.
    """
    cells = list(job.plan.static_cells())
    length = -(-job.seeds // min(job.seeds, _pieces(len(cells), count)))
    programs = [(chosen, cell, job.program(cell, length)) for chosen, cell in cells]
    variables, coords = _layout(job, programs)
    programs[0][2].fit(job.memory_budget)
    chunks = dict.fromkeys(job.plan.static, 1) | {"seed": programs[0][2].block[0]}
    results.create(store, coords=coords, variables=variables, chunks=chunks, attributes=attributes)
    return {number: program for number, (_, _, program) in enumerate(programs)}


def _run_stored(
    job: _Job,
    store: str | os.PathLike[str],
    progress: bool | Progress,
    processes: tuple[int, int],
    store_timeout: float,
) -> xarray.Dataset:
    attributes = _identity(job)
    programs: dict[int, Program] = {}
    if not os.path.exists(store):
        if processes[0] == 0:
            programs = _create(job, store, processes[1], attributes)
        else:
            results.wait_until_created(store, store_timeout)
    results.check_same_sweep(store, attributes)
    cells = list(job.plan.static_cells())
    pending, length = _shares(len(cells), job.seeds, results.seeds_per_chunk(store), processes)
    total = sum(job.cells(share.seeds.stop - share.seeds.start) for share in pending) // len(cells)
    done = 0
    with _reporter(progress, total) as report:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            report(done, total)

        for wait in (False, True):
            if wait and pending:
                warnings.warn(f"another run is writing cells of {store}: waiting for it", stacklevel=3)
            locked = []
            for share in pending:
                chosen, cell = cells[share.number]
                program = programs.pop(share.number, None)  # popped, so that its memory is freed when it is done
                if program is None or program.lengths[0] != length:
                    program = job.program(cell, length)
                if not _fill(job, store, chosen, cell, share, program, wait, advance):
                    locked.append(share)
            pending = locked
    _stamp(store)
    return results.open_results(store)


def _fill(
    job: _Job,
    store: str | os.PathLike[str],
    chosen: dict[str, int],
    cell: Any,
    share: _Share,
    program: Program,
    wait: bool,
    advance: Callable[[int], None],
) -> bool:
    """Compute and store the unfinished cells of a share; returns whether it is done, rather than locked."""
    whole = block_index(job.plan, chosen, (share.seeds, *(slice(None) for _ in job.plan.scalar)))
    finished = results.finished_cells(store, whole)
    if finished.all():  # asked before anything is locked: a finished store may be read-only
        advance(finished.size)
        return True
    with results.chunks_locked(store, share.chunks, wait=wait) as held:
        if not held:
            return False
        finished = results.finished_cells(store, whole)  # asked again: who held the lock before may have gone on
        if finished.all():
            advance(finished.size)
            return True
        if program.compiled is None:
            program.fit(job.memory_budget)
        for block in program.blocks():
            start, stop = (min(share.seeds.start + n, share.seeds.stop) for n in (block[0].start, block[0].stop))
            if start < stop:
                block = (slice(start, stop), *block[1:])
                index = block_index(job.plan, chosen, block)
                here = index | dict.fromkeys(chosen, slice(None))
                here["seed"] = slice(start - share.seeds.start, stop - share.seeds.start)
                done = finished[tuple(here[d] for d in (*job.plan.dims, "seed"))]
                if not done.all():
                    results.write_block(store, index, _outputs(job, cell, program, block))
                advance(done.size)
    return True


def _stamp(store: str | os.PathLike[str]) -> None:
    """Note the end time, once every cell is finished."""
    finished = results.finished_cells(store)
    if finished.all() and "finished_at" not in results.attributes_of(store):
        beyond = range(finished.size, finished.size + 1)  # no chunk has this number
        with results.chunks_locked(store, beyond, wait=True):
            if "finished_at" not in results.attributes_of(store):
                results.set_attributes(store, finished_at=results.now())


def _outputs(job: _Job, cell: Any, program: Program, block: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """Run one block; every variable in the order (*grid, seed, *inner)."""
    outputs = program.run(job.base_seed, block)
    outputs[results.FIRST_BAD_STEP] = _first_bad_step(job.setting, cell, outputs, 1 + len(job.plan.scalar))
    return {name: ordered(job.plan, value) for name, value in outputs.items()}


def _layout(job: _Job, programs: Sequence[Any]) -> tuple[dict, dict]:
    """Variables and coordinates of a sweep's results, from the traced outputs of all its programs."""
    setting, plan = job.setting, job.plan
    coords: dict[str, Any] = {name: list(values) for name, values in plan.grid.items()}
    coords["seed"] = np.arange(job.seeds)
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
