"""The tangent kernel: moments of a neuron, training in function space, expansions, drift, regimes."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab import get
from theorylab.contract import ConfigError
from theorylab.numerics import kernels
from theorylab.settings.kernels.ntk import Config, limit, model, predictions, regimes
from theorylab.settings.kernels.ntk.data import data_of
from theorylab.settings.kernels.ntk.neurons import Neurons
from theorylab.settings.kernels.ntk.theory import drift, expansion, sample

KEY = jax.random.key(0)


def test_moments_of_relu_are_averages_over_the_angle():
    """In polar coordinates k = r² A + a² u B, with E r² = 2, E r⁴ = 8, E a⁴ = 3."""
    u = np.array([-0.9, -0.3, 0.0, 0.6, 1.0])
    angle = (np.arange(200_000) + 0.5) * 2 * math.pi / 200_000
    first, second = np.cos(angle), np.cos(angle - np.arccos(u)[:, None])
    a, b = 2 * np.maximum(first, 0) * np.maximum(second, 0), 2.0 * ((first > 0) & (second > 0))
    found = limit.arc_cosine_moments(u)
    np.testing.assert_allclose(found.kernel, (2 * a + u[:, None] * b).mean(axis=1), atol=1e-4)
    square = 8 * a**2 + 4 * u[:, None] * a * b + 3 * (u[:, None] * b) ** 2
    np.testing.assert_allclose(found.square, square.mean(axis=1), atol=2e-4)
    np.testing.assert_allclose(found.last, kernels.arc_cosine_1(jnp.asarray(u)), atol=1e-7)
    assert found.kernel[-1] == pytest.approx(2)


def test_moments_of_tanh_are_those_of_quadrature():
    """Of Gauss-Hermite quadrature over a, h and h', of k and k² themselves."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights /= weights.sum()
    some, of_some = np.polynomial.hermite_e.hermegauss(4)
    of_some /= of_some.sum()
    u = 0.4
    h, g, a = np.meshgrid(nodes, nodes, some, indexing="ij")
    weight = np.einsum("i,j,k->ijk", weights, weights, of_some)
    other = u * h + math.sqrt(1 - u**2) * g
    k = np.tanh(h) * np.tanh(other) + a**2 * u / np.cosh(h) ** 2 / np.cosh(other) ** 2
    found = limit.smooth_moments(np.tanh, lambda h: 1 - np.tanh(h) ** 2, np.array(u))
    np.testing.assert_allclose([found.kernel, found.square], [(weight * k).sum(), (weight * k**2).sum()], rtol=1e-6)


@pytest.mark.parametrize("rate", [pytest.param(0.1, marks=pytest.mark.slow), 0.6])
def test_network_and_linearisation_follow_gradients_of_the_weights(rate):
    """Both against automatic differentiation of the network, below and above the threshold."""
    config = Config(activation="tanh", width=16, num_steps=10, num_train=4, num_test=2, learning_rate=rate)
    key, data = jax.random.key(3), data_of(config)
    half = model.draw(key, 16, 6)
    start = (jnp.concatenate([half.a, -half.a]), jnp.concatenate([half.w, half.w]))
    x, y = jnp.asarray(data.x), jnp.asarray(data.unit_labels)

    def outputs(weights):
        return weights[0] @ jnp.tanh(weights[1] @ x.T) / 4

    def loss(weights):
        return jnp.sum((outputs(weights)[:4] - y) ** 2) / 2

    jacobian = np.concatenate([np.reshape(j, (6, -1)) for j in jax.jacobian(outputs)(start)], axis=1)
    change, net, gradient = np.zeros(jacobian.shape[1]), start, jax.jit(jax.grad(loss))
    found = jax.jit(lambda key: model.simulate(key, config))(key)
    steps, row = model.recorded(config), 0
    for step in range(1, 11):
        net = jax.tree.map(lambda w, g: w - rate * g, net, gradient(net))
        change -= rate * jacobian[:4].T @ (jacobian[:4] @ change - np.asarray(y))
        if step in steps:
            np.testing.assert_allclose(found["loss"][row], loss(net), rtol=1e-9)
            line = jacobian @ change
            np.testing.assert_allclose(found["linear_loss"][row], np.sum((line[:4] - y) ** 2) / 2, rtol=1e-9)
            np.testing.assert_allclose(found["linear_test_power"][row], np.mean(line[4:] ** 2), rtol=1e-9)
            row += 1
    assert row == len(steps)
    kernel = jacobian @ jacobian.T
    top = np.linalg.eigvalsh(kernel[:4, :4])[-1]
    np.testing.assert_allclose(found["sharpness"], rate * top, rtol=1e-9)
    exact = predictions.function_space(key, config)
    np.testing.assert_allclose(exact["linear_loss"], found["linear_loss"], rtol=1e-9)


def test_the_order_1_over_m_is_a_second_derivative():
    """By finite differences of gradient descent with the kernel Θ + hδ, for one neuron."""
    rng = np.random.default_rng(5)
    features = rng.standard_normal((7, 9))
    theta, y = features @ features.T / 9, rng.standard_normal(4)
    one = np.outer(features[:, 0], features[:, 0])

    def run(kernel):
        f = np.zeros(7)
        for _ in range(6):
            f = f - 0.1 * kernel[:, :4] @ (f[:4] - y)
        return np.array([np.sum((f[:4] - y) ** 2) / 2, np.mean(f[4:] ** 2)])

    h = 1e-4
    second = (run(theta + h * (one - theta)) + run(theta - h * (one - theta)) - 2 * run(theta)) / h**2
    found = expansion.means(theta, one[None], y, 0.1, 6)
    np.testing.assert_allclose([found.loss[-1], found.test_power[-1]], run(theta), rtol=1e-12)
    np.testing.assert_allclose([found.loss_slope[-1], found.test_power_slope[-1]], second, rtol=1e-5)


