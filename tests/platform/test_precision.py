"""Products of simulators and theories carry their precision: no TF32 behind a user's back."""

import jax
import jax.extend.core as core
import numpy as np
import pytest

import theorylab as tl
from theorylab.contract import testing


def products(program):
    """Precisions of all products in a program, and in those that it calls."""
    if isinstance(program, core.ClosedJaxpr):
        program = program.jaxpr
    if isinstance(program, core.Jaxpr):
        for equation in program.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                yield equation.params["precision"]
            yield from products(tuple(equation.params.values()))
    elif isinstance(program, (tuple, list)):
        for part in program:
            yield from products(part)


def full(precision):
    return precision is not None and all(each is jax.lax.Precision.HIGHEST for each in np.atleast_1d(precision))


@pytest.mark.parametrize("name", tl.SETTINGS)
def test_products_of_a_setting_are_in_full_precision(name):
    setting = tl.get(name)
    assert jax.config.jax_default_matmul_precision is None
    case = setting.presets["tiny"][0]
    _, cell = next(testing._sizes_of(case))
    functions = [setting.simulate]
    functions += [theory.predict for theory in testing._holding(setting, cell) if theory.traceable]
    for function in functions:
        program = jax.make_jaxpr(function)(jax.random.key(0), testing._leaves(cell))
        assert all(map(full, products(program))), function


def test_a_users_own_choice_stays():
    setting = tl.get("grokking")
    _, cell = next(testing._sizes_of(setting.presets["tiny"][0]))
    with jax.default_matmul_precision("default"):
        program = jax.make_jaxpr(setting.simulate)(jax.random.key(0), testing._leaves(cell))
    chosen = list(products(program))
    assert chosen
    assert not any(map(full, chosen))
