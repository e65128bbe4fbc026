"""Wrong versions of the theories, each made of the right pieces, which a check must reject."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from theorylab.contract import Observables
from theorylab.settings.two_layer.grokking.config import Config, initial_overlap, sample_ratio
from theorylab.settings.two_layer.grokking.data import initial_residual, labels, sample, training_goal
from theorylab.settings.two_layer.grokking.mean_field import curves_of, isotropic, model_of, planted, size_of
from theorylab.settings.two_layer.grokking.model import alignment
from theorylab.settings.two_layer.grokking.moments import Moments, moments_output, tangent_kernel
from theorylab.settings.two_layer.grokking.steps import MomentState, moment_step
from theorylab.settings.two_layer.grokking.theory.dmft import Dynamics, in_finite_dimension, losses, planted_spike
from theorylab.settings.two_layer.grokking.theory.dmft_march import Model, State, equations
from theorylab.settings.two_layer.grokking.theory.population import OrderParameters, population_curves
from theorylab.settings.two_layer.grokking.train import recorded_steps, run, train_moments
from theorylab.training.iterate import iterate

# --- the moments -----------------------------------------------------------------------------------------------------


def without_squared_steps(key: jax.Array, config: Config) -> Observables:
    """A recursion of the second moment without c² u uᵀ, as if steps were infinitesimal."""

    def lose(before: Moments, after: Moments, shift: Array, velocity: Any) -> tuple[Moments, Any]:
        return after._replace(second=after.second - jnp.outer(shift, shift)), velocity

    return _wrong_moments(key, config, lose)


def without_cross_block(key: jax.Array, config: Config) -> Observables:
    """Momentum with velocities of w̄ and M themselves, without the joint moments of weights and velocities."""

    def keep(before: Moments, after: Moments, shift: Array, velocity: Moments) -> tuple[Moments, Moments]:
        velocity = jax.tree.map(lambda v, new, old: config.momentum * v + new - old, velocity, after, before)
        return jax.tree.map(jnp.add, before, velocity), velocity

    return _wrong_moments(key, config, keep)


def _wrong_moments(key: jax.Array, config: Config, wrong: Callable[..., tuple[Moments, Any]]) -> Observables:
    """Train loss and weight norm where ``wrong(before, after, shift, velocity)`` spoils every plain step."""
    alpha, eps, gamma = config.output_scale, config.quadratic_coeff, config.scaled_learning_rate
    instance = sample(key, config)
    inputs, goal = instance.inputs, training_goal(instance, config)
    right = moment_step(inputs, goal, alpha, eps, gamma, weight_decay=config.weight_decay, batches=instance.batches)

    def step(state: tuple[MomentState, Moments], t: Any) -> tuple[MomentState, Moments]:
        now, velocity = state
        shift: Any = gamma / alpha * ((goal - moments_output(now.moments, inputs, alpha, eps)) @ inputs)
        moments, velocity = wrong(now.moments, right(now, t).moments, shift, velocity)
        return now._replace(moments=moments), velocity

    def record(state: tuple[MomentState, Moments]) -> dict[str, Any]:
        moments = state[0].moments
        norm = jnp.sqrt(jnp.trace(moments.second) / config.input_dim)
        loss = jnp.mean((goal - moments_output(moments, inputs, alpha, eps)) ** 2)
        return {"train_loss": loss, "weight_norm": norm}

    start = MomentState(instance.moments, instance.target), jax.tree.map(jnp.zeros_like, instance.moments)
    options: Any = {"num_steps": config.num_steps, "record_at": recorded_steps(config)}
    return iterate(step, start, record=record, **options).observables


def frozen_kernel(key: jax.Array, config: Config) -> Observables:
    """The tangent kernel as it was at the start, as in lazy training."""
    inputs, target, start, *_ = sample(key, config)
    kernel = tangent_kernel(start, inputs, config.quadratic_coeff)
    count = len(recorded_steps(config))
    return {
        "kernel_target_alignment": jnp.repeat(alignment(kernel, labels(inputs, target))[None], count),
        "kernel_trace": jnp.repeat(jnp.trace(kernel)[None] / config.num_samples, count),
    }


def kernel_without_mean_weight(key: jax.Array, config: Config) -> Observables:
    """The tangent kernel x·x' [1 + ε² xᵀMx'], without the mean weight's ε w̄·(x + x'), along the right dynamics."""
    instance = sample(key, config)
    inputs, y = instance.inputs, labels(instance.inputs, instance.target)

    def record(moments: Moments, spike: Array) -> dict[str, Any]:
        bare = Moments(jnp.zeros_like(moments.mean), moments.second)
        kernel = tangent_kernel(bare, inputs, config.quadratic_coeff)
        return {"kernel_target_alignment": alignment(kernel, y), "kernel_trace": jnp.trace(kernel) / y.shape[0]}

    options: Any = {"num_steps": config.num_steps, "record_at": recorded_steps(config)}
    return train_moments(instance, config, record, **options).observables


def risk_with_whole_misalignment(key: jax.Array, config: Config) -> Observables:
    """The test loss with B = |𝒜|²/D², without its factor ½."""
    values = run(sample(key, config), config)
    return {"sampled_test_loss": values["test_loss"] + values["misalignment_error"]}


def risk_without_linear_power(key: jax.Array, config: Config) -> Observables:
    """The test loss A + B."""
    values = run(sample(key, config), config)
    return {"sampled_test_loss": values["test_loss"] - values["linear_power"]}


# --- the lazy network ------------------------------------------------------------------------------------------------


def gradient_flow(key: jax.Array, config: Config) -> Observables:
    """The lazy network in continuous time, r(t) = exp(−γ K_0 t) r(0)."""
    instance = sample(key, config)
    residual = initial_residual(instance, config)
    kernel = tangent_kernel(instance.moments, instance.inputs, config.quadratic_coeff)
    values, vectors = jnp.linalg.eigh(kernel)
    steps = jnp.asarray(recorded_steps(config))[:, None]
    modes = jnp.exp(-config.scaled_learning_rate * values[None, :] * steps) * (vectors.T @ residual)[None, :]
    return {"train_loss": jnp.sum(modes**2, axis=1) / config.num_samples}


# --- infinitely many samples -----------------------------------------------------------------------------------------


def population_with_whole_variance(key: jax.Array, config: Config) -> Observables:
    """The population's test loss with A = (tr 𝒜/D)², without its factor ¼."""
    variance = jnp.asarray(config.init_scale, float) ** 2
    _, risk = population_curves(
        OrderParameters(variance * initial_overlap(config) * config.input_dim, variance), recorded_steps(config),
        input_dim=config.input_dim, sample_ratio=sample_ratio(config), output_scale=config.output_scale,
        quadratic_coeff=config.quadratic_coeff, scaled_learning_rate=config.scaled_learning_rate,
        centred=config.centred,
    )  # fmt: skip
    return {"test_loss": risk.total + 3 * risk.variance_error}


