"""The network and its linearisation, trained side by side from one start by plain gradient descent on the weights."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.kernels.ntk import limit
from theorylab.settings.kernels.ntk.config import Config
from theorylab.settings.kernels.ntk.data import data_of
from theorylab.settings.kernels.ntk.neurons import Neurons, activate, push, tangent_kernel
from theorylab.training.iterate import log_spaced_steps

#: The kernel's entries are reported between the first few training points.
SHOWN = 5


def recorded(config: Config) -> tuple[int, ...]:
    """Steps at which outputs are recorded, about four in a decade, the last included."""
    return log_spaced_steps(config.num_steps, 4)[1:]


def pairs(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the kernel's entries that are reported."""
    rows, columns = np.triu_indices(min(SHOWN, config.num_train))
    return rows, columns


def draw(key: jax.Array, width: int, dim: int) -> Neurons:
    """Draw the half of the neurons that is independent, N(0, 1); the other half are copies with -a."""
    numbers = random.normal(key, width // 2, dim + 1)
    return Neurons(numbers[:, 0], numbers[:, 1:])


def initial_kernel(key: jax.Array, config: Config) -> Float[Array, "points points"]:
    """Tangent kernel of the network that a key draws, between all points; copies do not change it."""
    half = draw(key, config.width, config.dim)
    return tangent_kernel(config.activation, half, jnp.asarray(data_of(config).x, half.a.dtype), config.width // 2)


def labels(config: Config) -> Float[Array, " train"]:
    """Labels of the training points, scaled."""
    return config.label_scale * jnp.asarray(data_of(config).unit_labels, jnp.result_type(float))


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train the network and its linearisation on half the summed squares. Pure, and traceable in the scalars."""
    half = draw(key, config.width, config.dim)
    x = jnp.asarray(data_of(config).x, half.a.dtype)
    count, y, root = config.num_train, labels(config), 1 / math.sqrt(config.width)
    start = Neurons(jnp.concatenate([half.a, -half.a]), jnp.concatenate([half.w, half.w]))
    value, slope = activate(config.activation, half.w @ x.T)
    slope = half.a[:, None] * slope
    train = x[:count]

    def linear(change: Neurons) -> Array:
        # Both copies change the output alike.
        return 2 * root * (change.a @ value + jnp.sum(slope * (change.w @ x.T), axis=0))

    def step(state: Any, _: None) -> tuple[Any, Any]:
        net, h, output, change, line = state
        force = -config.learning_rate * root * (output[:count] - y)
        net = jax.tree.map(jnp.add, net, push(config.activation, net, h[:, :count], train, force))
        h = net.w @ x.T
        output = root * net.a @ activate(config.activation, h)[0]
        pull = -config.learning_rate * root * (line[:count] - y)
        change = Neurons(change.a + value[:, :count] @ pull, change.w + (slope[:, :count] * pull[None]) @ train)
        line = linear(change)
        return (net, h, output, change, line), (output, line)

    zero = jnp.zeros(x.shape[0], x.dtype)
    state = (start, start.w @ x.T, zero, jax.tree.map(jnp.zeros_like, half), zero)
    (net, *_), (outputs, lines) = jax.lax.scan(step, state, length=config.num_steps)
    first = tangent_kernel(config.activation, half, x, config.width // 2)
    last = tangent_kernel(config.activation, net, x, config.width)
    theta = jnp.asarray(limit.moments(config.activation, data_of(config).x).kernel, x.dtype)
    norm = jnp.sum(theta**2)
    others = random.split(random.fold_in(key, 1), config.num_kernels)
    kernels = jax.lax.map(lambda other: initial_kernel(other, config), others)
    loss = jnp.sum((outputs[:, :count] - y[None]) ** 2, axis=1) / 2
    at = np.array(recorded(config)) - 1
    drift = jnp.sum((last - first) ** 2)
    return {
        "ntk": jnp.mean(kernels, axis=0)[pairs(config)],
        "kernel_deviation": jnp.sum((kernels - theta[None]) ** 2) / (config.num_kernels * norm),
        "kernel_drift": jnp.sqrt(drift / jnp.sum(first**2)),
        "kernel_drift_square": drift / norm,
        "sharpness": config.learning_rate * top(first, count),
        "final_sharpness": config.learning_rate * top(last, count),
        "loss": loss[at],
        "test_power": jnp.mean(outputs[at, count:] ** 2, axis=1),
        "linear_loss": jnp.sum((lines[at, :count] - y[None]) ** 2, axis=1) / 2,
        "linear_test_power": jnp.mean(lines[at, count:] ** 2, axis=1),
        "linearisation_error": jnp.sqrt(jnp.mean((outputs[-1, count:] - lines[-1, count:]) ** 2)),
        "peak_loss": jnp.max(loss) / config.width,
        "peak_step": (1 + jnp.argmax(loss)).astype(x.dtype),
    }


def top(kernel: Array, count: int) -> Float[Array, ""]:
    """Largest eigenvalue of the kernel on the training points."""
    return jnp.linalg.eigvalsh(kernel[:count, :count])[-1]
