"""The simulator: pure, traceable in every scalar, and consistent with its definitions."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import scalar_fields
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import sample
from theorylab.settings.kernels.random_features.train import MODES, measured_modes, simulate

KEY = jax.random.key(5)
TINY = Config(num_samples=16, num_features=24, num_modes=60)


SLOW_MODELS = [pytest.param(model, marks=pytest.mark.slow) for model in ("relu_sphere", "erf_hypercube", "fourier")]


@pytest.mark.parametrize("model", ["gaussian", *SLOW_MODELS])
def test_simulate_can_be_mapped_over_every_scalar(model):
    config = dataclasses.replace(TINY, model=model, input_dim=5)
    used = [name for name in scalar_fields(Config) if name != "bandwidth"]
    values = {name: jnp.asarray(getattr(config, name)) * jnp.array([1.0, 1.1]) for name in used}

    def cell(scalars):
        return simulate(KEY, dataclasses.replace(config, **scalars))

    batch = jax.jit(jax.vmap(cell))(values)
    single = jax.jit(cell)({name: value[1] for name, value in values.items()})
    for name, value in single.items():
        np.testing.assert_allclose(batch[name][1], value, rtol=1e-8)
        assert np.all(np.isfinite(batch[name]))


def test_gaussian_population_risk_equals_the_mean_over_fresh_samples():
    """The risk computed from the coefficients is what new inputs and noisy labels would give."""
    config = dataclasses.replace(TINY, ridge=0.3, noise_variance=0.2)
    problem = sample(KEY, config)
    error = float(simulate(KEY, config)["test_error"])
    features = np.asarray(problem.train)
    theta = np.linalg.solve(features.T @ features + 0.3 * np.eye(24), features.T @ np.asarray(problem.labels))
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((40_000, 60))
    labels = inputs @ np.asarray(problem.test_targets) + np.sqrt(0.2) * rng.standard_normal((40_000, 1))
    squares = (labels - inputs @ np.asarray(problem.test) @ theta) ** 2
    assert abs(squares.mean() - error) < 4 * squares.std() / 200
    assert abs(squares.mean() - (error - 0.2)) > 4 * squares.std() / 200


def test_learned_coefficients_are_the_predictors_coefficients():
    for num_features in (24, math.inf):
        config = dataclasses.replace(TINY, num_features=num_features)
        learned = simulate(KEY, config)["learned_coefficients"]
        problem = sample(KEY, config)
        gram = problem.train if math.isinf(num_features) else problem.train @ problem.train.T
        dual = np.linalg.solve(np.asarray(gram) + 0.1 * np.eye(16), np.asarray(problem.labels))
        if not math.isinf(num_features):
            dual = np.asarray(problem.train).T @ dual
        ratio = (np.asarray(problem.test) @ dual / np.asarray(problem.test_targets))[:, 0]
        np.testing.assert_allclose(learned, ratio[np.array(MODES) - 1], rtol=1e-9)
    assert measured_modes(dataclasses.replace(TINY, num_modes=10)) == (1, 2, 5, 10)


def test_simulate_depends_on_the_key_alone():
    first, again = simulate(KEY, TINY), simulate(KEY, TINY)
    other = simulate(jax.random.key(6), TINY)
    assert float(first["test_error"]) == float(again["test_error"]) != float(other["test_error"])


def test_float32_follows_the_default_type():
    with jax.enable_x64(False):
        out = simulate(jax.random.key(5), TINY)
    assert out["test_error"].dtype == jnp.float32
    assert float(out["test_error"]) == pytest.approx(float(simulate(KEY, TINY)["test_error"]), rel=0.5)
