"""The configuration of a random network, and what its activation is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax.numpy as jnp
from jax import Array

from theorylab.contract import ConfigError, config, scalar, size


@config
class Config:
    """A random network z¹ = sqrt(C_W/n_0) W¹ x + b¹, zˡ⁺¹ = sqrt(C_W/n) Wˡ⁺¹ s(zˡ) + bˡ⁺¹, W ~ N(0, 1), b ~ N(0, C_b).

    ``depth`` counts layers of weights (and of preactivations); the kernel of the last has ``depth - 1`` random factors.
    """

    width: int = size(default=20, help="hidden width", symbol="n", at_least=2, source="our choice")
    depth: int = size(
        default=5, help="preactivation layers, the scalar output included", symbol="L", at_least=1, at_most=10**4
    )
    num_networks: int = size(default=10_000, help="networks of one seed", symbol="N", at_least=2)
    activation: Literal["leaky_relu", "relu", "linear", "tanh", "sin"] = size(
        default="relu", help="relu and linear are leaky_relu of slope 0 and 1", symbol="s"
    )
    sampler: Literal["matrix_free", "matrices"] = size(
        default="matrix_free", help="Gaussian vectors with the law of the network, or the network itself: the oracle"
    )
    negative_slope: float = scalar(
        default=0.3, help="slope of leaky_relu below zero", symbol="a", at_least=-1, at_most=1
    )
    weight_variance: float = scalar(
        default=2.0, help="critical: relu 2, linear, tanh and sin 1, leaky_relu 2/(1 + a^2)", symbol="C_W", above=0
    )
    bias_variance: float = scalar(default=0.0, help="variance of the biases", symbol="C_b", at_least=0)
    input_kernel: float = scalar(
        default=1.0, help="variance of a first-layer unit, C_W |x|^2/n_0 + C_b, for both inputs", symbol="k_1", above=0
    )
    input_cosine: float = scalar(
        default=0.0, help="cosine of the two inputs in the first layer's kernel", symbol=r"\rho_1", above=-1, below=1
    )
    bias_learning_rate: float = scalar(
        default=0.0, help="weight of the biases in the tangent kernel", symbol=r"\lambda_b", at_least=0
    )


def check_config(config: Config) -> None:
    """Refuse first-layer kernels that no inputs have.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    k, bias = config.input_kernel, config.bias_variance
    if k < bias:
        raise ConfigError(
            f"input_kernel = {k:g} is not allowed: must be >= bias_variance = {bias:g}, the rest is C_W |x|^2/n_0"
        )
    if k * (1 + config.input_cosine) < 2 * bias:
        raise ConfigError(
            f"input_cosine = {config.input_cosine:g} is not allowed: must be >= {2 * bias / k - 1:.4g} "
            "(2 bias_variance/input_kernel - 1), since the biases of both inputs are the same"
        )


def slope_below_zero(config: Config) -> Any:
    """Slope of a piecewise linear activation below zero, None for the others."""
    return {"relu": 0.0, "linear": 1.0, "leaky_relu": config.negative_slope}.get(config.activation)


def activation_of(config: Config) -> Callable[[Array], Array]:
    """The activation, elementwise."""
    if config.activation in ("tanh", "sin"):
        return {"tanh": jnp.tanh, "sin": jnp.sin}[config.activation]
    slope = slope_below_zero(config)
    return lambda z: jnp.where(z > 0, z, slope * z)


def derivative_of(config: Config) -> Callable[[Array], Array]:
    """The activation's derivative, elementwise; at a kink that from below."""
    if config.activation == "tanh":
        return lambda z: 1 - jnp.tanh(z) ** 2
    if config.activation == "sin":
        return jnp.cos
    slope = slope_below_zero(config)
    return lambda z: jnp.where(z > 0, jnp.ones_like(z), slope)
