"""Configuration of robust matrix recovery."""

from __future__ import annotations

import warnings
from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.robust_recovery.theory.subgradient import diagnose_schedule


@config
class Config:
    """Recovery of a positive matrix M of rank ``target_rank`` by U Uᵀ, from measurements some of which are corrupted.

    M = diag(s_1 … s_r, 0 …) in its own basis; U has ``model_rank`` columns. Losses of the residuals
    z_i = <A_i, U Uᵀ − M> − c_i: l1 is their mean absolute value, of which U ← U − η_t D(E) U is a subgradient step
    with D(E) = (1/m) Σ sign(z_i) A_i; l2 is ¼ of their mean square, U ← U − η_t (A*A(E) − N) U.
    """

    loss: Literal["l1", "l2"] = size(default="l1", help="mean |residual|, or a quarter of the mean squared residual")
    operator: Literal["gaussian", "population"] = size(
        default="gaussian", help="measurements: num_measurements Gaussian ones, or infinitely many"
    )
    step_schedule: Literal["geometric", "residual", "constant"] = size(
        default="geometric",
        help="steps: learning_rate times step_decay^t, times the mean |residual| (l1 without outliers), or times 1",
    )
    dim: int = size(default=20, help="rows and columns of the target", symbol="n", at_least=2, at_most=10**4)
    target_rank: int = size(default=3, help="rank of the target", symbol="r", at_least=1)
    model_rank: int = size(default=20, help="columns of the model", symbol="k", at_least=1)
    num_measurements: int = size(default=2000, help="measurements (gaussian)", symbol="m", at_least=1)
    num_steps: int = size(default=600, help="steps, each of which is kept", at_least=1, at_most=10**6)
    learning_rate: float = scalar(default=1.0, help="step size, or its factor", symbol=r"\eta", above=0)
    step_decay: float = scalar(default=0.98, help="decay of geometric steps", symbol=r"\rho", above=0, below=1)
    largest_value: float = scalar(default=1.0, help="largest singular value of the target", symbol="s_1", above=0)
    smallest_value: float = scalar(default=0.6, help="smallest one; linear in between", symbol="s_r", above=0)
    init_scale: float = scalar(
        default=1e-6,
        help="scale of the initialisation; a second run starts from a hundredth",
        symbol=r"\alpha",
        above=0,
    )
    outlier_prob: float = scalar(default=0.0, help="corrupted measurements", symbol="p", at_least=0, below=1)
    outlier_scale: float = scalar(
        default=10.0, help="standard deviation of the additive corruption of <A_i, M>, A_i of unit variance", at_least=0
    )


def num_entries(config: Config) -> int:
    """Entries of a symmetric matrix as a vector."""
    return config.dim * (config.dim + 1) // 2


def signal_dimension(config: Config) -> int:
    """Dimension of the symmetric rank-r matrices: the fewest measurements that identify M."""
    return config.dim * config.target_rank - config.target_rank * (config.target_rank - 1) // 2


def check_config(config: Config) -> None:
    """Check what involves several fields; warn of what is allowed but cannot work.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    if config.model_rank < config.target_rank:
        raise ConfigError(f"model_rank = {config.model_rank} is not allowed: must be >= target_rank")
    if config.model_rank > config.dim or config.target_rank >= config.dim:
        raise ConfigError(
            f"model_rank = {config.model_rank} is not allowed: must be <= dim = {config.dim}, target_rank below"
        )
    if config.target_rank > 1 and config.smallest_value > config.largest_value:
        raise ConfigError(f"smallest_value = {config.smallest_value:g} is not allowed: must be <= largest_value")
    if config.loss == "l2":
        _check_square_loss(config)
    elif config.step_schedule == "residual" and config.outlier_prob > 0:
        raise ConfigError(
            f"step_schedule = 'residual' is not allowed: with outlier_prob = {config.outlier_prob:g} the mean residual "
            "does not vanish at the target; use 'geometric'"
        )
    elif config.step_schedule == "geometric":
        report = diagnose_schedule(
            config.learning_rate, config.step_decay, config.init_scale, spectrum(config), config.outlier_prob
        )
        if report.fraction < 1:
            warnings.warn(
                f"learning_rate = {config.learning_rate:g}: the steps sum to {report.fraction:.2f} of what recovery "
                f"needs, and a matrix of lower rank will come out; the predicted minimum is {report.smallest_step:.4g}",
                stacklevel=2,
            )
    if config.operator == "gaussian" and config.num_measurements < signal_dimension(config):
        warnings.warn(
            f"num_measurements = {config.num_measurements} cannot identify the target: a matrix of its rank has "
            f"{signal_dimension(config)} degrees of freedom",
            stacklevel=2,
        )


def _check_square_loss(config: Config) -> None:
    if config.step_schedule == "residual":
        raise ConfigError("step_schedule = 'residual' is not allowed: it is for loss = 'l1'")
    if config.learning_rate * config.largest_value >= 1:
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: gradient descent is stable below "
            f"{1 / config.largest_value:.4g}"
        )
    if config.operator == "population" and config.outlier_prob > 0:
        raise ConfigError(f"outlier_prob = {config.outlier_prob:g} is not allowed: no measurements to corrupt")
