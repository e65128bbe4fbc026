"""The sweeps behind the figures of random features, and the theory drawn in them."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from shared import TABLE, TABLE_RIDGES

from theorylab.lab.sweep import sweep

sys.path.insert(0, str(Path(__file__).parents[2]))  # the scripts are run from the root of the repository
experiments = importlib.import_module("experiments.random_features")


def test_sizes_of_one_instance_are_those_of_a_plain_sweep(tmp_path):
    case = experiments.cases("tiny")["gaussian_width"]
    data = experiments.results("gaussian_width", "tiny", tmp_path)
    grid = {"num_samples": [40], "num_features": [20], "ridge": [0.01]}
    plain = sweep(experiments.SETTING, case.config, grid, seeds=case.seeds)
    for name in ("test_error", "train_error"):
        np.testing.assert_allclose(plain[name], data[name].sel(grid).transpose(*plain[name].dims), rtol=1e-8)


def test_theory_of_figure_1_has_the_published_values():
    config = experiments.Config(num_modes=10_000, noise_variance=0.5)
    sizes = {"num_samples": 256, "num_features": np.array(list(TABLE))[:, None], "ridge": np.array(TABLE_RIDGES)}
    table = np.array(list(TABLE.values()))
    np.testing.assert_allclose(experiments.theory(config, **sizes)["test_error"], table, rtol=2e-4)
    wrong = experiments.theory(config, **(sizes | {"ridge": 256 * np.array(TABLE_RIDGES)}))["test_error"]
    assert np.all(abs(wrong / table - 1) > 2e-4)


@pytest.mark.slow
def test_noise_on_trained_points_of_a_finite_population():
    """Noise that is interpolated adds σ² to the distance from the target on trained points, not -σ²."""
    config = experiments.Config(
        model="digits", population=400, num_samples=80, num_features=np.inf, noise_variance=4.0, ridge=0.0
    )
    data = sweep(experiments.SETTING, config, {}, seeds=24).test_error
    predicted = experiments.theory(config)["test_error"]
    error = 4 * data.std("seed", ddof=1).item() / np.sqrt(24)
    assert abs(data.mean("seed").item() - predicted) < error + 0.08 * predicted
    test = experiments.predict_errors(experiments.spectrum_of(config), 80, np.inf, 0.0, 4.0)["test_error"]
    opposite_sign = (400 * (test - 4) + 80 * 4) / 320 + 4
    assert abs(data.mean("seed").item() - opposite_sign) > error + 0.08 * opposite_sign


def test_exponents_are_read_off_power_laws():
    import xarray

    n = np.array([10.0, 100.0, 1000.0])
    shape, dims = (3, 1, 1, 2), ("num_samples", "num_features", "ridge", "seed")
    values = {"inverse_trace": 3 * n**-1.7, "test_error": 2 * n**-0.4}
    data = xarray.Dataset(
        {name: (dims, np.broadcast_to(v[:, None, None, None], shape)) for name, v in values.items()},
        coords={"num_samples": n},
    )
    np.testing.assert_allclose(experiments.measured_exponents(data, 10), (1.7, 1.4))
