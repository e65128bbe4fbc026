"""Products of simulators and theories carry their precision: no TF32 behind a user's back."""

import dataclasses
import warnings

import jax
import jax.extend.core as core
import numpy as np
import pytest

import theorylab as tl
from theorylab.contract import testing
from theorylab.jax_version import double_precision


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


def test_a_singular_fit_in_single_precision_warns_once():
    """As many features as samples, no ridge: float32 returns an error 500 times too small."""
    setting = tl.get("random_features")
    config = setting.config(num_samples=16, num_features=16, num_modes=30)
    grid = {"num_features": (16, 32), "ridge": (0.0, 1e-7, 0.1)}
    with warnings.catch_warnings(record=True) as said, double_precision(False):
        warnings.simplefilter("default")
        tl.sweep(setting, config, grid, seeds=2)
        tl.sweep(setting, config, {"ridge": (0.1, 1.0)}, seeds=2)
    assert ["needs float64" in str(warning.message) for warning in said] == [True]
    with warnings.catch_warnings(), double_precision(True):
        warnings.simplefilter("error")
        setting.validate(dataclasses.replace(config, ridge=0.0))


def test_a_users_own_choice_stays():
    setting = tl.get("grokking")
    _, cell = next(testing._sizes_of(setting.presets["tiny"][0]))
    with jax.default_matmul_precision("default"):
        program = jax.make_jaxpr(setting.simulate)(jax.random.key(0), testing._leaves(cell))
    chosen = list(products(program))
    assert chosen
    assert not any(map(full, chosen))
