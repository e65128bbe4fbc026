"""The theories of random networks as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import ROUNDING, Observables, at_config, theory, times
from theorylab.settings.wide_networks.papers import ROBERTS
from theorylab.settings.wide_networks.signal_propagation import controls
from theorylab.settings.wide_networks.signal_propagation.config import Config, slope_below_zero
from theorylab.settings.wide_networks.signal_propagation.regimes import (
    fluctuation,
    is_linear,
    leading_order,
    light_tails,
    mean_factor,
    network_of,
    piecewise_linear,
    small_fluctuations,
    visible_deaths,
    wide,
)
from theorylab.settings.wide_networks.signal_propagation.theory import cosines, exact, expansion


def only_weights(config: Config) -> str | None:
    """Light tails, and a tangent kernel without the biases' part."""
    if why := light_tails(config):
        return why
    return "for the weights alone, bias_learning_rate = 0" if config.bias_learning_rate else None


# --- any width --------------------------------------------------------------------------------------------------------


@theory(
    kind="ensemble",
    source="moments of independent factors: the kernel is a Markov chain on one number",
    predicts=("kernel", "kernel_variance"),
    holds=light_tails,
    error=ROUNDING,
    controls={
        "L factors": at_config(controls.one_layer_more),
        "the linear network's c = 2": controls.linear_rate,
        "leading order": controls.leading_variance,
    },
)
def exact_moments(key: jax.Array, config: Config) -> Observables:
    """E k_L = k_1 χ^(L-1) and E k_L²/(E k_L)² = (1 + c/n)^(L-1), at any width and depth, without biases."""
    found = exact.kernel_moments(config.width, config.depth - 1, slope_below_zero(config), mean_factor(config))
    return {"kernel": config.input_kernel * found.mean, "kernel_variance": config.input_kernel**2 * found.variance}


@theory(
    kind="ensemble",
    source="Laplace transform of one factor; sign symmetry of the units for the gradient (exact.log_factor_moments)",
    predicts=("log_kernel", "log_kernel_variance", "log_gradient", "log_gradient_variance"),
    holds=piecewise_linear,
    error=ROUNDING,
    controls={
        "L factors": at_config(controls.one_layer_more),
        "variance to leading order": controls.leading_log_variance,
        "mean to leading order": controls.leading_log_mean,
    },
)
def log_law(key: jax.Array, config: Config) -> Observables:
    """Mean and variance of log k_L, a sum of L - 1 independent terms; |b_1|² has the law of k_L/k_1."""
    one = exact.log_factor_moments(config.width, slope_below_zero(config), config.weight_variance)
    mean, variance = (config.depth - 1) * one.mean, (config.depth - 1) * one.variance
    return {
        "log_kernel": jnp.log(config.input_kernel) + mean,
        "log_kernel_variance": variance,
        "log_gradient": mean,
        "log_gradient_variance": variance,
    }


@theory(
    kind="ensemble",
    source="each unit is active with probability 1/2",
    predicts=("dead_fraction",),
    holds=visible_deaths,
    error=ROUNDING,
    controls={"L layers": at_config(controls.one_layer_more), "units of one sign, dead or alive": times(2.0)},
)
def dead_networks(key: jax.Array, config: Config) -> Observables:
    """Fraction 1 - (1 - 2^-n)^(L-1) of ReLU networks of which one layer has no active unit."""
    return {"dead_fraction": jnp.asarray(exact.dead_probability(config.width, config.depth - 1))}


@theory(
    kind="ensemble",
    source="transfer matrix of pairs of layers, derived here (exact.ntk_moments)",
    predicts=("ntk", "ntk_variance"),
    holds=only_weights,
    error=ROUNDING,
    controls={
        "layers between a pair independent": controls.independent_layers,
        "layers fully correlated": controls.correlated_layers,
        "leading order": controls.leading_ntk,
    },
)
def ntk_exact(key: jax.Array, config: Config) -> Observables:
    """Mean and variance of the tangent kernel at any width and depth, critical or not, without biases."""
    found = exact.ntk_moments(config.width, config.depth, slope_below_zero(config), mean_factor(config))
    return {"ntk": config.input_kernel * found.mean, "ntk_variance": config.input_kernel**2 * found.variance}


