"""Configurations of two-layer linear networks: a problem, a scaling, a step."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.linear_map import Problem, ProblemName, Scaling

#: Parameters of the largest Hessian that ``simulator="weights"`` diagonalises.
MOST_PARAMETERS = 1600


@config
class Config:
    """A network of m neurons on one of three problems, T steps of gradient descent."""

    problem: ProblemName = size(default="spread", help=linear_map.PROBLEM_HELP)
    scaling: Scaling = size(default="ntk", help=linear_map.SCALING_HELP)
    simulator: Literal["gram", "weights"] = size(default="gram", help="follow the moments, or train every parameter")
    width: int = size(default=64, help="hidden neurons", symbol="m", at_least=2)
    num_steps: int = size(default=100, help="gradient steps", symbol="T", at_least=1)
    num_records: int = size(
        default=20, fine=200, help="intervals at whose ends loss and sharpness are measured", at_least=1, at_most=10**4
    )
    learning_rate: float = scalar(default=0.2, help="step size", symbol=r"\eta", above=0)
    target_scale: float = scalar(default=0.447, help="scale of the target", symbol="s", at_least=0)
    init_scale: float = scalar(default=1.0, help="initial weights over those of the scaling", at_least=0)


def check_config(config: Config) -> None:
    """Refuse Hessians too large to diagonalise, and networks that cannot move.

    Raises
    ------
    ConfigError
        Naming the field, its value and what is allowed.
    """
    parameters = config.width * (linear_map.dimension(config.problem) + 1)
    if config.simulator == "weights" and parameters > MOST_PARAMETERS:
        most = MOST_PARAMETERS // (linear_map.dimension(config.problem) + 1)
        raise ConfigError(
            f"width = {config.width} is not allowed: with simulator = weights, which diagonalises the whole Hessian, "
            f"at most {most}; simulator = gram takes any width"
        )
    if config.init_scale == 0:
        raise ConfigError("init_scale = 0 is not allowed: all weights at 0 are a saddle, which gradient descent keeps")


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps of the observables: evenly spaced, the first and the last among them."""
    stride = max(1, config.num_steps // config.num_records)
    return tuple(sorted({*range(0, config.num_steps + 1, stride), config.num_steps}))


def problem(config: Config) -> Problem:
    """The problem and the scaling of a configuration."""
    return linear_map.problem_of(config.problem, config.scaling, config.width, config.target_scale, config.init_scale)


def kernel_edge(config: Config) -> Array:
    """Largest eigenvalue of the infinitely wide initial kernel, in units of the step."""
    unit = linear_map.kernel_edge(config.problem, config.scaling, config.width)
    return unit * jnp.asarray(config.init_scale) ** 2


def num_edges(config: Config) -> int:
    """How many Hessian eigenvalues are measured at either end: min(m, d + 1), none of which is 0."""
    return min(config.width, linear_map.dimension(config.problem) + 1)
