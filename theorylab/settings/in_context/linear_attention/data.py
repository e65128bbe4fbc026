"""What a configuration means: the law of its prompts, which the key fixes, and its conventions."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax

from theorylab.numerics import random
from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.prompts import Law, power_law, sample_pool

#: Test context lengths, relative to the training one.
CONTEXT_RATIOS = (0.5, 1.0, 2.0, 4.0)


class Keys(NamedTuple):
    """What a run draws: initial weights, the pool of tasks, training prompts, test prompts."""

    init: jax.Array
    pool: jax.Array
    data: jax.Array
    test: jax.Array


def keys_of(key: jax.Array) -> Keys:
    """Split the key of a run; simulator and theories see the same pool."""
    return Keys(*random.split(key, 4))


def law_of(pool_key: jax.Array, config: Config) -> Law:
    """The law of a configuration's prompts, with its pool of tasks where that is finite."""
    law = Law(
        covariances=power_law(config.dim, config.covariate_exponent, config.covariate_variance),
        task_variances=power_law(config.dim, config.task_exponent),
        noise_variance=config.noise_variance,
        covariates=config.covariates,
        target=config.target,
        target_width=config.target_width,
        link=(config.link_linear, config.link_quadratic, config.link_cubic),
    )
    return law if math.isinf(config.num_tasks) else sample_pool(pool_key, law, int(config.num_tasks))


def normaliser(config: Config) -> float:
    """ν: the context length for an averaging layer, 1 for a summing one."""
    return float(config.context_length) if config.normalisation == "mean" else 1.0


def test_lengths(config: Config) -> tuple[int, ...]:
    """Test context lengths at :data:`CONTEXT_RATIOS`, at least one token each, and last the configuration's own."""
    ratios = tuple(max(1, round(ratio * config.context_length)) for ratio in CONTEXT_RATIOS)
    return *ratios, config.test_length or config.context_length
