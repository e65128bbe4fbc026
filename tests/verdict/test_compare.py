"""Verdicts: right theories agree, slightly wrong ones do not, and nothing non-finite is averaged."""

import dataclasses

import numpy as np
import pytest
import toy

from theorylab.lab.sweep import sweep
from theorylab.verdict.compare import check, compare
from theorylab.verdict.rows import Status, Verdict

GRID = {"mean": (0.0, 1.0)}


def test_right_theories_agree_and_a_wrong_one_does_not():
    config = toy.Config(num_samples=500)
    data = sweep(toy.SETTING, config, GRID, seeds=200)
    rows = compare(toy.SETTING, data, config, GRID)
    assert {row.status for row in rows} == {Status.AGREES}
    assert {(row.theory, row.observable) for row in rows} == {
        ("exact", "sample_mean"),
        ("exact", "path"),
        ("ensemble", "sample_mean"),
        ("ensemble", "second_moment"),
        ("ensemble", "path"),
        ("on_host", "second_moment"),
    }
    assert all(abs(row.z) < 4 for row in rows if row.theory != "exact")
    wrong = compare(toy.SETTING, data, config, GRID, theories=[toy.WRONG])
    assert [row.status for row in wrong] == [Status.DISAGREES] * 2
    tolerant = dataclasses.replace(toy.WRONG, error=0.2)
    assert [row.status for row in compare(toy.SETTING, data, theories=[tolerant])] == [Status.AGREES] * 2


def test_numbers_of_a_row():
    config = toy.Config()
    data = sweep(toy.SETTING, config, seeds=10)
    (row,) = [r for r in compare(toy.SETTING, data, config, theories=["ensemble"]) if r.observable == "second_moment"]
    values = data["second_moment"].values
    error = values.std(ddof=1) / np.sqrt(10)
    assert row.empirical == pytest.approx(values.mean())
    assert row.standard_error == pytest.approx(error)
    assert row.predicted == pytest.approx(1.25)
    assert row.z == pytest.approx((values.mean() - 1.25) / error)
    assert row.relative_error == pytest.approx(values.mean() / 1.25 - 1)
    assert row.tolerance == pytest.approx(4 * error)
    assert row.seeds == row.judged_seeds == 10


def test_an_exact_theory_must_hold_for_every_seed():
    def off_in_one_seed(key, config):
        x = toy.sample(key, config)
        return {"sample_mean": x.mean() * (1 + 1e-6 * (x.mean() > config.mean + 0.08))}

    theory = dataclasses.replace(toy.exact, predict=off_in_one_seed, predicts=("sample_mean",))
    data = sweep(toy.SETTING, seeds=30)
    (row,) = compare(toy.SETTING, data, theories=[theory])
    assert row.status is Status.DISAGREES
    assert row.relative_error == pytest.approx(-1e-6, rel=1e-3)


def test_an_instance_theory_is_paired():
    """The paired difference has a far smaller error than the mean: a bias of 1 % is seen."""

    def biased(key, config):
        return {"sample_mean": 1.01 * toy.sample(key, config).mean()}

    data = sweep(toy.SETTING, seeds=10)
    paired = dataclasses.replace(toy.exact, predict=biased, predicts=("sample_mean",), kind="instance", error=0.0)
    (row,) = compare(toy.SETTING, data, theories=[paired])
    assert row.status is Status.DISAGREES
    assert row.standard_error < 0.01 * data["sample_mean"].values.std() / np.sqrt(10) * 1.2


def test_divergence_is_reported_not_averaged():
    config = toy.Config(blow_up=0.05)
    data = sweep(toy.SETTING, config, seeds=20)
    bad = np.flatnonzero(data["first_bad_step"].values >= 0)
    assert 0 < len(bad) < 20
    rows = {r.observable: r for r in compare(toy.SETTING, data, config, theories=["ensemble"])}
    assert str(rows["path"].verdict) == f"diverged: seed {bad[0]}, step 1"
    assert rows["path"].diverged_seeds == len(bad)
    assert (rows["path"].seeds, rows["path"].judged_seeds) == (20, 20 - len(bad))
    assert np.isfinite(rows["path"].empirical)


def test_not_applicable_says_why():
    grid = {"num_samples": (10, 50)}
    data = sweep(toy.SETTING, grid=grid, seeds=5)
    first, second = compare(toy.SETTING, data, grid=grid, theories=["on_host"])
    assert first.verdict == Verdict(Status.NOT_APPLICABLE, "num_samples = 10 is below 20")
    assert str(first.verdict) == "not applicable: num_samples = 10 is below 20"
    assert second.status.judged
    (row,) = [
        r for r in compare(toy.SETTING, sweep(toy.SETTING, seeds=1), theories=["ensemble"]) if r.observable == "path"
    ]
    assert row.verdict == Verdict(Status.NOT_APPLICABLE, "a standard error needs at least two seeds")


@pytest.mark.parametrize("question", [lambda config: config.scale ** (-1e3), lambda config: 1 / (config.scale - 0.5)])
def test_a_question_that_leaves_the_floats_is_answered_with_no(question):
    theory = dataclasses.replace(toy.on_host, holds=lambda config: f"it is {question(config):g}")
    data = sweep(toy.SETTING, toy.Config(scale=0.1), {"scale": (0.1, 0.5)}, seeds=2)
    rows = compare(toy.SETTING, data, theories=[theory])
    assert {row.status for row in rows} == {Status.NOT_APPLICABLE}
    assert sum("leaves the range of floats here" in row.verdict.reason for row in rows) == 1


def test_check_runs_the_cases_of_a_preset():
    ((case, data, rows),) = check(toy.SETTING, toy.SETTING.presets["tiny"])
    assert case.name == "toy"
    assert data.sizes["seed"] == 20
    assert {row.case for row in rows} == {"toy"}
    assert not any(row.failed for row in rows)


def test_seeds_without_a_value_have_no_pair():
    """A slope that is not reached in some seeds leaves the paired mean of the others, and no ensemble mean at all."""
    import jax.numpy as jnp

    def sometimes(key, config):
        mean = toy.sample(key, config).mean()
        return {"sample_mean": jnp.where(mean > config.mean, mean, jnp.nan)}

    def biased(key, config):
        return {"sample_mean": 1.01 * toy.sample(key, config).mean()}

    right = dataclasses.replace(toy.exact, kind="instance")
    wrong = dataclasses.replace(toy.exact, name="wrong", predict=biased, kind="instance", error=0.0)
    setting = dataclasses.replace(
        toy.SETTING,
        simulate=sometimes,
        theories=(right, wrong, toy.ensemble),
        observables=(dataclasses.replace(toy.SETTING.observables[0], allow_nan=True), *toy.SETTING.observables[1:]),
    )
    data = sweep(setting, seeds=12)
    assert 2 <= np.isfinite(data["sample_mean"]).sum() < 12
    rows = {row.theory: row for row in compare(setting, data)}
    assert rows["exact"].status is Status.AGREES
    assert rows["wrong"].status is Status.DISAGREES
    assert str(rows["ensemble"].verdict).startswith("not applicable: a standard error needs at least two seeds (")
