"""The moments follow the network exactly, for any step size and width; independent loops in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.settings.two_layer.grokking import SETTING
from theorylab.settings.two_layer.grokking.config import Config
from theorylab.settings.two_layer.grokking.data import Instance, initial_moments, labels, sample
from theorylab.settings.two_layer.grokking.model import alignment, network_kernel, quadratic_activation
from theorylab.settings.two_layer.grokking.model import sums_in_blocks as blocks
from theorylab.settings.two_layer.grokking.moments import (
    Moments,
    kernel_features,
    kernel_sums,
    moments_of,
    moments_output,
    tangent_kernel,
)
from theorylab.settings.two_layer.grokking.train import recorded_steps, run, train_network

RNG = np.random.default_rng(0)
CONFIG = Config(
    input_dim=30, num_samples=90, width=50, quadratic_coeff=0.5, scaled_learning_rate=0.05, num_steps=300,
    output_scale=1.5,
)  # fmt: skip


RUN = jax.jit(run)


def neurons(inputs, y, weights, alpha, gamma, slope, value, steps):
    """Gradient descent as the equation reads; the outputs before each step, and the final weights."""
    outputs = []
    for _ in range(steps):
        h = inputs @ weights.T
        output = alpha * value(h).mean(1)
        outputs.append(output)
        weights = weights + gamma / alpha * np.einsum("p,pn,pd->nd", y - output, slope(h), inputs)
    return np.array(outputs), weights


def instance_of(inputs, target, weights):
    moments = Moments(jnp.asarray(weights.mean(0)), jnp.asarray(weights.T @ weights / len(weights)))
    return Instance(jnp.asarray(inputs), jnp.asarray(target), moments, None, jnp.asarray(inputs[:3]))


@pytest.fixture(scope="module")
def moment_run():
    inputs = RNG.standard_normal((90, 30)) / np.sqrt(30)
    weights = RNG.standard_normal((50, 30))
    target = np.zeros(30)
    target[0] = np.sqrt(30)
    values = {name: np.asarray(value) for name, value in RUN(instance_of(inputs, target, weights), CONFIG).items()}
    return inputs, weights, target, values


def test_moments_follow_every_neuron(moment_run):
    inputs, weights, target, values = moment_run
    y = (inputs @ target) ** 2 / 2
    outputs, final = neurons(inputs, y, weights, 1.5, 0.05, lambda h: 1 + 0.5 * h, lambda h: h + 0.25 * h**2, 300)
    steps = np.array(recorded_steps(CONFIG))
    np.testing.assert_allclose(values["train_loss"][:-1], ((y - outputs) ** 2).mean(1)[steps[:-1]], rtol=1e-10)
    assert values["weight_norm"][-1] == pytest.approx(np.sqrt((final**2).sum() / (50 * 30)), rel=1e-12)
    assert values["target_overlap"][-1] == pytest.approx(np.mean((final @ target) ** 2) / 30**2, rel=1e-11)
    # Without the square of the step, which a flow in continuous time would not have, the losses differ.
    outputs, _ = neurons(inputs, y, weights, 1.5, 0.04, lambda h: 1 + 0.5 * h, lambda h: h + 0.25 * h**2, 300)
    assert np.abs(values["train_loss"][-2] / ((y - outputs) ** 2).mean(1)[steps[-2]] - 1) > 1e-3


def test_only_two_parameters_matter(moment_run):
    """In b = α w̄ and M only r = ε/α and κ = αε appear: 1/α² = r/κ."""
    inputs, weights, target, values = moment_run
    r, kappa, gamma = 0.5 / 1.5, 0.75, 0.05
    b, m = 1.5 * weights.mean(0), weights.T @ weights / 50
    y = (inputs @ target) ** 2 / 2
    for _ in range(300):
        delta = y - inputs @ b - kappa / 2 * np.einsum("pd,de,pe->p", inputs, m, inputs)
        u, step = inputs.T @ delta, np.eye(30) + gamma * r * (inputs.T * delta) @ inputs
        moved = step @ b
        cross = np.outer(moved, u)
        m = step @ m @ step + r / kappa * (gamma * (cross + cross.T) + gamma**2 * np.outer(u, u))
        b = moved + gamma * u
    assert values["linear_power"][-1] == pytest.approx(b @ b / 30, rel=1e-10)
    delta = y - inputs @ b - kappa / 2 * np.einsum("pd,de,pe->p", inputs, m, inputs)
    assert values["train_loss"][-1] == pytest.approx((delta**2).mean(), rel=1e-10)


def test_initial_scale_acts_through_kappa_alone(moment_run):
    """Weights σ w at (α, ε) are weights w at (σα, σε): κ = αεσ², and r = ε/α stays."""
    inputs, weights, target, values = moment_run
    config = dataclasses.replace(CONFIG, output_scale=CONFIG.output_scale / 2, quadratic_coeff=0.25)
    same = RUN(instance_of(inputs, target, 2 * weights), config)
    np.testing.assert_allclose(same["train_loss"], values["train_loss"], rtol=1e-10)
    np.testing.assert_allclose(same["test_loss"], values["test_loss"], rtol=1e-10)
    np.testing.assert_allclose(same["weight_norm"], 2 * values["weight_norm"], rtol=1e-10)


def test_spike_is_the_image_of_the_target(moment_run):
    *_, values = moment_run
    # ρ = (1/N) Σ (β·w_i)²/D² ≈ ρ_0 G² + noise: the gain is what separates the two.
    assert values["spike_gain"][0] == 1
    assert values["spike_spread"][0] == pytest.approx(0, abs=1e-12)
    assert values["spike_gain"][-1] > 2


@pytest.mark.parametrize("trainer", ["moments", "network", "linearised"])
def test_every_trainer_measures_everything(trainer):
    config = dataclasses.replace(CONFIG, trainer=trainer, num_steps=3, centred=True)
    shapes = jax.eval_shape(RUN, jax.eval_shape(lambda key: sample(key, config), jax.random.key(0)), config)
    assert set(shapes) == {observable.name for observable in SETTING.observables}


def test_spike_of_the_network_is_the_product_of_its_steps():
    config = dataclasses.replace(CONFIG, num_steps=4, num_test=1)
    instance = jax.jit(sample)(jax.random.key(0), config)
    both = [RUN(instance, dataclasses.replace(config, trainer=trainer)) for trainer in ("moments", "network")]
    for name in ("spike_gain", "spike_spread"):
        np.testing.assert_allclose(both[1][name], both[0][name], rtol=1e-10, atol=1e-12)


def test_summaries_of_the_kernel_need_no_matrix():
    inputs, y = jnp.asarray(RNG.standard_normal((23, 4))), jnp.asarray(RNG.standard_normal(23))
    weights = jnp.asarray(RNG.standard_normal((7, 4)) + 0.4)
    activation = quadratic_activation(0.6)

    @jax.jit
    def every(inputs, y, weights):
        moments = moments_of(weights)
        kernel = network_kernel(weights, inputs, activation)
        whole = (y @ kernel @ y, jnp.sum(kernel**2), jnp.trace(kernel))
        others = (
            kernel_sums(kernel_features(inputs, y), moments, 0.6),
            blocks(lambda points: network_kernel(weights, points, activation, inputs), inputs, y, 5),
            blocks(lambda points: tangent_kernel(moments, points, 0.6, inputs), inputs, y, 50),
        )
        return whole, others, alignment(kernel, y)

    whole, others, aligned = every(inputs, y, weights)
    for sums in others:
        np.testing.assert_allclose(sums, whole, rtol=1e-11)
    assert float(aligned) == pytest.approx(float(whole[0] / jnp.sqrt(whole[1]) / (y @ y)))


def test_any_activation_is_trained():
    inputs = RNG.standard_normal((20, 6)) / np.sqrt(6)
    weights = RNG.standard_normal((9, 6))
    y = RNG.standard_normal(20)
    orbit = jax.jit(
        lambda w: train_network(
            w, jnp.asarray(inputs), jnp.asarray(y), output_scale=1.3, scaled_learning_rate=0.1, activation=jnp.tanh,
            num_steps=25, record_at=(0, 25),
        )
    )(jnp.asarray(weights))  # fmt: skip
    outputs, final = neurons(inputs, y, weights, 1.3, 0.1, lambda h: 1 / np.cosh(h) ** 2, np.tanh, 25)
    np.testing.assert_allclose(orbit.state, final, rtol=1e-12, atol=1e-13)
    assert float(orbit.observables["train_loss"][0]) == pytest.approx(((y - outputs[0]) ** 2).mean(), rel=1e-13)
    assert float(orbit.observables["train_loss"][1]) < ((y - outputs[0]) ** 2).mean()


def test_samples_have_their_laws():
    config = Config(
        input_dim=10, num_samples=3000, width=3000, planted=True, spike_overlap=0.4, init_scale=0.5, num_test=3,
        normalise_target=False,
    )  # fmt: skip
    drawn = jax.jit(sample)(jax.random.key(1), config)
    np.testing.assert_allclose(np.asarray(drawn.inputs).T @ drawn.inputs / 3000, np.eye(10) / 10, atol=0.015)
    assert 1e-3 < abs(float(drawn.target @ drawn.target) - 10) < 15
    assert drawn.test_inputs.shape == (3, 10)
    expected = 0.25 * np.diag([4.0] + [1.0] * 9)  # ρ_0 D = 4 along the target
    np.testing.assert_allclose(drawn.moments.second, expected, atol=0.1)
    limit, isotropic = jax.jit(lambda b: (initial_moments(b, 0.4, 0.5), initial_moments(b, 0.1, 1.0)))(drawn.target)
    np.testing.assert_allclose(limit.second, expected, atol=1e-12)
    np.testing.assert_allclose(isotropic.second, np.eye(10), atol=1e-14)


def test_precision_follows_the_inputs():
    x, beta = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    moments = Moments(beta, np.eye(2, dtype=np.float32))
    outputs = jax.jit(lambda m, x, b: (moments_output(m, x, 1.0, 0.5), labels(x, b)))(moments, x, beta)
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
