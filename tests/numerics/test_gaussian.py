"""Gaussian expectations against closed forms, SciPy quadrature and Monte Carlo."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from theorylab.numerics import gaussian


def test_moments_of_polynomials_are_exact():
    for power, moment in ((0, 1.0), (2, 1.0), (4, 3.0), (6, 15.0), (7, 0.0)):
        value = gaussian.expectation(lambda h, p=power: h**p, jnp.array([1.0, 4.0]), order=4)
        np.testing.assert_allclose(value, moment * np.array([1.0, 2.0**power]), rtol=1e-12, atol=1e-12)


def test_one_node_too_few_is_seen():
    # Negative control: three nodes are exact to degree 5 only.
    assert abs(gaussian.expectation(lambda h: h**6, order=3) - 15.0) > 1


def test_expectation_of_a_smooth_function_against_scipy():
    for variance in (0.3, 1.0, 2.5):
        exact = quad(lambda z, s=variance**0.5: np.tanh(s * z) ** 2 * np.exp(-z * z / 2), -12, 12)[0]
        value = gaussian.expectation(lambda h: jnp.tanh(h) ** 2, variance, order=160)
        np.testing.assert_allclose(value, exact / np.sqrt(2 * np.pi), rtol=1e-6)


def test_pairs_against_isserlis():
    rng = np.random.default_rng(1)
    v1, v2 = rng.uniform(0.01, 4.0, (2, 50))
    c = np.linspace(-1, 1, 50) * np.sqrt(v1 * v2)
    value = gaussian.pair_expectation(lambda h: h**2, lambda h: h**2 + h, v1, c, v2, order=8)
    np.testing.assert_allclose(value, v1 * v2 + 2 * c**2, rtol=1e-10)
    wrong = v1 * v2 + c**2
    assert not np.allclose(value, wrong, rtol=0.1)


def test_pairs_of_different_functions_against_monte_carlo():
    rng = np.random.default_rng(0)
    v1, c, v2 = 1.5, -0.8, 0.9
    h1, h2 = rng.multivariate_normal([0, 0], [[v1, c], [c, v2]], 400_000).T
    samples = np.tanh(h1) * np.sin(h2 + 0.3)
    value = gaussian.pair_expectation(jnp.tanh, lambda h: jnp.sin(h + 0.3), v1, c, v2, order=80)
    error = samples.std() / np.sqrt(samples.size)
    assert abs(value - samples.mean()) < 4 * error
    flipped = gaussian.pair_expectation(jnp.tanh, lambda h: jnp.sin(h + 0.3), v1, -c, v2, order=80)
    assert abs(flipped - samples.mean()) > 10 * error


def test_pairs_broadcast_and_differentiate_at_degenerate_covariances():
    v1 = jnp.array([[1.0], [0.0]])
    c = jnp.array([[1.0, -1.0], [0.0, 0.0]])
    v2 = jnp.ones((1, 2))

    def total(v1, c, v2):
        value = gaussian.pair_expectation(jnp.tanh, jnp.tanh, v1, c, v2)
        return jnp.sum(value), value

    (_, value), gradients = jax.jit(jax.value_and_grad(total, (0, 1, 2), has_aux=True))(v1, c, v2)
    square = gaussian.expectation(lambda h: jnp.tanh(h) ** 2)
    np.testing.assert_allclose(value, jnp.array([[square, -square], [0.0, 0.0]]), atol=1e-12)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradients)


def test_hermite_polynomials_are_orthonormal():
    nodes, weights = gaussian.gauss_hermite(40)
    values = gaussian.hermite_polynomials(nodes, 20)
    np.testing.assert_allclose((values * weights[None, :]) @ values.T, np.eye(21), atol=1e-11)


def test_hermite_coefficients_of_relu_and_by_parseval():
    # relu = 1/sqrt(2 pi) + he_1/2 + he_2/(2 sqrt(pi)) + ...; the kink limits the quadrature.
    relu = gaussian.hermite_coefficients(jax.nn.relu, 2, order=400)
    np.testing.assert_allclose(relu, [1 / np.sqrt(2 * np.pi), 0.5, 1 / (2 * np.sqrt(np.pi))], atol=2e-3)
    cube = gaussian.hermite_coefficients(lambda h: h**3, 3, 4.0, order=5)
    np.testing.assert_allclose(jnp.sum(cube**2), 15 * 4.0**3, rtol=1e-12)


def test_bad_orders_are_refused():
    with pytest.raises(ValueError, match="order = 0"):
        gaussian.gauss_hermite(0)
    with pytest.raises(ValueError, match="above degree = 5"):
        gaussian.hermite_coefficients(jnp.tanh, 5, order=5)


def test_dtype_follows_the_input():
    assert gaussian.expectation(jnp.tanh, jnp.float32(2.0)).dtype == jnp.float32
    assert gaussian.gauss_hermite(3, jnp.float32)[0].dtype == jnp.float32
