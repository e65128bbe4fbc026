"""Simulate in-context regression: train a layer, or follow its gradient flow, and measure it on fresh prompts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.in_context.linear_attention import model
from theorylab.settings.in_context.linear_attention.config import FLOWS, Config
from theorylab.settings.in_context.linear_attention.data import (
    Prompts,
    eigenvalues,
    sample_pool,
    sample_prompts,
    sample_statistics,
)
from theorylab.settings.in_context.linear_attention.problem import (
    best_preconditioner,
    normaliser,
    prior,
    training_problem,
)
from theorylab.settings.in_context.linear_attention.theory.baselines import gradient_step_sizes
from theorylab.settings.in_context.linear_attention.theory.dynamics import structured_start
from theorylab.settings.in_context.linear_attention.theory.risk import label_power_second_moment, population_loss
from theorylab.training import gradient_descent, iterate, log_spaced_steps

#: Test context lengths, relative to the training one.
CONTEXT_RATIOS = (0.5, 1.0, 2.0, 4.0)
#: Steps of gradient descent among the baselines.
GRADIENT_STEPS = (1, 2)
#: Recorded steps of a gradient flow, and per decade of a training.
FLOW_RECORDS, RECORDS_PER_DECADE = 40, 6

#: Relative excess over the best start from which a start counts as stuck.
STUCK_ABOVE = 0.02


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which the loss is recorded: evenly spaced along a flow, log-spaced in a training."""
    if config.training in FLOWS:
        return tuple(sorted(set(np.linspace(0, config.num_steps, FLOW_RECORDS + 1).astype(int).tolist())))
    return log_spaced_steps(config.num_steps, RECORDS_PER_DECADE)


def test_lengths(config: Config) -> tuple[int, ...]:
    """Test context lengths at :data:`CONTEXT_RATIOS`, at least one token each."""
    return tuple(max(1, round(ratio * config.context_length)) for ratio in CONTEXT_RATIOS)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train one layer (or a variant) from one initialisation, and measure it.

    Pure and traceable in every scalar field.

    Returns
    -------
    dict
        Which entries depends on ``config.training`` and ``config.attention``; see the setting's observables.
        Losses include the label noise of the target.
    """
    if config.training == "baselines":
        return baseline_losses(key, config)
    if config.training == "pool_regression":
        return pool_regression(key, config)
    if config.training in FLOWS:
        return gradient_flow(config)
    init_key, pool_key, data_key, test_key = random.split(key, 4)
    pool = sample_pool(pool_key, config)
    if config.attention == "preconditioned":
        return _train_preconditioned(init_key, data_key, test_key, config, pool)
    if config.attention == "softmax" or config.num_layers > 1:
        return _train_transformer(init_key, data_key, test_key, config, pool)
    if config.num_starts == 1:
        layer, losses = train_layer(init_key, data_key, test_key, config, pool)
        return {"loss": losses} | measure(test_key, config, layer, pool)
    starts = random.split(init_key, config.num_starts)
    layers, losses = jax.vmap(lambda key: train_layer(key, data_key, test_key, config, pool))(starts)
    best = jnp.argmin(losses[:, -1])
    layer = jax.tree.map(lambda leaf: leaf[best], layers)
    stuck = jnp.mean(losses[:, -1] > losses[best, -1] * (1 + STUCK_ABOVE), dtype=losses.dtype)
    return {"loss": losses[best], "stuck_starts": stuck} | measure(test_key, config, layer, pool)


# --- training ---------------------------------------------------------------------------------------------------


def optimizer(config: Config) -> Any:
    """Adam (0.9, 0.999, 1e-8) with gradients clipped by their global norm and a cosine schedule to zero."""
    import optax

    schedule = optax.cosine_decay_schedule(config.learning_rate, config.num_steps)
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optax.adam(schedule))


def exact_loss(config: Config, pool: Float[Array, "tasks dim"] | None) -> Callable[[model.EffectiveLayer], Array]:
    """Population loss of a layer on the training distribution (Gaussian covariates, linear targets)."""
    problem, power = training_problem(config, pool)
    return lambda layer: population_loss(layer.readout, layer.attention, problem, config.context_length, power)


def has_exact_loss(config: Config) -> bool:
    """Whether :func:`exact_loss` describes a configuration's training distribution."""
    return config.covariates == "gaussian" and config.target == "linear"


