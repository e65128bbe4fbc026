"""The slope over seeds: right theories of random sign agree at the level of four sigma, wrong ones do not."""

import dataclasses
import math

import numpy as np
import pytest
import toy
from scipy.special import ndtr

from theorylab.contract import ContractError
from theorylab.lab.sweep import sweep
from theorylab.verdict.compare import compare
from theorylab.verdict.judge import Runs, judge
from theorylab.verdict.rows import Status
from theorylab.verdict.slope import slopes

REPETITIONS = 200
RESIDUAL = 0.2


def failing(values, predicted, declared=0.0, residual=None):
    """How many of many groups of seeds are rejected by their slope."""
    declared = np.full(len(values), declared)
    residual = None if residual is None else np.full(len(values), residual)
    return int((slopes(values, predicted, declared=declared, z_max=4.0, residual=residual).ratio > 1).sum())


def random_sign(seeds, repetitions=REPETITIONS, entries=()):
    random = np.random.default_rng(seeds)
    truth = random.normal(size=(repetitions, seeds, *entries))
    return truth, truth + RESIDUAL * random.normal(size=truth.shape)


WRONG = {
    "flipped sign": lambda p: -p,
    "halved": lambda p: p / 2,
    "doubled": lambda p: 2 * p,
    "constant": lambda p: 0 * p,
    "constant and noise": lambda p: 1e-3 * np.roll(p, 1, axis=1),
}


@pytest.mark.parametrize("seeds", [8, 20, 40, 400])
def test_right_theories_of_random_sign_agree(seeds):
    """Three one-sided conditions at four sigma: at most one of 200 repetitions, where 0.02 is expected."""
    p, y = random_sign(seeds)
    assert failing(y, p) <= 1
    assert failing(y, p, residual=RESIDUAL) <= 1


@pytest.mark.parametrize("seeds", [8, 20, 40, 400])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_theories_of_random_sign_are_rejected(name, seeds):
    """All of them where the residual is declared and seeds are at least 20; their mean is right, 0."""
    p, y = random_sign(seeds)
    rejected = failing(y, WRONG[name](p), residual=RESIDUAL)
    assert rejected > (0.9 if seeds > 8 or name not in ("halved", "doubled") else 0.1) * REPETITIONS
    if "constant" not in name and seeds >= 20:  # without any declaration
        assert failing(y, WRONG[name](p)) > 0.85 * REPETITIONS


@pytest.mark.parametrize("seeds", [4, 8, 20, 100])
def test_false_alarms(seeds):
    """Below 1 in 2000 for predictions and residuals of several kinds; heavy tails both of which grow: below 1 in 70."""
    count = 20_000 if seeds < 50 else 4000
    random = np.random.default_rng(seeds)
    p, e = random.normal(size=(2, count, seeds))
    skewed = np.exp(p)
    for predicted, values in (
        (p, p + 0.8 * e),
        (p, p + 0.2 * random.standard_t(3, size=e.shape)),
        (random.integers(0, 2, p.shape), None),
        (np.where(random.random(p.shape) < 0.1, 1.0, 0.0), None),
        (skewed, skewed + 0.3 * e),
        (p + 0.5 * random.normal(size=e.shape), p + 0.3 * e),  # a theory with noise of its own
    ):
        values = predicted + 0.2 * e if values is None else values
        assert failing(values, predicted) <= count / 2000
    assert failing(p * (1 + 0.1 * e), p) <= count / 400  # a residual that grows, where 1e-3 was measured
    assert failing(skewed**1.5 * (1 + 0.1 * e), skewed**1.5) <= count / 70
    assert failing(skewed * (1 + 0.1 * e), skewed, declared=0.1) <= count / 2000


@pytest.mark.parametrize("seeds", [8, 20, 40])
def test_accuracies_that_saturate(seeds):
    """Most seeds are at 0 or 1; those near the median vary little, and by noise. It is not normal: below 1 in 70."""
    count = 4000
    random = np.random.default_rng(seeds)
    p, e = random.normal(size=(2, count, seeds))
    values = np.round(ndtr(4 * (p - 0.8) + e), 2)
    predicted = ndtr(4 / np.sqrt(2) * (p - 0.8))  # the mean over e
    assert failing(values, predicted, declared=0.05, residual=0.4) <= count / 70
    assert failing(1 - values, predicted, declared=0.05, residual=0.4) > (0.1 if seeds == 8 else 0.9) * count
    assert failing(values, np.full_like(predicted, 0.5), declared=0.05, residual=0.4) > 0.9 * count


