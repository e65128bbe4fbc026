"""Configuration of in-context linear regression by linear attention, and its presets."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from theorylab.contract import Case, ConfigError, config, scalar, size

Training = Literal["population", "prompts", "statistics", "flow", "separate_flow", "baselines", "pool_regression"]
MINIBATCH: tuple[str, ...] = ("prompts", "statistics")
FLOWS: tuple[str, ...] = ("flow", "separate_flow")
TRAINED: tuple[str, ...] = ("population", *MINIBATCH)


@config
class Config:
    """One layer (or more) of attention on prompts (x_1, y_1), ..., (x_n, y_n), x_q; target y_q = f(x_q) + noise.

    Layer: ŷ = (1/ν) hᵀ sum_i W_V v_i (v_iᵀ W_Kᵀ W_Q v_q) with tokens v_i = (x_i, y_i), v_q = (x_q, 0), the sum over
    context tokens only, ν = n for ``normalisation = "mean"`` and 1 for ``"sum"``. The loss is E(ŷ - y_q)² on noisy
    targets, without a factor 1/2; gradient flow is that of half of it.
    """

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens in training", symbol="n", at_least=1)
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    covariates: Literal["gaussian", "uniform"] = size(default="gaussian", help="law of the coordinates of x")
    covariate_variance: float = scalar(default=1.0, help="mean eigenvalue of the covariates' covariance", above=0)
    covariate_exponent: float = scalar(
        default=0.0, help="decay of the covariance's eigenvalues, i^-a, of the given mean", symbol="a"
    )
    task_exponent: float = scalar(
        default=0.0, help="decay of the task covariance's eigenvalues, i^-b, of mean 1", symbol="b"
    )
    target: Literal["linear", "relu", "tanh", "cubic", "network"] = size(
        default="linear",
        help="f: w·x, phi(w·x) with a unit vector w and phi = relu, tanh(3z), z^3, or a random two-layer ReLU network",
    )
    target_width: int = size(default=8, help="hidden units of the target (network)", symbol="K", at_least=1)
    num_tasks: float = size(
        default=math.inf,
        help="pre-training tasks, each with both signs; inf: a fresh one per prompt",
        symbol="K",
        at_least=1,
        or_infinite=True,
    )
    attention: Literal["linear", "softmax", "preconditioned"] = size(
        default="linear",
        help="query-key-value attention, linear or softmax; or one learned d x d preconditioner per layer",
    )
    num_layers: int = size(default=1, help="layers", symbol="L", at_least=1)
    normalisation: Literal["mean", "sum"] = size(default="mean", help="average or sum over the context")
    training: Training = size(
        default="population",
        help="Adam on the exact loss, on fresh prompts, or on their sufficient statistics; gradient flow from a "
        "structured start with W_K^T W_Q merged or separate; or no layer, the baselines; or a reduced layer's "
        "least squares on finitely many prompts",
    )
    num_steps: int = size(default=3000, help="training steps", at_least=1)
    batch_size: int = size(default=256, help="fresh prompts per step (prompts, statistics)", symbol="B", at_least=1)
    learning_rate: float = scalar(
        default=0.02, help="Adam's peak learning rate (cosine to zero), or the flow's time step", at_least=0
    )
    initial_scale: float = scalar(
        default=0.3, help="size of the initial weights: N(0, scale^2/(d+1)) entries", symbol=r"\epsilon", above=0
    )
    num_starts: int = size(
        default=1, help="random initialisations trained side by side, of which the best is kept", at_least=1
    )
    clip_norm: float = scalar(default=1.0, help="global norm at which Adam's gradients are clipped", above=0)
    num_test: int = size(default=1000, help="prompts on which losses are measured", at_least=2)
    prompt_ratio: float = size(
        default=3.0, help="prompts over d^2 (pool_regression)", symbol=r"\tau", above=0, whole=False
    )


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
    one_layer = c.attention == "linear" and c.num_layers == 1
    isotropic = c.covariate_exponent == 0 and c.task_exponent == 0 and c.covariate_variance == 1
    if c.training in ("population", *FLOWS):
        need(plain, "training", "an exact loss exists for gaussian covariates and linear targets only; use 'prompts'")
        need(one_layer, "training", "an exact loss exists for one layer of linear attention only; use 'prompts'")
    if c.training in FLOWS:
        need(c.task_exponent == 0, "task_exponent", "the structured start stays diagonal at task_exponent = 0")
        need(c.normalisation == "mean", "normalisation", "the gradient-flow theory is that of 'mean'")
        need(math.isinf(c.num_tasks), "num_tasks", "gradient flow is for fresh tasks, inf")
    if c.training == "statistics":
        need(plain, "training", "sufficient statistics exist for gaussian covariates and linear targets; use 'prompts'")
        need(
            c.attention == "preconditioned" or one_layer,
            "training",
            "sufficient statistics serve one linear layer or preconditioned ones; use 'prompts'",
        )
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
        need(c.target == "linear", "num_tasks", "a finite pool is for linear targets; use inf")
        need(
            c.num_tasks >= c.dim or c.training == "pool_regression",
            "num_tasks",
            f"a pool below dim = {c.dim} is rank-deficient: its optimum is blind to some directions",
        )
    if c.attention == "preconditioned":
        need(c.training == "statistics", "attention", "preconditioned layers train on 'statistics'")
    if c.training in ("baselines", "pool_regression"):
        need(plain and isotropic, "training", "it wants standard normal covariates and tasks, linear targets")
    if c.training == "pool_regression":
        need(math.isfinite(c.num_tasks), "num_tasks", "the pool must be finite")
        need(c.prompt_ratio != 1, "prompt_ratio", "1 is the interpolation threshold, where errors are infinite")


LAYER = Config()
#: From an exponent of about 0.9 a third of the initialisations end in a local minimum: several starts.
GAPPED = dataclasses.replace(LAYER, covariate_exponent=1.0, num_starts=12)
# From weights of scale 0.1 one of 24 seeds is still at the rank-one saddle after 800 steps, of scale 0.3 none.
MINIBATCHES = dataclasses.replace(LAYER, training="statistics", num_steps=1000, batch_size=256, initial_scale=0.3)
PROMPTS = dataclasses.replace(LAYER, training="prompts", num_steps=1500, batch_size=512, initial_scale=0.3)
RELU = dataclasses.replace(PROMPTS, target="relu", num_test=4000)
FLOW = dataclasses.replace(
    LAYER, training="flow", covariate_exponent=1.0, num_steps=3000, learning_rate=2e-3, initial_scale=0.01
)
SEPARATE = dataclasses.replace(
    LAYER, training="separate_flow", dim=4, covariate_exponent=1.0, num_steps=15_000, learning_rate=2e-3,
    initial_scale=0.01,
)  # fmt: skip
BASELINES = dataclasses.replace(LAYER, training="baselines", num_test=2000)
TWO_LAYERS = dataclasses.replace(
    LAYER, training="statistics", attention="preconditioned", num_layers=2, num_steps=1000, initial_scale=0.1
)
POOL = dataclasses.replace(LAYER, num_tasks=10, num_starts=12)
REGRESSION = Config(
    training="pool_regression", dim=20, context_length=40, num_tasks=40, noise_variance=0.1, prompt_ratio=3.0
)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("isotropic and anisotropic", LAYER, {"covariate_exponent": (0.0, 0.5)}, seeds=16),
        Case("relu target", dataclasses.replace(RELU, num_steps=900, batch_size=256), {}, seeds=8),
        Case("gradient flow", FLOW, {}, seeds=2, show="loss"),
        Case("baselines", BASELINES, {"noise_variance": (0.25, 1.0)}, seeds=8),
    ),
    "default": (
        Case("isotropic", LAYER, {"noise_variance": (0.0, 0.25, 1.0)}, seeds=16),
        Case(
            "anisotropic",
            LAYER,
            {"covariate_exponent": (0.25, 0.5), "task_exponent": (-0.5, 0.0, 0.25)},
            seeds=16,
        ),
        Case("gapped spectrum, best of 12 starts", GAPPED, {}, seeds=8),
        Case("few tasks", POOL, {}, seeds=6),
        Case("fresh prompts, statistics", MINIBATCHES, {"covariate_exponent": (0.0, 0.5)}, seeds=4),
        Case("relu target", dataclasses.replace(RELU, num_steps=1000, batch_size=256), {}, seeds=8),
        Case("two layers", TWO_LAYERS, {}, seeds=4),
        Case("gradient flow", FLOW, {"covariate_exponent": (0.0, 1.0)}, seeds=2, show="loss"),
        Case("gradient flow, separate", SEPARATE, {}, seeds=2, show="loss"),
        Case("baselines", BASELINES, {"noise_variance": (0.25, 1.0)}, seeds=16),
        Case("finitely many prompts", REGRESSION, {}, seeds=10),
    ),
    "paper": (
        Case(
            "von Oswald et al., Figure 2",
            dataclasses.replace(
                PROMPTS, covariates="uniform", covariate_variance=1 / 12, noise_variance=0.0, dim=10,
                context_length=10, learning_rate=1e-3, batch_size=2048, num_steps=5000, initial_scale=0.002,
                clip_norm=0.001, normalisation="sum",
            ),
            {},
            seeds=5,
            note="arXiv 2212.07677: d = n = 10, x ~ U(-1/2, 1/2), Adam 1e-3, 2048 prompts per step",
        ),
        Case(
            "uniform covariates",
            dataclasses.replace(PROMPTS, covariates="uniform", covariate_variance=1 / 12, noise_variance=0.0, dim=10,
                                context_length=10, learning_rate=0.05, normalisation="sum"),
            {},
            seeds=4,
        ),
        Case("nonlinear targets", RELU, {"target": ("relu", "tanh", "network")}, seeds=8),
        Case("large layer", dataclasses.replace(MINIBATCHES, dim=20, context_length=40, batch_size=4096,
                                                num_steps=20_000), {"covariate_exponent": (0.0, 1.0)}, seeds=8),
        Case(
            "Lu et al.",
            dataclasses.replace(REGRESSION, dim=100, context_length=100, num_tasks=50, noise_variance=0.01),
            {"prompt_ratio": (0.2, 0.5, 0.8, 1.2, 2.0, 5.0)},
            seeds=10,
            note="arXiv 2405.11751, Figure 1: d = 100, kappa = 0.5, rho = 0.01",
        ),
    ),
}  # fmt: skip
