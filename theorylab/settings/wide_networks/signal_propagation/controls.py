"""Wrong theories that a check must reject."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import Observables
from theorylab.settings.wide_networks.signal_propagation.config import Config, slope_below_zero
from theorylab.settings.wide_networks.signal_propagation.regimes import mean_factor, network_of
from theorylab.settings.wide_networks.signal_propagation.theory import cosines, exact, expansion


def one_layer_more(config: Config) -> Config:
    """L for L - 1 random factors."""
    return dataclasses.replace(config, depth=config.depth + 1)


def linear_rate(key: jax.Array, config: Config) -> Observables:
    """c = 2 for every slope."""
    mean = config.input_kernel * mean_factor(config) ** (config.depth - 1)
    return {"kernel_variance": mean**2 * ((1 + 2 / config.width) ** (config.depth - 1) - 1)}


def _leading(config: Config) -> Any:
    return exact.fluctuation_rate(slope_below_zero(config)) * (config.depth - 1) / config.width


def leading_variance(key: jax.Array, config: Config) -> Observables:
    """c (L-1)/n."""
    mean = config.input_kernel * mean_factor(config) ** (config.depth - 1)
    return {"kernel_variance": mean**2 * _leading(config)}


def leading_log_variance(key: jax.Array, config: Config) -> Observables:
    """c (L-1)/n."""
    return {"log_kernel_variance": _leading(config), "log_gradient_variance": _leading(config)}


def leading_log_mean(key: jax.Array, config: Config) -> Observables:
    """-c (L-1)/2n, of a log-normal number."""
    mean = (config.depth - 1) * jnp.log(mean_factor(config)) - _leading(config) / 2
    return {"log_kernel": jnp.log(config.input_kernel) + mean, "log_gradient": mean}


def _ntk(config: Config, ratio: Any) -> Observables:
    mean = config.depth * config.input_kernel * mean_factor(config) ** (config.depth - 1)
    return {"ntk_variance": mean**2 * (ratio - 1)}


def independent_layers(key: jax.Array, config: Config) -> Observables:
    """Factor 1 for each layer between a pair."""
    depth, x = config.depth, 1 + exact.fluctuation_rate(slope_below_zero(config)) / config.width
    between = jnp.arange(1, depth)
    pairs = jnp.sum((depth - between) * x ** (depth - 1 - between))
    return _ntk(config, (depth * x ** (depth - 1) + 2 * pairs) / depth**2)


def correlated_layers(key: jax.Array, config: Config) -> Observables:
    """As if Θ were L k_L."""
    return _ntk(config, (1 + exact.fluctuation_rate(slope_below_zero(config)) / config.width) ** (config.depth - 1))


def leading_ntk(key: jax.Array, config: Config) -> Observables:
    """1 + (7c - 2)/9 L/n."""
    rate = exact.fluctuation_rate(slope_below_zero(config))
    return _ntk(config, 1 + (7 * rate - 2) / 9 * config.depth / config.width)


def no_alignment(key: jax.Array, config: Config) -> Observables:
    """Two inputs stay as they are."""
    return {"log_square_sine": jnp.log1p(-(jnp.asarray(config.input_cosine) ** 2))}


def leading_alignment(key: jax.Array, config: Config) -> Observables:
    """-(L-1)/n."""
    return {"log_square_sine": jnp.log1p(-(jnp.asarray(config.input_cosine) ** 2)) - (config.depth - 1) / config.width}


# --- expansions -------------------------------------------------------------------------------------------------------


def _vertex(config: Config, **wrong: Any) -> dict[str, Any]:
    found = expansion.vertex(network_of(config), config.depth, config.width, **wrong)
    return {"kernel": found.kernel[-1] + found.shift[-1], "kernel_variance": found.variance[-1]}


def vertex_with_one_power(key: jax.Array, config: Config) -> dict[str, Any]:
    """V' = F' V + v."""
    return _vertex(config, transfer=lambda layers: layers.parallel)


def vertex_with_perpendicular(key: jax.Array, config: Config) -> dict[str, Any]:
    """V' = χ² V + v, χ = C_W ⟨s'²⟩."""
    return _vertex(config, transfer=lambda layers: layers.perpendicular**2)


def vertex_without_square(key: jax.Array, config: Config) -> dict[str, Any]:
    """v = C_W² ⟨s⁴⟩."""
    network = network_of(config)

    def noise(layers: expansion.Layers) -> Any:
        return layers.noise + (network.maps(layers.kernel, 0)[:, 0] - network.bias_variance) ** 2

    return _vertex(config, noise=noise)


def vertex_of_gaussians(key: jax.Array, config: Config) -> dict[str, Any]:
    """v = 2 (C_W ⟨s²⟩)², as if activations were Gaussian."""
    network = network_of(config)

    def noise(layers: expansion.Layers) -> Any:
        return 2 * (network.maps(layers.kernel, 0)[:, 0] - network.bias_variance) ** 2

    return _vertex(config, noise=noise)


def vertex_without_curvature(key: jax.Array, config: Config) -> dict[str, Any]:
    """The mean kernel of infinite width."""
    return _vertex(config, curvature=0.0)


def closure_leading(key: jax.Array, config: Config) -> dict[str, Any]:
    """First order alone."""
    return _vertex(config)


def closure_flat_noise(key: jax.Array, config: Config) -> dict[str, Any]:
    """v at the infinite-width kernel."""
    found = expansion.closure(network_of(config), config.depth, config.width, curved_noise=0.0)
    return {"kernel": found.kernel[-1] + found.shift[-1], "kernel_variance": found.variance[-1]}


def _ntk_vertex(config: Config, **wrong: Any) -> dict[str, Any]:
    found = expansion.ntk_vertex(network_of(config), config.depth, config.bias_learning_rate, **wrong)
    return {"ntk_variance": found.variance / config.width}


def ntk_with_little_noise(key: jax.Array, config: Config) -> dict[str, Any]:
    """Without the factor 3 of the weights' fourth moment."""
    return _ntk_vertex(config, gradient_noise=1.0)


def ntk_without_covariance(key: jax.Array, config: Config) -> dict[str, Any]:
    """Cov(ζ, η) = 0."""
    return _ntk_vertex(config, covariance=0.0)


def sum_of_kernels(key: jax.Array, config: Config) -> dict[str, Any]:
    """Θ = Σ_l (K_l - C_b + λ_b)."""
    kernels = expansion.infinite_width(network_of(config), config.depth).kernel
    return {"ntk": np.asarray((kernels - config.bias_variance + config.bias_learning_rate).sum())}


def frozen_cosine(key: jax.Array, config: Config) -> dict[str, Any]:
    """ρ_L = ρ_1."""
    return {"cosine": np.asarray(config.input_cosine)} if slope_below_zero(config) is not None else {}


def _cosine(config: Config, **wrong: Any) -> dict[str, Any]:
    slope: Any = slope_below_zero(config)
    found = cosines.cosine_vertex(float(slope), config.depth, config.input_cosine, **wrong)
    return {"cosine_variance": found.variance[-1] / config.width}


def cosine_not_transported(key: jax.Array, config: Config) -> dict[str, Any]:
    """J = 1."""
    return _cosine(config, transported=False)


def cosine_independent(key: jax.Array, config: Config) -> dict[str, Any]:
    """C without its off-diagonal entries."""
    return _cosine(config, covariance=0.0)
