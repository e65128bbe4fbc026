"""However a person writes numbers: they become their field's own, or one error names the field before anything runs."""

import dataclasses
import fractions
import math
from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
import toy
import xarray
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab import catalogue
from theorylab.contract import ConfigError
from theorylab.lab import memory
from theorylab.lab.grid import make_plan
from theorylab.lab.job import check_seeds, make_job
from theorylab.lab.predict import predict
from theorylab.lab.store import to_json
from theorylab.lab.sweep import create_store, sweep

CHEAP = settings(max_examples=60, deadline=None, database=None)
#: Ways to write one number.
WRITERS = (
    lambda x: x, int, float, fractions.Fraction, np.float64, np.int64, np.float32, np.asarray, jnp.asarray,
    np.longdouble, xarray.DataArray, lambda x: np.array([x, x])[0], lambda x: jnp.array([x, x])[0],
)  # fmt: skip
#: Ways to write a list of numbers.
LISTS = (
    list, tuple, np.asarray, jnp.asarray, pandas.Series, pandas.Index, lambda v: xarray.DataArray(v, dims="x"),
    lambda v: [np.float64(x) for x in v], lambda v: [jnp.asarray(x) for x in v], lambda v: np.asarray(v, object),
    lambda v: [fractions.Fraction(x) for x in v],
)  # fmt: skip


def planned(grid=None, **fields):
    return make_plan(toy.SETTING, toy.Config(**fields), grid)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("value", [3, 4.0])
def test_a_number_takes_its_fields_type(write, value):
    config = planned(num_samples=write(value), mean=write(value)).config
    assert (type(config.num_samples), config.num_samples) == (int, value)
    assert (type(config.mean), config.mean) == (float, value)
    grid = planned({"num_samples": [write(value)], "mean": [write(value)]}).grid
    assert (type(grid["num_samples"][0]), type(grid["mean"][0])) == (int, float)


@CHEAP
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5, unique=True), st.sampled_from(LISTS))
def test_a_list_of_numbers_takes_its_fields_type(values, write):
    plan = planned({"num_samples": write(values), "mean": write(values)})
    assert plan.grid == {"num_samples": tuple(values), "mean": tuple(map(float, values))}
    assert {type(x) for x in plan.grid["num_samples"]} == {int}
    assert {type(x) for x in plan.grid["mean"]} == {float}
    assert plan.static == ("num_samples",)


def test_the_usual_grids():
    grid = planned({"num_samples": np.linspace(2, 10, 3), "mean": range(3), "scale": np.geomspace(0.1, 10, 3)}).grid
    assert grid["num_samples"] == (2, 6, 10)
    assert grid["mean"] == (0.0, 1.0, 2.0)
    assert grid["scale"] == tuple(np.geomspace(0.1, 10, 3).tolist())
    assert planned({"num_samples": np.arange(2, 5, dtype=np.uint8)}).grid["num_samples"] == (2, 3, 4)


ANYTHING = st.one_of(
    st.integers(), st.floats(), st.fractions(), st.booleans(), st.none(), st.text(max_size=3), st.complex_numbers(),
    st.sampled_from([10**400, -(10**400), 10**5000, fractions.Fraction(10**400), Decimal("0.5"), b"3", object()]),
    st.lists(st.floats(), max_size=2), st.sets(st.integers(), max_size=2), st.just(np.eye(2)), st.just(np.array([1.0])),
    st.floats(width=32).map(np.float32), st.integers(-5, 5).map(np.int8), st.just(np.datetime64("2020-01-01")),
    st.just(jax.random.key(0)), st.just({}), st.just(np.array("3")), st.just(jnp.nan), st.just(np.array(True)),
)  # fmt: skip


def check_message(field, error):
    text = str(error)
    assert text.startswith(f"{field} = ")
    assert "is not allowed" in text
    assert len(text) < 400
    assert "\n" not in text


@settings(max_examples=200, deadline=None, database=None)
@given(st.sampled_from(["num_samples", "num_steps", "mean", "scale"]), ANYTHING, st.booleans())
def test_any_value_is_right_or_one_error_names_the_field(field, value, swept):
    """Whether a value stands in the configuration or in a grid."""
    try:
        plan = planned({field: [value]}) if swept else planned(**{field: value})
    except ConfigError as error:
        return check_message(field, error)
    found = getattr(plan.config, field)
    assert type(found) is (int if field.startswith("num") else float)
    assert math.isfinite(found)
    assert found == (float(value) if isinstance(found, float) else value)


