"""At rank 1 the spectrum is its largest value alone: no theory may read the smallest one from the configuration."""

import math

import numpy as np
import pytest

import theorylab as tl
from theorylab.settings.factorisation.factors import last_value, spectrum, target_spectrum


@pytest.mark.parametrize(("rank", "values"), [(1, [2.0]), (2, [2.0, 0.6]), (3, [2.0, 1.3, 0.6])])
@pytest.mark.parametrize("name", ["matrix_sensing", "robust_recovery"])
def test_the_last_value_is_the_spectrums(name, rank, values):
    config = tl.get(name).config(dim=6, target_rank=rank, model_rank=6, largest_value=2.0, smallest_value=0.6)
    np.testing.assert_allclose(spectrum(config), values)
    np.testing.assert_allclose(target_spectrum(config), values)
    assert last_value(config) == values[-1]


def test_a_smallest_value_above_the_largest_matters_from_rank_two_on():
    setting = tl.get("matrix_sensing")
    setting.validate(setting.config(target_rank=1, largest_value=0.5, smallest_value=0.6))
    with pytest.raises(tl.ConfigError, match=r"smallest_value = 0\.6"):
        setting.validate(setting.config(target_rank=2, largest_value=0.5, smallest_value=0.6))


@pytest.mark.parametrize(
    ("largest", "rate", "slope"), [(1.0, 0.025, math.log(1 - 0.1)), (2.0, 0.02, math.log(1 - 0.16))]
)
def test_the_slope_of_exact_rank_one(largest, rate, slope):
    setting = tl.get("matrix_sensing")
    config = setting.config(
        dim=20,
        target_rank=1,
        model_rank=1,
        num_steps=600,
        learning_rate=rate,
        loss_prefactor=1.0,
        largest_value=largest,
    )
    data = tl.sweep(setting, config, seeds=3)
    np.testing.assert_allclose(data["error_slope"], math.log(1 - 4 * rate * largest), rtol=1e-4)
    rows = [row for row in tl.compare(setting, data, theories=["exact_rank"]) if row.observable == "error_slope"]
    assert [str(row.verdict) for row in rows] == ["agrees"]