def train_layer(
    init_key: jax.Array,
    data_key: jax.Array,
    test_key: jax.Array,
    config: Config,
    pool: Float[Array, "tasks dim"] | None = None,
) -> tuple[model.EffectiveLayer, Float[Array, " steps"]]:
    """Train h, W_V, W_K, W_Q from a random initialisation; return the layer and its loss along training.

    On the exact loss, on fresh prompts, or on fresh sufficient statistics (then averaged over the query). The loss
    recorded is the exact one where there is one, else that on the test prompts.
    """
    scale = normaliser(config)
    params = model.init_layer(init_key, config.dim, config.initial_scale)
    if has_exact_loss(config):
        population = exact_loss(config, pool)
        record = lambda params: {"loss": population(model.effective_layer(params, scale))}  # noqa: E731
    else:
        test = sample_prompts(test_key, config, config.num_test, config.context_length, pool)
        record = lambda params: {"loss": squared_error(model.effective_layer(params, scale), test)}  # noqa: E731
    options: dict[str, Any] = {}
    draw: Callable[..., Any]
    loss: Callable[..., Array]
    if config.training == "population":
        loss = lambda params: population(model.effective_layer(params, scale))  # noqa: E731
    elif config.training == "prompts":
        draw = lambda key: sample_prompts(key, config, config.batch_size, config.context_length, pool)  # noqa: E731
        loss = lambda params, batch: squared_error(model.effective_layer(params, scale), batch)  # noqa: E731
        options = {"key": data_key, "sample_batch": draw}
    else:
        covariance = eigenvalues(config)[0]
        draw = lambda key: sample_statistics(key, config, config.batch_size, pool)  # noqa: E731
        loss = lambda params, batch: query_averaged(  # noqa: E731
            model.statistic_weights(model.effective_layer(params, scale), batch), batch.tasks, covariance, config
        )
        options = {"key": data_key, "sample_batch": draw}
    run = gradient_descent(
        loss,
        params,
        optimizer(config),
        num_steps=config.num_steps,
        record=record,
        record_at=recorded_steps(config),
        **options,
    )
    return model.effective_layer(run.params, scale), run.observables["loss"]


def squared_error(layer: model.EffectiveLayer, prompts: Prompts) -> Float[Array, ""]:
    """Mean of (ŷ - y_q)² over prompts."""
    return jnp.mean((model.predict(layer, prompts) - prompts.targets) ** 2)


def query_averaged(
    weights: Float[Array, "prompts dim"],
    tasks: Float[Array, "prompts dim"],
    covariance: Float[Array, " dim"],
    config: Config,
) -> Float[Array, ""]:
    """Mean over prompts of (ŵ - w)ᵀ Λ (ŵ - w) + σ²: the squared error averaged over the query and its noise."""
    return jnp.mean((weights - tasks) ** 2 @ covariance) + config.noise_variance


def _train_preconditioned(
    init_key: jax.Array, data_key: jax.Array, test_key: jax.Array, config: Config, pool: Array | None
) -> Observables:
    import optax

    layers, d, scale = config.num_layers, config.dim, normaliser(config)
    numbers = random.normal(init_key, layers, d, d)
    params = config.initial_scale * numbers / jnp.sqrt(1.0 * d)
    covariance = eigenvalues(config)[0]

    def loss(params: Array, batch: Any) -> Array:
        weights = model.preconditioned_weights(params, batch, scale)
        return query_averaged(weights, batch.tasks, covariance, config)

    schedule = optax.cosine_decay_schedule(config.learning_rate, config.num_steps)
    test = sample_statistics(test_key, config, config.num_test, pool)
    run = gradient_descent(
        loss,
        params,
        optax.chain(optax.clip_by_global_norm(config.clip_norm), optax.adam(schedule)),
        num_steps=config.num_steps,
        record=lambda params: {"loss": loss(params, test)},
        record_at=recorded_steps(config),
        key=data_key,
        sample_batch=lambda key: sample_statistics(key, config, config.batch_size, pool),
    )
    sizes = jnp.sort(jnp.trace(run.params, axis1=1, axis2=2) / d) * config.context_length / scale
    return {
        "loss": run.observables["loss"],
        "sampled_loss": run.observables["loss"][-1],
        "step_sizes": sizes,
    }


def _train_transformer(
    init_key: jax.Array, data_key: jax.Array, test_key: jax.Array, config: Config, pool: Array | None
) -> Observables:
    module = model.transformer(
        config.num_layers, softmax=config.attention == "softmax", mean=config.normalisation == "mean"
    )

    def loss(params: Any, batch: Prompts) -> Array:
        predictions = module.apply(params, batch.covariates, batch.labels, batch.queries)
        return jnp.mean((predictions - batch.targets) ** 2)

    test = sample_prompts(test_key, config, config.num_test, config.context_length, pool)
    run = gradient_descent(
        loss,
        model.init_transformer(module, init_key, config.dim, config.initial_scale),
        optimizer(config),
        num_steps=config.num_steps,
        record=lambda params: {"loss": loss(params, test)},
        record_at=recorded_steps(config),
        key=data_key,
        sample_batch=lambda key: sample_prompts(key, config, config.batch_size, config.context_length, pool),
    )
    return {"loss": run.observables["loss"], "sampled_loss": run.observables["loss"][-1]}


