"""The theories of a trained layer as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from theorylab.contract import Observables, at_config, theory, times
from theorylab.settings.in_context.linear_attention import controls
from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.linear_attention.data import CONTEXT_RATIOS, keys_of, law_of, test_lengths
from theorylab.settings.in_context.linear_attention.problem import (
    best_loss,
    best_preconditioner,
    context_length_risks,
)
from theorylab.settings.in_context.losses import prior, risk
from theorylab.settings.in_context.papers import MAHANKALI, ZHANG

#: Largest relative errors that finite training leaves in every seed: measured at the presets' sizes.
#: Fresh prompts leave excess loss of order (Adam's final rate)/(prompts seen); the exact loss leaves rounding.
FINITE_TRAINING = {
    "population": {"final_loss": 1e-6, "fresh_task_loss": 1e-4, "prediction_cosine": 1e-6},
    "statistics": {"final_loss": 0.01, "learned_rate": 0.025, "prediction_cosine": 0.005},
    "prompts": {"final_loss": 0.01, "learned_rate": 0.05, "prediction_cosine": 0.01, "alignment": 0.01},
}
DEFAULT_ERROR = {"population": 1e-4, "statistics": 0.06, "prompts": 0.12}


def finite_training(config: Config, observable: str) -> float:
    """Relative error that is left after training: 1e-6 to 1e-4 on the exact loss, percents on fresh prompts."""
    return FINITE_TRAINING[config.training].get(observable, DEFAULT_ERROR[config.training])


def context_length_error(config: Config, observable: str) -> float:
    """Relative error left by training: nothing on the exact loss, 1% to 2% on fresh prompts."""
    return {"population": 1e-6, "statistics": 0.01, "prompts": 0.02}[config.training]


# --- where they hold --------------------------------------------------------------------------------------------


def is_optimal(config: Config) -> str | None:
    """Say why a trained layer need not be at the closed-form optimum; None where it should be."""
    if config.dim < 2:
        return "at dim = 1 there is a second optimal branch, which attends on labels"
    if config.num_steps < 500:
        return f"num_steps = {config.num_steps}: fewer than 500 steps do not reach the optimum"
    return None


def minimum_holds(config: Config) -> str | None:
    """Say where the loss at the end of training is no exact one, or not that of the optimum."""
    if config.target != "linear" or config.covariates != "gaussian":
        return "the loss is exact for gaussian covariates and linear targets only; for others see 'context_length'"
    return is_optimal(config)


def context_length_holds(config: Config) -> str | None:
    """Say where the sampled losses of a trained layer need not be those of the optimum."""
    if math.isfinite(config.num_tasks):
        return "for a finite pool see 'minimum'"
    return is_optimal(config)


#: Up to half of the starts end at a rank-one saddle (d = 2, few tasks, steep spectra); of its kind every one is marked.
STUCK = {"stuck at the rank-one saddle": lambda found: found["leak"] > 1}


# --- predictors -------------------------------------------------------------------------------------------------


def _otherwise_normalised(config: Config) -> Config:
    return dataclasses.replace(config, normalisation="sum" if config.normalisation == "mean" else "mean")


@theory(
    kind="exact",
    source=MAHANKALI.at("the optimum; for any Λ and Σ_w, L_min = t - n tr(Λ P* Λ Σ_w) + σ²"),
    predicts=("final_loss", "fresh_task_loss"),
    holds=minimum_holds,
    sets_aside=STUCK,
    error=finite_training,
    controls={
        "n for n + 1 in the preconditioner": controls.minimum_at(controls.one_token_less),
        "preconditioner without the noise": controls.minimum_at(controls.without_noise),
    },
)
def minimum(key: jax.Array, config: Config) -> Observables:
    """Predict the smallest exact loss of one layer, L_min; for a finite pool that of the pool, and on fresh tasks."""
    law, n = law_of(keys_of(key).pool, config), config.context_length
    least = jnp.asarray(best_loss(law, n))
    fresh = least if law.pool is None else risk(best_preconditioner(law, n), prior(law), n)
    return {"final_loss": least, "fresh_task_loss": fresh}


@theory(
    kind="exact",
    source=MAHANKALI.at(
        "the optimum: P* = [(n+1) Λ + s Σ_w⁻¹]⁻¹, isotropic η* = 1/(n+d+1+σ²); nonlinear a/((n-1)a + β + σ²)"
    ),
    predicts=("learned_rate", "preconditioner", "alignment", "prediction_cosine", "prediction_agreement"),
    holds=is_optimal,
    sets_aside=STUCK,
    error=finite_training,
    controls={
        "n for n + 1": controls.step_at(controls.one_token_less),
        "without the noise: n + d + 1": controls.step_at(controls.without_noise),
        "half the loss": times(2.0, "learned_rate", "preconditioner"),
    },
)
def one_step(key: jax.Array, config: Config) -> Observables:
    """Predict the learned preconditioner, and that the layer's predictions are those of one step of gradient descent.

    Cosine and agreement (1 - relative error) of the two prediction vectors are 1.
    """
    n, law = config.context_length, law_of(keys_of(key).pool, config)
    gains = n * jnp.diagonal(best_preconditioner(law, n))
    one = jnp.ones((), gains.dtype)
    return {
        "learned_rate": jnp.mean(gains),
        "preconditioner": jnp.stack([gains[0], gains[-1]]),
        "alignment": one,
        "prediction_cosine": one,
        "prediction_agreement": one,
    }


@theory(
    kind="ensemble",
    source=ZHANG.at(
        "the limit of long contexts; the risk of the optimal layer at m tokens is derived here by Isserlis' theorem"
    ),
    predicts=("test_loss", "sampled_loss", "test_length_loss"),
    holds=context_length_holds,
    sets_aside=STUCK,
    error=context_length_error,
    controls={
        "optimal at every length": controls.optimal_at_every_length,
        "the other normalisation": at_config(_otherwise_normalised),
    },
)
def context_length(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of the optimal layer at other context lengths than the one it was trained at.

    For uniform covariates, and for nonlinear targets of a summing layer, at the training length only.
    """
    n, law, mean = config.context_length, law_of(keys_of(key).pool, config), config.normalisation == "mean"
    if law.covariates == "uniform" or (law.target != "linear" and not mean):
        return {"sampled_loss": jnp.asarray(best_loss(law, n))}
    losses = context_length_risks(law, n, test_lengths(config), mean=mean)
    at_training = losses[CONTEXT_RATIOS.index(1.0)]
    return {"test_loss": losses[:-1], "sampled_loss": at_training, "test_length_loss": losses[-1]}


THEORIES = (minimum, one_step, context_length)
