"""Each theory against an independent computation, and slightly wrong ones that the same check rejects."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from theorylab.settings.two_layer.grokking.config import Config
from theorylab.settings.two_layer.grokking.data import initial_moments
from theorylab.settings.two_layer.grokking.model import alignment, network_output, quadratic_activation
from theorylab.settings.two_layer.grokking.moments import (
    AffineMap,
    Moments,
    isotropic_risk,
    linearised_moments,
    moments_of,
    moments_output,
    population_risk,
    tangent_kernel,
    transform,
)
from theorylab.settings.two_layer.grokking.predictions import lazy as lazy_theory
from theorylab.settings.two_layer.grokking.theory.lazy import kernel_regression, lazy_curves
from theorylab.settings.two_layer.grokking.theory.marchenko_pastur import bulk, memorisation
from theorylab.settings.two_layer.grokking.theory.ntk import population_eigenvalues
from theorylab.settings.two_layer.grokking.theory.population import (
    OrderParameters,
    escape_time,
    population_curves,
    population_map,
)
from theorylab.settings.two_layer.grokking.train import simulate

RNG = np.random.default_rng(2)


# --- test loss --------------------------------------------------------------------------------------------------------


def test_risk_is_that_of_fresh_samples_and_has_no_factor_to_drop():
    dim, alpha, eps = 12, 1.3, 0.5
    beta = np.sqrt(dim) * np.eye(dim)[0]
    weights = RNG.standard_normal((30, dim)) + 0.4
    mean, second = weights.mean(0), weights.T @ weights / 30
    risk = population_risk(Moments(jnp.asarray(mean), jnp.asarray(second)), jnp.asarray(beta), alpha, eps)
    x = RNG.standard_normal((400_000, dim)) / np.sqrt(dim)
    h = x @ weights.T
    squares = ((x @ beta) ** 2 / 2 - alpha * (h + eps / 2 * h * h).mean(1)) ** 2
    error = squares.std() / np.sqrt(len(x))
    a, b, c = map(float, risk)

    def agrees(predicted):
        return abs(squares.mean() - predicted) <= 3 * error

    assert agrees(a + b + c)
    assert agrees(float(risk.total))
    wrong = {"A without 1/4": 4 * a + b + c, "B without 1/2": a + 2 * b + c, "C without α²": a + b + c / alpha**2}
    wrong["without linear power"] = a + b
    assert not [name for name, value in wrong.items() if agrees(value)]


def test_isotropic_risk():
    beta = jnp.sqrt(12.0) * jnp.eye(12)[0]
    start = population_risk(initial_moments(beta, 1 / 12, 0.7), beta, 1.3, 0.5)
    np.testing.assert_allclose(start, isotropic_risk(12, 1.3, 0.5, 0.7), rtol=1e-12)


# --- tangent kernel -----------------------------------------------------------------------------------------------


def test_kernel_is_that_of_the_gradients():
    weights, inputs = jnp.asarray(RNG.standard_normal((7, 5)) + 0.3), jnp.asarray(RNG.standard_normal((6, 5)))
    alpha, eps = 1.7, 0.4
    jacobian = np.asarray(
        jax.jit(jax.jacrev(lambda w: network_output(w, inputs, alpha, quadratic_activation(eps))))(weights)
    ).reshape(6, -1)
    kernel = 7 / alpha**2 * jacobian @ jacobian.T
    moments = moments_of(weights)
    np.testing.assert_allclose(tangent_kernel(moments, inputs, eps), kernel, rtol=1e-12)
    frozen = Moments(jnp.zeros(5), jnp.eye(5))  # the kernel at infinite width is another one
    assert np.abs(np.asarray(tangent_kernel(frozen, inputs, eps)) / kernel - 1).max() > 0.1
    y = np.ones(6)
    assert float(alignment(jnp.asarray(np.outer(y, y)), jnp.asarray(y))) == pytest.approx(1)


def test_population_eigenvalues_by_quadrature():
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    x = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2) / np.sqrt(2)
    p = np.outer(weights, weights).ravel() / (2 * np.pi)
    kernel = (x @ x.T) + 0.6**2 * (x @ x.T) ** 2
    linear, quadratic = population_eigenvalues(2, 0.6)
    for function, value in (
        (x[:, 0], linear),
        (x[:, 0] * x[:, 1], quadratic),
        (x[:, 0] ** 2 - x[:, 1] ** 2, quadratic),
    ):
        np.testing.assert_allclose(kernel @ (p * function), float(value) * function, atol=1e-12)


# --- the lazy network ---------------------------------------------------------------------------------------------


def test_lazy_network_is_gradient_descent_on_the_linearised_one():
    dim, count, width, alpha, eps, gamma, steps = 10, 25, 8, 1.2, 0.5, 0.1, 60
    x, fresh = (RNG.standard_normal((n, dim)) / np.sqrt(dim) for n in (count, 9))
    weights, y = RNG.standard_normal((width, dim)), RNG.standard_normal(count)

    def output_and_jacobian(points):
        h = points @ weights.T
        jacobian = alpha / width * ((1 + eps * h)[:, :, None] * points[:, None, :]).reshape(len(points), -1)
        return alpha * (h + eps / 2 * h * h).mean(1), jacobian

    (start, jacobian), (start_fresh, jacobian_fresh) = output_and_jacobian(x), output_and_jacobian(fresh)
    change, residuals = np.zeros(width * dim), []
    for _ in range(steps):
        residuals.append(y - start - jacobian @ change)
        change = change + gamma * width / alpha**2 * jacobian.T @ residuals[-1]

    options = {"output_scale": alpha, "quadratic_coeff": eps}

    @jax.jit
    def theory(x, weights, y, fresh):
        moments = moments_of(weights)
        kernel = tangent_kernel(moments, x, eps)
        residual = y - moments_output(moments, x, alpha, eps)
        curves = lazy_curves(x, residual, moments, kernel, (0, 1, 30, steps), scaled_learning_rate=gamma, **options)
        last = Moments(curves.moments.mean[-1], curves.moments.second[-1])
        limit = kernel_regression(x, residual, moments, kernel, **options)
        return kernel, curves, moments_output(last, fresh, alpha, eps), moments_output(limit, x, alpha, eps)

    kernel, curves, final, limit = theory(x, weights, y, fresh)
    np.testing.assert_allclose(curves.residual[:3], np.array(residuals)[[0, 1, 30]], atol=1e-12)
    np.testing.assert_allclose(final, start_fresh + jacobian_fresh @ change, atol=1e-12)
    # Gradient flow instead of discrete steps is told apart.
    values, vectors = np.linalg.eigh(np.asarray(kernel))
    flow = vectors @ (np.exp(-gamma * values * 30) * (vectors.T @ residuals[0]))
    assert np.abs(flow - residuals[30]).max() > 1e-3
    np.testing.assert_allclose(limit, y, atol=1e-9)


def test_linearised_moments_are_first_order_in_the_change():
    moments = moments_of(jnp.asarray(RNG.standard_normal((7, 4))))
    change = AffineMap(jnp.asarray(1e-6 * RNG.standard_normal((4, 4))), jnp.asarray(1e-6 * RNG.standard_normal(4)))
    moved = transform(moments, AffineMap(jnp.eye(4) + change.linear, change.shift))
    for linearised, exact, start in zip(linearised_moments(moments, change), moved, moments, strict=True):
        np.testing.assert_allclose(linearised, exact, atol=1e-10)
        assert np.abs(np.asarray(exact - start)).max() > 1e-7


def test_network_becomes_lazy_like_one_over_the_output_scale():
    config = Config(num_samples=100, quadratic_coeff=0.5, centred=True, scaled_learning_rate=0.08, num_steps=100)
    scales = jnp.array([1.0, 100.0, 200.0])
    key = jax.random.key(0)
    full = jax.jit(jax.vmap(lambda a: simulate(key, dataclasses.replace(config, output_scale=a))["train_loss"]))(scales)
    lazy = jax.jit(lambda k: lazy_theory(k, dataclasses.replace(config, trainer="linearised"))["train_loss"])(key)
    deviation = np.abs(np.asarray(full / lazy[None] - 1))[:, -1]
    assert deviation[0] > 0.5
    assert deviation[2] < 0.1
    assert 1.8 < deviation[1] / deviation[2] < 2.2


# --- Marchenko–Pastur -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.5, 2.0, 4.0])
def test_bulk_has_the_moments_of_the_law(ratio):
    nodes, weights = bulk(ratio)
    assert weights.sum() == pytest.approx(min(1, ratio), rel=1e-4)
    assert weights @ nodes == pytest.approx(ratio, rel=1e-6)
    assert weights @ nodes**2 == pytest.approx(ratio + ratio**2, rel=1e-6)
    start = memorisation((0, 10_000), sample_ratio=ratio, quadratic_coeff=0.5, scaled_learning_rate=0.05)
    np.testing.assert_allclose(start.train_loss, [0.5, 0.0], atol=1e-4)
    assert float(start.linear_power[0]) == 0


# --- population -------------------------------------------------------------------------------------------------------


def test_two_order_parameters_are_closed():
    dim, alpha, eps, gamma, count, overlap = 6, 1.4, 0.5, 0.002, 600, 0.3
    beta = jnp.sqrt(6.0) * jnp.eye(dim)[0]
    moments = initial_moments(beta, overlap, 1.1)
    second = np.asarray(moments.second)
    start = OrderParameters(second[0, 0], second[1, 1])
    options = {"output_scale": alpha, "quadratic_coeff": eps, "scaled_learning_rate": gamma}
    step = jax.jit(lambda m: transform(m, population_map(m, beta, num_samples=count, **options)))
    losses = []
    for _ in range(41):
        losses.append(float(population_risk(moments, beta, alpha, eps).total))
        moments = step(moments)
    options["input_dim"] = dim
    state, risk = population_curves(start, (0, 10, 40), sample_ratio=count / dim, **options)
    np.testing.assert_allclose(risk.total, np.array(losses)[[0, 10, 40]], rtol=1e-12)
    assert np.all(np.diff(np.asarray(state.along)) > 0)
    wrong = population_curves(start, (40,), sample_ratio=1.05 * count / dim, **options)[1]
    assert abs(float(wrong.total[0]) / losses[40] - 1) > 1e-3


def test_population_map_is_the_average_over_samples():
    dim, count = 3, 400_000
    beta = jnp.sqrt(3.0) * jnp.eye(dim)[0]
    moments = moments_of(jnp.asarray(RNG.standard_normal((4, dim)) + 0.5))
    linear, shift = population_map(
        moments, beta, num_samples=1.0, output_scale=1.2, quadratic_coeff=0.6, scaled_learning_rate=1.0
    )
    x = RNG.standard_normal((count, dim)) / np.sqrt(dim)
    second = np.asarray(moments.second)
    output = 1.2 * (x @ np.asarray(moments.mean) + 0.3 * np.einsum("pd,de,pe->p", x, second, x))
    delta = (x @ np.asarray(beta)) ** 2 / 2 - output
    each = (delta[:, None] * x)[:, :, None] * x[:, None, :]
    np.testing.assert_allclose((each.mean(0) * 0.6 / 1.2 + np.eye(dim) - np.asarray(linear)) / 0.5, 0, atol=0.01)
    np.testing.assert_allclose((delta[:, None] * x).mean(0) / 1.2, shift, atol=0.01)


def test_escape_takes_the_logarithm_of_the_dimension():
    """The flow of the two order parameters, solved by SciPy, reaches half of the final overlap at about that time."""
    for dim, tolerance in ((1e2, 0.08), (1e4, 0.04), (1e6, 0.03)):
        alpha, eps = 1.0, 0.5
        kappa = alpha * eps

        def flow(s, z, dim=dim, alpha=alpha, eps=eps, kappa=kappa):
            a, c = np.exp(z)
            trace = dim - kappa * (a + (dim - 1) * c)
            return 2 * eps / (alpha * dim) * np.array([trace / 2 + dim - kappa * a, trace / 2 - kappa * c])

        half = lambda s, z, dim=dim, kappa=kappa: z[0] - np.log(dim / (2 * kappa))  # noqa: E731
        solution = solve_ivp(flow, (0, 60), [0.0, 0.0], "LSODA", events=half, rtol=1e-9, atol=1e-9)
        time = solution.t_events[0][0]
        assert time == pytest.approx(float(escape_time(dim, alpha, eps)), rel=tolerance)
        assert abs(time / float(escape_time(dim, 1.05 * alpha, 0.95 * eps)) - 1) > 0.03