@CHEAP
@given(st.sampled_from(["num_samples", "mean"]), ANYTHING)
def test_any_list_is_right_or_one_error_names_the_field(field, values):
    try:
        found = planned({field: values}).grid[field]
    except ConfigError as error:
        return check_message(field, error)
    assert len(found) == len(values) > 0


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"mean": 1.0}, r"mean = 1\.0 is not allowed: a grid needs a list of values, such as \[1\.0\]"),
        ({"mean": np.float32(1.0)}, r"mean = 1\.0 is not allowed: a grid needs a list"),
        ({"mean": np.array(1.0)}, r"mean = 1\.0 is not allowed: a grid needs a list"),
        ({"mean": "12"}, r"mean = '12' is not allowed: a grid needs a list of values, such as \['12'\]"),
        ({"mean": None}, r"mean = None is not allowed: a grid needs a list of values"),
        ({"mean": {1.0, 2.0}}, r"mean = .*a grid needs a list of values, such as list\(\.\.\.\)"),
        ({"mean": (x for x in (1.0, 2.0))}, r"mean = <generator.*a grid needs a list of values, such as list"),
        ({"mean": {1.0: 2.0}}, "mean = .*a grid needs a list of values"),
        ({"mean": [[1.0, 2.0], [3.0, 4.0]]}, r"mean = \[1\.0, 2\.0\] is not allowed: must be a finite number"),
        ({"mean": np.ones((2, 3))}, r"mean = an array of shape \(2, 3\) is not allowed: a grid needs a list"),
        ({"mean": xarray.DataArray(np.ones((2, 3)))}, r"mean = an array of shape \(2, 3\) is not allowed"),
        ({"mean": pandas.DataFrame({"a": [1.0]})}, r"mean = an array of shape \(1, 1\) is not allowed"),
        ({"mean": []}, r"mean = \[\] is not allowed: a sweep needs at least one value"),
        ({"mean": np.array([])}, r"mean = \[\] is not allowed: a sweep needs at least one value"),
        ({"mean": (1, 1.0)}, r"mean = \[1\.0, 1\.0\] is not allowed: values must be distinct \(1\.0\)"),
        ({"num_samples": (4, 4.0, np.int64(5))}, r"num_samples = .* values must be distinct \(4\)"),
        ({"mean": (0.0, True)}, "mean = True is not allowed: must be a finite number"),
        ({"mean": (0.0, np.True_)}, "mean = True is not allowed"),
        ({"mean": (0.0, "1")}, "mean = '1' is not allowed"),
        ({"mean": (0.0, None)}, "mean = None is not allowed"),
        ({"mean": (0.0, 1j)}, "mean = 1j is not allowed"),
        ({"mean": (0.0, np.nan)}, "mean = nan is not allowed"),
        ({"mean": (0.0, np.inf)}, "mean = inf is not allowed"),
        ({"mean": (10**400,)}, r"mean = 1000.*\.\.\. is not allowed: must be a finite number"),
        ({"mean": (10**5000,)}, "mean = a whole number of thousands of digits is not allowed"),
        ({"num_samples": (2.5,)}, r"num_samples = 2\.5 is not allowed: must be a whole number >= 1 and <= 10000"),
        ({"mean": (0.0, 1e200)}, r"mean = 1e\+200 is not allowed: its square is beyond all floats"),
        ({"mean": (0.0, -1e-300)}, r"mean = -1e-300 is not allowed: its square is below all floats"),
        ({"mean": (-1.4e154,)}, r"mean = -1\.4e\+154 is not allowed: its square"),
        ({"num_steps": (2**31,)}, r"num_steps = 2147483648 is not allowed: .* and < 2\^31 - 1"),
        ({"num_samples": np.linspace(1, 10, 4) + 0.25}, r"num_samples = 1\.25 is not allowed"),
        ({"sclae": (1.0,)}, "there is no field 'sclae': choose one of num_samples"),
        ({3: (1.0,)}, "there is no field 3: choose one of num_samples"),
        ([("mean", (1.0,))], "grid = .* is not allowed: must be a dictionary"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said_before_anything_runs(grid, message):
    toy.forget_programs()
    for run in (sweep, lambda setting, config, grid: predict(setting, config, grid, theory="ensemble")):
        with pytest.raises(ConfigError, match=message):
            run(toy.SETTING, toy.Config(), grid)
    assert toy.TRACES == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *[({"seeds": v}, "seeds = .* is not allowed: must be a whole number from 1 to 2\\^32 - 1")
          for v in (0, -1, 2.5, np.nan, "3", None, True, [3], 2**32, np.inf)],
        *[({"base_seed": v}, "base_seed = .* is not allowed: must be a whole number from 0 to 2\\^32 - 1")
          for v in (-1, 0.5, np.nan, "3", None, True, 2**32)],
        *[({"memory_budget": v}, "memory_budget = .* is not allowed: must be > 0 bytes")
          for v in (0, -1, np.nan, "4 GB", None, True)],
        *[({"processes": v}, "processes = .* is not allowed")
          for v in (None, 3, (0,), (0, 1, 2), "01", (0, None), (np.nan, 2), (1, 1), (0, "2"), (True, 2), (0.5, 2))],
        *[({"store": v}, "store = .* is not allowed: must be a path") for v in (3, b"x", 1.5)],
        *[({"store": "x", "store_timeout": v}, "store_timeout = .* is not allowed") for v in (-1, np.nan, "1", None)],
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_other_numbers(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    toy.forget_programs()
    with pytest.raises(ConfigError, match=message):
        sweep(toy.SETTING, **options)
    assert toy.TRACES == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [int, float, np.int64, np.uint8, np.asarray, jnp.asarray, fractions.Fraction])
def test_the_other_numbers_are_whole_in_any_type(write):
    job = make_job(toy.SETTING, None, None, write(3), write(2), write(100))
    assert (job.seeds, job.base_seed, job.memory_budget) == (3, 2, 100.0)
    assert (type(job.seeds), type(job.base_seed), type(job.memory_budget)) == (int, int, float)


def test_seed_numbers_of_a_prediction():
    for seeds in (3, np.int64(3), range(3), [0, 1, 2], np.arange(3), (0.0, 1.0, 2.0)):
        assert check_seeds(seeds).tolist() == [0, 1, 2]
    for seeds in (0, -1, [-1], [0.5], "3", None, np.ones((2, 2)), [2**32]):
        with pytest.raises(ConfigError, match=r"seeds = .* is not allowed"):
            check_seeds(seeds)


def test_results_beyond_memory_are_refused_before_anything_is_allocated(monkeypatch):
    """Of a grid, of seeds, and of what a theory predicts."""
    monkeypatch.setattr(memory, "of_machine", lambda: 1e4)
    for act in (
        lambda: planned({"mean": range(1000), "scale": range(1000)}),
        lambda: check_seeds(1000),
        lambda: predict(toy.SETTING, toy.Config(num_steps=1000), seeds=20, theory="exact"),
        lambda: sweep(toy.SETTING, toy.Config(num_steps=1000), seeds=20),
    ):
        with pytest.raises(ConfigError, match=r"the results need .*, more than this machine's 10 kB: [\d,]+ cells"):
            act()


@pytest.mark.parametrize("make", [lambda: np.zeros((10**9, 10**9)), lambda: np.int32(10**12)])
def test_sizes_that_cannot_be_traced_are_one_line(make):
    """What a simulator prepares on the host, or counts in 32 bits."""
    setting = dataclasses.replace(toy.SETTING, simulate=lambda key, config: make())
    with pytest.raises(ConfigError, match=r"cannot hold arrays of such sizes: .*; choose smaller ones"):
        sweep(setting, toy.Config(), seeds=2)


def test_one_and_one_point_zero_are_one_store(tmp_path):
    path = tmp_path / "a.zarr"
    first = sweep(toy.SETTING, toy.Config(scale=1, num_steps=3.0), {"mean": (0, 1)}, seeds=2, store=path)
    toy.forget_programs()
    for config, grid in (
        (toy.Config(scale=1.0, num_steps=3), {"mean": (0.0, 1.0)}),
        (toy.Config(scale=np.float32(1), num_steps=np.array(3)), {"mean": np.linspace(0, 1, 2)}),
        (toy.Config(scale=jnp.asarray(1), num_steps=jnp.asarray(3), mean=8), {"mean": range(2)}),
    ):
        again = sweep(toy.SETTING, config, grid, seeds=np.int64(2), base_seed=0.0, store=path)
        xarray.testing.assert_identical(first, again)
        create_store(toy.SETTING, config, grid, seeds=2, store=path)
    assert toy.TRACES == []
    one, other = toy.Config(scale=1, num_steps=3.0), toy.Config(scale=1.0, num_steps=3)
    assert one == other
    assert hash(one) == hash(other)
    assert to_json(dataclasses.asdict(one)) == to_json(dataclasses.asdict(other))


def test_what_single_precision_cannot_hold_is_refused():
    jax.config.update("jax_enable_x64", False)
    try:
        assert planned({"mean": (0.1, 0.2)}).grid["mean"] == (0.1, 0.2)
        for grid, message in (
            ({"mean": (1e100,)}, r"mean = 1e\+100 is not allowed: float32 holds no such number"),
            ({"mean": (1e20,)}, r"mean = 1e\+20 is not allowed: float32 does not hold its square"),
            ({"mean": (1e-60,)}, "mean = 1e-60 is not allowed: float32 holds no such number"),
            ({"mean": (0.1, 0.1 + 1e-12)}, "mean = .* is not allowed: values must be distinct in float32"),
        ):
            with pytest.raises(ConfigError, match=message):
                planned(grid)
        with pytest.raises(ConfigError, match=r"scale = 1e\+300 is not allowed"):
            planned(scale=1e300)
    finally:
        jax.config.update("jax_enable_x64", True)


def test_rules_that_leave_the_floats_are_one_line():
    setting = dataclasses.replace(toy.SETTING, check_config=lambda config: config.scale**-3)
    for scale, message in (
        (1e-120, r"scale = 1e-120 is not allowed: a formula leaves the range"),
        (0.0, "combination"),
    ):
        for grid in (None, {"mean": (0.0, 1.0)}):
            with pytest.raises(ConfigError, match=message):
                make_plan(setting, toy.Config(scale=scale), grid)
    with pytest.raises(ConfigError, match=r"init_ratio = 1e-308 is not allowed"):
        make_plan(catalogue.get("matrix_sensing"), catalogue.get("matrix_sensing").config(init_ratio=1e-308), None)
