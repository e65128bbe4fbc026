"""Where the theories of random networks hold, and the sizes that say so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from theorylab.settings.wide_networks.signal_propagation.config import Config, slope_below_zero
from theorylab.settings.wide_networks.signal_propagation.theory import exact, expansion

#: Relative standard error of one seed's E k² above which rare networks rule it, and the standard error itself.
HEAVY = 0.1
#: Dead networks that a seed should have for their number to be compared.
DEATHS = 10.0
#: Depth over width up to which expansions are leading.
NARROW = 0.2


def mean_factor(config: Config) -> Any:
    """E k'/k of a piecewise linear network without biases: C_W (1 + a²)/2."""
    return config.weight_variance * exact.even_moment(slope_below_zero(config), 2)


def piecewise_linear(config: Config) -> str | None:
    """Say that an activation has curvature, or that there are biases."""
    if slope_below_zero(config) is None:
        return f"activation = {config.activation!r}: for piecewise linear ones"
    return (
        None if config.bias_variance == 0 else f"bias_variance = {config.bias_variance:g}: for networks without biases"
    )


def is_linear(config: Config) -> str | None:
    """Say that the network is not linear."""
    why = piecewise_linear(config)
    if why is None and float(slope_below_zero(config)) != 1:
        return "for linear networks, of slope 1 below zero"
    return why


def light_tails(config: Config) -> str | None:
    """Say where second moments are ruled by networks so rare that neither they nor their errors can be trusted."""
    if why := piecewise_linear(config):
        return why
    ratio = float(exact.fourth_moment_ratio(config.width, config.depth - 1, float(slope_below_zero(config))))
    error = math.sqrt((ratio - 1) / config.num_networks)
    if error <= HEAVY:
        return None
    return f"heavy tails: E k_L² has a relative standard error of {error:.2g} in a seed; use the logarithms"


def visible_deaths(config: Config) -> str | None:
    """Say where dead networks are too rare to be counted."""
    why = piecewise_linear(config)
    if why is None and float(slope_below_zero(config)) != 0:
        return "for ReLU: with another slope no layer dies"
    if why is None:
        expected = config.num_networks * exact.dead_probability(config.width, config.depth - 1)
        why = None if expected >= DEATHS else f"{expected:.2g} dead networks in a seed are too few to count"
    return why


def network_of(config: Config) -> expansion.Network:
    """The network as the expansions see it, with functions of NumPy."""
    numbers = (float(config.weight_variance), float(config.bias_variance), float(config.input_kernel))
    if config.activation == "tanh":
        return expansion.Network(np.tanh, lambda z: 1 - np.tanh(z) ** 2, *numbers)
    if config.activation == "sin":
        return expansion.Network(np.sin, np.cos, *numbers)
    slope = float(slope_below_zero(config))
    return expansion.Network(lambda z: np.where(z > 0, z, slope * z), lambda z: np.where(z > 0, 1.0, slope), *numbers)


def fluctuation(config: Config) -> float:
    """e = Var k/K² of the last layer, to leading order."""
    found = expansion.vertex(network_of(config), config.depth, config.width)
    return float(found.variance[-1] / found.kernel[-1] ** 2)


def trusted_averages(config: Config) -> str | None:
    """Say where quadrature loses digits."""
    if slope_below_zero(config) is not None:
        return None
    largest = float(expansion.infinite_width(network_of(config), config.depth).kernel.max())
    if largest <= expansion.LARGEST_KERNEL:
        return None
    return f"a kernel of {largest:.2g} is above {expansion.LARGEST_KERNEL:g}, where Gaussian averages lose digits"


def small_fluctuations(config: Config) -> str | None:
    """Say where the expansion in 1/n has no small parameter."""
    if why := trusted_averages(config):
        return why
    size = fluctuation(config)
    return None if size <= 1 else f"Var k/K² = {size:.2g} is above 1: the expansion in 1/width has no small parameter"


def leading_order(config: Config) -> str | None:
    """Say where the leading order alone is more than a quarter off: the second order is there."""
    if why := small_fluctuations(config):
        return why
    size = fluctuation(config)
    return None if size <= 0.4 else f"Var k/K² = {size:.2g} is above 0.4: the next order in 1/width is not small"


def wide(config: Config) -> str | None:
    """Say where depth over width is not small."""
    if config.depth > NARROW * config.width:
        return f"depth/width = {config.depth / config.width:.2g} is above {NARROW:g}"
    return trusted_averages(config)
