"""The simulator is consistent with its definitions."""

import dataclasses
import math

import jax
import numpy as np
import pytest

from theorylab.numerics import random
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import instance, sample
from theorylab.settings.kernels.random_features.feature_maps import cube_target_power
from theorylab.settings.kernels.random_features.kernel_spectra import MODES
from theorylab.settings.kernels.random_features.train import simulate

KEY = jax.random.key(5)
TINY = Config(num_samples=16, num_features=24, num_modes=60)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "model",
    ["gaussian", *(pytest.param(name, marks=pytest.mark.slow) for name in ("relu_sphere", "erf_hypercube", "fourier"))],
)
def test_errors_are_means_over_draws_of_labels(model):
    """The first draw is that of a single one; the others have other noise and signs, and targets of the same power."""
    one = dataclasses.replace(TINY, model=model, num_features=24, input_dim=5, ridge=0.3)
    config = dataclasses.replace(one, label_draws=4)
    problem, first = sample(KEY, config), sample(KEY, one)
    labels, targets = 2 * np.asarray(problem.labels), 2 * np.asarray(problem.test_targets)
    np.testing.assert_allclose(labels[:, :1], first.labels, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(targets[:, :1], first.test_targets, rtol=1e-9, atol=1e-12)
    assert np.linalg.matrix_rank(labels) == np.linalg.matrix_rank(targets) == 4
    powers = np.sum(targets**2, axis=0)
    np.testing.assert_allclose(powers, powers[0], rtol=1e-10 if model in ("gaussian", "fourier") else 0.3)
    train, test = np.asarray(problem.train), np.asarray(problem.test)
    dual = np.linalg.solve(train @ train.T + 0.3 * np.eye(16), labels)
    errors = float(problem.test_weight) * np.sum((targets - test @ train.T @ dual) ** 2, axis=0) + 0.1
    found = simulate(KEY, config)
    assert float(found["test_error"]) == pytest.approx(errors.mean(), rel=1e-9)
    assert float(found["train_error"]) == pytest.approx(np.mean((0.3 * dual) ** 2), rel=1e-9)
    assert np.std(errors) > 0.01 * errors.mean()


@pytest.mark.parametrize("num_features", [24, 12, math.inf])
def test_learned_coefficients_are_means_over_noise_and_signs(num_features):
    """The mean of v̂_i/v_i over label noise and the signs of the other coefficients, for inputs and features at hand."""
    config = dataclasses.replace(TINY, num_features=num_features)
    learned = simulate(KEY, config)["learned_coefficients"]
    problem, modes, _ = instance(KEY, config)
    train, test = np.asarray(problem.train), np.asarray(problem.test)
    gram = train if math.isinf(num_features) else train @ train.T
    solved = np.linalg.inv(gram + 0.1 * np.eye(16))
    fit = test @ (solved if math.isinf(num_features) else train.T @ solved)  # labels -> coefficients
    rows = np.array(MODES) - 1
    np.testing.assert_allclose(learned, np.diag(fit[rows] @ np.asarray(modes)), rtol=1e-9)
    # All modes' values at the training points: what the labels are without noise.
    target = np.asarray(problem.test_targets)[:, 0]
    inputs = np.asarray(sample_inputs(KEY, config))
    rng = np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (4000, 60))
    labels = inputs @ (signs * target).T + np.sqrt(0.1) * rng.standard_normal((16, 4000))
    ratios = (fit @ labels)[rows] / (signs * target).T[rows]
    assert np.all(abs(ratios.mean(1) - learned) < 4 * ratios.std(1) / np.sqrt(4000))
    assert np.all(ratios.std(1) > 0.05)  # what one set of labels scatters by


def sample_inputs(key, config):
    """The Gaussian model's inputs, which its modes are: every one of 60 is measured where 60 modes are named."""
    return random.normal(random.split(key, 3)[0], config.num_samples, config.num_modes)


@pytest.mark.slow
def test_learned_coefficients_of_real_features_are_projections_of_the_fit():
    """On the whole cube {-1, 1}^5, the mean over test points is close to the mean over the cube."""
    config = Config(model="erf_hypercube", input_dim=5, num_samples=60, num_features=math.inf, noise_variance=0.0)
    problem, modes, projections = instance(KEY, config)
    dual = np.linalg.solve(np.asarray(problem.train) + 0.1 * np.eye(60), np.asarray(modes))
    fitted = np.asarray(problem.test) @ dual
    learned = np.asarray(simulate(KEY, config)["learned_coefficients"])
    np.testing.assert_allclose(learned, np.sum(np.asarray(projections) * fitted, axis=0), rtol=1e-9)
    # The target is the sum of its parts, whose powers are known.
    np.testing.assert_allclose(np.asarray(modes).sum(1), np.asarray(problem.labels)[:, 0], rtol=1e-9)
    at_test = np.asarray(projections) / np.sum(np.asarray(projections) ** 2, axis=0)
    np.testing.assert_allclose(np.mean(at_test**2, axis=0), list(cube_target_power(5).values()), rtol=0.15)