# --- measuring a trained layer ------------------------------------------------------------------------------------


def measure(
    key: jax.Array, config: Config, layer: model.EffectiveLayer, pool: Float[Array, "tasks dim"] | None
) -> Observables:
    """Measure a layer: exact losses, learned preconditioner, agreement with one step of gradient descent, test losses.

    The prediction vectors are compared on ``num_test`` fresh prompts of the training length, with x_qᵀ P* b at the
    closed-form P*.
    """
    n, lengths = config.context_length, test_lengths(config)
    learned, best = model.preconditioner(layer), best_preconditioner(config, pool)
    gains = jnp.diagonal(learned) * n
    observables = {
        "learned_rate": jnp.mean(gains),
        "preconditioner": jnp.stack([gains[0], gains[-1]]),
        "alignment": jnp.sum(learned * best) / (jnp.linalg.norm(learned) * jnp.linalg.norm(best)),
        "leak": model.leak(layer),
    }
    if has_exact_loss(config):
        observables["final_loss"] = exact_loss(config, pool)(layer)
        if pool is not None:
            problem = prior(config)
            power = label_power_second_moment(problem)
            observables["fresh_task_loss"] = population_loss(layer.readout, layer.attention, problem, n, power)

    # One set of long prompts; a shorter context is its beginning.
    prompts = sample_prompts(key, config, config.num_test, max(lengths), pool)
    at_training = prompts._replace(covariates=prompts.covariates[:, :n], labels=prompts.labels[:, :n])
    learned_predictions = model.predict(layer, at_training)
    reference = model.one_step_predictions(best, at_training)
    size = jnp.linalg.norm(reference)
    observables["prediction_cosine"] = jnp.sum(learned_predictions * reference) / (
        size * jnp.linalg.norm(learned_predictions)
    )
    observables["prediction_agreement"] = 1 - jnp.linalg.norm(learned_predictions - reference) / size

    losses = []
    for length in lengths:
        shrink = n / length if config.normalisation == "mean" else 1.0
        at_length = model.EffectiveLayer(layer.readout, layer.attention * shrink)
        weights = model.context_weights(at_length, prompts.covariates[:, :length], prompts.labels[:, :length])
        if prompts.tasks is None:
            errors = jnp.sum(weights * prompts.queries, axis=1) - prompts.targets
            losses.append(jnp.mean(errors**2))
        else:
            covariance = eigenvalues(config)[0]
            losses.append(query_averaged(weights, prompts.tasks, covariance, config))
    observables["test_loss"] = jnp.stack(losses)
    observables["sampled_loss"] = losses[CONTEXT_RATIOS.index(1.0)]
    return observables


# --- gradient flow --------------------------------------------------------------------------------------------------


def gradient_flow(config: Config) -> Observables:
    """Follow the gradient flow of half the exact loss of the whole layer by Euler steps of size ``learning_rate``.

    Structured start, ``structured_start``; nothing is random.
    ``flow`` moves (u, M) of the averaging layer, ``separate_flow`` (u, W_K, W_Q).
    """
    d, n = config.dim, config.context_length
    separate = config.training == "separate_flow"
    covariances = eigenvalues(config)[0]
    start = structured_start(config.initial_scale, covariances, separate=separate)
    readout = jnp.zeros(d + 1).at[d].set(start.readout)
    diagonal = jnp.zeros((d + 1, d + 1)).at[jnp.arange(d), jnp.arange(d)].set(start.attention)
    params = (readout, diagonal, diagonal) if separate else (readout, diagonal[:, :d])
    population = exact_loss(config, None)

    def loss(params: Any) -> Array:
        attention = (params[1].T @ params[2])[:, :d] if separate else params[1]
        return population(model.EffectiveLayer(params[0], attention / n))

    half_gradient = jax.grad(lambda params: loss(params) / 2)

    def step(params: Any, t: Any) -> Any:
        return jax.tree.map(lambda p, g: p - config.learning_rate * g, params, half_gradient(params))

    orbit = iterate(
        step, params, num_steps=config.num_steps, record=lambda p: {"loss": loss(p)}, record_at=recorded_steps(config)
    )
    u, attention = orbit.state[0], orbit.state[1]
    final = (attention.T @ orbit.state[2])[:, :d] if separate else attention
    conserved = jnp.sum(u**2) - jnp.sum(attention**2)
    # |u|² - |attention|² keeps its initial value, 0; relative to |u|².
    return {
        "loss": orbit.observables["loss"],
        "final_loss": loss(orbit.state),
        "conserved": 1 + conserved / jnp.sum(u**2),
        "preconditioner": u[d] * jnp.stack([final[0, 0], final[d - 1, d - 1]]),
    }


