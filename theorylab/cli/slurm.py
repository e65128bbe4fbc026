"""``theorylab sweep ... --slurm``: the shares of a sweep as one array job, through submitit.

Each job runs the same command as one of several processes on the store. Nothing is kept but the store: a job that is
lost (its node, its time, its memory) is submitted again, and computes what its share lacks.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from theorylab.cli.errors import UsageError

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting

#: Number of jobs unless given, how often each may be lost, and seconds between two looks at the store.
JOBS, ATTEMPTS, PAUSE = 8, 3, 5.0
#: Seconds that the other jobs wait for the first one to create the store: it may queue, or be lost.
STORE_TIMEOUT = 7 * 24 * 3600
#: Parameters that submitit names itself, for every cluster.
_GENERAL = ("cpus_per_task", "gpus_per_node", "mem_gb", "name", "timeout_min")
REMEDY = 'pip install "theorylab[slurm]"'


class Share:
    """One job: the command line of one process. Where its time runs out, submitit queues it again."""

    def __init__(self, run: Callable[[Sequence[str]], int], arguments: Sequence[str]):
        self.run, self.arguments = run, list(arguments)

    def __call__(self) -> int:
        """Run the command in the job; raises where it fails, so that the job counts as lost."""
        code = self.run(self.arguments)
        if code:
            raise RuntimeError(f"exit code {code}: theorylab {' '.join(self.arguments)}")
        return code

    def checkpoint(self) -> Any:
        """Queue the same command again; its store is its checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def parameters(text: str) -> tuple[int, str | None, dict[str, Any]]:
    """Read ``KEY=VALUE,...``: the number of jobs, submitit's cluster (``None``: the one found) and its parameters.

    Raises
    ------
    UsageError
        Naming what cannot be read.
    """
    given = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--slurm {text}: {part!r} is not KEY=VALUE")
        given[name.strip().replace("-", "_")] = value.strip()
    jobs, cluster = given.pop("jobs", str(JOBS)), given.pop("cluster", None)
    if not re.fullmatch("[0-9]{1,6}", jobs) or int(jobs) < 1:
        raise UsageError(f"--slurm jobs={jobs} is not allowed: must be a whole number >= 1")
    if cluster != "local" and not {"time", "timeout_min"} & set(given):
        raise UsageError("--slurm needs time=..., for sbatch: a share beyond it is queued again, and goes on")
    named: dict[str, Any] = {}
    for name, value in given.items():
        whole = int(value) if re.fullmatch("[0-9]{1,15}", value) else value
        named[name if name in _GENERAL or name.startswith("slurm_") else f"slurm_{name}"] = whole
    return int(jobs), cluster, {"name": "theorylab", **named}


def submit(
    setting: Setting, cases: Sequence[Case], options: Any, words: Sequence[str], run: Callable[[Sequence[str]], int]
) -> int:
    """Submit the shares, follow them, submit again what is lost; 1 if some cells stay unfinished.

    ``words`` are the command's: a setting, and options. ``run`` is the command line, which each job calls.
    """
    from theorylab.cli.commands.sweep import stores_of
    from theorylab.lab.store import store_path

    if options.process_id is not None or options.num_processes is not None or options.coordinator is not None:
        raise UsageError("--slurm numbers its processes itself: leave out --process-id and --num-processes")
    count, cluster, named = parameters(options.slurm)
    try:
        import submitit
    except ImportError:
        raise ImportError(f"--slurm needs {REMEDY}") from None
    todo = [(case, store) for case, store in zip(cases, stores_of(setting, list(cases), options), strict=True)]
    todo = [(case, store) for case, store in todo if not setting.lacks(case)]
    if not todo:
        raise ImportError(str(setting.lacks(cases[0])))
    logs = store_path(todo[0][1]).parent / "slurm"
    executor = submitit.AutoExecutor(folder=logs / "%j", cluster=cluster)
    try:
        executor.update_parameters(**named)
    except (NameError, TypeError, ValueError) as error:
        raise UsageError(f"--slurm {options.slurm}: {error}") from None
    command = ["sweep", *_without(words, "--slurm"), "--num-processes", str(count)]
    if "--store-timeout" not in command:
        command += ["--store-timeout", str(STORE_TIMEOUT)]
    shares = [Share(run, [*command, "--process-id", str(index)]) for index in range(count)]
    with executor.batch():
        jobs = [executor.submit(share) for share in shares]
    print(f"{count} jobs: {jobs[0].job_id} to {jobs[-1].job_id}, logs in {logs}", flush=True)
    failed = _follow(executor, shares, jobs, todo)
    finished, total = _progress(todo)
    for text in failed:
        print(text, file=sys.stderr)
    print(f"{finished} of {total} cells finished")
    return 0 if finished == total and not failed else 1


def _without(words: Sequence[str], name: str) -> list[str]:
    """Words of a command line without an option and its value."""
    kept, skip = [], False
    for word in words:
        if skip or word == name or word.startswith(f"{name}="):
            skip = word == name and not skip
            continue
        kept.append(word)
    return kept


def _follow(executor: Any, shares: Sequence[Share], jobs: list[Any], todo: Sequence[tuple[Case, str]]) -> list[str]:
    """Wait for all jobs, with a line where something moved; returns what failed for good."""
    attempts, failed = [1] * len(jobs), []
    waiting, shown = set(range(len(jobs))), None
    while waiting:
        for index in sorted(waiting):
            if not jobs[index].done():
                continue
            error = jobs[index].exception()
            if error is not None and attempts[index] < ATTEMPTS:
                attempts[index] += 1
                lost = jobs[index].job_id
                jobs[index] = executor.submit(shares[index])
                print(f"job {lost} was lost: its share is submitted again as {jobs[index].job_id}", flush=True)
                continue
            waiting.discard(index)
            if error is not None:
                failed.append(f"share {index} was lost {ATTEMPTS} times, last as job {jobs[index].job_id}: {error}")
        finished, total = _progress(todo)
        if (state := (finished, len(waiting))) != shown:
            print(f"{finished} of {total} cells, {len(waiting)} jobs to go", flush=True)
            shown = state
        if waiting:
            time.sleep(PAUSE)
    return failed


def _progress(todo: Sequence[tuple[Case, str]]) -> tuple[int, int]:
    """Cells that are finished in the stores, and all."""
    from theorylab.lab.store import StoreError, finished_cells, store_path

    finished = total = 0
    for case, store in todo:
        cells = case.seeds
        for values in case.grid.values():
            cells *= len(values)
        total += cells
        path = store_path(store)
        if path.exists():
            try:
                finished += int(finished_cells(path).sum())
            except (OSError, StoreError, KeyError):  # it is being created
                continue
    return finished, total
