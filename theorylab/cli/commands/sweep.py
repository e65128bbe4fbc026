"""``theorylab sweep``: simulate a grid, alone or with other processes, and store the results."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from theorylab.cli.errors import UsageError
from theorylab.cli.options import make_for, option, simulation, store, which
from theorylab.cli.output import report_divergence, sweep_options
from theorylab.cli.process import start

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting


SLURM = (
    "submit the sweep as one array job through submitit, show its progress, submit again what is lost: jobs=8 shares "
    "it out, time= is obligatory, the others are sbatch's, as partition=gpu,time=2:00:00,gpus_per_node=1"
)


def options(setting: Setting) -> type:
    """Build what ``sweep`` understands."""
    join = "also join jax.distributed there (not needed: the processes share the store alone)"
    wait = "how long the other processes wait for process 0 to create the store"
    processes = [
        ("process_id", option(int | None, "number of this process, from 0", "I", "Slurm's, MPI's, or 0"), None),
        ("num_processes", option(int | None, "processes that share the store", "N", "Slurm's, MPI's, or 1"), None),
        ("coordinator", option(str | None, join, "HOST:PORT", "none"), None),
        ("slurm", option(str | None, SLURM, "KEY=VALUE,...", "no job: in this process"), None),
        ("store_timeout", option(float, wait, "SECONDS", 600), 600.0),
    ]
    first = which(setting, "none, the field values below")
    return make_for(setting, [*first, *store(f"results/{setting.name}-PRESET-CASE.zarr"), *processes, *simulation()])


def run(setting: Setting, cases: list[Case], options: Any) -> int:
    """Write each case into its store; runs that diverged are named."""
    from theorylab.lab.sweep import create_store, sweep
    from theorylab.runtime import start_processes
    from theorylab.verdict.compare import named

    index, count = processes = _processes(options)
    try:
        start_processes(options.coordinator, processes)
    except Exception as error:
        if options.coordinator is None:
            raise
        said = " ".join(str(error).split())[:300]
        raise UsageError(f"--coordinator {options.coordinator}: jax.distributed cannot be joined: {said}") from error
    start()
    shared = sweep_options(options)
    lacking = {case.name: setting.lacks(case) for case in cases}
    if all(lacking.values()):
        raise ImportError(next(iter(lacking.values())))
    for name, reason in lacking.items():
        if reason:
            print(f"{name}: not run, {reason}", file=sys.stderr)
    stores = stores_of(setting, cases, options)
    todo = [(case, store) for case, store in zip(cases, stores, strict=True) if not lacking[case.name]]
    if index == 0 and count > 1 and len(cases) > 1:  # before the first sweep, since the others wait for them
        limits = {"base_seed": options.base_seed, "memory_budget": shared["memory_budget"], "processes": processes}
        for case, store in todo:
            create_store(setting, case.config, case.grid, seeds=case.seeds, store=store, **limits)
    shared |= {"processes": processes, "store_timeout": options.store_timeout}
    wanted = shared.pop("progress")
    code = 0
    for case, store in todo:
        began = time.perf_counter()
        progress = named(wanted, setting, case)
        data = sweep(setting, case.config, case.grid, seeds=case.seeds, store=store, progress=progress, **shared)
        cells = " x ".join(f"{name} {size}" for name, size in data["finished"].sizes.items())
        who = f"process {index} of {count}, " if count > 1 else ""
        finished = data["finished"].values
        missing = "" if finished.all() else f", {finished.sum()} of {finished.size} cells finished so far"
        print(f"{store}: {who}{cells} in {time.perf_counter() - began:.1f} s{missing}")
        code = max(code, report_divergence(data))
    return code


def stores_of(setting: Setting, cases: list[Case], options: Any) -> list[str]:
    """Return the store of each case: the folder that was named where there is one case, else with its name."""
    from theorylab.lab.store import store_of_case

    if options.store and len(cases) == 1:
        return [options.store]
    if options.preset is None:
        return [f"results/{setting.name}.zarr"]
    stem = (options.store or f"results/{setting.name}").removesuffix(".zarr")
    return [store_of_case(f"{stem}-{options.preset}", case.name) for case in cases]


def _processes(options: Any) -> tuple[int, int]:
    """Index and number of the processes: those given, else the launcher's."""
    from theorylab.runtime import find_processes

    index, count = options.process_id, options.num_processes
    if (index is None) != (count is None):
        raise UsageError("--process-id and --num-processes go together: give both, or leave both to Slurm or MPI")
    if index is None:
        index, count = find_processes()
    if count < 1:
        raise UsageError(f"--num-processes {count} is not allowed: must be >= 1")
    if not 0 <= index < count:
        raise UsageError(
            f"--process-id {index} is not allowed: must be from 0 to {count - 1} (--num-processes {count})"
        )
    return index, count
