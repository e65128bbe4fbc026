"""Gradient descent on the network, in the coefficients of its weights and directly; what is read off from it.

Units as in ``data``: pre-activations u = w·x/p in kicks δ, alignments v_k = w·μ_k/|μ|², outputs
(4/m) Σ_j sgn(a_j) relu(u_j) in units of α p/(8 n).
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.numerics import xla
from theorylab.settings.two_layer.xor.config import Config, slope_of_loss
from theorylab.settings.two_layer.xor.data import Instance


class Products(NamedTuple):
    """All inner products that gradient descent and its read-outs need; see :func:`products`."""

    kernel: Float[Array, "samples samples"]
    initial: Float[Array, "width samples"]
    test_kernel: Float[Array, "samples tests"]
    test_initial: Float[Array, "width tests"]
    mean_kernel: Float[Array, "samples 2"]
    mean_initial: Float[Array, "width 2"]


class State(NamedTuple):
    """Pre-activations of the training set and the test set, and the alignments v_jk with both means."""

    train: Float[Array, "width samples"]
    test: Float[Array, "width tests"]
    alignment: Float[Array, "width 2"]


def products(instance: Instance, config: Config) -> Products:
    """Inner products of samples, test points, means and initial weights: X Xᵀ/p, W_0 Xᵀ/p and so on."""
    x, p = instance.features, config.input_dim
    return Products(
        kernel=xla.inner_products(x, x) / p,
        initial=xla.inner_products(instance.weights, x) / p,
        test_kernel=xla.inner_products(x, instance.test_features) / p,
        test_initial=xla.inner_products(instance.weights, instance.test_features) / p + instance.outside,
        mean_kernel=x[:, :2] / config.mean_norm,
        mean_initial=instance.weights[:, :2] / config.mean_norm,
    )


def output(signs: Float[Array, " width"], preactivations: Float[Array, "width points"]) -> Float[Array, " points"]:
    """Network outputs f in units of α p/(8 n)."""
    return (4 / signs.shape[0]) * (signs @ jnp.maximum(preactivations, 0))


def update(
    preactivations: Float[Array, "width samples"],
    labels: Float[Array, " samples"],
    signs: Float[Array, " width"],
    config: Config,
) -> Float[Array, "width samples"]:
    """Coefficients of one step: w_j ← w_j + Σ_i 2 g_i sgn(a_j) y_i 1[u_ji > 0] x_i, g_i = sigmoid(−y_i f_i).

    The derivative of relu at 0 is 0.
    """
    if config.loss_slope == "half":
        slope = labels
    else:
        slope = labels * slope_of_loss(config, labels * output(signs, preactivations))
    return jnp.where(preactivations > 0, signs[:, None] * slope[None], 0)


def step_coefficients(
    coefficients: Float[Array, "width samples"],
    kernel: Float[Array, "samples samples"],
    initial: Float[Array, "width samples"],
    labels: Float[Array, " samples"],
    signs: Float[Array, " width"],
    config: Config,
) -> Float[Array, "width samples"]:
    """One step in the coefficients B of W = W_0 + B X: exact, and independent of the input dimension."""
    return coefficients + update(initial + coefficients @ kernel, labels, signs, config)


def step_weights(
    weights: Float[Array, "width coords"],
    features: Float[Array, "samples coords"],
    labels: Float[Array, " samples"],
    signs: Float[Array, " width"],
    config: Config,
) -> Float[Array, "width coords"]:
    """One step of gradient descent on the weights themselves, whatever their number of coordinates."""
    return weights + update(xla.inner_products(weights, features) / config.input_dim, labels, signs, config) @ features


def read_coefficients(coefficients: Float[Array, "width samples"], parts: Products) -> State:
    """Pre-activations and alignments from coefficients."""
    return State(
        parts.initial + coefficients @ parts.kernel,
        parts.test_initial + coefficients @ parts.test_kernel,
        parts.mean_initial + coefficients @ parts.mean_kernel,
    )


def read_weights(weights: Float[Array, "width coords"], instance: Instance, config: Config) -> State:
    """Pre-activations and alignments from weights."""
    p = config.input_dim
    return State(
        xla.inner_products(weights, instance.features) / p,
        xla.inner_products(weights, instance.test_features) / p + instance.outside,
        weights[:, :2] / config.mean_norm,
    )


def split_centres(
    signs: Float[Array, " width"], alignment: Float[Array, "width 2"], config: Config
) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """Odd (linear) and even part of f at the centres μ_1, μ_2, in units of α p/(8 n).

    relu(z) = z/2 + |z|/2: f = O + E with O(x) = Σ_j a_j w_j·x / 2 linear, right on half of the XOR clusters whatever
    it is, and E even, in which all generalisation lies.
    """
    scale = 2 / signs.shape[0] * (config.mean_norm**2 / config.input_dim)
    return scale * (signs @ alignment), scale * (signs @ jnp.abs(alignment))


def group_alignments(signs: Float[Array, " width"], alignment: Float[Array, "width 2"]) -> Float[Array, " 4"]:
    """Mean |<w_j, μ_k>| in units of α|μ|²/(n √m), of neurons with a_j > 0 on μ_1, μ_2, then of a_j < 0."""
    size = jnp.abs(alignment) / 2
    positive = jnp.where(signs > 0, 1.0, 0.0)
    weight = jnp.stack([positive, 1 - positive])
    return ((weight @ size) / jnp.maximum(jnp.sum(weight, axis=1), 1)[:, None]).reshape(4)


def own_and_other(signs: Float[Array, " width"], alignment: Float[Array, "width 2"]) -> tuple[Array, Array]:
    """Mean |<w_j, μ_k>| / (α|μ|²/(n √m)) over neurons, on the pair of their own class (a_j > 0: μ_1) and the other."""
    size = jnp.abs(alignment) / 2
    positive = signs > 0
    return (
        jnp.mean(jnp.where(positive, size[:, 0], size[:, 1])),
        jnp.mean(jnp.where(positive, size[:, 1], size[:, 0])),
    )
