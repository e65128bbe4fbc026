"""Activations without closed form: kinks at 0 and elsewhere against exact kernels and SciPy; what is said of errors."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr

from theorylab.numerics.activations import Kinked, _relu_coefficients, arc_cosine_0, arc_cosine_1, truncation
from theorylab.numerics.gaussian import panel_coefficients
from theorylab.numerics.kernels import dual_activation, fully_connected, laplace, rbf, series_error

V1, V2 = jnp.array([0.3, 1.0, 2.0]), jnp.array([0.5, 1.0, 2.0])
COSINE = jnp.array([[-1.0, -0.6, 0.0], [0.3, 1.0, 0.999], [0.9, -0.99, 1.0]])
SCALE = jnp.sqrt(V1[:, None] * V2[None, :])


@functools.lru_cache
def pairs(activation):
    return jax.jit(dual_activation(activation).pairs)(V1, COSINE * SCALE, V2)


def relus(c):
    """E[relu relu'] and E[step step'] of unit variances."""
    return arc_cosine_1(c) / 2, arc_cosine_0(c) / 2


def slopes(right, left):
    """Exact kernels of right·relu(h) - left·relu(-h), by those of relu at c and -c."""
    (same, step), (other, step_other) = relus(COSINE), relus(-COSINE)
    mixed = right**2 + left**2
    return SCALE * (mixed * same - 2 * right * left * other), mixed * step + 2 * right * left * step_other


@pytest.mark.parametrize(
    ("activation", "right", "left"),
    [(lambda h: jnp.maximum(h, 0), 1, 0), (jnp.abs, 1, -1), (lambda h: jnp.where(h > 0, h, 0.2 * h), 1, 0.2)],
    ids=["relu", "abs", "leaky"],
)
def test_kinks_at_zero_are_exact(activation, right, left):
    for found, expected in zip(pairs(activation), slopes(right, left), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)
    for bound in truncation(activation, V1):
        assert bound.max() < 1e-7
    # Control: the series alone, which is what is left where nobody looks for a kink.
    cut = jnp.polyval(_relu_coefficients()[1][::-1] ** 2, 0.999)
    assert abs(cut - arc_cosine_0(jnp.array(0.999)) / 2) > 1e-4


def by_scipy(phi, breaks, i, j):
    """E[phi(h) phi(h')] by two nested adaptive integrals that stop at the breaks."""
    s1, s2, c = float(V1[i]) ** 0.5, float(V2[j]) ** 0.5, float(COSINE[i, j])
    rest = (1 - c * c) ** 0.5

    def density(z):
        return np.exp(-z * z / 2) / np.sqrt(2 * np.pi)

    def integral(f, points):
        edges = [-9.0, *sorted(p for p in points if -9 < p < 9), 9.0]
        return sum(quad(f, a, b, epsabs=1e-10, epsrel=1e-10)[0] for a, b in itertools.pairwise(edges))

    def inner(z):
        if rest < 1e-6:
            return phi(s2 * c * z)
        points = [(b / s2 - c * z) / rest for b in breaks]
        nodes, weights = np.polynomial.legendre.leggauss(40)
        edges = np.array([-9.0, *sorted(np.clip(points, -9, 9)), 9.0])
        half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
        w = (middle[:, None] + half[:, None] * nodes).ravel()
        measure = (half[:, None] * weights).ravel() * density(w)
        return float(np.sum(measure * phi(s2 * (c * z + rest * w))))

    outer = [b / s1 for b in breaks]
    return integral(lambda z: density(z) * phi(s1 * z) * inner(z), outer)


def selu(h):
    alpha, scale = 1.6732632423543772848, 1.0507009873554804934
    return scale * np.where(h > 0, h, alpha * np.expm1(np.minimum(h, 0)))


@pytest.mark.parametrize(
    ("activation", "phi", "breaks", "atol"),
    [
        ("selu", selu, (0.0,), 2e-6),
        ("gelu", lambda h: h * ndtr(h), (0.0,), 1e-8),
        ("hard_tanh", lambda h: np.clip(h, -1, 1), (-1.0, 1.0), 3e-5),
        ("tanh", np.tanh, (), 1e-7),
    ],
)
@pytest.mark.parametrize(("i", "j"), [(0, 1), (1, 0), (1, 2), (2, 0)])
def test_against_scipy(activation, phi, breaks, atol, i, j):
    np.testing.assert_allclose(pairs(activation)[0][i, j], by_scipy(phi, breaks, i, j), atol=atol)


def test_sines_in_closed_form():
    variance = (V1[:, None] + V2[None, :]) / 2
    value, slope = pairs("sin")
    np.testing.assert_allclose(value, jnp.exp(-variance) * jnp.sinh(COSINE * SCALE), atol=1e-12)
    np.testing.assert_allclose(slope, jnp.exp(-variance) * jnp.cosh(COSINE * SCALE), atol=1e-12)


@pytest.mark.parametrize(
    "activation", ["selu", "hard_tanh", "relu6", "tanh", "gelu", "elu", lambda h: jnp.abs(h - 0.4)]
)
def test_what_is_said_of_the_error_covers_it(activation):
    """At c = 1 and equal variances the truth is the diagonal's own integral."""
    dual = dual_activation(activation)
    found, truth = dual.pairs(V1, SCALE * 0 + jnp.sqrt(V1[:, None] * V1[None, :]), V1), dual.diagonal(V1)
    for values, exact, bound in zip(found, truth, truncation(activation, V1), strict=True):
        assert np.all(np.abs(jnp.diag(values) - exact) <= (bound + 1e-9) * exact)


@pytest.mark.slow
@pytest.mark.tiny
def test_a_kink_that_is_named_is_integrated_exactly():
    """|h - 0.4| has E = by parts; without its name the panels disagree, and that is said."""
    square = 1.0 + 0.16
    named, unnamed = Kinked(lambda h: jnp.abs(h - 0.4), (0.4,)), lambda h: jnp.abs(h - 0.4)
    one = jnp.ones(1)
    np.testing.assert_allclose(dual_activation(named).diagonal(one)[0], square, rtol=1e-12)
    mean = 0.4 * (2 * ndtr(0.4) - 1) + 2 * np.exp(-0.08) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(panel_coefficients(named.function, 0, one, named.kinks)[0][0, 0], mean, rtol=1e-12)
    away = panel_coefficients(unnamed, 0, one)[0][0, 0]
    assert abs(away / mean - 1) > 1e-8
    assert truncation(lambda h: jnp.sign(h - 0.4) * h, one)[0][0] > 1e-4


@pytest.mark.slow
@pytest.mark.tiny
def test_errors_of_a_whole_net_add_up():
    variance = jnp.array([1.0, 2.0])
    assert series_error(variance, depth=3, activation="relu") == (0.0, 0.0)
    assert series_error(variance, depth=3, activation=(0.0, 1.0, 0.5)) == (0.0, 0.0)
    once, twice = (series_error(variance, depth=d, activation="hard_tanh") for d in (1, 2))
    assert twice[1] > once[1] > 1e-3
    x = np.random.default_rng(0).normal(size=(5, 3))
    function = fully_connected(jnp.asarray(x), depth=2, activation=lambda h: jnp.maximum(h, 0.0))
    closed = fully_connected(jnp.asarray(x), depth=2, activation="relu")
    np.testing.assert_allclose(function.nngp, closed.nngp, rtol=1e-9)
    np.testing.assert_allclose(function.ntk, closed.ntk, rtol=1e-8)


def test_kernels_of_distances():
    x, other = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)))
    distance = np.linalg.norm(np.asarray(x)[:, None] - np.asarray(other)[None], axis=-1)
    np.testing.assert_allclose(rbf(x, other, bandwidth=0.7), np.exp(-(distance**2) / (2 * 0.49)), rtol=1e-10)
    np.testing.assert_allclose(laplace(x, other, bandwidth=0.7), np.exp(-distance / 0.7), rtol=1e-10)
    for kernel in (rbf, laplace):
        np.testing.assert_array_equal(jnp.diag(kernel(x, bandwidth=0.7)), 1.0)
