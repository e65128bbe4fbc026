"""Programs of the published sizes can be lowered for GPUs and TPUs; no accelerator is needed to see that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import theorylab
from theorylab.catalogue import SETTINGS
from theorylab.lab.grid import make_plan, nested_map, scalar_leaves

PLATFORMS = ("cuda", "tpu")
CASES = [
    # MNIST's eigenvalues would be computed while tracing.
    pytest.param(name, case, id=f"{name}-{case.name}")
    for name in SETTINGS
    for case in theorylab.get(name).presets["paper"]
    if case.name != "mnist"
]


def lower(function, config, names, lengths):
    """Lower a function of (key, config), mapped over swept scalars."""

    def run(words, values, config):
        return nested_map(function, config, names)(jax.random.wrap_key_data(words), values)

    shapes = tuple(jax.ShapeDtypeStruct((n,), float) for n in lengths)
    arguments = (jax.ShapeDtypeStruct((2,), np.uint32), shapes, scalar_leaves(config))
    return export.export(jax.jit(run), platforms=PLATFORMS)(*arguments)


@pytest.mark.slow  # the contract test lowers the programs of tiny
@pytest.mark.filterwarnings("ignore::UserWarning")  # on what a large configuration may do, as it should
@pytest.mark.parametrize(("name", "case"), CASES)
def test_paper_presets(name, case):
    setting = theorylab.get(name)
    plan = make_plan(setting, case.config, case.grid)
    _, cell = list(plan.static_cells())[-1]
    functions = [setting.simulate]
    functions += [theory.predict for theory in setting.theories if theory.traceable and theory.holds(cell) is None]
    for function in functions:
        assert lower(function, cell, plan.scalar, [len(plan.grid[n]) for n in plan.scalar]).platforms == PLATFORMS


def test_what_only_a_processor_can_do_is_noticed():
    """Negative control: the eigenvalues of a general matrix are computed by LAPACK alone."""
    setting = theorylab.get("xor")

    def simulate(key, config):
        return {"test_accuracy": jnp.linalg.eigvals(jax.random.normal(key, (3, 3))).real.sum()}

    with pytest.raises(NotImplementedError, match="eig"):
        lower(simulate, setting.config(), (), ())
