"""Many cells judged at a time have the numbers and verdicts that each has on its own."""

import math
import time

import numpy as np
import pytest
import toy
import xarray

from theorylab.lab.grid import make_plan
from theorylab.lab.sweep import sweep
from theorylab.verdict import compare as comparing
from theorylab.verdict.batch import judge_many, plain
from theorylab.verdict.compare import compare
from theorylab.verdict.judge import Runs, judge


def same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        if isinstance(a[name], float):
            assert a[name] == pytest.approx(b[name], rel=1e-12, abs=1e-300, nan_ok=True), name
        else:
            assert a[name] == b[name], name


@pytest.mark.parametrize("kind", ["exact", "instance", "ensemble"])
@pytest.mark.parametrize("inner", [(), (4,), (2, 3)])
def test_the_same_as_one_by_one(kind, inner):
    random = np.random.default_rng(0)
    values = random.normal(1.0, 0.1, (40, 5, *inner))
    predicted = np.ones((40, *(() if kind == "ensemble" else (5,)), *inner))
    if kind != "ensemble":
        predicted = values * random.choice([1.0, 1.01, 1.3], (40, 1, *(1 for _ in inner)))
    values[0], predicted[0] = 0.0, 0.0
    values[1] = 2.0
    declared = random.choice([0.0, 0.02, 0.2], 40)
    assert plain(values, predicted, kind).all()
    rows = list(judge_many(values, predicted, kind=kind, declared=declared, z_max=4.0))
    assert {str(row["verdict"]) for row in rows} == {"agrees", "disagrees"}
    for number, row in enumerate(rows):
        runs = Runs(values[number], np.arange(5), np.full(5, -1), False)
        same(row, judge(runs, predicted[number], kind=kind, declared=declared[number], z_max=4.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_entry_that_should_be_zero_is_rounding(dtype):
    """The least eigenvalue of a singular matrix is a few times the rounding of the largest, of either sign."""
    eps = np.finfo(dtype).eps
    predicted = np.array([[[1.0, -2 * eps]], [[1.0, -2 * eps]]], dtype)
    values = np.array([[[1.0, 2 * eps]], [[1.0, 40 * eps]]], dtype)
    for number, row in enumerate(judge_many(values, predicted, kind="exact", declared=np.full(2, 1e-8), z_max=4.0)):
        runs = Runs(values[number], np.zeros(1), np.full(1, -1), False)
        alone = judge(runs, predicted[number], kind="exact", declared=1e-8, z_max=4.0)
        assert str(row["verdict"]) == str(alone["verdict"]) == ("agrees", "disagrees")[number]
        assert row["tolerance"] == pytest.approx(alone["tolerance"], rel=1e-6)


def test_what_is_not_plain_is_judged_one_by_one():
    values, predicted = np.ones((4, 3)), np.ones(4)
    values[1, 2], predicted[2] = np.nan, np.inf
    assert plain(values, predicted, "ensemble").tolist() == [True, False, False, True]
    assert not plain(np.ones((4, 1)), predicted, "ensemble").any()
    assert plain(np.ones((4, 1)), np.ones((4, 1)), "exact").all()


def test_rows_do_not_depend_on_it(monkeypatch):
    """In a sweep of which some runs diverged and some cells are not finished."""
    data = sweep(toy.SETTING, toy.Config(num_samples=30), {"blow_up": (0.0, 0.05), "mean": (0.0, 1.0)}, seeds=6)
    data["finished"][1, 1, 2] = False
    fast = compare(toy.SETTING, data)
    monkeypatch.setattr(comparing, "_judged_together", lambda *arguments: {})
    slow = compare(toy.SETTING, data)
    assert len(fast) == len(slow)
    for ours, theirs in zip(fast, slow, strict=True):
        same(vars(ours), vars(theirs))


def test_cells_of_a_plan_are_those_that_replacing_fields_makes():
    plan = make_plan(toy.SETTING, toy.Config(), {"num_samples": (5, 7.0), "mean": (0, 1)})
    cells = dict(plan.cells())
    assert list(cells) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert cells[1, 0] == toy.Config(num_samples=7, mean=0.0)
    assert hash(cells[1, 0]) == hash(toy.Config(num_samples=7, mean=0.0))


@pytest.mark.slow
def test_a_hundred_thousand_cells_in_five_seconds():
    """One scalar observable. On two quiet cores 1.5 s; the bound leaves room for a busy machine."""
    config, grid = toy.Config(num_steps=1), {"mean": np.linspace(0, 1, 1000), "scale": np.linspace(0.1, 1, 100)}
    data: xarray.Dataset = sweep(toy.SETTING, config, grid, seeds=2).drop_vars(["path", "sample_mean"])
    start = time.process_time()
    rows = compare(toy.SETTING, data, theories=["ensemble"])
    assert len(rows) == 100_000
    assert not any(math.isnan(row.empirical) for row in rows)
    assert time.process_time() - start < 5
