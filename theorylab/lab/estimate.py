"""What a sweep will cost, from compiling it alone: cells, programs, memory; and the order of its time."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np

from theorylab.contract import Setting
from theorylab.lab.grid import Grid
from theorylab.lab.job import make_job
from theorylab.lab.layout import traced
from theorylab.lab.operations import RATE
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a sweep will cost.

    ``batches`` are runs of its ``programs``, ``memory`` the bytes of the largest one, ``results`` those of what it
    returns; ``compiling`` the seconds that compiling took, ``running`` about those that running will take (within a
    factor of ten on a processor; loops that end early end later here).
    """

    cells: int
    programs: int
    batches: int
    memory: float
    results: float
    compiling: float
    running: float


def estimate(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    seeds: int = 20,
    memory_budget: float = DEFAULT_MEMORY_BUDGET,
) -> Estimate:
    """Compile every program of a sweep, run none, and say what the sweep will cost.

    Arguments are those of :func:`~theorylab.lab.sweep.sweep`; so are the errors.
    """
    job = make_job(setting, config, grid, seeds, 0, memory_budget)
    began = time.perf_counter()
    programs, variables, coords = traced(job)
    memory, batches, work = 0, 0, 0.0
    for program in programs:
        program.fit(job.memory_budget)
        memory = max(memory, program.need)
        count = len(list(program.blocks()))
        batches += count
        work += count * program.operations * math.prod(program.parts)
        program.compiled = None
    sizes = ((math.prod(len(coords[dim]) for dim in dims), kind) for dims, kind, _ in variables.values())
    results = sum(count * np.dtype(kind).itemsize for count, kind in sizes)
    spent = time.perf_counter() - began
    return Estimate(job.cells(job.seeds), len(programs), batches, memory, results, spent, work / RATE)
