"""What a sweep will cost, from compiling it alone: cells, programs, memory; and the order of its time."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import jax.extend.core as core
import numpy as np

from theorylab.contract import Setting
from theorylab.lab.grid import Grid
from theorylab.lab.job import make_job
from theorylab.lab.layout import traced
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET
from theorylab.numerics.xla import equations

#: Operations that one core of a processor does in a second, as :func:`operations` counts them.
RATE = 2e9
#: Operations per entry of what costs more than one, and per n³ of a decomposition.
_COSTS = {"random_bits": 30, "threefry2x32": 30, "erf_inv": 20, "exp": 8, "log": 8, "tanh": 10, "pow": 15, "erf": 15}
_DECOMPOSITIONS = {"cholesky": 1, "lu": 1, "geqrf": 2, "householder_product": 2, "qr": 4, "eigh": 10, "svd": 20}


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
    cells = [cell for _, cell in job.plan.static_cells()]
    began = time.perf_counter()
    programs, variables, coords = traced(job)
    memory, batches, work = 0, 0, 0.0
    for cell, program in zip(cells, programs, strict=True):
        program.fit(job.memory_budget)
        memory = max(memory, program.need)
        count = len(list(program.blocks()))
        batches += count
        work += count * operations(program.traced().jaxpr, getattr(cell, "num_steps", 1))
        program.compiled = None
    sizes = ((math.prod(len(coords[dim]) for dim in dims), kind) for dims, kind, _ in variables.values())
    results = sum(count * np.dtype(kind).itemsize for count, kind in sizes)
    spent = time.perf_counter() - began
    return Estimate(job.cells(job.seeds), len(programs), batches, memory, results, spent, work / RATE)


def operations(program: Any, steps: int) -> float:
    """Count the operations of a traced program, roughly.

    A loop of unknown length is run ``steps`` times; of several in one another, the innermost.
    """
    if isinstance(program, core.ClosedJaxpr):
        program = program.jaxpr
    if isinstance(program, core.Jaxpr):
        return sum(_of_equation(equation, steps) for equation in program.eqns)
    return sum(operations(part, steps) for part in program) if isinstance(program, (tuple, list)) else 0.0


def _of_equation(equation: Any, steps: int) -> float:
    name, parameters = equation.primitive.name, equation.params
    inner = operations(tuple(parameters.values()), steps)
    if name == "scan":
        return float(parameters["length"]) * inner
    if name == "while":
        loops = any(within.primitive.name == "while" for within in equations(parameters["body_jaxpr"]))
        return inner * (1 if loops else steps)
    if inner:
        return inner
    shapes: list[tuple[int, ...]] = [getattr(v.aval, "shape", ()) for v in (*equation.invars, *equation.outvars)]
    entries = max((math.prod(map(float, shape)) for shape in shapes[len(equation.invars) :]), default=0.0)
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        return 2 * entries * math.prod(float(shapes[0][axis]) for axis in contracted)
    if name in _DECOMPOSITIONS:
        *batch, rows, columns = shapes[0]
        return _DECOMPOSITIONS[name] * math.prod(map(float, batch)) * rows * columns * float(min(rows, columns))
    if name == "triangular_solve":
        return entries * float(shapes[0][-1])
    return entries * _COSTS.get(name, 1)
