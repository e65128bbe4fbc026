"""The ridge path against direct solves, and the width sweep against the ridge path."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import sample
from theorylab.settings.kernels.random_features.train import simulate
from theorylab.settings.kernels.ridge_path import ridge_path, solve
from theorylab.settings.kernels.width_sweep import shifted_solves, sweep_widths

KEY = jax.random.key(0)
BASE = Config(num_samples=30, num_modes=80, noise_variance=0.3)
REGIMES = [20, 30, 45, math.inf]


def direct(problem: Problem, ridge: float, kernel: bool) -> tuple[float, float, float]:
    """Test error, train error and GCV from one dense solve, or a pseudo-inverse at ridge 0."""
    train, y = np.asarray(problem.train), np.asarray(problem.labels)
    gram = train if kernel else train @ train.T
    cross = np.asarray(problem.test) if kernel else np.asarray(problem.test) @ train.T
    n = len(y)
    if ridge == 0 and not kernel:
        theta = np.linalg.pinv(train) @ y
        prediction, residual = np.asarray(problem.test) @ theta, y - train @ theta
        gcv = math.nan
    else:
        inverse = np.linalg.inv(gram + ridge * np.eye(n))
        prediction, residual = cross @ inverse @ y, y - gram @ inverse @ y
        dual = inverse @ y
        gcv = n * float(np.sum(dual**2)) / np.trace(inverse) ** 2
    error = float(problem.test_weight) * np.sum((np.asarray(problem.test_targets) - prediction) ** 2)
    return error + float(problem.noise_variance), float(np.sum(residual**2) / n), gcv


@pytest.mark.parametrize("num_features", REGIMES)
@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1, 10.0])
def test_ridge_path_equals_a_direct_solve(num_features, ridge):
    kernel = math.isinf(num_features)
    problem = sample(KEY, dataclasses.replace(BASE, num_features=num_features))
    fit = solve(ridge_path(problem, kernel=kernel), ridge)
    test, train, gcv = direct(problem, ridge, kernel)
    # n = k without a ridge: the smallest of 30 singular values decides, squared by the dense solve.
    tolerance = 1e-6 if num_features == 30 else 1e-8
    assert float(fit.test_error) == pytest.approx(test, rel=tolerance)
    assert float(fit.train_error) == pytest.approx(train, rel=tolerance, abs=1e-14)
    gram = np.asarray(problem.train if kernel else problem.train @ problem.train.T)
    if ridge > 0 or num_features > 30:
        trace = np.sum(1 / (np.linalg.eigvalsh(gram) + ridge))
        assert float(fit.inverse_trace) == pytest.approx(1 / trace, rel=1e-7)
    elif num_features == 20:
        assert float(fit.inverse_trace) == 0
    if not math.isnan(gcv) and (ridge > 1e-3 or num_features != 20):
        assert float(fit.gcv) == pytest.approx(gcv, rel=tolerance)


@pytest.mark.parametrize("kernel", [False, True])
def test_rank_deficient_training_set_gives_the_pseudo_inverse(kernel):
    problem = sample(KEY, dataclasses.replace(BASE, num_features=math.inf if kernel else 45))
    rows = jnp.array([*range(29), 0])
    train = problem.train[rows][:, rows] if kernel else problem.train[rows]
    test = problem.test[:, rows] if kernel else problem.test
    repeated = problem._replace(train=train, test=test)
    fit = solve(ridge_path(repeated, kernel=kernel), 0.0)
    pinv = np.linalg.pinv(np.asarray(train), rcond=1e-12)
    prediction = np.asarray(test) @ pinv @ np.asarray(problem.labels)
    np.testing.assert_allclose(fit.prediction, prediction, rtol=1e-7, atol=1e-9)
    assert np.isfinite(float(fit.gcv))
    # The two labels of the repeated point cannot both be fitted.
    gap = float(problem.labels[0, 0] - problem.labels[29, 0]) ** 2 / 2 / 30
    assert float(fit.train_error) == pytest.approx(gap, rel=1e-8)


def test_tiny_ridges_keep_their_digits():
    """At ridge 1e-13 |K| a Gram matrix would have lost the small modes; the SVD does not."""
    scales = jnp.logspace(0, -6, 12)
    orthogonal, _ = jnp.linalg.qr(jax.random.normal(KEY, (12, 12)))
    train = orthogonal * scales[None, :]
    problem = Problem(
        train, orthogonal @ jnp.ones((12, 1)), jnp.eye(12), jnp.zeros((12, 1)), jnp.ones(()), jnp.zeros(())
    )
    fit = solve(ridge_path(problem), 1e-13)
    np.testing.assert_allclose(fit.prediction[:, 0], scales / (scales**2 + 1e-13), rtol=1e-8)


@pytest.mark.parametrize("num_features", [45, math.inf, 20])
def test_gcv_and_errors_are_continuous_at_ridge_zero(num_features):
    problem = sample(KEY, dataclasses.replace(BASE, num_features=num_features))
    decomposition = ridge_path(problem, kernel=math.isinf(num_features))
    at_zero, near_zero = solve(decomposition, 0.0), solve(decomposition, 1e-11)
    for name in ("test_error", "gcv"):
        value = float(getattr(at_zero, name))
        assert np.isfinite(value)
        assert value == pytest.approx(float(getattr(near_zero, name)), rel=1e-5)
    if num_features != 20:
        assert float(at_zero.train_error) == 0


@pytest.mark.parametrize(("num_features", "primitive"), [(45, "svd"), (math.inf, "eigh")])
def test_one_decomposition_serves_all_ridges(num_features, primitive):
    base = dataclasses.replace(BASE, num_features=num_features)
    ridges = jnp.logspace(-3, 1, 7)

    def one(key):
        return jax.vmap(lambda ridge: simulate(key, dataclasses.replace(base, ridge=ridge)))(ridges)

    jaxpr = jax.make_jaxpr(jax.vmap(one))(jax.random.split(KEY, 3)).jaxpr
    shapes = [e.invars[0].aval.shape for e in _equations(jaxpr) if e.primitive.name == primitive]
    # A batch of the 3 keys, not of 3 x 7 cells.
    assert len(shapes) == 1
    assert shapes[0][:-2] == (3,)


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from _equations(inner)


# --- all widths at once -------------------------------------------------------------------------------


@pytest.mark.parametrize("widths", [pytest.param((1, 7, 29, 30, 31, 45), marks=pytest.mark.slow), (5, 12), (30, 45)])
def test_width_sweep_equals_separate_fits(widths):
    problem = sample(KEY, dataclasses.replace(BASE, num_features=45))
    ridges = jnp.array([1e-4, 1e-2, 1.0])
    sweep = jax.jit(sweep_widths, static_argnums=1)(problem, widths, ridges)
    for row, width in enumerate(widths):
        decomposition = ridge_path(sample(KEY, dataclasses.replace(BASE, num_features=width)))
        fits = jax.vmap(lambda ridge, d=decomposition: solve(d, ridge))(ridges)
        np.testing.assert_allclose(sweep.test_error[row], fits.test_error, rtol=1e-9)
        np.testing.assert_allclose(sweep.train_error[row], fits.train_error, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_shifted_solves_equal_dense_solves(size):
    a = jax.random.normal(KEY, (size, size + 2))
    right = jnp.ones((size, 2))
    solutions = shifted_solves(a @ a.T, right, jnp.array([0.1, 2.0]))
    for index, shift in enumerate((0.1, 2.0)):
        dense = np.linalg.solve(np.asarray(a @ a.T) + shift * np.eye(size), np.asarray(right))
        np.testing.assert_allclose(solutions[:, index], dense, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", [(), (3, 2), (2, 2), (0, 3), (10, 46)])
def test_width_sweep_rejects_bad_widths(widths):
    problem = sample(KEY, dataclasses.replace(BASE, num_features=45))
    with pytest.raises(ValueError, match="widths"):
        sweep_widths(problem, widths, jnp.array([0.1]))