def test_the_declared_error_tilts_the_slope():
    """By ε for a quantity of random sign, by more where predictions hardly vary: there nothing can be said."""
    p, y = random_sign(400)
    assert failing(0.8 * y, p) > 0.9 * REPETITIONS
    assert failing(0.8 * y, p, declared=0.25) == 0
    near_one = 1 + 0.01 * p
    assert failing(1 + 0.01 * -y, near_one) == REPETITIONS
    assert failing(1 + 0.01 * -y, near_one, declared=0.02) == 0


def test_what_does_not_vary_is_not_judged():
    p, y = random_sign(20, entries=(2,))
    assert (slopes(y, 0 * p, declared=np.zeros(len(p)), z_max=4.0).ratio == -1).all()
    hardly = slopes(y, 0.1 * p[:, ::-1], declared=np.zeros(len(p)), z_max=4.0)  # less than the residual
    assert (hardly.ratio == -1).mean() > 0.99
    assert np.isnan(hardly.slope).mean() > 0.99
    few = slopes(y[:, :3], p[:, :3], declared=np.zeros(len(p)), z_max=4.0)
    assert (few.ratio == -1).all()
    # Rounding is no scatter, not even of a prediction that is the same for all seeds.
    assert (slopes(np.ones((1, 9)) + 1e-15 * y[:1, :9, 0], np.ones((1, 9)), declared=np.zeros(1), z_max=4.0,
                   residual=np.array([0.1])).ratio <= 1).all()  # fmt: skip


def test_missing_values_are_left_out():
    p, y = random_sign(20, 5)
    y[:, :3] = np.nan
    p[:, 3] = np.inf
    some = slopes(y, p, declared=np.zeros(5), z_max=4.0)
    rest = slopes(y[:, 4:], p[:, 4:], declared=np.zeros(5), z_max=4.0)
    np.testing.assert_allclose(some.slope, rest.slope)
    np.testing.assert_allclose(some.error, rest.error)
    with np.errstate(all="raise"):
        nothing = slopes(np.full((2, 5), np.nan), p[:2, :5], declared=np.zeros(2), z_max=4.0)
    assert (nothing.ratio == -1).all()


def test_a_row_says_what_is_wrong():
    p, y = random_sign(40, 1, entries=(3,))
    runs = Runs(y[0], np.arange(40), np.full(40, -1), False)
    right = judge(runs, p[0], kind="instance", declared=0.0, z_max=4.0)
    assert right["verdict"].status is Status.AGREES
    assert right["slope"] == pytest.approx(1, abs=4 * right["slope_error"])
    flipped = p[0] * np.array([1, -1, 1])
    wrong = judge(runs, flipped, kind="instance", declared=0.0, z_max=4.0)
    assert wrong["verdict"].status is Status.DISAGREES
    assert wrong["position"] == (1,)
    assert wrong["verdict"].reason.startswith("over seeds the slope of simulation on theory is -0.9")
    assert wrong["verdict"].reason.endswith("below 0")
    assert abs(wrong["empirical"] - wrong["predicted"]) <= wrong["tolerance"]  # the mean says nothing


def test_a_setting_whose_theory_follows_the_wrong_way():
    """The sample mean about its expectation, with the other sign: right on average, wrong in every seed."""

    def mirrored(key, config):
        return {"sample_mean": 2 * config.mean - toy.sample(key, config).mean()}

    def expectation(key, config):
        return {"sample_mean": config.mean}

    data = sweep(toy.SETTING, toy.Config(), seeds=20)
    right = dataclasses.replace(toy.exact, kind="instance", predicts=("sample_mean",), error=0.0)
    for predict, residual, fails in (
        (right.predict, None, False),
        (mirrored, None, True),
        (expectation, None, False),
        (mirrored, math.inf, False),
        (expectation, {"sample_mean": 0.1}, True),
        (expectation, lambda config, observable: 0.1, True),
    ):
        (row,) = compare(toy.SETTING, data, theories=[dataclasses.replace(right, predict=predict, residual=residual)])
        assert row.failed == fails, row


def test_a_residual_is_declared_by_theories_of_the_instance():
    with pytest.raises(ContractError, match="residual is for kind = 'instance'"):
        dataclasses.replace(toy.ensemble, residual={"sample_mean": 0.1})
    with pytest.raises(ContractError, match="residual of 'path', which it does not predict"):
        dataclasses.replace(toy.exact, kind="instance", predicts=("sample_mean",), residual={"path": 0.1})
    some = dataclasses.replace(toy.exact, kind="instance", residual={"path": 0.1})
    assert some.relative_residual(toy.Config(), "path") == 0.1
    assert math.isnan(some.relative_residual(toy.Config(), "sample_mean"))
    with pytest.raises(ContractError, match="must be above 0"):
        dataclasses.replace(some, residual=0.0).relative_residual(toy.Config(), "path")
