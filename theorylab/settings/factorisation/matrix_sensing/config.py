"""Configuration of over-parameterised matrix sensing, and its presets."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, Literal

from theorylab.contract import Case, ConfigError, config, scalar, size


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
    trainer: Literal["gd", "modified", "boost", "subgm"] = size(
        default="gd",
        help="gradient descent, the same with one rebalancing step near the optimum (modified: all singular values, "
        "boost: only the small ones; asymmetric), or the subgradient method on the l1 loss (symmetric)",
    )
    operator: Literal["population", "gaussian"] = size(
        default="population", help="measurements: infinitely many (A*A = 1) or num_measurements Gaussian ones"
    )
    dim: int = size(default=50, help="rows of the target", symbol="n", at_least=2)
    dim2: int = size(default=0, help="columns of the target (asymmetric); 0 for as many as rows", at_least=0)
    target_rank: int = size(default=3, help="rank of the target", symbol="r", at_least=1)
    model_rank: int = size(default=5, help="columns of the model", symbol="k", at_least=1)
    num_measurements: int = size(default=1000, help="measurements (gaussian)", symbol="m", at_least=1)
    num_steps: int = size(default=3000, help="steps (after the rebalancing step, where there is one)", at_least=1)
    init: Literal["gaussian", "orthonormal"] = size(
        default="gaussian", help="entries N(0, 1/n), or random orthonormal columns, times init_scale"
    )
    step_schedule: Literal["geometric", "l1"] = size(
        default="geometric", help="subgm: step_size · step_decay^t, or step_size · mean |residual| (no outliers)"
    )
    normal_step: Literal["auto", "gram", "direct"] = size(
        default="auto", help="gaussian gd: A*A as one matrix, as two products, or the cheaper of the two"
    )
    scale_pair: bool = size(
        default=False, help="run from init_scale and init_scale/100, and measure the plateau's exponent"
    )
    learning_rate: float = scalar(default=0.1, help="step size; subgm: its first step", symbol=r"\eta", above=0)
    loss_prefactor: float = scalar(
        default=0.25, help="factor of |A(E)|² in the loss; rate 4 c η (symmetric), 2 c η (asymmetric)", above=0
    )
    largest_value: float = scalar(default=1.0, help="largest singular value of the target", symbol="s_1", above=0)
    smallest_value: float = scalar(default=0.6, help="smallest one; linear in between", symbol="s_r", above=0)
    init_scale: float = scalar(default=0.5, help="scale of the initialisation", symbol=r"\alpha", above=0)
    init_ratio: float = scalar(
        default=3.0, help="scale of F over that of G (asymmetric)", symbol=r"\gamma", at_least=1e-3
    )
    rebalance_scale: float = scalar(
        default=0.7745966692414834, help="singular values given to F by the rebalancing step", symbol=r"\beta", above=0
    )
    step_decay: float = scalar(default=0.98, help="decay of geometric steps", symbol=r"\rho", above=0, below=1)
    outlier_prob: float = scalar(default=0.0, help="corrupted measurements", symbol="p", at_least=0, below=1)
    outlier_scale: float = scalar(
        default=10.0, help="standard deviation of the additive corruption of <A_i, M>, A_i of unit variance", at_least=0
    )


def num_columns(config: Config) -> int:
    """Columns of the target."""
    return config.dim2 if config.model == "asymmetric" and config.dim2 else config.dim


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
    if config.smallest_value > config.largest_value:
        raise ConfigError(f"smallest_value = {config.smallest_value:g} is not allowed: must be <= largest_value")
    if config.trainer in ("modified", "boost") and config.model != "asymmetric":
        raise ConfigError(f"trainer = {config.trainer!r} is not allowed: it rebalances F and G (model = 'asymmetric')")
    if config.trainer == "subgm":
        _check_subgm(config)
    elif effective_rate(config) >= largest_stable_rate(config):
        bound = config.learning_rate * largest_stable_rate(config) / effective_rate(config)
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: gradient descent is stable below {bound:.4g} "
            f"(loss_prefactor = {config.loss_prefactor:g})"
        )
    if config.scale_pair and (config.model != "symmetric" or config.operator != "gaussian"):
        raise ConfigError(
            "scale_pair = True is not allowed: the plateau is of the symmetric model, finite measurements"
        )
    corruptible = config.trainer == "subgm" or (config.model == "symmetric" and config.operator == "gaussian")
    if config.outlier_prob > 0 and not corruptible:
        raise ConfigError(f"outlier_prob = {config.outlier_prob:g} is not allowed: no measurements to corrupt")
    if config.operator == "gaussian":
        fewest = signal_dimension(config)
        if config.num_measurements < fewest:
            warnings.warn(
                f"num_measurements = {config.num_measurements} cannot identify the target: a matrix of its rank has "
                f"{fewest} degrees of freedom", stacklevel=2,
            )  # fmt: skip


def _check_subgm(config: Config) -> None:
    if config.model != "symmetric":
        raise ConfigError("trainer = 'subgm' is not allowed: it is for model = 'symmetric'")
    if config.step_schedule == "l1":
        if config.outlier_prob > 0:
            raise ConfigError(
                f"step_schedule = 'l1' is not allowed: with outlier_prob = {config.outlier_prob:g} the mean residual "
                "does not vanish at the target; use 'geometric'"
            )
        return
    from theorylab.settings.factorisation.matrix_sensing.theory.subgradient import diagnose_schedule

    report = diagnose_schedule(
        config.learning_rate,
        config.step_decay,
        config.init_scale,
        spectrum(config),
        config.outlier_prob,
    )
    if report.fraction < 1:
        warnings.warn(
            f"learning_rate = {config.learning_rate:g}: the steps sum to {report.fraction:.2f} of what recovery needs, "
            f"and a matrix of lower rank will come out; the predicted minimum is {report.smallest_step:.4g}",
            stacklevel=3,
        )


def spectrum(config: Config) -> list[float]:
    """Singular values of the target of a concrete configuration, decreasing."""
    r, top, low = config.target_rank, config.largest_value, config.smallest_value
    return [top] if r == 1 else [top + (low - top) * i / (r - 1) for i in range(r)]


TINY = Config(dim=20, target_rank=2, model_rank=4)
ASYMMETRIC = Config(model="asymmetric", loss_prefactor=0.5)
TINY_ASYMMETRIC = dataclasses.replace(ASYMMETRIC, dim=20, target_rank=2, model_rank=4)
SUBGM = Config(
    trainer="subgm", operator="gaussian", dim=20, model_rank=20, num_measurements=2000, init_scale=1e-6,
    num_steps=600, learning_rate=1.0,
)  # fmt: skip

FAST_ASYMMETRIC = dataclasses.replace(TINY_ASYMMETRIC, learning_rate=0.05)
MEASURED = dataclasses.replace(
    FAST_ASYMMETRIC, operator="gaussian", num_measurements=600, init_scale=0.6, num_steps=8000, smallest_value=0.7
)
PLATEAU = dataclasses.replace(
    SUBGM, step_schedule="l1", scale_pair=True, init_scale=1e-7, num_measurements=2000, learning_rate=0.4
)
BEST_SCALE = math.sqrt(9 / 8 * 0.6 / math.sqrt(2))  # largest rate of a balanced start with init_ratio 3, s_r = 0.6

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("symmetric", TINY, seeds=8),
        Case("symmetric, exact rank", dataclasses.replace(TINY, model_rank=2, num_steps=1500), seeds=4),
        Case("asymmetric", dataclasses.replace(TINY_ASYMMETRIC, num_steps=20_000, init_scale=0.2), seeds=6),
        Case(
            "asymmetric, exact rank",
            dataclasses.replace(TINY_ASYMMETRIC, model_rank=2, num_steps=1500, init_scale=0.1),
            seeds=4,
        ),
        Case(
            "rebalanced",
            dataclasses.replace(FAST_ASYMMETRIC, trainer="modified", init_scale=0.1, num_steps=4000),
            {"rebalance_scale": (0.4, math.sqrt(0.6), 1.0)},
            seeds=3,
        ),
        Case("asymmetric, measured", MEASURED, seeds=5),
        Case("subgradient, outliers", dataclasses.replace(SUBGM, outlier_prob=0.3, learning_rate=1.3), seeds=3),
    ),
    "default": (
        Case("symmetric", Config(num_steps=20_000), {"init_scale": (0.1, 0.3, 0.5)}, seeds=8),
        Case("symmetric, small steps", dataclasses.replace(TINY, learning_rate=0.005, num_steps=20_000), seeds=4),
        Case("symmetric, exact rank", Config(model_rank=3, num_steps=1500), {"init_scale": (0.05, 0.3)}, seeds=8),
        Case(
            "asymmetric", dataclasses.replace(ASYMMETRIC, num_steps=60_000), {"init_scale": (0.1, 0.2, 0.3)}, seeds=8
        ),
        Case(
            "asymmetric, exact rank",
            dataclasses.replace(ASYMMETRIC, model_rank=3, num_steps=2000),
            {"init_scale": (0.05, 0.1, 0.3)},
            seeds=8,
        ),
        Case(
            "balanced start",
            dataclasses.replace(ASYMMETRIC, init="orthonormal", learning_rate=0.05, num_steps=20_000),
            {"init_scale": (0.2, 0.4, BEST_SCALE, 1.0, 1.5)},
            seeds=4,
        ),
        Case(
            "rebalanced",
            dataclasses.replace(ASYMMETRIC, trainer="modified", learning_rate=0.05, num_steps=6000),
            {"init_scale": (0.01, 0.1, 0.3), "rebalance_scale": tuple(math.sqrt(b) for b in (0.1, 0.3, 0.6, 1.0, 2.0))},
            seeds=3,
        ),
        Case(
            "boosted",
            dataclasses.replace(ASYMMETRIC, trainer="boost", learning_rate=0.05, num_steps=4000, init_scale=0.1),
            {"rebalance_scale": tuple(math.sqrt(b) for b in (0.2, 0.3, 0.6))},
            seeds=3,
        ),
        Case(
            "symmetric, measured", dataclasses.replace(TINY, operator="gaussian", num_measurements=400), seeds=4,
            note="no theory of the constant of its tail is known",
        ),
        Case("asymmetric, measured", MEASURED, seeds=8),
        Case(
            "asymmetric, measured, exact rank",
            dataclasses.replace(MEASURED, model_rank=2, num_steps=1200, init_scale=0.1),
            seeds=4,
        ),
        Case(
            "sample threshold",
            dataclasses.replace(MEASURED, init_scale=0.01, num_steps=2500, learning_rate=0.1),
            {"num_measurements": (60, 240)},
            seeds=4,
        ),
        Case(
            "subgradient, outliers",
            dataclasses.replace(SUBGM, learning_rate=1.3, num_measurements=3000),
            {"outlier_prob": (0.0, 0.2, 0.3)},
            seeds=4,
        ),
        Case("subgradient, budget", SUBGM, {"learning_rate": (0.59, 0.77)}, seeds=4),
        Case("plateau, l1", PLATEAU, seeds=3),
        Case(
            "plateau, l2",
            dataclasses.replace(PLATEAU, trainer="gd", learning_rate=0.1, num_steps=2000),
            seeds=3,
        ),
        Case(
            "outliers, square loss",
            Config(
                operator="gaussian", dim=16, model_rank=16, num_measurements=1500, init_scale=1e-4, num_steps=2500,
                outlier_prob=0.2,
            ),
            seeds=8,
        ),
    ),
    "paper": (
        Case("symmetric", Config(num_steps=100_000), {"init_scale": (0.1, 0.3, 0.5)}, seeds=20),
        Case(
            "asymmetric", dataclasses.replace(ASYMMETRIC, num_steps=100_000), {"init_scale": (0.1, 0.2, 0.3)}, seeds=20,
            note="50 x 50 of rank 3 as in the paper; its other sizes are our choice",
        ),
        Case(
            "asymmetric, measured",
            dataclasses.replace(
                ASYMMETRIC, operator="gaussian", num_measurements=4000, init_scale=0.5, num_steps=20_000,
                learning_rate=0.05,
            ),
            seeds=8,
        ),
    ),
}  # fmt: skip
