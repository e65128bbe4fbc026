"""What a configuration means to the theory: its regression problem, its optimal preconditioner, its losses."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.linear_attention.data import eigenvalues
from theorylab.settings.in_context.linear_attention.theory import nonlinear, risk
from theorylab.settings.in_context.linear_attention.theory.task_diversity import (
    pool_label_power_second_moment,
    pool_second_moment,
)

Pool = Float[Array, "tasks dim"] | None

#: Kurtosis of one coordinate of the covariates.
KURTOSIS = {"gaussian": 3.0, "uniform": 1.8}


def normaliser(config: Config) -> float:
    """ν: the context length for an averaging layer, 1 for a summing one."""
    return float(config.context_length) if config.normalisation == "mean" else 1.0


def prior(config: Config) -> risk.Regression:
    """The regression problem of fresh tasks (linear targets)."""
    covariates, tasks = eigenvalues(config)
    return risk.Regression(jnp.diag(covariates), jnp.diag(tasks), config.noise_variance)


def training_problem(config: Config, pool: Pool) -> tuple[risk.Regression, Array]:
    """The problem that is trained on, and E[(wᵀΛw + σ²)²]: those of the pool where there is one."""
    problem = prior(config)
    if pool is None:
        return problem, risk.label_power_second_moment(problem)
    return problem._replace(task_second_moment=pool_second_moment(pool)), pool_label_power_second_moment(pool, problem)


def target_moments(config: Config) -> nonlinear.TargetMoments:
    """Moments of a nonlinear target; a random ReLU network has those of a single ReLU."""
    link = "relu" if config.target == "network" else config.target
    return nonlinear.single_index_moments(link, config.dim)  # type: ignore[arg-type]


def best_preconditioner(config: Config, pool: Pool) -> Float[Array, "dim dim"]:
    """P* of a configuration, of whichever kind: the optimal layer is ŷ = x_qᵀ P* b."""
    n, noise = config.context_length, config.noise_variance
    if config.target != "linear":
        return jnp.asarray(nonlinear.nonlinear_learning_rate(target_moments(config), n, noise) * jnp.eye(config.dim))
    if config.covariates == "uniform":
        rate = risk.independent_coordinates_learning_rate(
            n, config.dim, noise, config.covariate_variance, KURTOSIS["uniform"]
        )
        return jnp.asarray(rate * jnp.eye(config.dim))
    return risk.optimal_preconditioner(training_problem(config, pool)[0], n)


def best_loss(config: Config, pool: Pool) -> ArrayLike:
    """L_min of a configuration, on its training distribution."""
    n, noise = config.context_length, config.noise_variance
    if config.target != "linear":
        return nonlinear.nonlinear_minimum_loss(target_moments(config), config.dim, n, noise)
    if config.covariates == "uniform":
        return risk.independent_coordinates_minimum_loss(
            n, config.dim, noise, config.covariate_variance, KURTOSIS["uniform"]
        )
    return risk.minimum_loss(training_problem(config, pool)[0], n)


def closed_form(config: Config) -> str | None:
    """Say why there is no closed form for a configuration's optimal layer; None where there is one."""
    if config.attention == "softmax":
        return "softmax attention has no closed-form optimum here"
    if config.num_layers > 1:
        return f"the closed form is for one layer, not {config.num_layers}"
    if math.isfinite(config.num_tasks) and config.target != "linear":
        return "a finite pool is for linear targets"
    return None
