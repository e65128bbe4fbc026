"""Programs are brought to their size before they are tuned, and hold no large arrays of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from theorylab.lab.grid import make_plan
from theorylab.lab.program import Program

HELD = np.random.default_rng(0).normal(size=(600, 600))


def with_matrix(key, config):
    return {"x": config.mean * (jnp.asarray(HELD) @ jnp.arange(600.0)).sum() + toy.normal(key, 3)[0]}


def many_results(key, config):
    return {"x": toy.normal(key, 1000)}


def large_inside(key, config):
    """A product of matrices in float64, which cannot be fused away."""
    matrix = toy.normal(key, 10_000).reshape(100, 100)
    return {"x": (matrix @ matrix).max()}


def program(function, seeds, grid=None):
    return Program(function, toy.Config(), make_plan(toy.SETTING, toy.Config(), grid or {}), seeds)


@pytest.fixture
def compiled_with(monkeypatch):
    """Options of every compilation."""
    seen, own = [], jax.stages.Lowered.compile

    def compile_(lowered, compiler_options=None):
        seen.append(compiler_options)
        return own(lowered, compiler_options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", compile_)
    return seen


def is_constant_of(lowered):
    """Whether the matrix stands in the program."""
    return any("constant" in line and "tensor<600x600x" in line for line in lowered.as_text().splitlines())


def test_large_constants_are_arguments_and_counted():
    means = (0.0, 1.0, 2.0)
    found = program(with_matrix, 2, {"mean": means}).fit(2**30)
    assert not is_constant_of(found.traced().lower())
    assert HELD.nbytes < found.need < 2 * HELD.nbytes
    (block,) = found.blocks()
    values = found.run(0, block)["x"]
    noise = values[:, :1]  # the same at every mean
    assert abs(noise[0] - noise[1]) > 0
    np.testing.assert_allclose(values - noise, [[m * (HELD @ np.arange(600)).sum() for m in means]] * 2, rtol=1e-9)
    # Negative control: as JAX has it, the array is part of the program.
    words = jax.ShapeDtypeStruct((2,), np.uint32)
    plain = jax.jit(lambda words: with_matrix(jax.random.wrap_key_data(words), toy.Config()))
    if jax.config.values.get("jax_use_simplified_jaxpr_constants") is not True:
        assert is_constant_of(plain.lower(words))


def test_results_beyond_the_budget_are_seen_before_compiling(caplog):
    with caplog.at_level("INFO", "theorylab"):
        found = program(many_results, 64).fit(100_000)
    tried = [record.args[0] for record in caplog.records if record.msg.startswith("compiling")]
    assert tried[0] == "11"  # of twelve whose results fit: 64 are six times eleven at most
    assert found.block[0] <= 11  # less where this version of XLA needs more than the results
    (first, *_) = found.blocks()
    np.testing.assert_array_equal(
        found.run(0, first)["x"][1], program(many_results, 4).fit(1e9).run(0, (slice(0, 4),))["x"][1]
    )


def test_a_gpu_tunes_once(compiled_with, monkeypatch):
    """There what may be too large is sized at no tuning; elsewhere there is none."""
    budget = 1_500_000
    here = program(large_inside, 20).fit(budget)
    assert len(compiled_with) > 1
    assert not any("xla_gpu_autotune_level" in (options or {}) for options in compiled_with)
    compiled_with.clear()
    monkeypatch.setattr(Program, "_is_tuned", True)
    there = program(large_inside, 20).fit(budget)
    assert there.block == here.block
    *trials, last = compiled_with
    assert last is None
    assert trials
    assert all(options == {"xla_gpu_autotune_level": 0} for options in trials)
    compiled_with.clear()
    program(large_inside, 20).fit(2**30)  # far from the budget: compiled at once
    assert len(compiled_with) == 1
    assert "xla_gpu_autotune_level" not in (compiled_with[0] or {})