# --- without a layer -------------------------------------------------------------------------------------------------


def baseline_losses(key: jax.Array, config: Config) -> Observables:
    """Losses of the standard estimators on the same prompts, averaged over the query.

    Zero, (minimum-norm) least squares, Bayes' ridge σ², and the best one and two steps of gradient descent.
    """
    prompts = sample_prompts(key, config, config.num_test, config.context_length)
    x, tasks = prompts.covariates, prompts.tasks
    covariance = eigenvalues(config)[0]
    gram = jnp.einsum("bnd,bne->bde", x, x)
    b = jnp.einsum("bn,bnd->bd", prompts.labels, x)
    values, vectors = jnp.linalg.eigh(gram)
    rotated = jnp.einsum("bde,bd->be", vectors, b)
    positive = jnp.arange(config.dim)[None] >= config.dim - config.context_length
    inverse = jnp.where(positive, 1 / jnp.where(positive, values, 1.0), 0.0)

    def loss(weights: Array) -> Array:
        return query_averaged(weights, tasks, covariance, config)  # type: ignore[arg-type]

    spectral = lambda factor: jnp.einsum("bde,be->bd", vectors, factor * rotated)  # noqa: E731
    regularised = jnp.where(values + config.noise_variance > 0, 1 / (values + config.noise_variance), 0.0)
    steps = []
    for count in GRADIENT_STEPS:
        weights = jnp.zeros_like(b)
        sizes = gradient_step_sizes(config.context_length, config.dim, config.noise_variance, count)
        for size in sizes:
            weights = weights + size * (b - jnp.einsum("bde,be->bd", gram, weights))
        steps.append(loss(weights))
    return {
        "bayes_loss": loss(spectral(jnp.where(positive, regularised, 0.0))),
        "zero_loss": loss(jnp.zeros_like(b)),
        "least_squares_loss": loss(spectral(inverse)),
        "gradient_steps_loss": jnp.stack(steps),
    }


def pool_regression(key: jax.Array, config: Config, *, ridge: float = 1e-6) -> Observables:
    """Fit the reduced layer ŷ = x_q·(P b d/n + c mean(y²)) by least squares to τ d² prompts on K tasks.

    x ~ N(0, I/d), |w|² = d, as in Lu et al. 2024 (arXiv 2405.11751). Returns its errors on fresh tasks and on those
    of the pool, averaged over the query, on ``num_test`` prompts each.
    """
    d, n, count = config.dim, config.context_length, round(config.prompt_ratio * config.dim**2)
    pool_key, train_key, choice_key, fresh_key, test_key, pool_test_key = random.split(key, 6)
    sphere = lambda w: w * jnp.sqrt(1.0 * d) / jnp.linalg.norm(w, axis=1, keepdims=True)  # noqa: E731
    pool = sphere(random.normal(pool_key, int(config.num_tasks), d))
    noise_scale = jnp.sqrt(1.0 * jnp.asarray(config.noise_variance))

    def contexts(key: jax.Array, tasks: Array) -> tuple[Array, Array, Array]:
        x_key, noise_key = random.split(key)
        size = tasks.shape[0]
        x = random.normal(x_key, size, n + 1, d) / math.sqrt(d)
        noise = random.normal(noise_key, size, n + 1)
        y = jnp.einsum("bnd,bd->bn", x, tasks) + noise_scale * noise
        b = jnp.einsum("bn,bnd->bd", y[:, :n], x[:, :n]) * d / n
        summary = jnp.concatenate([b, jnp.mean(y[:, :n] ** 2, axis=1, keepdims=True)], axis=1)
        return summary, x[:, n], y[:, n]

    tasks = pool[jax.random.randint(choice_key, (count,), 0, pool.shape[0])]
    summary, queries, targets = contexts(train_key, tasks)
    features = jnp.einsum("bd,be->bde", queries, summary).reshape(count, d * (d + 1))
    if count > features.shape[1]:
        gram = features.T @ features + ridge * jnp.eye(features.shape[1])
        weights = jnp.linalg.solve(gram, features.T @ targets)
    else:
        gram = features @ features.T + ridge * jnp.eye(count)
        weights = features.T @ jnp.linalg.solve(gram, targets)
    matrix = weights.reshape(d, d + 1)

    def error(key: jax.Array, tasks: Array) -> Array:
        summary, _, _ = contexts(key, tasks)
        return jnp.mean(jnp.sum((summary @ matrix.T - tasks) ** 2, axis=1)) / d + config.noise_variance

    fresh = sphere(random.normal(fresh_key, config.num_test, d))
    again = pool[jnp.arange(config.num_test) % pool.shape[0]]
    return {"fresh_task_error": error(test_key, fresh), "pool_error": error(pool_test_key, again)}
