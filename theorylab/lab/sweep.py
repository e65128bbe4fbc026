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
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError, Setting
from theorylab.contract.fields import shown, to_type
from theorylab.lab import growth, identity, metadata
from theorylab.lab import store as results
from theorylab.lab.ahead import ahead
from theorylab.lab.grid import Grid
from theorylab.lab.job import Job, Share, check_processes, make_job, pieces_of, shares_of
from theorylab.lab.layout import Traced, block_index, first_bad_step, ordered, traced
from theorylab.lab.locks import chunks_locked
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET, Program
from theorylab.lab.progress import Progress, by_default, reporter

if TYPE_CHECKING:
    import xarray


def sweep(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    seeds: int = 20,
    base_seed: int = 0,
    store: str | os.PathLike[str] | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    progress: bool | str | Progress | None = None,
    processes: tuple[int, int] = (0, 1),
    store_timeout: float = 600.0,
    accept_changes: bool = False,
    extend: bool = False,
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
        ``True`` for a progress bar with the time left, a text for a bar that begins with it, or a function ``(cells
        finished, cells in all)`` of this process's share, called after each batch. Inside a batch a bar moves as
        fast as is expected. Not given: a bar in a notebook or at Python's prompt, nothing in a script.
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
    accept_changes
        Continue a store that another program began: a changed simulator, another JAX, another kind of device. Such
        cells are then marked in the variable ``program_of``, and the attribute ``changes`` says what was changed.
    extend
        Add to a finished store what it lacks: seeds, and values of its swept fields. It then holds the product of all
        values, its own first, for the larger number of seeds. What is finished keeps its values.

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
        If the store cannot be written, is damaged, belongs to another sweep, was begun by another program, or is not
        created in time.

    Warns
    -----
    UserWarning
        Where a finished store is of another program than today's. Where another run is writing some of the same cells:
        this one waits for it, and computes what it leaves.

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
    job = make_job(setting, config, grid, seeds, base_seed, memory_budget)
    processes = check_processes(processes)
    progress = by_default(progress)
    if store is None:
        if processes[1] > 1:
            raise ConfigError("several processes share their results through a store: name one")
        return run_in_memory(job, None, progress)
    _check_timeout(store_timeout)
    return _run_stored(job, results.store_path(store), progress, processes, store_timeout, accept_changes, extend)


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
    job = make_job(setting, config, grid, seeds, base_seed, memory_budget)
    processes = check_processes(processes)
    path = results.store_path(store)
    if not path.exists():
        _create(job, path, processes[1], job.identity())


def _check_timeout(timeout: Any) -> None:
    seconds = to_type(timeout, float)
    if not isinstance(seconds, float) or not seconds >= 0:
        raise ConfigError(f"store_timeout = {shown(timeout)} is not allowed: must be a number of seconds >= 0")


def prepare(job: Job, seeds: int | None = None) -> Traced:
    """Trace all programs of a sweep (:func:`~theorylab.lab.layout.traced`), and compile the first."""
    found = traced(job, seeds)
    found.programs[0].fit(job.memory_budget)
    return found


def run_in_memory(job: Job, prepared: Traced | None, progress: bool | str | Progress = False) -> xarray.Dataset:
    """Run a sweep without a store. Programs are taken off the list: the memory of each is freed when it is done.

    The next one is compiled while one runs. Returns what :func:`sweep` does.
    """
    import xarray

    attributes = job.identity()
    total, done = job.cells(job.seeds), 0
    with reporter(progress, total) as report:
        programs, variables, coords = prepared or prepare(job)
        arrays = {name: results.blank(coords, dims, dtype, name) for name, (dims, dtype, _) in variables.items()}
        compiled = ahead(lambda program: program.fit(job.memory_budget), (programs.pop(0) for _ in programs[:]))
        for (chosen, cell), program in zip(job.plan.static_cells(), compiled, strict=True):
            for block in program.blocks():
                index = block_index(job.plan, chosen, block)
                for name, value in _outputs(job, cell, program, block).items():
                    arrays[name][tuple(index.get(d, slice(None)) for d in variables[name][0])] = value
                done += math.prod(s.stop - s.start for s in block)
                report(done, total)
    arrays[results.FINISHED] = np.ones_like(arrays[results.FINISHED])
    return xarray.Dataset(
        {name: (variables[name][0], array, variables[name][2]) for name, array in arrays.items()},
        coords={name: (results.COORD_DIMS.get(name, name), values) for name, values in coords.items()},
        attrs={**attributes, "finished_at": results.now()},
    )


def _create(job: Job, store: Path, count: int, attributes: dict[str, Any]) -> dict[int, Program]:
    """Create a store for ``count`` processes; returns the programs by their number, since they are traced already.

    All programs are traced before any runs: together they fix the layout of the results. The first one's block fixes
    the chunks.
    """
    num_cells = sum(1 for _ in job.plan.static_cells())
    ready = prepare(job, -(-job.seeds // min(job.seeds, pieces_of(num_cells, count))))
    chunks = dict.fromkeys(job.plan.static, 1) | {"seed": ready.programs[0].block[0]}
    results.create(store, coords=ready.coords, variables=ready.variables, chunks=chunks, attributes=attributes)
    return dict(enumerate(ready.programs))


def _run_stored(
    job: Job,
    store: Path,
    progress: bool | str | Progress,
    processes: tuple[int, int],
    store_timeout: float,
    accept_changes: bool,
    extend: bool,
) -> xarray.Dataset:
    attributes = job.identity()
    programs: dict[int, Program] = {}
    number = 0
    if extend and store.exists():
        job = growth.grow(store, job, attributes, accept_changes)
        attributes |= {"grid": results.to_json(job.plan.grid), "seeds": job.seeds}
    elif not store.exists():
        if processes[0] == 0:
            with reporter(progress, job.cells(job.seeds)):  # it compiles the first program, which takes a while
                programs = _create(job, store, processes[1], attributes)
        else:
            results.wait_until_created(store, store_timeout)
    identity.check_same_sweep(store, attributes)
    if changed := identity.changes_since(store, attributes):
        number = _continue_changed(store, attributes, changed, accept_changes)
    fields, chunk = results.shape_of(store)
    if tuple(fields) != job.plan.dims:  # the same sweep, its fields named in another order
        job, programs = dataclasses.replace(job, plan=job.plan.in_order(fields)), {}
    cells = list(job.plan.static_cells())
    pending, length = shares_of(len(cells), job.seeds, chunk, processes)
    total = sum(job.cells(share.seeds.stop - share.seeds.start) for share in pending) // len(cells)
    done = 0
    with reporter(progress, total) as report:

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
                if extend:  # seeds that were there before need no part in the blocks
                    share, count = _unfinished(job, store, chosen, share)
                    advance(count)
                    length = share.seeds.stop - share.seeds.start
                program = programs.pop(share.number, None)  # popped, so that its memory is freed when it is done
                if program is None or program.lengths[0] != length:
                    program = job.program(cell, length)
                if not _fill(job, store, chosen, cell, share, program, wait, advance, number):
                    locked.append(share)
            pending = locked
    _stamp(store)
    return results.open_results(store)


def _unfinished(job: Job, store: Path, chosen: dict[str, int], share: Share) -> tuple[Share, int]:
    """Return a share without the seeds at its beginning that are finished, and how many cells these are."""
    flags = results.finished_cells(store, _whole(job, chosen, share))
    finished = flags.all(axis=tuple(range(flags.ndim - 1)))
    first = 0 if finished.all() else int(finished.argmin())
    seeds = slice(share.seeds.start + first, share.seeds.stop)
    return dataclasses.replace(share, seeds=seeds), flags[..., :first].size


def _whole(job: Job, chosen: dict[str, int], share: Share) -> dict[str, slice]:
    """Where a share lies."""
    return block_index(job.plan, chosen, (share.seeds, *(slice(None) for _ in job.plan.scalar)))


def _fill(
    job: Job,
    store: Path,
    chosen: dict[str, int],
    cell: Any,
    share: Share,
    program: Program,
    wait: bool,
    advance: Callable[[int], None],
    number: int,
) -> bool:
    """Compute and store the unfinished cells of a share; returns whether it is done, rather than locked."""
    whole = _whole(job, chosen, share)
    finished = results.finished_cells(store, whole)
    if finished.all():  # asked before anything is locked: a finished store may be read-only
        advance(finished.size)
        return True
    with chunks_locked(store, share.chunks, wait=wait) as held:
        if not held:
            return False
        finished = results.finished_cells(store, whole)  # asked again: who held the lock before may have gone on
        if finished.all():
            advance(finished.size)
            return True
        identity.check_outputs(store, program.inner_shapes)
        results.remove_litter(store, chosen, range(share.seeds.start, share.seeds.stop))
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
                    results.write_block(store, index, _outputs(job, cell, program, block), number)
                advance(done.size)
    return True


def _continue_changed(store: Path, attributes: dict[str, Any], changed: str, accepted: bool) -> int:
    """Return the number of this program among those that fill a store which another one began.

    Raises
    ------
    StoreError
        If cells are left to compute, and nobody asked for it.
    """
    if results.finished_cells(store).all():
        if "source" in changed:
            warnings.warn(f"the results in {store} are those of another program: {changed}", stacklevel=4)
        return 0
    if not accepted:
        raise identity.begun_by_another(store, changed)
    with chunks_locked(store, _beyond(store), wait=True):
        return identity.add_program(store, attributes)


def _beyond(store: Path) -> range:
    """Return a number that no chunk has: the lock on what belongs to the whole store."""
    size = math.prod(metadata.arrays_of(metadata.read(store))[results.FINISHED]["shape"])
    return range(size, size + 1)


def _stamp(store: Path) -> None:
    """Note the end time, once every cell is finished."""

    def lacking() -> bool:
        return "finished_at" not in results.attributes_of(store) and bool(results.finished_cells(store).all())

    if lacking():
        with chunks_locked(store, _beyond(store), wait=True):
            if lacking():  # another may have noted it meanwhile, or let the store grow
                results.set_attributes(store, finished_at=results.now())


def _outputs(job: Job, cell: Any, program: Program, block: tuple[slice, ...]) -> dict[str, np.ndarray]:
    """Run one block; every variable in the order (*grid, seed, *inner)."""
    outputs = program.run(job.base_seed, block)
    outputs[results.FIRST_BAD_STEP] = first_bad_step(job.setting, cell, outputs, 1 + len(job.plan.scalar))
    return {name: ordered(job.plan, value) for name, value in outputs.items()}
