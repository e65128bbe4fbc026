"""Random networks without their matrices: Gaussian vectors that have exactly the network's law.

Given a layer, the units of the next are independent and Gaussian. Hence signals need n numbers per layer, for one input
or two. Gradients do as well: the weights A = sqrt(C_W/n) W of a layer enter the forward pass through y = A h alone.
Given y, the backward pass needs Aᵀ b, with b independent of A otherwise, and that is

    Aᵀ b = h (y·b)/|h|² + sqrt(C_W/n) |b| (g - h (h·g)/|h|²),    g ~ N(0, I).

y is the weights' part of the next preactivation z. Given z it is Gaussian, so that y·b takes one more number.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.wide_networks.signal_propagation.config import (
    Config,
    activation_of,
    derivative_of,
    slope_below_zero,
)

#: Numbers that the layers of a batch of networks store for the backward pass: what stays in a cache.
STORED = 2**19


class Networks(NamedTuple):
    """What is measured of each network."""

    kernel: Float[Array, " networks"]
    gradient: Float[Array, " networks"]
    ntk: Float[Array, " networks"]
    cosine: Float[Array, " networks"]
    square_sine: Float[Array, " networks"]


class Pair(NamedTuple):
    """Kernel of two inputs: k_11 = ``first``, k_12 = ``slope`` k_11, k_22 = ``slope``² k_11 + ``rest``."""

    first: Float[Array, " networks"]
    slope: Float[Array, " networks"]
    rest: Float[Array, " networks"]

    @property
    def second(self) -> Float[Array, " networks"]:
        """k_22."""
        return self.slope**2 * self.first + self.rest

    @property
    def cosine(self) -> Float[Array, " networks"]:
        """k_12/sqrt(k_11 k_22); NaN where a kernel is zero."""
        return self.slope * jnp.sqrt(self.first / self.second)

    @property
    def square_sine(self) -> Float[Array, " networks"]:
        """1 - cosine², without cancellation."""
        return self.rest / self.second


def inverse(value: Float[Array, " *shape"]) -> Float[Array, " *shape"]:
    """1/value, and 0 at zero."""
    positive = value > 0
    return jnp.where(positive, 1 / jnp.where(positive, value, 1.0), 0.0)


def first_layer(config: Config, count: int) -> Pair:
    """The first layer's kernel of two inputs of one norm."""
    ones = jnp.ones(count)
    k, cosine = config.input_kernel * ones, config.input_cosine * ones
    return Pair(k, cosine, k * (1 - cosine**2))


def next_kernel(first: Float[Array, "networks width"], second: Float[Array, "networks width"], config: Config) -> Pair:
    """Kernel of the layer after activations ``first`` and ``second``, k = C_b + (C_W/n) h h'.

    The biases are one more unit of both, so that the rest is a squared distance and does not cancel.
    """
    scale = config.weight_variance / first.shape[1]
    k = config.bias_variance + scale * jnp.sum(first**2, 1)
    slope = (config.bias_variance + scale * jnp.sum(first * second, 1)) * inverse(k)
    rest = config.bias_variance * (1 - slope) ** 2 + scale * jnp.sum((second - slope[:, None] * first) ** 2, 1)
    return Pair(k, slope, rest)


