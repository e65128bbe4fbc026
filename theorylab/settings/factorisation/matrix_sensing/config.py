"""Configuration of over-parameterised matrix sensing."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

from theorylab.contract import ConfigError, config, scalar, size

XIONG = "Xiong et al. 2024, experiments"


@config
class Config:
    """Recovery of a rank-``target_rank`` matrix M by a product with ``model_rank`` columns.

    Symmetric: M ≈ X Xᵀ; asymmetric: M ≈ F Gᵀ. M is given in its own singular basis, M = diag(s_1 … s_r, 0 …):
    the initialisation and the measurements are rotation invariant, so nothing is lost. The loss is
    ``loss_prefactor · |A(model − M)|²``; the *effective* rate of the update X ← X − rate · H(E) X (symmetric) or
    F ← F − rate · H(E) G (asymmetric), with H = A*A and E = model − M, is then 4 · loss_prefactor · learning_rate
    (symmetric) or 2 · loss_prefactor · learning_rate (asymmetric): see :func:`effective_rate`.
    """

    model: Literal["symmetric", "asymmetric"] = size(default="symmetric", help="X Xᵀ or F Gᵀ")
    trainer: Literal["gd", "modified", "boost"] = size(
        default="gd",
        help="gradient descent, or the same with one rebalancing step near the optimum (modified: all singular values, "
        "boost: only the small ones; asymmetric)",
    )
    operator: Literal["population", "gaussian"] = size(
        default="population", help="measurements: infinitely many (A*A = 1) or num_measurements Gaussian ones"
    )
    dim: int = size(default=50, help="rows of the target", symbol="n", at_least=2, at_most=10**4, source=XIONG)
    dim2: int = size(
        default=0, help="columns of the target (asymmetric); 0 for as many as rows", at_least=0, at_most=10**4
    )
    target_rank: int = size(default=3, help="rank of the target", symbol="r", at_least=1, source=XIONG)
    model_rank: int = size(default=5, help="columns of the model", symbol="k", at_least=1)
    num_measurements: int = size(default=1000, help="measurements (gaussian)", symbol="m", at_least=1)
    num_steps: int = size(default=3000, help="steps (after the rebalancing step, where there is one)", at_least=1)
    rebalance_step: int = size(
        default=0, help="step at which F and G are rebalanced (modified, boost); 0: near the optimum", at_least=0
    )
    init: Literal["gaussian", "orthonormal"] = size(
        default="gaussian", help="entries N(0, 1/n), or random orthonormal columns, times init_scale"
    )
    normal_step: Literal["auto", "gram", "direct"] = size(
        default="auto", help="gaussian: A*A as one matrix, as two products, or the cheaper of the two"
    )
    learning_rate: float = scalar(default=0.1, help="step size", symbol=r"\eta", above=0)
    loss_prefactor: float = scalar(
        default=0.25, help="factor of |A(E)|² in the loss; rate 4 c η (symmetric), 2 c η (asymmetric)", above=0
    )
    largest_value: float = scalar(default=1.0, help="largest singular value of the target", symbol="s_1", above=0)
    smallest_value: float = scalar(default=0.6, help="smallest one; linear in between", symbol="s_r", above=0)
    init_scale: float = scalar(default=0.5, help="scale of the initialisation", symbol=r"\alpha", above=0)
    init_ratio: float = scalar(
        default=3.0, help="scale of F over that of G (asymmetric)", symbol=r"\gamma", at_least=1e-3, source=XIONG
    )
    rebalance_scale: float = scalar(
        default=0.7745966692414834, help="singular values given to F by the rebalancing step", symbol=r"\beta", above=0
    )


def num_columns(config: Config) -> int:
    """Columns of the target."""
    return config.dim2 if config.model == "asymmetric" and config.dim2 else config.dim


def num_entries(config: Config) -> int:
    """Entries of a measured matrix as a vector: n n_2, or n (n + 1)/2 of a symmetric one."""
    n = config.dim
    return n * num_columns(config) if config.model == "asymmetric" else n * (n + 1) // 2


def effective_rate(config: Config) -> Any:
    """Rate of the bare update, X ← X − rate · H(E) X: the gradient of c |A(E)|² has a factor 4c (symmetric) or 2c."""
    return (4 if config.model == "symmetric" else 2) * config.loss_prefactor * config.learning_rate


def signal_dimension(config: Config) -> int:
    """Dimension of the rank-r matrices: the fewest measurements that identify M (symmetric: nr − r(r−1)/2)."""
    n, n2, r = config.dim, num_columns(config), config.target_rank
    return n * r - r * (r - 1) // 2 if config.model == "symmetric" else r * (n + n2) - r * r


def largest_stable_rate(config: Config) -> float:
    """Effective rate above which gradient descent leaves the minimum: 2 / (largest curvature there).

    Curvature of the population loss: max spec(F Fᵀ) + max spec(G Gᵀ), which is 2 s_1 when balanced,
    sqrt(d² + 4 s_1²) with imbalance d, and β² + s_1²/β² after the modified step. Finite measurements lower the
    bound further, by an amount that depends on the instance: see ``planning.predict_rate``.
    """
    s = config.largest_value
    curvature = 2 * s
    if config.model == "asymmetric":
        imbalance = config.init_scale**2 * abs(1 - config.init_ratio**-2)
        curvature = math.sqrt(imbalance**2 + 4 * s * s)
        if config.trainer == "modified":
            curvature = config.rebalance_scale**2 + s * s / config.rebalance_scale**2
    return 2 / curvature


def check_config(config: Config) -> None:
    """Check what involves several fields; warn of what is allowed but cannot work.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    smallest = min(config.dim, num_columns(config))
    if config.model_rank < config.target_rank:
        raise ConfigError(f"model_rank = {config.model_rank} is not allowed: must be >= target_rank")
    if config.model_rank > smallest or config.target_rank >= smallest:
        raise ConfigError(f"model_rank = {config.model_rank} is not allowed: must be <= {smallest}, target_rank below")
    if config.target_rank > 1 and config.smallest_value > config.largest_value:
        raise ConfigError(f"smallest_value = {config.smallest_value:g} is not allowed: must be <= largest_value")
    if config.trainer in ("modified", "boost") and config.model != "asymmetric":
        raise ConfigError(f"trainer = {config.trainer!r} is not allowed: it rebalances F and G (model = 'asymmetric')")
    if effective_rate(config) >= largest_stable_rate(config):
        bound = config.learning_rate * largest_stable_rate(config) / effective_rate(config)
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: gradient descent is stable below {bound:.4g} "
            f"(loss_prefactor = {config.loss_prefactor:g})"
        )
    if config.operator == "gaussian":
        fewest = signal_dimension(config)
        if config.num_measurements < fewest:
            warnings.warn(
                f"num_measurements = {config.num_measurements} cannot identify the target: a matrix of its rank has "
                f"{fewest} degrees of freedom",
                stacklevel=2,
            )
