"""Runs of which a theory does not speak: left out of its comparison, counted, and said."""

import dataclasses

import numpy as np
import pytest
import toy

from theorylab.contract import ConfigError
from theorylab.lab.sweep import sweep
from theorylab.verdict.compare import compare
from theorylab.verdict.rows import Status
from theorylab.verdict.table import some_seeds

LARGE = {"large": lambda found: found["sample_mean"] > 1.0}
GRID = {"scale": (0.3, 0.5)}


def wrong_where_large(key, config):
    mean = toy.sample(key, config).mean()
    return {"sample_mean": np.where(mean > 1.0, 2 * mean, mean)}


@pytest.fixture(scope="module")
def data():
    return sweep(toy.SETTING, toy.Config(), GRID, seeds=20)


def test_an_exact_theory_is_judged_by_the_other_runs(data):
    wrong = dataclasses.replace(toy.exact, predict=wrong_where_large, predicts=("sample_mean",), traceable=False)
    assert all(row.failed for row in compare(toy.SETTING, data, theories=[wrong]))
    rows = compare(toy.SETTING, data, theories=[dataclasses.replace(wrong, sets_aside=LARGE)])
    large = (data["sample_mean"].transpose("scale", "seed") > 1).sum("seed").values
    for row, count in zip(rows, large, strict=True):
        assert row.status is Status.AGREES
        assert (row.seeds, row.judged_seeds) == (20, 20 - count)
        assert some_seeds(row) == f", {20 - count} of 20 seeds judged ({count} large)"


def test_the_mean_of_an_ensemble_is_that_of_the_other_runs(data):
    theory = dataclasses.replace(toy.SETTING.theory("ensemble"), sets_aside=LARGE)
    row = next(row for row in compare(toy.SETTING, data, theories=[theory]) if row.observable == "sample_mean")
    values = data["sample_mean"].isel(scale=0).values
    assert row.empirical == pytest.approx(values[values <= 1].mean())
    assert row.judged_seeds == (values <= 1).sum()


def test_all_runs_aside_is_not_applicable(data):
    theory = dataclasses.replace(toy.exact, sets_aside={"drawn": lambda found: found["sample_mean"] > -np.inf})
    for row in compare(toy.SETTING, data, theories=[theory]):
        assert row.status is Status.NOT_APPLICABLE
        assert row.verdict.reason == "no run is left to judge (20 drawn)"


def test_a_diverged_run_is_not_aside():
    data = sweep(toy.SETTING, toy.Config(blow_up=0.05), seeds=30)
    theory = dataclasses.replace(toy.exact, sets_aside={"steep": lambda found: found["path"][..., -1] > 1e6})
    (row,) = [row for row in compare(toy.SETTING, data, theories=[theory]) if row.observable == "path"]
    assert row.status is Status.DIVERGED


def test_data_without_what_decides_is_refused(data):
    theory = dataclasses.replace(toy.exact, sets_aside=LARGE)
    with pytest.raises(ConfigError, match="sample_mean: the data have lost it"):
        compare(toy.SETTING, data.drop_vars("sample_mean"), theories=[theory])
