"""How many operations a traced program takes, roughly: the order of its time, before it runs."""

from __future__ import annotations

import math
import operator
from typing import Any

import jax.extend.core as core

from theorylab.numerics.xla import equations

#: Operations that one core of a processor does in a second, as :func:`operations` counts them. This and the costs below
#: are fitted to presets on a core of an x86 server, float64; the page on scaling says how well.
RATE = 5e9
#: Operations per multiplication of a product of matrices, and per entry that it reads or writes.
_MULTIPLICATION, _MOVED = 0.3, 6
#: Operations per entry of what costs more than one, and per n³ of a decomposition.
_COSTS = {"random_bits": 30, "threefry2x32": 30, "erf_inv": 20, "exp": 8, "log": 8, "tanh": 10, "pow": 15, "erf": 15}
_DECOMPOSITIONS = {"cholesky": 5, "lu": 5, "geqrf": 10, "householder_product": 10, "qr": 20, "eigh": 50, "svd": 100}


def operations(program: Any, steps: int, records: int = 1) -> float:
    """Count the operations of a traced program, roughly.

    A loop of unknown length is run ``steps`` times; of several in one another, the innermost. What stands beside it in
    the outer ones is done ``records`` times.
    """
    if isinstance(program, core.ClosedJaxpr):
        program = program.jaxpr
    if isinstance(program, core.Jaxpr):
        return sum(_of_equation(equation, steps, records) for equation in program.eqns)
    if isinstance(program, (tuple, list)):
        return sum(operations(part, steps, records) for part in program)
    return 0.0


def _of_equation(equation: Any, steps: int, records: int) -> float:
    name, parameters = equation.primitive.name, equation.params
    if name == "while":
        body = parameters["body_jaxpr"].jaxpr.eqns
        costs = [_of_equation(within, steps, records) for within in body]
        loops = [_is_loop(within) or any(map(_is_loop, equations(tuple(within.params.values())))) for within in body]
        times = [1 if loop else records if any(loops) else steps for loop in loops]
        return sum(map(operator.mul, costs, times))
    inner = operations(tuple(parameters.values()), steps, records)
    if name == "scan":
        return float(parameters["length"]) * inner
    if inner:
        return inner
    shapes: list[tuple[int, ...]] = [getattr(v.aval, "shape", ()) for v in (*equation.invars, *equation.outvars)]
    entries = max((math.prod(map(float, shape)) for shape in shapes[len(equation.invars) :]), default=0.0)
    if name == "dot_general":
        (contracted, _), _ = parameters["dimension_numbers"]
        each = math.prod(float(shapes[0][axis]) for axis in contracted)
        return _MULTIPLICATION * entries * each + _MOVED * sum(math.prod(map(float, shape)) for shape in shapes)
    if name in _DECOMPOSITIONS:
        *batch, rows, columns = shapes[0]
        return _DECOMPOSITIONS[name] * math.prod(map(float, batch)) * rows * columns * float(min(rows, columns))
    if name == "triangular_solve":
        return entries * float(shapes[0][-1])
    return entries * _COSTS.get(name, 1)


def _is_loop(equation: Any) -> bool:
    return bool(equation.primitive.name == "while")
