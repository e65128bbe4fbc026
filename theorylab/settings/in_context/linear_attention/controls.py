"""Wrong theories of a trained layer, which a check must reject."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import Observables, Predictor
from theorylab.settings.in_context.linear_attention.config import Config
from theorylab.settings.in_context.linear_attention.data import keys_of, law_of, test_lengths
from theorylab.settings.in_context.linear_attention.problem import best_loss, best_preconditioner
from theorylab.settings.in_context.losses import risk, training_problem
from theorylab.settings.in_context.prompts import Law

Step = Callable[[Law, int], Array]


def one_token_less(law: Law, context_length: int) -> Array:
    """[n Λ + s Σ_w⁻¹]⁻¹: the fourth moment of the covariates forgotten."""
    return best_preconditioner(law, context_length - 1)


def without_noise(law: Law, context_length: int) -> Array:
    """[(n+1) Λ + t Σ_w⁻¹]⁻¹: labels whose noise is forgotten."""
    return best_preconditioner(law._replace(noise_variance=0.0), context_length)


def minimum_at(step: Step) -> Predictor:
    """The risk at a wrong preconditioner."""

    def wrong(key: jax.Array, config: Config) -> Observables:
        law, n = law_of(keys_of(key).pool, config), config.context_length
        return {"final_loss": risk(step(law, n), training_problem(law), n)}

    return wrong


def step_at(step: Step) -> Predictor:
    """The gains of a wrong preconditioner."""

    def wrong(key: jax.Array, config: Config) -> Observables:
        n = config.context_length
        gains = n * jnp.diagonal(step(law_of(keys_of(key).pool, config), n))
        return {"learned_rate": jnp.mean(gains), "preconditioner": jnp.stack([gains[0], gains[-1]])}

    return wrong


def optimal_at_every_length(key: jax.Array, config: Config) -> Observables:
    """L_min of each test length, as if the layer were trained again there."""
    law = law_of(keys_of(key).pool, config)
    *losses, other = (jnp.asarray(best_loss(law, m)) for m in test_lengths(config))
    return {"test_loss": jnp.stack(losses), "test_length_loss": other}
