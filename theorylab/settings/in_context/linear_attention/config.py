"""Configuration of a trained layer of linear attention."""

from __future__ import annotations

import math
from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.settings.in_context.prompts import Covariates, Target


@config
class Config:
    """One layer of linear attention on prompts (x_1, y_1), ..., (x_n, y_n), x_q; target y_q = f(x_q) + noise.

    Layer: ŷ = (1/ν) hᵀ sum_i W_V v_i (v_iᵀ W_Kᵀ W_Q v_q) with tokens v_i = (x_i, y_i), v_q = (x_q, 0), the sum over
    context tokens only, ν = n for ``normalisation = "mean"`` and 1 for ``"sum"``. The loss is E(ŷ - y_q)² on noisy
    targets, without a factor 1/2.
    """

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens in training", symbol="n", at_least=1)
    test_length: int = size(
        default=0, help="context tokens of test_length_loss; 0: as many as in training", symbol="m", at_least=0
    )
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    covariates: Covariates = size(default="gaussian", help="law of the coordinates of x")
    covariate_variance: float = scalar(default=1.0, help="mean eigenvalue of the covariates' covariance", above=0)
    covariate_exponent: float = scalar(
        default=0.0, help="decay of the covariance's eigenvalues, i^-a, of the given mean", symbol="a"
    )
    task_exponent: float = scalar(
        default=0.0, help="decay of the task covariance's eigenvalues, i^-b, of mean 1", symbol="b"
    )
    target: Target = size(
        default="linear",
        help="f: w·x, phi(w·x) with a unit vector w and phi = relu, tanh(3z), z^3 or hermite (the three coefficients "
        "below), or a random two-layer ReLU network",
    )
    link_linear: float = scalar(default=1.0, help="coefficient of phi on z (hermite)", symbol="c_1")
    link_quadratic: float = scalar(default=0.0, help="its coefficient on (z^2 - 1)/sqrt(2) (hermite)", symbol="c_2")
    link_cubic: float = scalar(default=0.0, help="its coefficient on (z^3 - 3z)/sqrt(6) (hermite)", symbol="c_3")
    target_width: int = size(default=8, help="hidden units of the target (network)", symbol="K", at_least=1)
    num_tasks: float = size(
        default=math.inf,
        help="pre-training tasks, each with both signs; inf: a fresh one per prompt",
        symbol="K",
        at_least=1,
        or_infinite=True,
    )
    normalisation: Literal["mean", "sum"] = size(default="mean", help="average or sum over the context")
    training: Literal["population", "prompts", "statistics"] = size(
        default="population", help="Adam on the exact loss, on fresh prompts, or on their sufficient statistics"
    )
    num_steps: int = size(default=3000, help="training steps", at_least=1)
    batch_size: int = size(default=256, help="fresh prompts per step (prompts, statistics)", symbol="B", at_least=1)
    learning_rate: float = scalar(default=0.02, help="Adam's peak learning rate (cosine to zero)", at_least=0)
    initial_scale: float = scalar(
        default=0.3, help="size of the initial weights: N(0, scale^2/(d+1)) entries", symbol=r"\epsilon", above=0
    )
    num_starts: int = size(
        default=1, help="random initialisations trained side by side, of which the best is kept", at_least=1
    )
    clip_norm: float = scalar(default=1.0, help="global norm at which Adam's gradients are clipped", above=0)
    num_test: int = size(default=1000, help="prompts on which losses are measured", at_least=2)


def check_config(config: Config) -> None:
    """Check what involves several fields.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    c = config

    def need(ok: bool, field: str, why: str) -> None:
        if not ok:
            raise ConfigError(f"{field} = {getattr(c, field)!r} is not allowed: {why}")

    plain = c.covariates == "gaussian" and c.target == "linear"
    isotropic = c.covariate_exponent == 0 and c.task_exponent == 0 and c.covariate_variance == 1
    if c.training == "population":
        need(plain, "training", "an exact loss exists for gaussian covariates and linear targets only; use 'prompts'")
    if c.training == "statistics":
        need(plain, "training", "sufficient statistics exist for gaussian covariates and linear targets; use 'prompts'")
        need(
            c.context_length > c.dim,
            "context_length",
            f"sufficient statistics need at least dim + 1 = {c.dim + 1} tokens; use training = 'prompts'",
        )
    if c.target != "linear":
        need(isotropic and c.covariates == "gaussian", "target", "nonlinear targets want standard normal covariates")
    if c.covariates == "uniform":
        need(c.covariate_exponent == 0 and c.task_exponent == 0, "covariates", "uniform ones are isotropic")
    if math.isfinite(c.num_tasks):
        need(plain, "num_tasks", "a finite pool is for gaussian covariates and linear targets; use inf")
        need(
            c.num_tasks >= c.dim,
            "num_tasks",
            f"a pool below dim = {c.dim} is rank-deficient: its optimum is blind to some directions",
        )
