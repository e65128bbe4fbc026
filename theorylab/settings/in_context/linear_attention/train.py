"""Simulate in-context regression: train a layer on prompts, and measure it on fresh ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.in_context.descent import descend
from theorylab.settings.in_context.layer import (
    EffectiveLayer,
    effective_layer,
    init_layer,
    squared_error,
    statistic_weights,
)
from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.linear_attention.data import Keys, keys_of, law_of, normaliser
from theorylab.settings.in_context.linear_attention.measure import measure
from theorylab.settings.in_context.losses import exact_loss, has_exact_loss, query_averaged
from theorylab.settings.in_context.prompts import Law, sample_prompts, sample_statistics

#: Relative excess over the best start from which a start counts as stuck.
STUCK_ABOVE = 0.02


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train one layer from random initialisations, keep the best, and measure it.

    Pure and traceable in every scalar field. Losses include the label noise of the target.
    """
    keys = keys_of(key)
    law = law_of(keys.pool, config)
    if config.num_starts == 1:
        layer, losses = train_layer(keys, config, law)
        stuck = jnp.zeros((), losses.dtype)
    else:
        starts = random.split(keys.init, config.num_starts)
        layers, every = jax.vmap(lambda key: train_layer(keys._replace(init=key), config, law))(starts)
        best = jnp.argmin(every[:, -1])
        layer, losses = jax.tree.map(lambda leaf: leaf[best], layers), every[best]
        stuck = jnp.mean(every[:, -1] > losses[-1] * (1 + STUCK_ABOVE), dtype=losses.dtype)
    final = losses[-1]
    fresh = final if law.pool is None else exact_loss(law._replace(pool=None), config.context_length)(layer)
    along = {"loss": losses, "final_loss": final, "fresh_task_loss": fresh, "stuck_starts": stuck}
    return along | measure(keys.test, config, law, layer)


def train_layer(keys: Keys, config: Config, law: Law) -> tuple[EffectiveLayer, Float[Array, " steps"]]:
    """Train h, W_V, W_K, W_Q from a random initialisation; return the layer and its loss along training.

    On the exact loss, on fresh prompts, or on fresh sufficient statistics (then averaged over the query). The loss
    recorded is the exact one where there is one, else that on test prompts.
    """
    n = config.context_length
    population = recorded_loss(keys.test, config, law)
    trained, draw = _objective(config.training, population, law)
    batches: dict[str, Any] = {}
    if draw is not None:
        batches = {"key": keys.data, "sample_batch": lambda key: draw(key, law, config.batch_size, n)}
    layer_of = lambda params: effective_layer(params, normaliser(config))  # noqa: E731
    params, losses = descend(
        lambda params, *batch: trained(layer_of(params), *batch),
        init_layer(keys.init, config.dim, config.initial_scale),
        config,
        lambda params: population(layer_of(params)),
        **batches,
    )
    return layer_of(params), losses


def recorded_loss(key: jax.Array, config: Config, law: Law) -> Callable[[EffectiveLayer], Array]:
    """The exact loss where there is one, else the loss on test prompts, as a function of the layer."""
    if has_exact_loss(law):
        return exact_loss(law, config.context_length)
    test = sample_prompts(key, law, config.num_test, config.context_length)
    return lambda layer: squared_error(layer, test)


def _objective(
    training: str, population: Callable[[EffectiveLayer], Array], law: Law
) -> tuple[Callable[..., Array], Callable[..., Any] | None]:
    """The loss ``(layer, *batch) -> scalar`` that is trained on, and the sampler of its batches."""
    if training == "population":
        return population, None
    if training == "prompts":
        return squared_error, sample_prompts
    averaged = lambda layer, batch: query_averaged(statistic_weights(layer, batch), batch.tasks, law)  # noqa: E731
    return averaged, sample_statistics