@theory(
    kind="ensemble",
    source="determinant of a product of Gaussian matrices (exact.alignment)",
    predicts=("log_square_sine",),
    holds=is_linear,
    error=ROUNDING,
    controls={"infinite width: no alignment": controls.no_alignment, "leading order": controls.leading_alignment},
)
def linear_alignment(key: jax.Array, config: Config) -> Observables:
    """Two inputs of a linear network align: E log(1 - ρ²) falls by ψ(n/2) - ψ((n-1)/2) ≈ 1/n in every layer."""
    shift = exact.alignment(config.width, config.depth - 1)
    return {"log_square_sine": jnp.log1p(-(jnp.asarray(config.input_cosine) ** 2)) + shift}


# --- expansions in 1/width --------------------------------------------------------------------------------------------


def error_of_expansion(variance: float, mean: float) -> Any:
    """Declared errors: of the variance times e, of the mean times e², e = Var k/K²."""

    def error(config: Config, observable: str) -> float:
        size = fluctuation(config)
        return ROUNDING + (variance * size if observable == "kernel_variance" else mean * size**2)

    return error


def closure_error(config: Config, observable: str) -> float:
    """Declared error of the second order.

    None for piecewise linear networks. Measured: -0.65% of the variance and 0.23% of the mean at e = 0.65 (tanh,
    n = 16, L = 17, 6.6e6 networks), that is 0.015 e² and 0.005 e².
    """
    if piecewise_linear(config) is None:
        return ROUNDING
    return ROUNDING + (0.05 if observable == "kernel_variance" else 0.01) * fluctuation(config) ** 2


def closure_holds(config: Config) -> str | None:
    """Where the second order holds: at small fluctuations, or light tails where it is exact."""
    return small_fluctuations(config) if piecewise_linear(config) else light_tails(config)


@theory(
    kind="ensemble",
    source=ROBERTS.at("recursion of the four-point vertex"),
    predicts=("kernel", "kernel_variance"),
    holds=leading_order,
    # Largest seen: 0.61 e (tanh, n = 64, L = 33, e = 0.32), 0.10 e² of the mean (tanh, n = 16, L = 17, e = 0.65).
    error=error_of_expansion(0.7, 0.15),
    controls={
        "F' for F'²": controls.vertex_with_one_power,
        "χ for F'": controls.vertex_with_perpendicular,
        "v without the mean square": controls.vertex_without_square,
        "v of Gaussian activations": controls.vertex_of_gaussians,
        "no curvature of F": controls.vertex_without_curvature,
    },
    traceable=False,
)
def vertex(key: jax.Array, config: Config) -> dict[str, Any]:
    """Mean and variance of the kernel to leading order in 1/n, any activation."""
    return kernel_of(expansion.vertex(network_of(config), config.depth, config.width))


def kernel_of(found: expansion.Fluctuations) -> dict[str, Any]:
    """The last layer's."""
    return {"kernel": found.kernel[-1] + found.shift[-1], "kernel_variance": found.variance[-1]}


@theory(
    kind="ensemble",
    source="moments to second order in 1/n, derived here (expansion.closure)",
    predicts=("kernel", "kernel_variance"),
    holds=closure_holds,
    error=closure_error,
    controls={
        "leading order": controls.closure_leading,
        "noise that does not change with k": controls.closure_flat_noise,
        "χ for F'": controls.vertex_with_perpendicular,
    },
    traceable=False,
)
def closure(key: jax.Array, config: Config) -> dict[str, Any]:
    """Mean and variance of the kernel to second order in 1/n, any activation; exact for piecewise linear ones."""
    return kernel_of(expansion.closure(network_of(config), config.depth, config.width))


def ntk_vertex_error(config: Config, observable: str) -> float:
    """Declared error of Var Θ.

    Measured: 7.1% and 6.3% at (100, 10) and (400, 30) for the linear network (0.7, 0.8 L/n); 18.5%, 4.3%, 16.5% for
    ReLU at (100, 10), (400, 10), (400, 30) (1.7 to 2.2 L/n); critical tanh 2.0/n to 3.5/n at L = 4 to 30; ordered tanh
    0.2 L/n. In the chaotic phase it grows as the square of the depth: 0.105, 0.147, 0.207 L(L-1)/n for tanh at
    C_W = 1.5, 2, 3 (within 4% at L = 6 and 11, n = 32 to 128), 0.119 for sin at 2, 0.072 for tanh at 1.5 with biases.
    """
    slope, aspect = slope_below_zero(config), config.depth / config.width
    if slope is not None and config.bias_variance == 0:
        return float(0.9 + 0.57 * (float(exact.fluctuation_rate(float(slope))) - 2)) * aspect
    critical = slope is None and config.bias_variance == 0 and abs(config.weight_variance - 1) < 1e-9
    chaos = 0.0 if slope is not None else 0.17 * math.sqrt(max(float(config.weight_variance) - 1, 0.0))
    return 4 / config.width if critical else max(1.2, chaos * (config.depth - 1)) * aspect


