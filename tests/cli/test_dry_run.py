"""What a run would cost is said before it: cells, memory, the order of the time; and what is being done, in it."""

import dataclasses
import logging
import warnings

import jax
import jax.numpy as jnp
import pytest
import toy

from theorylab.cli.dry_run import in_time
from theorylab.lab.estimate import estimate
from theorylab.lab.operations import operations
from theorylab.lab.sweep import sweep


@pytest.mark.parametrize("command", ["sweep", "check", "run"])
def test_a_dry_run_runs_and_stores_nothing(run, toy, tmp_path, command):
    values = ["--mean", "1"] if command == "run" else ["--mean", "1", "2", "3"]
    where = [] if command == "run" else ["--store", tmp_path / "x.zarr"]
    code, out, _ = run(command, toy, *values, "--seeds", 7, "--dry-run", *where)
    assert code == 0
    assert "nothing is run" in out
    assert "within a factor of ten" in out
    assert ("21" if command != "run" else "7") in out
    assert not list(tmp_path.iterdir())


def test_cells_programs_and_batches_are_those_of_the_sweep():
    grid = {"num_samples": (10, 20), "mean": (0.0, 1.0, 2.0)}
    found = estimate(toy.SETTING, None, grid, seeds=5)
    assert (found.cells, found.programs, found.batches) == (30, 2, 2)
    data = sweep(toy.SETTING, None, grid, seeds=5)
    assert found.results == sum(data[name].nbytes for name in data.data_vars)
    small = estimate(toy.SETTING, None, grid, seeds=5, memory_budget=found.memory / 4)
    assert small.batches > 2
    assert small.memory <= found.memory / 4


def test_operations_count_products_and_loops():
    """Against numbers counted by hand."""

    def product(a, b):
        return jax.lax.fori_loop(0, 7, lambda _, x: x @ b, a)

    shapes = jax.ShapeDtypeStruct((3, 5), float), jax.ShapeDtypeStruct((5, 5), float)
    count = operations(jax.make_jaxpr(product)(*shapes), 1)
    each = 0.3 * 75 + 6 * (15 + 25 + 15)
    assert 7 * each <= count <= 7 * each + 100  # and the counter

    def until(a):
        return jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: x @ jnp.ones((5, 5)), a)

    once = operations(jax.make_jaxpr(until)(shapes[0]), 1)
    assert operations(jax.make_jaxpr(until)(shapes[0]), 40) == pytest.approx(40 * once, rel=0.1)

    def recorded(a):
        return jax.lax.while_loop(lambda x: x.sum() < 1, lambda x: until(x) @ jnp.ones((5, 5)), a)

    program = jax.make_jaxpr(recorded)(shapes[0])
    assert operations(program, 40, 7) - operations(program, 40) == pytest.approx(6 * once, rel=0.2)


def test_a_budget_below_one_cell_is_said_before_it_runs():
    with pytest.warns(
        UserWarning, match=r"a single cell needs .* above the memory budget of 1 bytes: cells run one by"
    ):
        sweep(toy.SETTING, dataclasses.replace(toy.CASE.config, num_samples=12), seeds=2, memory_budget=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep(toy.SETTING, dataclasses.replace(toy.CASE.config, num_samples=12), seeds=2)


def test_verbose_says_what_is_compiled_and_run(run, toy):
    log = logging.getLogger("theorylab")
    handlers, level = log.handlers, log.level
    try:
        code, out, err = run("run", toy, "--num-samples", 17, "--verbose")
    finally:
        log.handlers, _ = handlers, log.setLevel(level)
    assert code == 0
    assert "compiling 20 cells at once" in err
    assert "takes" in err
    assert "running 20 of 20 cells" in err
    assert "compiling" not in out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "below 0.1 s"),
        (0.23, "0.2 s"),
        (80, "80 s"),
        (100, "2 min"),
        (4000, "70 min"),
        (9000, "2 hours"),
        (2e5, "2 days"),
    ],
)
def test_durations_have_one_digit(seconds, text):
    assert in_time(seconds) == text