def sample_networks(key: jax.Array, config: Config, count: int) -> Networks:
    """Draw networks by Gaussian vectors: 3 n numbers and a few per layer, and no matrix."""
    n, hidden = config.width, config.depth - 1
    activation, derivative = activation_of(config), derivative_of(config)
    keys = random.split(key, 2 * hidden + 1)

    def forward(kernel: Pair, key: jax.Array) -> tuple[Pair, tuple[Array, Array]]:
        normal = random.normal(key, 2, count, n)
        z = jnp.sqrt(kernel.first)[:, None] * normal[0]
        other = kernel.slope[:, None] * z + jnp.sqrt(kernel.rest)[:, None] * normal[1]
        return next_kernel(activation(z), activation(other), config), (z, kernel.first)

    last, (preactivations, kernels) = jax.lax.scan(forward, first_layer(config, count), keys[1 : hidden + 1])

    def weights_part(kernel: Array) -> Array:
        # At C_b = 0 rounding must not make it negative.
        return jnp.maximum(kernel - config.bias_variance, 0.0)

    def backward(state: Any, layer: Any) -> tuple[Any, None]:
        square, overlap, ntk = state  # |b|² and y·b of the layer above
        z, kernel, key = layer
        normal = random.normal(key, count * (n + 1))
        h, g = activation(z), normal[: count * n].reshape(count, n)
        norm = inverse(jnp.sum(h**2, 1))
        size = jnp.sqrt(config.weight_variance / n * square)
        along = norm * (overlap - size * jnp.sum(h * g, 1))
        b = derivative(z) * (along[:, None] * h + size[:, None] * g)
        square, part = jnp.sum(b**2, 1), weights_part(kernel)
        bias = jnp.sqrt(config.bias_variance * part * inverse(kernel) * square)
        overlap = jnp.sum(z * b, 1) * part * inverse(kernel) + bias * normal[count * n :]
        return (square, overlap, ntk + (part + config.bias_learning_rate) * square), None

    top, one = weights_part(last.first), jnp.ones(count)
    start = (one, jnp.sqrt(top) * random.normal(keys[0], count), top + config.bias_learning_rate * one)
    layers = (preactivations, kernels, keys[hidden + 1 :])
    (gradient, _, ntk), _ = jax.lax.scan(backward, start, layers, reverse=True)
    return Networks(last.first, gradient, ntk, last.cosine, last.square_sine)


# --- kernels of piecewise linear networks, at any width ---------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def _active_units(width: int) -> tuple[int, np.ndarray]:
    """Cumulative law of the number of positive units, from its first number within 40 standard deviations."""
    from scipy.stats import binom

    lowest = max(0, math.floor(width / 2 - 20 * math.sqrt(width)))
    highest = min(width, math.ceil(width / 2 + 20 * math.sqrt(width)))
    return lowest, binom.cdf(np.arange(lowest, highest + 1), width, 0.5)


def sample_kernels(key: jax.Array, config: Config, count: int) -> Float[Array, " networks"]:
    """Draw log k_L of piecewise linear networks without biases, at a cost that does not depend on the width.

    k'/k = C_W (χ²_B + a² χ²_{n-B})/n with B ~ Bin(n, 1/2) positive units; -∞ where a layer is dead.
    """
    slope = slope_below_zero(config)
    lowest, cumulative = _active_units(config.width)
    table = jnp.asarray(cumulative, jnp.result_type(float))

    def chi_square(key: jax.Array, degrees: Array) -> Array:
        drawn = random.chi_square(key, jnp.maximum(degrees, 1), 1)[0]
        return jnp.where(degrees > 0, drawn, 0.0)

    def layer(log_kernel: Array, key: jax.Array) -> tuple[Array, None]:
        keys = random.split(key, 3)
        found = jnp.searchsorted(table, random.uniform(keys[0], count))
        active = lowest + jnp.minimum(found, table.shape[0] - 1).astype(table.dtype)
        total = chi_square(keys[1], active) + slope**2 * chi_square(keys[2], config.width - active)
        return log_kernel + jnp.log(config.weight_variance / config.width * total), None

    start = jnp.log(config.input_kernel * jnp.ones(count))
    return jax.lax.scan(layer, start, random.split(key, config.depth - 1))[0]


# --- the explicit network ---------------------------------------------------------------------------------------------


