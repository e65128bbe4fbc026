"""The simulator is consistent with its definitions."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import instance, sample
from theorylab.settings.kernels.random_features.feature_maps import cube_target_power
from theorylab.settings.kernels.random_features.kernel_spectra import MODES
from theorylab.settings.kernels.random_features.train import simulate

KEY = jax.random.key(5)
TINY = Config(num_samples=16, num_features=24, num_modes=60)


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


@pytest.mark.slow
def test_learned_coefficients_of_real_features_are_projections_of_the_fit():
    """On the whole cube {-1, 1}^5, the mean over test points is close to the mean over the cube."""
    config = Config(model="erf_hypercube", input_dim=5, num_samples=60, num_features=math.inf, noise_variance=0.0)
    problem, _ = instance(KEY, config)
    dual = np.linalg.solve(np.asarray(problem.train) + 0.1 * np.eye(60), np.asarray(problem.labels))
    fitted, target = (np.asarray(problem.test) @ dual)[:, 0], np.asarray(problem.test_targets)[:, 0]
    learned = np.asarray(simulate(KEY, config)["learned_coefficients"])
    # <f̂, f> = Σ_l p_l · learned_l, the target's parts being orthogonal.
    powers = np.array(list(cube_target_power(5).values()))
    assert abs(np.mean(fitted * target) - powers @ learned) < 0.05
    assert abs(np.mean(fitted * target) - 0.8 * powers @ learned) > 0.05
