"""Infinitely many samples: two numbers, the second moments of the weights along the target and across it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.moments import AffineMap, Moments, Risk
from theorylab.settings.two_layer.grokking.optimiser import PLAIN, Optimiser
from theorylab.training.iterate import iterate


class OrderParameters(NamedTuple):
    """M = ``along`` ββᵀ/D + ``across`` (I − ββᵀ/D), w̄ = 0, |β|² = D."""

    along: Array
    across: Array


def order_parameter_risk(state: OrderParameters, dim: int, output_scale: ArrayLike, quadratic_coeff: ArrayLike) -> Risk:
    """The test loss, (tr 𝒜)²/(4D²) + [(D − κ a)² + (D − 1) κ² c²]/(2D²), tr 𝒜 = D − κ (a + (D − 1) c)."""
    kappa: Any = output_scale * quadratic_coeff
    along, across = dim - kappa * state.along, -kappa * state.across
    trace = along + (dim - 1) * across
    spread = (along**2 + (dim - 1) * across**2) / (2 * dim**2)
    return Risk((trace / dim) ** 2 / 4, spread, jnp.zeros_like(spread))


def population_curves(
    start: OrderParameters,
    steps: Sequence[int],
    *,
    input_dim: int,
    sample_ratio: ArrayLike,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    centred: bool = False,
    optimiser: Optimiser = PLAIN,
) -> tuple[OrderParameters, Risk]:
    """Gradient descent on the population loss, in two order parameters: exact for P → ∞ at fixed D and s = ν γ t.

        a ← a (1 + k [tr 𝒜/2 + D − κ a])²,   c ← c (1 + k [tr 𝒜/2 − κ c])²,   k = γ ν ε/(α D).

    A centred network has its change since the start in place of a and c inside the brackets. Weight decay λ' takes γ λ'
    off inside both squares. Returns both order parameters, and the test loss, at ``steps``; there is no gap between
    training and test. The overlap a/D escapes from 1/D at a rate of about 2ε/α in s (:func:`escape_time`) and ends at
    1/κ, with decay below it (:func:`stationary_loss`).
    """
    dim, kappa = input_dim, jnp.asarray(output_scale * quadratic_coeff)
    rate = scaled_learning_rate * sample_ratio * quadratic_coeff / (output_scale * dim)

    def grown(gain: OrderParameters) -> OrderParameters:
        return OrderParameters(start.along * gain.along**2, start.across * gain.across**2)

    def visible(gain: OrderParameters) -> OrderParameters:
        state = grown(gain)
        return jax.tree.map(jnp.subtract, state, start) if centred else state

    def step(state: tuple[OrderParameters, Any], t: Any) -> tuple[OrderParameters, Any]:
        gain, velocity = state  # of the weights along the target and across it, over their starts
        seen = visible(gain)
        along, across = dim - kappa * seen.along, -kappa * seen.across
        half_trace = (along + (dim - 1) * across) / 2
        pull = OrderParameters(rate * (half_trace + along) * gain.along, rate * (half_trace + across) * gain.across)
        away = jax.tree.map(lambda leaf: leaf - optimiser.towards_start, gain)
        return optimiser.step(gain, velocity, pull, away, scaled_learning_rate)

    def record(state: tuple[OrderParameters, Any]) -> dict[str, Any]:
        risk = order_parameter_risk(visible(state[0]), dim, output_scale, quadratic_coeff)
        return {"state": grown(state[0]), "risk": risk}

    still = jax.tree.map(jnp.ones_like, start)
    state = (still, optimiser.velocity(still))
    orbit = iterate(step, state, num_steps=max(steps), record=record, record_at=tuple(steps))
    return orbit.observables["state"], orbit.observables["risk"]


def stationary_loss(
    weight_decay: ArrayLike, output_scale: ArrayLike, quadratic_coeff: ArrayLike, sample_ratio: ArrayLike
) -> Array:
    """Test loss at which weight decay to zero leaves the population: Λ²/3 for Λ = λ' α/(ν ε) < 3/2, and 3/4 beyond.

    There κ a = D (1 − 2Λ/3) and c = 0; beyond, all weights vanish. For P far above D² alone: at P of order D the
    samples' noise is most of the test loss. Decoupled decay with momentum μ acts like (1 − μ) λ' of it.
    """
    strength: Any = jnp.asarray(weight_decay) * output_scale / (sample_ratio * quadratic_coeff)
    return jnp.where(strength < 1.5, strength**2 / 3, 0.75)


def population_map(
    moments: Moments,
    target: Float[Array, " dim"],
    *,
    num_samples: ArrayLike,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    weight_decay: ArrayLike = 0.0,
) -> AffineMap:
    """One step of population gradient descent for any moments, as a map of each neuron.

    Σ_μ → P E: E[Δ x] = −α w̄/D and E[Δ x xᵀ] = (tr 𝒜 I/2 + 𝒜)/D², so that L = (1 − γ λ') I + c ε P E[Δ x xᵀ] and
    s = c P E[Δ x].
    """
    dim = target.shape[0]
    form = jnp.outer(target, target) - output_scale * quadratic_coeff * moments.second
    rate: Any = scaled_learning_rate * num_samples / output_scale
    identity = jnp.eye(dim, dtype=form.dtype)
    kept: Any = 1 - scaled_learning_rate * weight_decay
    linear = kept * identity + rate * quadratic_coeff / dim**2 * (jnp.trace(form) / 2 * identity + form)
    return AffineMap(linear, -rate * output_scale / dim * moments.mean)


def escape_time(dim: ArrayLike, output_scale: ArrayLike, quadratic_coeff: ArrayLike) -> Array:
    """s = ν τ at which the overlap is half its final value, to leading order: (α/2ε) ln(D/κ), for large D."""
    kappa = jnp.asarray(output_scale) * quadratic_coeff
    time: Any = output_scale / (2 * quadratic_coeff) * jnp.log(dim / kappa)
    return time