# --- mean-field theory -----------------------------------------------------------------------------------------------


def without_reaction(state: State) -> State:
    """Forget all forces: fields no longer feel what they did to the weights, Σ_s R(t,s) g(s) is left out."""
    return state._replace(force=jnp.zeros_like(state.force), force_tangent=jnp.zeros_like(state.force_tangent))


def without_bulk_response(state: State) -> State:
    """Forget the tangents of the residual: the response of q to a datum's own past is left out of Rg."""
    return state._replace(residual_tangent=jnp.zeros_like(state.residual_tangent))


def wrong_dmft(
    key: jax.Array,
    model: Model,
    forget: Callable[[State], State],
    *,
    spike_overlap: ArrayLike,
    num_steps: int,
    num_particles: int,
) -> Dynamics:
    """The planted theory's curves from a march that forgets a part of its state before each step."""
    spikes = planted_spike(model, spike_overlap, num_steps)
    parts = equations(key, model, spikes, num_steps=num_steps, num_particles=num_particles)
    state = jax.lax.fori_loop(0, num_steps + 1, lambda t, state: parts.advance(t, forget(state)), parts.start)
    return losses(parts.read(state), model, spikes)


def memoryless_mean_field(key: jax.Array, config: Config) -> Observables:
    """Mean-field curves without the reaction of a datum's own forces on it."""
    curves = wrong_dmft(
        jax.random.key(0), model_of(config), without_reaction, spike_overlap=config.spike_overlap, **size_of(config)
    )
    return curves_of(in_finite_dimension(curves, model_of(config), config.input_dim), config)


def without_spread(key: jax.Array, config: Config) -> Observables:
    """Planted curves with B from the spike's gain and the mean weight, ½ (1 − κ ρ_0 G²)² + ½ (κ C_b)²: without C_v."""
    solved = planted(config, config.spike_overlap)
    kappa = jnp.asarray(config.output_scale) * config.quadratic_coeff
    initial = config.centred * jnp.asarray(config.spike_overlap) * jnp.asarray(config.init_scale) ** 2
    along = 1 + kappa * initial - kappa * solved.spike_overlap
    narrow = 0.5 * (along**2 + (kappa * solved.mean_weight_power) ** 2)
    return {"misalignment_error": curves_of(solved._replace(misalignment_error=narrow), config)["misalignment_error"]}


def without_data_noise(key: jax.Array, config: Config) -> Observables:
    """An isotropic start as a spike of the overlap of chance, 1/D, that no noise of the data drives."""
    return curves_of(planted(config, 1 / config.input_dim), config)


def without_mean_weight(key: jax.Array, config: Config) -> Observables:
    """The isotropic overlap (σ²G² + V_d)/D, without the mean weight's part V_b/D."""
    curves = isotropic(config)
    bare = curves._replace(spike_overlap=curves.spike_overlap - curves.mean_overlap / config.input_dim)
    return {"target_overlap": curves_of(bare, config)["target_overlap"]}
