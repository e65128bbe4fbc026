"""Trained layers of linear attention against their closed forms, each with theories that must be rejected."""

import dataclasses

import numpy as np
import pytest

from theorylab.lab.sweep import sweep
from theorylab.settings.in_context.linear_attention import SETTING, Config
from theorylab.settings.in_context.linear_attention.presets import GAPPED, MINIBATCHES, POOL
from theorylab.settings.in_context.linear_attention.theory import isotropic
from theorylab.verdict.compare import compare
from theorylab.verdict.rows import Status


def test_every_seed_reaches_the_closed_form_minimum():
    """Far closer than the theories declare, and by reading the labels."""
    data = sweep(SETTING, Config(num_test=200), {}, seeds=4)
    excess = data.final_loss - isotropic.isotropic_minimum_loss(20, 5, 0.25)
    assert float(abs(excess).max()) < 1e-12
    assert float(data.leak.max()) < 1e-10
    assert float(abs(data.fresh_task_loss - data.final_loss).max()) == 0  # no pool: every task is fresh


@pytest.mark.slow
@pytest.mark.tiny
def test_stuck_starts_are_set_aside():
    """At d = 2 half of the starts end at the rank-one saddle: said for each, and the others are judged."""
    data = sweep(SETTING, Config(dim=2, num_test=100), {}, seeds=16)
    stuck = data.leak.values > 1
    assert 3 <= stuck.sum() <= 13
    assert data.leak.values[~stuck].max() < 1e-10
    assert data.final_loss.values[stuck].min() > 1.1 * data.final_loss.values[~stuck].max()
    for row in compare(SETTING, data, theories=["minimum", "one_step"]):
        assert row.status is Status.AGREES
        assert (row.judged_seeds, row.set_aside) == (16 - stuck.sum(), f"{stuck.sum()} stuck at the rank-one saddle")
    everything = dataclasses.replace(SETTING.theory("minimum"), sets_aside={})
    assert all(row.failed for row in compare(SETTING, data, theories=[everything]))


@pytest.mark.slow
def test_a_gap_in_the_spectrum_makes_local_minima():
    """Above an exponent of about 0.9 some starts end in a strict local minimum; the best of 12 is the global one."""
    config = dataclasses.replace(GAPPED, num_test=100, num_steps=2000)
    data = sweep(SETTING, config, {}, seeds=3)
    rows = compare(SETTING, data, config, {}, theories=["minimum", "one_step"])
    assert {row.status for row in rows} == {Status.AGREES}
    assert 0.05 < float(data.stuck_starts.mean()) < 0.8


@pytest.mark.slow
def test_few_tasks():
    """The best of several starts is at the pool's optimum, which is worse on fresh tasks."""
    data = sweep(SETTING, dataclasses.replace(POOL, num_test=100, num_steps=2000), {}, seeds=3)
    rows = compare(SETTING, data, theories=["minimum", "one_step"])
    assert {row.status for row in rows} == {Status.AGREES}
    assert {row.observable for row in rows} >= {"final_loss", "fresh_task_loss", "preconditioner"}
    assert float((data.fresh_task_loss - data.final_loss).min()) > 0.01


@pytest.mark.slow
def test_fresh_prompts_by_their_statistics():
    """A smoke test of the minibatch trainer: it tells d + 1 from d in the median seed, not in each."""
    config = dataclasses.replace(MINIBATCHES, num_steps=800, num_test=200)
    data = sweep(SETTING, config, {}, seeds=6)
    rows = compare(SETTING, data, config, {}, theories=["minimum", "one_step", "context_length"])
    assert {row.status for row in rows} == {Status.AGREES}
    learned = data.learned_rate.values
    right, wrong = 20 / 26.25, 20 / 25.25
    assert np.median(np.abs(learned / right - 1)) < 0.02
    assert np.all(np.abs(learned / right - 1) < 0.025)
    assert np.median(np.abs(learned - right)) < np.median(np.abs(learned - wrong))