def small_variance(config: Config) -> str | None:
    """Where the next order of Var Θ is below 30% of it."""
    if why := wide(config):
        return why
    error = ntk_vertex_error(config, "ntk_variance")
    return None if error <= 0.3 else f"the next order in 1/width may be {error:.0%} of the tangent kernel's variance"


@theory(
    kind="ensemble",
    source="linear response of kernels and gradients, derived here (expansion.ntk_vertex)",
    predicts=("ntk_variance",),
    holds=small_variance,
    error=ntk_vertex_error,
    controls={
        "gradient noise ⟨s'⁴⟩ for 3⟨s'⁴⟩": controls.ntk_with_little_noise,
        "noises of kernel and gradient independent": controls.ntk_without_covariance,
    },
    traceable=False,
)
def ntk_vertex(key: jax.Array, config: Config) -> dict[str, Any]:
    """Variance of the tangent kernel to leading order in 1/n, any activation."""
    found = expansion.ntk_vertex(network_of(config), config.depth, config.bias_learning_rate)
    return {"ntk_variance": found.variance / config.width}


def infinite_width_error(config: Config, observable: str) -> float:
    """Declared errors of order 1/n; measured as said in :func:`infinite_width`."""
    if observable == "kernel":
        found = expansion.vertex(network_of(config), config.depth, config.width)
        return ROUNDING + 1.5 * abs(float(found.shift[-1] / found.kernel[-1]))
    if piecewise_linear(config) is None and config.bias_learning_rate == 0 and observable == "ntk":
        return ROUNDING
    return 2 * (config.depth - 1) / config.width + ROUNDING


@theory(
    kind="ensemble",
    source=ROBERTS.at("kernel and tangent kernel at infinite width"),
    predicts=("kernel", "ntk", "cosine"),
    holds=wide,
    error=infinite_width_error,
    controls={
        "a layer more": at_config(controls.one_layer_more),
        "gradients of one size in all layers": controls.sum_of_kernels,
        "cosine as of a linear network": controls.frozen_cosine,
    },
    traceable=False,
)
def infinite_width(key: jax.Array, config: Config) -> dict[str, Any]:
    """Kernel, tangent kernel and (piecewise linear, no bias) cosine at infinite width.

    The kernel's error is 1.5 times its next order, which is known. The mean of Θ is off by 1.1/n for critical tanh at
    L = 10 (n from 25 to 400), and exact for piecewise linear networks.
    """
    network = network_of(config)
    found = {
        "kernel": expansion.infinite_width(network, config.depth).kernel[-1],
        "ntk": np.asarray(expansion.ntk_vertex(network, config.depth, config.bias_learning_rate).mean),
    }
    if piecewise_linear(config) is None:
        slope = float(slope_below_zero(config))
        found["cosine"] = cosines.cosine_vertex(slope, config.depth, config.input_cosine).cosine[-1]
    return found


@theory(
    kind="ensemble",
    source="covariance of the two inputs' kernel to leading order, derived here (cosines.cosine_vertex)",
    predicts=("cosine_variance",),
    holds=lambda config: piecewise_linear(config) or wide(config),
    # ReLU: 4% at n = 400, L = 11 from cosine 0.6; 2% at n = 64, L = 6 from 0.2.
    error=lambda config, observable: 2 * config.depth / config.width,
    controls={
        "fluctuations not carried on": controls.cosine_not_transported,
        "kernels of the two inputs independent": controls.cosine_independent,
        "factor 2": times(2.0),
    },
    traceable=False,
)
def cosine_vertex(key: jax.Array, config: Config) -> dict[str, Any]:
    """Variance of the two inputs' cosine to leading order in 1/n, piecewise linear networks without biases."""
    slope = float(slope_below_zero(config))
    found = cosines.cosine_vertex(slope, config.depth, config.input_cosine)
    return {"cosine_variance": found.variance[-1] / config.width}


THEORIES = (
    exact_moments, log_law, dead_networks, ntk_exact, linear_alignment, infinite_width, vertex, closure, ntk_vertex,
    cosine_vertex,
)  # fmt: skip
