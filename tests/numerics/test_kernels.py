"""Infinite-width kernels: closed forms, neural-tangents, finite widths, and the edges of the domain."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.numerics.gaussian import pair_expectation
from theorylab.numerics.kernels import (
    Kernels,
    arc_cosine_0,
    arc_cosine_1,
    blocked,
    dual_activation,
    memory_estimate,
)
from theorylab.numerics.kernels import fully_connected as unjitted

fully_connected = jax.jit(unjitted, static_argnames=("depth", "activation"))


def points(seed, n, dim):
    return np.random.default_rng(seed).normal(size=(n, dim))


# --- closed forms ----------------------------------------------------------------------------------------


def test_arc_cosine_values():
    c = jnp.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    theta = np.arccos(np.asarray(c))
    np.testing.assert_allclose(arc_cosine_0(c), 1 - theta / np.pi, atol=1e-15)
    np.testing.assert_allclose(arc_cosine_1(c), (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi, atol=1e-15)


def test_arc_cosine_slopes_are_each_other_and_finite_at_the_ends():
    c = jnp.array([-1.0, -0.999, -0.3, 0.0, 0.7, 0.999, 1.0])
    np.testing.assert_allclose(jax.vmap(jax.grad(arc_cosine_1))(c), arc_cosine_0(c), rtol=1e-15)
    slope = jax.vmap(jax.grad(arc_cosine_0))(c)
    np.testing.assert_allclose(slope[1:-1], 1 / (np.pi * np.sqrt(1 - np.asarray(c)[1:-1] ** 2)), rtol=1e-12)
    np.testing.assert_array_equal(slope[jnp.array([0, -1])], 0.0)


def test_arguments_just_beyond_one_are_rounding():
    c = jnp.array([1 + 4e-16, -1 - 4e-16])
    np.testing.assert_array_equal(arc_cosine_0(c), [1.0, 0.0])
    np.testing.assert_array_equal(arc_cosine_1(c), [1.0, 0.0])


def test_depth_one_relu_is_the_arc_cosine_kernel():
    x = points(0, 6, 5)
    norms = np.linalg.norm(x, axis=1)
    cosine = np.clip(np.asarray(x @ x.T) / np.outer(norms, norms), -1, 1)
    scale = 2 * np.outer(norms, norms) / 5
    kernels = fully_connected(x, depth=1)
    np.testing.assert_allclose(kernels.nngp, scale * arc_cosine_1(jnp.asarray(cosine)), rtol=1e-12)
    # NTK = NNGP + weight_variance E[phi' phi'] (weight_variance x·x'/dim)
    tangent = np.asarray(kernels.nngp) + 2 * 0.5 * np.asarray(arc_cosine_0(jnp.asarray(cosine))) * (
        2 * np.asarray(x @ x.T) / 5
    )
    np.testing.assert_allclose(kernels.ntk, tangent, rtol=1e-7)


def test_depth_zero_is_linear():
    x = points(1, 4, 3)
    kernels = fully_connected(x, depth=0, weight_variance=1.5, bias_variance=0.2)
    np.testing.assert_allclose(kernels.nngp, 1.5 * x @ x.T / 3 + 0.2, rtol=1e-13)
    np.testing.assert_array_equal(kernels.ntk, kernels.nngp)


def test_erf_pairs_against_quadrature():
    rng = np.random.default_rng(0)
    v1, v2 = rng.uniform(0.05, 4.0, (2, 12))
    c = np.linspace(-1, 1, 12)[None, :] * np.sqrt(np.outer(v1, v2))
    value, slope = dual_activation("erf").pairs(jnp.asarray(v1), jnp.asarray(c), jnp.asarray(v2))
    erf, derivative = jax.scipy.special.erf, lambda h: 2 / math.sqrt(math.pi) * jnp.exp(-(h**2))
    arguments = (v1[:, None], c, v2[None, :])
    quadrature = jax.jit(functools.partial(pair_expectation, order=150), static_argnums=(0, 1))
    np.testing.assert_allclose(value, quadrature(erf, erf, *arguments), atol=2e-6)
    np.testing.assert_allclose(slope, quadrature(derivative, derivative, *arguments), atol=2e-5)


def test_erf_keeps_its_digits_at_huge_variance():
    # c = 1: E[erf(h)²] -> 1 - sqrt(2/v)·2/pi/2..., from the diagonal's own formula.
    v = jnp.array([1e12])
    value, slope = dual_activation("erf").pairs(v, v[:, None], v)
    square, squared_slope = dual_activation("erf").diagonal(v)
    np.testing.assert_allclose(value[0], square, rtol=1e-12)
    np.testing.assert_allclose(slope[0], squared_slope, rtol=1e-9)


def test_polynomials_against_wick():
    v1, c, v2 = 1.3, -0.6, 0.7
    pair = (jnp.array([v1]), jnp.array([[c]]), jnp.array([v2]))
    value, slope = dual_activation((0.0, 0.0, 1.0)).pairs(*pair)
    np.testing.assert_allclose([value[0, 0], slope[0, 0]], [v1 * v2 + 2 * c * c, 4 * c], rtol=1e-12)
    value, slope = dual_activation((0.0, 0.0, 0.0, 1.0)).pairs(*pair)
    np.testing.assert_allclose(
        [value[0, 0], slope[0, 0]], [9 * v1 * c * v2 + 6 * c**3, 9 * (v1 * v2 + 2 * c * c)], rtol=1e-12
    )
    square, squared_slope = dual_activation((0.5, 0.0, 1.0)).diagonal(jnp.array([v1]))
    np.testing.assert_allclose([square[0], squared_slope[0]], [0.25 + v1 + 3 * v1**2, 4 * v1], rtol=1e-12)


def test_identity_as_polynomial_is_linear():
    x = points(2, 5, 4)
    first = fully_connected(x, depth=3, activation=(0.0, 1.0), bias_variance=0.1)
    second = fully_connected(x, depth=3, activation="linear", bias_variance=0.1)
    np.testing.assert_allclose(first.ntk, second.ntk, rtol=1e-12)


def test_a_smooth_function_by_its_series_is_its_closed_form():
    x = points(3, 5, 4)
    series = fully_connected(x, depth=2, activation=jax.scipy.special.erf, weight_variance=1.0)
    closed = fully_connected(x, depth=2, activation="erf", weight_variance=1.0)
    np.testing.assert_allclose(series.nngp, closed.nngp, atol=1e-6)
    np.testing.assert_allclose(series.ntk, closed.ntk, atol=1e-5)


# --- an independent library ------------------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("activation", ["relu", "erf", "leaky_relu", "abs", "gelu", "sin"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_against_neural_tangents(activation, depth):
    from theorylab.numerics import _neural_tangents

    try:
        stax = _neural_tangents.load().stax
    except ImportError as error:
        pytest.skip(str(error))
    weight_std, bias_std = 1.3, 0.2
    leaky = functools.partial(stax.LeakyRelu, alpha=0.01)
    layer = {
        "relu": stax.Relu, "erf": stax.Erf, "leaky_relu": leaky, "abs": stax.Abs, "gelu": stax.Gelu, "sin": stax.Sin,
    }[activation]  # fmt: skip
    dense = functools.partial(stax.Dense, W_std=weight_std, b_std=bias_std)
    kernel_fn = stax.serial(dense(8), *([layer(), dense(8)] * depth))[2]
    x, other = points(4, 7, 5), points(5, 4, 5)
    ours = functools.partial(
        fully_connected,
        depth=depth,
        activation=activation,
        weight_variance=weight_std**2,
        bias_variance=bias_std**2,
    )
    for pair in ((x, None), (x, other)):
        expected = Kernels(*jax.jit(lambda a, b: kernel_fn(a, b, ("nngp", "ntk")))(*pair))
        found = ours(*pair)
        np.testing.assert_allclose(found.nngp, expected.nngp, rtol=1e-9)
        # neural-tangents takes angles of 0 from rounded cosines: its diagonal is off by 1e-9 or more.
        np.testing.assert_allclose(found.ntk, expected.ntk, rtol=1e-7)
    # Negative control: weight_variance read as W_std.
    wrong = ours(x, other, weight_variance=weight_std)
    assert not np.allclose(wrong.ntk, expected.ntk, rtol=1e-2)


# --- finite width ----------------------------------------------------------------------------------------


def test_finite_width_nets_have_these_kernels():
    activation, phi = "relu", jax.nn.relu
    width, depth, weight_variance, bias_variance, nets = 200, 2, 1.7, 0.3, 60
    x = points(6, 3, 4)
    sizes = [4, width, width, 1]
    shapes = [(fan_in + 1, fan_out) for fan_in, fan_out in itertools.pairwise(sizes)]

    def apply(parameters, x):
        for number, both in enumerate(parameters):
            x = phi(x) if number else x
            weights, bias = both[:-1], both[-1]
            x = jnp.sqrt(weight_variance / weights.shape[0]) * (x @ weights) + jnp.sqrt(bias_variance) * bias[None]
        return x[:, 0]

    def one(key):
        keys = jax.random.split(key, len(shapes))
        parameters = [jax.random.normal(k, (a * b,)).reshape(a, b) for k, (a, b) in zip(keys, shapes, strict=True)]
        jacobian = jax.jacrev(apply)(parameters, x)
        flat = jnp.concatenate([j.reshape(3, -1) for j in jax.tree.leaves(jacobian)], axis=1)
        # The readout's own kernel given the hidden layers estimates the NNGP with less noise than outputs.
        readout = jacobian[-1].reshape(3, -1)
        return readout @ readout.T, flat @ flat.T

    samples = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(0), nets))
    theory = fully_connected(
        x, depth=depth, activation=activation, weight_variance=weight_variance, bias_variance=bias_variance
    )
    for sample, expected in zip(samples, theory, strict=True):
        mean, error = np.mean(sample, 0), np.std(sample, 0, ddof=1) / math.sqrt(nets)
        # Widths correct the kernels at order depth/width.
        assert np.all(np.abs(mean - expected) < 4 * error + depth / width * np.abs(expected))
    # Negative control: the tangent kernel without the weight variance of the last layer's slope.
    mean, error = np.mean(samples[1], 0), np.std(samples[1], 0, ddof=1) / math.sqrt(nets)
    without = theory.nngp + (theory.ntk - theory.nngp) / weight_variance
    assert np.any(np.abs(mean - without) > 4 * error + depth / width * np.abs(without))


# --- structure -------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    activation=st.sampled_from(["relu", "erf", (0.3, 1.0, 0.5)]),
    bias_variance=st.floats(0.0, 1.0),
)
def test_symmetric_and_positive_semi_definite(seed, activation, bias_variance):
    x = points(seed, 8, 3)
    x[1], x[2] = x[0], -x[0]  # coincident and antipodal
    kernels = fully_connected(x, depth=3, activation=activation, weight_variance=0.9, bias_variance=bias_variance)
    for kernel in map(np.asarray, kernels):
        np.testing.assert_array_equal(kernel, kernel.T)
        eigenvalues = np.linalg.eigvalsh(kernel)
        assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3))
def test_relu_without_bias_is_homogeneous(seed, scale):
    x, other = points(seed, 4, 3), points(seed + 1, 3, 3)
    plain, scaled = (fully_connected(y, other, depth=3) for y in (x, scale * x))
    for a, b in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(np.asarray(b) / scale, a, rtol=1e-7, atol=1e-10)


@jax.jit
def one_layer_more(x):
    """Kernels of depth 3, and the same from those of depth 2 by two-dimensional quadrature."""
    options = {"activation": (0.1, 0.8, 0.3), "weight_variance": 0.7, "bias_variance": 0.2}
    below, above = (unjitted(x, depth=d, **options) for d in (2, 3))
    variance = jnp.diag(below.nngp)
    arguments = (variance[:, None], below.nngp, variance[None, :])

    def mean(phi):
        return pair_expectation(phi, phi, *arguments, order=6)

    nngp = 0.7 * mean(lambda h: 0.1 + 0.8 * h + 0.3 * h**2) + 0.2
    ntk = nngp + 0.7 * mean(lambda h: 0.8 + 0.6 * h) * below.ntk
    return above, (nngp, ntk)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_depth_recursion(seed):
    for found, expected in zip(*one_layer_more(points(seed, 3, 4)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)


# --- edges -----------------------------------------------------------------------------------------------


def test_the_diagonal_is_exact_at_any_depth():
    x = points(7, 5, 6)
    depth = 40
    kernels = fully_connected(x, depth=depth)
    square = 2 * np.sum(np.asarray(x) ** 2, axis=1) / 6
    np.testing.assert_allclose(np.diag(kernels.nngp), square, rtol=1e-14)
    np.testing.assert_allclose(np.diag(kernels.ntk), (depth + 1) * square, rtol=1e-14)


def test_equal_points_in_two_arrays_agree_with_the_diagonal():
    x = points(8, 50, 30)
    same = fully_connected(x, depth=3, bias_variance=0.1)
    both = fully_connected(x, x + 0.0, depth=3, bias_variance=0.1)
    np.testing.assert_allclose(np.diag(both.nngp), np.diag(same.nngp), rtol=1e-13)
    np.testing.assert_allclose(np.diag(both.ntk), np.diag(same.ntk), rtol=1e-13)


@pytest.mark.parametrize(
    ("activation", "dtype"), [("relu", jnp.float64), ("erf", jnp.float32), (jnp.tanh, jnp.float32)]
)
def test_gradients_are_finite_at_coincident_antipodal_and_zero_points(activation, dtype):
    x = points(9, 4, 3)
    x[1], x[2], x[3] = x[0], -x[0], 0.0

    def total(x):
        kernels = [unjitted(x, other, depth=2, activation=activation) for other in (None, x)]
        return sum(jnp.sum(k) for pair in kernels for k in pair)

    value, gradient = jax.jit(jax.value_and_grad(total))(jnp.asarray(x, dtype))
    assert value.dtype == gradient.dtype == dtype
    assert bool(jnp.isfinite(value))
    assert bool(jnp.all(jnp.isfinite(gradient)))


def test_gradient_at_a_coincident_point_against_differences():
    # The NNGP of ReLU is continuously differentiable in one argument, through coincidence as well.
    x = jnp.asarray(points(10, 1, 3))

    def nngp(y):
        return fully_connected(y[None], x, depth=2, bias_variance=0.1).nngp[0, 0]

    gradient = jax.jit(jax.grad(nngp))
    for y in (x[0], -x[0], x[0] + 0.3):
        step = 1e-5
        numeric = [(nngp(y.at[i].add(step)) - nngp(y.at[i].add(-step))) / (2 * step) for i in range(3)]
        np.testing.assert_allclose(gradient(y), numeric, atol=1e-5)


def test_float32_is_close_to_float64():
    x = points(11, 20, 10)
    double = fully_connected(x, depth=3)
    single = fully_connected(x.astype(jnp.float32), depth=3)
    np.testing.assert_allclose(single.nngp, double.nngp, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(single.ntk, double.ntk, rtol=2e-3)


def test_jit_vmap_and_traced_variances():
    x = points(12, 5, 3)
    variances = jnp.array([0.5, 1.0, 2.0])
    batched = jax.jit(jax.vmap(lambda v: fully_connected(x, depth=2, weight_variance=v, bias_variance=v / 10).ntk))(
        variances
    )
    for v, kernel in zip(variances, batched, strict=True):
        expected = fully_connected(x, depth=2, weight_variance=v, bias_variance=v / 10).ntk
        np.testing.assert_allclose(kernel, expected, rtol=1e-12)


def test_bad_input_is_refused_with_the_remedy():
    x = points(13, 3, 3)
    with pytest.raises(ValueError, match="choose relu, erf"):
        fully_connected(x, depth=1, activation="swish")
    with pytest.raises(ValueError, match="depth = -1"):
        fully_connected(x, depth=-1)
    with pytest.raises(ValueError, match="dimension 3, x2 has 4"):
        fully_connected(x, points(0, 2, 4), depth=1)
    with pytest.raises(ValueError, match="a polynomial needs a coefficient"):
        fully_connected(x, depth=1, activation=())


# --- blocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [None, 31])
def test_blocks_give_the_whole_matrix(other):
    x = np.asarray(points(14, 53, 6))
    y = None if other is None else np.asarray(points(15, other, 6))
    kernel = functools.partial(unjitted, depth=2, bias_variance=0.1)
    whole = kernel(jnp.asarray(x), None if y is None else jnp.asarray(y))
    entries = 53 * (53 if y is None else other)
    budget = 2 * 8 * entries + 60_000
    estimate = memory_estimate(kernel, x, y, budget_bytes=budget)
    assert estimate.num_blocks > 1
    assert estimate.result_bytes == 2 * 8 * entries
    assert estimate.result_bytes + estimate.working_bytes <= budget
    parts = blocked(kernel, x, y, budget_bytes=budget)
    np.testing.assert_allclose(parts.nngp, whole.nngp, rtol=1e-12)
    np.testing.assert_allclose(parts.ntk, whole.ntk, rtol=1e-12)


def test_a_single_block_and_a_single_array():
    x = np.asarray(points(16, 5, 2))
    kernel = blocked(lambda a, b: fully_connected(a, b, depth=1).nngp, x)
    np.testing.assert_allclose(kernel, fully_connected(jnp.asarray(x), depth=1).nngp, rtol=1e-13)
    assert memory_estimate(lambda a, b: fully_connected(a, b, depth=1).nngp, x).num_blocks == 1


def test_working_bytes_cover_what_xla_allocates():
    x = np.asarray(points(17, 400, 5))
    kernel = functools.partial(unjitted, depth=4, bias_variance=0.1)
    budget = 2 * 8 * 400**2 + 8_000_000
    estimate = memory_estimate(kernel, x, budget_bytes=budget)
    block = jax.ShapeDtypeStruct((estimate.block, 5), jnp.float64)
    memory = jax.jit(kernel).lower(block, block).compile().memory_analysis()
    used = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    assert used <= estimate.working_bytes


def test_too_small_a_budget_says_the_sizes():
    with pytest.raises(MemoryError, match="50000 x 50000 kernel matrix needs 40,000,000,000 bytes"):
        memory_estimate(
            functools.partial(fully_connected, depth=1),
            jax.ShapeDtypeStruct((50_000, 10), jnp.float64),
        )