def test_neurons_near_kinks_have_the_weights_of_their_law():
    x = jnp.asarray(data_of(Config()).x)
    z = jnp.asarray(sample.normal_numbers(12, 6))
    w, weight = drift.near_kinks(z, x, jnp.asarray(0.01))
    share = float(jnp.mean(jnp.min(jnp.abs(w @ x.T), axis=1) < 0.01))
    plain = float(jnp.mean(jnp.min(jnp.abs(z @ x.T), axis=1) < 0.01))
    assert share > 2 * plain
    assert float(jnp.mean(weight)) == pytest.approx(1, abs=0.03)
    assert float(jnp.mean(weight * w[:, 0] ** 2)) == pytest.approx(1, abs=0.1)
    near = float(jnp.mean(weight * (jnp.min(jnp.abs(w @ x.T), axis=1) < 0.01)))
    assert near == pytest.approx(plain, rel=0.1)


def test_driven_neurons_are_those_of_a_plain_sample():
    """Both parts of the drift from normal draws, moved by a loop over steps."""
    config = Config(activation="tanh", num_train=3, num_test=1, num_steps=5)
    x, rng = data_of(config).x, np.random.default_rng(0)
    forces, width = 0.3 * rng.standard_normal((5, 3)), 100
    a, w = rng.standard_normal(40_000), rng.standard_normal((40_000, 6))
    moved = 0.0
    for sign in (1, -1):
        out, into = sign * a, w
        kernels_of = []
        for force in [*forces, None]:
            value = np.tanh(into @ x.T)
            slope = out[:, None] * (1 - value**2)
            kernel = value[:, :, None] * value[:, None] + (x @ x.T) * slope[:, :, None] * slope[:, None]
            kernels_of.append(kernel)
            if force is not None:
                old = out
                out = out + value[:, :3] @ force / 10
                into = into + (old[:, None] * (1 - value[:, :3] ** 2) * force) @ x[:3] / 10
        moved = moved + kernels_of[-1] - kernels_of[0]
    mean = np.sum(moved.mean(axis=0) ** 2) / 4
    scatter = np.sum(moved.var(axis=0)) / (2 * width)
    z = jnp.asarray(sample.normal_numbers(13, 7))
    found = predictions._driven("tanh", z, jnp.asarray(x), jnp.asarray(forces), float(width))
    np.testing.assert_allclose([found.mean, found.scatter], [mean, scatter], rtol=0.1)


def test_slopes_of_the_drift_are_those_of_kinks_and_of_smoothness():
    """From m = 128 to 2048 tanh looks steeper than its power, as networks do (-1.06 to -1.11)."""

    def slope(kind, ends):
        values = [
            float(predictions.driven_neurons(KEY, Config(activation=kind, label_scale=0.1, width=m))["kernel_drift"])
            for m in ends
        ]
        return math.log(values[1] / values[0]) / math.log(ends[1] / ends[0])

    assert slope("relu", (128, 8192)) == pytest.approx(-0.75, abs=0.03)
    assert -1.2 < slope("tanh", (128, 2048)) < -1.05
    assert slope("tanh", (2**17, 2**21)) == pytest.approx(-1, abs=0.002)


def test_the_conserved_quantity_mirrors_the_top_eigenvalue():
    """f' = -(1 + ε) f, ε' = ε - f²/m in small steps: ε ends at minus its start, to first order."""
    gaps = []
    for start in (0.02, 0.04):
        f, excess = 1e-6, start
        for _ in range(int(60 / start)):
            f, excess = -(1 + excess) * f, excess - f**2
        gaps.append(excess / start + 1)
    assert abs(gaps[0]) < abs(gaps[1]) < 0.05


def test_theories_of_the_mean_keep_a_margin_from_the_threshold():
    config = Config(learning_rate=0.25)
    assert regimes.sharpness(config) < 2
    assert "not below 2" in regimes.below_threshold(config)
    assert regimes.below_threshold(dataclasses.replace(config, width=2**20)) is None
    crowded = Config(activation="tanh", dim=2, num_train=30)
    assert "do inputs coincide?" in predictions.function_space.holds(crowded)


def test_bad_configurations_are_refused():
    with pytest.raises(ConfigError, match="width = 7 is not allowed: must be even"):
        get("ntk").validate(Config(width=7))
    with pytest.raises(ConfigError, match="label_scale"):
        get("ntk").validate(Config(label_scale=0.0))


def test_copies_cancel_the_output_and_keep_the_kernel():
    half = model.draw(jax.random.key(0), 8, 6)
    x = jnp.asarray(data_of(Config()).x)
    both = Neurons(jnp.concatenate([half.a, -half.a]), jnp.concatenate([half.w, half.w]))
    whole = model.tangent_kernel("relu", both, x, 8)
    np.testing.assert_allclose(whole, model.tangent_kernel("relu", half, x, 4), rtol=1e-12)
