"""Closed forms of one trained layer: published numbers, Monte Carlo in NumPy; wrong ones are rejected."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.settings.in_context.linear_attention.theory import isotropic, nonlinear
from theorylab.settings.in_context.prompts import Law, sample_prompts


def test_context_length_curve_has_the_published_values():
    m = np.array([5, 10, 20, 40, 80, 320])
    mean = isotropic.isotropic_context_length_risk(m, 20, 5, 0.25)
    np.testing.assert_allclose(mean, [4.1616, 2.3475, 1.4405, 0.9870, 0.7602, 0.5901], atol=6e-5)
    summed = isotropic.isotropic_context_length_risk(m, 20, 5, 0.25, mean=False)
    np.testing.assert_allclose(summed, [3.753, 2.620, 1.4405, 3.436, 24.84, 640.9], rtol=3e-4)
    grid = np.arange(5, 60)
    assert grid[np.argmin(isotropic.isotropic_context_length_risk(grid, 20, 5, 0.25, mean=False))] == 23


def test_uniform_covariates_have_the_published_minimum():
    rate = isotropic.independent_coordinates_learning_rate(10, 10, 0.0, 1 / 12, 1.8)
    loss = isotropic.independent_coordinates_minimum_loss(10, 10, 0.0, 1 / 12, 1.8)
    np.testing.assert_allclose([rate, loss], [0.60606, 0.41246], atol=5e-6)
    np.testing.assert_allclose(isotropic.independent_coordinates_learning_rate(20, 5, 0.25), 1 / 26.25)
    rng = np.random.default_rng(2)
    x = rng.uniform(-0.5, 0.5, (40_000, 10, 10))
    w = rng.standard_normal((40_000, 10))
    b = np.einsum("bnd,bne,be->bd", x, x, w, optimize=True)
    measured = np.mean(w * b) / np.mean(b**2)  # least squares for one learning rate
    assert abs(measured / rate - 1) < 0.01
    assert abs(measured / isotropic.independent_coordinates_learning_rate(10, 10, 0.0, 1 / 12, 3.0) - 1) > 0.02


@pytest.mark.parametrize(
    ("link", "rate", "tolerance"), [("relu", 0.026316, 0.02), ("tanh", 0.035823, 0.02), ("cubic", 0.026686, 0.03)]
)
def test_learning_rate_of_nonlinear_targets(link, rate, tolerance):
    moments = nonlinear.single_index_moments(link, 5)
    theory = nonlinear.nonlinear_learning_rate(moments, 20, 0.25)
    assert abs(theory - rate) < 1e-6
    rng = np.random.default_rng(7)
    x = rng.standard_normal((60_000, 21, 5))
    w = rng.standard_normal((60_000, 5))
    z = np.einsum("bnd,bd->bn", x, w / np.linalg.norm(w, axis=1, keepdims=True))
    y = {"relu": np.maximum(z, 0), "tanh": np.tanh(3 * z), "cubic": z**3}[link] + 0.5 * rng.standard_normal(z.shape)
    b = np.einsum("bn,bnd->bd", y[:, :20], x[:, :20])
    # The query averaged over its angle: E[y_q x_q·b] = c1 w·b.
    c1 = math.sqrt(5 * moments.linear)
    gain = c1 * np.einsum("bd,bd->b", w / np.linalg.norm(w, axis=1, keepdims=True), b)
    measured = gain.mean() / (b**2).sum(1).mean()
    assert abs(measured / theory - 1) < tolerance
    if link == "relu":
        np.testing.assert_allclose(nonlinear.nonlinear_minimum_loss(moments, 5, 20, 0.25), 0.61842, atol=5e-6)
        linear = nonlinear.TargetMoments(moments.linear, moments.weighted_power * 1.1, moments.power)
        assert abs(measured / nonlinear.nonlinear_learning_rate(linear, 20, 0.25) - 1) > tolerance


@pytest.mark.parametrize(("link", "coefficients"), [("linear", (1.0, 0.0, 0.0)), ("cubic", (3.0, 0.0, math.sqrt(6)))])
def test_a_link_by_its_coefficients_is_that_link(link, coefficients):
    named, own = nonlinear.single_index_moments(link, 5), nonlinear.hermite_moments(coefficients, 5)
    np.testing.assert_allclose(own, named, rtol=1e-12)
    law = Law(jnp.ones(5), jnp.ones(5), 0.1, target="cubic")
    drawn = [
        sample_prompts(jax.random.key(0), each, 3, 4).labels
        for each in (law, law._replace(target="hermite", link=(3.0, 0.0, math.sqrt(6))))
    ]
    np.testing.assert_allclose(*drawn, rtol=1e-9)


def test_moments_of_a_link_are_its_averages():
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    weights = weights / weights.sum()
    value = 0.6 * nodes + 0.5 * (nodes**2 - 1) / math.sqrt(2) - 0.4 * (nodes**3 - 3 * nodes) / math.sqrt(6)
    power, fourth = weights @ value**2, weights @ (value**2 * nodes**2)
    expected = (0.36 / 7, (6 * power + fourth) / 7, power)
    np.testing.assert_allclose(nonlinear.hermite_moments((0.6, 0.5, -0.4), 7), expected, rtol=1e-12)


def test_nonlinear_theory_reduces_to_the_linear_one():
    moments = nonlinear.single_index_moments("linear", 5)
    np.testing.assert_allclose(nonlinear.nonlinear_learning_rate(moments, 20, 0.25), 1 / (20 + 5 + 1 + 5 * 0.25))
