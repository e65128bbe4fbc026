"""What is measured of a trained layer: its preconditioner, its predictions and its losses on fresh prompts."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from theorylab.contract import Observables
from theorylab.settings.in_context.layer import (
    EffectiveLayer,
    context_weights,
    leak,
    one_step_predictions,
    preconditioner,
)
from theorylab.settings.in_context.layer import predict as predictions_of
from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.linear_attention.data import CONTEXT_RATIOS, test_lengths
from theorylab.settings.in_context.linear_attention.problem import best_preconditioner
from theorylab.settings.in_context.losses import query_averaged
from theorylab.settings.in_context.prompts import Law, sample_prompts


def measure(key: jax.Array, config: Config, law: Law, layer: EffectiveLayer) -> Observables:
    """Measure a layer: learned preconditioner, agreement with one step of gradient descent, test losses.

    The prediction vectors are compared on ``num_test`` fresh prompts of the training length, with x_qᵀ P* b at the
    closed-form P*.
    """
    n, lengths = config.context_length, test_lengths(config)
    learned, best = preconditioner(layer), best_preconditioner(law, n)
    gains = jnp.diagonal(learned) * n
    observables = {
        "learned_rate": jnp.mean(gains),
        "preconditioner": jnp.stack([gains[0], gains[-1]]),
        "alignment": jnp.sum(learned * best) / (jnp.linalg.norm(learned) * jnp.linalg.norm(best)),
        "leak": leak(layer),
    }

    # One set of long prompts; a shorter context is its beginning.
    prompts = sample_prompts(key, law, config.num_test, max(lengths))
    at_training = prompts._replace(covariates=prompts.covariates[:, :n], labels=prompts.labels[:, :n])
    learned_predictions = predictions_of(layer, at_training)
    reference = one_step_predictions(best, at_training)
    size = jnp.linalg.norm(reference)
    observables["prediction_cosine"] = jnp.sum(learned_predictions * reference) / (
        size * jnp.linalg.norm(learned_predictions)
    )
    observables["prediction_agreement"] = 1 - jnp.linalg.norm(learned_predictions - reference) / size

    losses = []
    for length in lengths:
        shrink = n / length if config.normalisation == "mean" else 1.0
        at_length = EffectiveLayer(layer.readout, layer.attention * shrink)
        weights = context_weights(at_length, prompts.covariates[:, :length], prompts.labels[:, :length])
        if prompts.tasks is None:
            losses.append(jnp.mean((jnp.sum(weights * prompts.queries, axis=1) - prompts.targets) ** 2))
        else:
            losses.append(query_averaged(weights, prompts.tasks, law))
    *losses, observables["test_length_loss"] = losses
    observables["test_loss"] = jnp.stack(losses)
    observables["sampled_loss"] = losses[CONTEXT_RATIOS.index(1.0)]
    return observables