def sample_matrices(key: jax.Array, config: Config, count: int) -> Networks:
    """Draw networks with all their weights, and differentiate their output: the oracle of :func:`sample_networks`."""
    n, hidden = config.width, config.depth - 1
    activation, gain = activation_of(config), jnp.sqrt(config.weight_variance)
    k, bias = config.input_kernel, config.bias_variance
    # Two inputs of two entries that have the wanted kernel.
    square, product = (k - bias) / config.weight_variance, (k * config.input_cosine - bias) / config.weight_variance
    norm = jnp.sqrt(2 * square)
    along = 2 * product * inverse(norm)
    inputs = jnp.array([[norm, 0.0], [along, jnp.sqrt(jnp.maximum(2 * square - along**2, 0.0))]])

    def activations(params: dict[str, Array], x: Array) -> tuple[Array, Array]:
        """Of the last hidden layer, and the scalar output."""
        first = gain / jnp.sqrt(2.0) * params["first"] @ x + params["first_bias"]
        if hidden == 0:
            return x, first[0]

        def layer(z: Array, one: tuple[Array, Array]) -> tuple[Array, None]:
            weights, biases = one
            return gain / jnp.sqrt(1.0 * n) * weights @ activation(z) + biases, None

        last, _ = jax.lax.scan(layer, first, (params["weights"], params["biases"]))
        h = activation(last)
        return h, gain / jnp.sqrt(1.0 * n) * params["last"] @ h + params["last_bias"]

    def network(key: jax.Array) -> Networks:
        keys = random.split(key, 6)
        units = n if hidden else 1
        spread = jnp.sqrt(bias)
        params = {
            "first": random.normal(keys[0], units, 2),
            "first_bias": spread * random.normal(keys[1], units),
            "weights": random.normal(keys[2], max(hidden - 1, 0), n, n),
            "biases": spread * random.normal(keys[3], max(hidden - 1, 0), n),
            "last": random.normal(keys[4], n),
            "last_bias": spread * random.normal(keys[5], 1)[0],
        }
        gradient = jax.grad(lambda params: activations(params, inputs[0])[1])(params)
        squares = {name: jnp.sum(value**2) for name, value in gradient.items()}
        weights = sum(value for name, value in squares.items() if "bias" not in name)
        biases = sum(value for name, value in squares.items() if "bias" in name)
        pair = first_layer(config, 1)
        if hidden:
            first, second = (activations(params, x)[0][None] for x in inputs)
            pair = next_kernel(first, second, config)
        one = (pair.first, squares["first_bias"], weights + config.bias_learning_rate * biases)
        return Networks(*(jnp.reshape(value, ()) for value in (*one, pair.cosine, pair.square_sine)))

    return jax.vmap(network)(random.split(key, count))


# --- a seed -----------------------------------------------------------------------------------------------------------


def in_batches(
    draw: Callable[[jax.Array, Config, int], Networks], key: jax.Array, config: Config, stored: int
) -> Networks:
    """Draw ``num_networks`` in batches that store a bounded count of numbers, ``stored`` for each network."""
    batches = -(-config.num_networks // max(1, STORED // max(stored, 1)))
    each = -(-config.num_networks // batches)
    if batches == 1:
        return draw(key, config, each)
    drawn = jax.lax.map(lambda key: draw(key, config, each), random.split(key, batches))
    return jax.tree.map(lambda value: value.reshape(-1)[: config.num_networks], drawn)


def sample(key: jax.Array, config: Config) -> Networks:
    """Draw the networks of one seed, as the configuration says."""
    if config.sampler == "matrices":
        return in_batches(sample_matrices, key, config, (config.depth + 1) * config.width**2)
    return in_batches(sample_networks, key, config, config.depth * config.width)


def mean_and_variance(values: Array, counted: Array) -> tuple[Array, Array]:
    """Mean and unbiased variance of those that count; NaN with fewer than one, or two, of them."""
    total = jnp.sum(counted)
    mean = jnp.sum(jnp.where(counted, values, 0.0)) / total
    return mean, jnp.sum(jnp.where(counted, values - mean, 0.0) ** 2) / (total - 1)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw ``num_networks`` networks; means and unbiased variances over them.

    Logarithms are of networks without a dead layer; cosines of those that are alive for both inputs. Pure and traceable
    in every scalar field.
    """
    networks = sample(key, config)
    alive, flows = networks.kernel > 0, networks.gradient > 0
    both = alive & (networks.square_sine > 0)
    found: Observables = {"dead_fraction": jnp.mean(jnp.where(alive, 0.0, 1.0))}
    everyone = jnp.ones_like(alive)
    for name, values, counted in (
        ("kernel", networks.kernel, everyone),
        ("ntk", networks.ntk, everyone),
        ("log_kernel", jnp.log(jnp.where(alive, networks.kernel, 1.0)), alive),
        ("log_gradient", jnp.log(jnp.where(flows, networks.gradient, 1.0)), flows),
        ("cosine", networks.cosine, both),
    ):
        found[name], found[f"{name}_variance"] = mean_and_variance(values, counted)
    found["log_square_sine"], _ = mean_and_variance(jnp.log(jnp.where(both, networks.square_sine, 1.0)), both)
    return found
