"""The cases of a trained layer: what a check runs, and the sweeps behind the figures."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.in_context.linear_attention.config import Config

LAYER = Config()
#: From an exponent of about 0.9 a third of the initialisations end in a local minimum: several starts.
GAPPED = dataclasses.replace(LAYER, covariate_exponent=1.0, num_starts=12)
# From weights of scale 0.1 one of 24 seeds is still at the rank-one saddle after 800 steps, of scale 0.3 none.
MINIBATCHES = dataclasses.replace(LAYER, training="statistics", num_steps=1000, batch_size=256, initial_scale=0.3)
PROMPTS = dataclasses.replace(LAYER, training="prompts", num_steps=1500, batch_size=512, initial_scale=0.3)
RELU = dataclasses.replace(PROMPTS, target="relu", num_test=4000)
HERMITE = dataclasses.replace(RELU, target="hermite", link_quadratic=0.5, link_cubic=0.3)
POOL = dataclasses.replace(LAYER, num_tasks=10, num_starts=12)
UNIFORM = dataclasses.replace(
    PROMPTS, covariates="uniform", covariate_variance=1 / 12, noise_variance=0.0, dim=10, context_length=10,
    learning_rate=0.05, normalisation="sum",
)  # fmt: skip
VON_OSWALD = dataclasses.replace(
    UNIFORM, learning_rate=1e-3, batch_size=2048, num_steps=5000, initial_scale=0.002, clip_norm=0.001
)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case(
            "isotropic and anisotropic",
            dataclasses.replace(LAYER, test_length=60),
            {"covariate_exponent": (0.0, 0.5)},
            seeds=16,
        ),
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
    ),
    "paper": (
        Case(
            "von Oswald et al., Figure 2",
            VON_OSWALD,
            {},
            seeds=5,
            note="arXiv 2212.07677: d = n = 10, x ~ U(-1/2, 1/2), Adam 1e-3, 2048 prompts per step",
        ),
        Case("uniform covariates", UNIFORM, {}, seeds=4),
        Case("nonlinear targets", RELU, {"target": ("relu", "tanh", "network")}, seeds=8),
        Case("a link by its coefficients", HERMITE, {"link_linear": (0.5, 1.0), "link_cubic": (0.0, 0.3)}, seeds=8),
        Case(
            "large layer",
            dataclasses.replace(MINIBATCHES, dim=20, context_length=40, batch_size=4096, num_steps=20_000),
            {"covariate_exponent": (0.0, 1.0)},
            seeds=8,
        ),
    ),
}


def _lengths(layer: Config, lengths: tuple[int, ...], noises: tuple[float, ...], seeds: int) -> tuple[Case, ...]:
    """The learned step against the training context length, and averaging and summing layers at other lengths."""
    return (
        *(
            Case(f"length_{n}", dataclasses.replace(layer, context_length=n), {"noise_variance": noises}, seeds=seeds)
            for n in lengths
        ),
        Case("context_mean", layer, {}, seeds=seeds),
        Case("context_sum", dataclasses.replace(layer, normalisation="sum"), {}, seeds=seeds),
    )


def _training(config: Config, lengths: tuple[int, ...], seeds: int) -> tuple[Case, ...]:
    """Training on uniform covariates, as von Oswald et al. did."""
    return tuple(Case(f"training_{n}", dataclasses.replace(config, context_length=n), {}, seeds=seeds) for n in lengths)


MEASURED = dataclasses.replace(LAYER, num_test=500)
#: In smaller batches and faster than theirs.
FASTER = dataclasses.replace(UNIFORM, batch_size=256, num_steps=1500, num_test=4000)

SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        *_lengths(dataclasses.replace(LAYER, num_steps=300, num_test=100), (10,), (0.0, 1.0), seeds=2),
        *_training(dataclasses.replace(FASTER, batch_size=32, num_steps=50, num_test=100), (10,), seeds=2),
    ),
    "default": (
        *_lengths(MEASURED, (5, 10, 20, 40), (0.0, 1.0, 4.0), seeds=8),
        *_training(FASTER, (5, 10, 20), seeds=5),
    ),
    "paper": (
        *_lengths(MEASURED, (5, 10, 20, 40), (0.0, 1.0, 4.0), seeds=16),
        *_training(dataclasses.replace(VON_OSWALD, num_test=4000), (5, 10, 20), seeds=5),
    ),
}
