"""Bad input, the stability bound, and thresholds that are not reached."""

import math

import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.lab.grid import make_plan
from theorylab.settings.two_layer.grokking import SETTING, Config
from theorylab.settings.two_layer.grokking.config import initial_eigenvalue, largest_eigenvalue
from theorylab.settings.two_layer.grokking.theory.times import feature_time, lazy_memorisation_time
from theorylab.settings.two_layer.grokking.times import (
    censored_median,
    first_crossing,
    grokking_times,
    halfway_threshold,
)


def test_learning_rates_above_the_bound_are_refused_with_a_suggestion():
    bound = 2 / initial_eigenvalue(Config())
    SETTING.validate(Config(scaled_learning_rate=0.99 * bound))
    with pytest.raises(ConfigError, match=rf"stable below 2/λ_max = {bound:.4g} .* use {bound / 2:.3g}"):
        SETTING.validate(Config(scaled_learning_rate=1.01 * bound))


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match=r"quadratic_coeff = 0 .* linear network cannot learn"):
        SETTING.validate(Config(quadratic_coeff=0.0))
    with pytest.raises(ConfigError, match="width = inf"):
        SETTING.validate(Config(trainer="network"))
    with pytest.raises(ConfigError, match="spike_overlap"):
        SETTING.validate(Config(planted=True, spike_overlap=-0.1))


def test_what_cannot_work_is_warned_of():
    with pytest.warns(UserWarning, match="may diverge once features are learned"):
        SETTING.validate(Config(output_scale=0.25, quadratic_coeff=1.0, scaled_learning_rate=0.08))
    with pytest.warns(UserWarning, match="the initial output has noise"):
        SETTING.validate(Config(width=50, output_scale=8.0))


@pytest.mark.parametrize(
    ("ratio", "strength", "spike", "tolerance"),
    [(4, 0.25, 0, 0.05), (4, 9.0, 0, 0.08), (0.5, 1.0, 0, 0.05), (4, 1.0, 0.5, 0.2)],
)
def test_largest_eigenvalue_is_that_of_drawn_kernels(ratio, strength, spike, tolerance):
    dim, values = 120, []
    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal((int(ratio * dim), dim)) / np.sqrt(dim)
        gram, h = x @ x.T, x[:, 0] * np.sqrt(dim)
        values.append(np.linalg.eigvalsh(gram * (1 + strength * gram + spike * np.outer(h, h)))[-1])
    assert np.mean(values) == pytest.approx(largest_eigenvalue(ratio, strength, spike), rel=tolerance)


# --- thresholds -------------------------------------------------------------------------------------------------------

TIMES = np.array([0.0, 1.0, 2.0, 4.0, 8.0])


def test_crossings_are_interpolated_in_the_logarithm():
    decay = np.exp(-TIMES)
    assert float(first_crossing(TIMES, decay, 0.05)) == pytest.approx(math.log(20))
    times = grokking_times(TIMES, decay, np.exp(-TIMES / 4))
    assert float(times.test_time) == pytest.approx(4 * math.log(1 / 0.15))
    assert float(times.gap) == pytest.approx(math.log10(4 * math.log(1 / 0.15) / math.log(20)))
    assert float(first_crossing(TIMES, decay, 2.0)) == 0.0
    assert float(halfway_threshold(np.array([0.5, 0.64, 0.01]))) == pytest.approx(0.08)


def test_what_is_not_reached_is_censored_and_not_averaged():
    stuck = np.full(5, 0.4)
    times = grokking_times(TIMES, np.exp(-TIMES), stuck)
    assert math.isnan(float(times.test_time))
    assert math.isnan(float(times.gap))
    assert float(times.train_time) == pytest.approx(math.log(20))
    runs = np.array([1.0, 3.0, np.nan, 5.0, np.nan])
    median = censored_median(runs, end=8.0)
    assert (median.median, median.reached, median.censored, median.end) == (5.0, 3, 2, 8.0)
    assert median.median > np.nanmedian(runs)  # leaving the slow runs out would make grokking look fast
    assert math.isnan(censored_median(np.array([1.0, np.nan, np.nan]), 8.0).median)
    assert censored_median(np.array([1.0, 2.0, 3.0, np.nan]), 8.0).median == 2.5
    assert math.isnan(censored_median(np.array([1.0, np.nan]), 8.0).median)


def test_time_scales():
    assert float(feature_time(2.0, 0.5)) == 4
    slow = float(lazy_memorisation_time(0.25, 4.0))
    assert 0.5 * (1 - 1 / 4) * math.exp(-2 * 0.25**2 * slow) == pytest.approx(0.05)
    assert float(lazy_memorisation_time(0.25, 4.0, threshold=0.5)) == 0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_presets_are_valid():
    for cases in (*SETTING.presets.values(), *SETTING.sweeps.values()):
        for case in cases:
            make_plan(SETTING, case.config, case.grid)
