"""Train every parameter, or follow the moments of the weights; and what is measured of either."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import Observables
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.linear_map import Problem
from theorylab.settings.factorisation.linear_networks.config import (
    Config,
    kernel_edge,
    num_edges,
    problem,
    recorded_steps,
)
from theorylab.training import iterate

#: Losses below this share of the first one are shown as that: what is left there is rounding.
FLOOR = 1e-8


def initial_gram(key: jax.Array, config: Config) -> Array:
    """P before training: of the weights that are trained, or drawn by its own law."""
    if config.simulator == "weights":
        return linear_map.gram_of(*linear_map.draw_weights(key, problem(config), config.width))
    return linear_map.draw_gram(key, problem(config), config.width)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train one network, and measure it at the recorded steps. Pure, and traceable in the scalars."""
    if jnp.result_type(float) == jnp.float32:
        warnings.warn("small losses, and the edge of stability, need float64: rounding is amplified", stacklevel=2)
    if config.simulator == "weights":
        return _train_weights(key, config)
    return follow(initial_gram(key, config), config)


Step = Callable[[Array, Problem, Array], Array]


def follow(gram: Array, config: Config, step: Step = linear_map.gram_step) -> Observables:
    """Observables along the map of the moments from a given start."""
    task = problem(config)

    def record(gram: Array) -> Observables:
        # One decomposition for all: two of different sizes, side by side, can wait for each other's threads for ever.
        reduced, bulk, copies = linear_map.hessian_spectrum(gram, task, config.width)
        sharpness = linear_map.sharpness_of(reduced, bulk, copies, task)
        measured = {"loss": linear_map.loss_of(gram, task), "sharpness": sharpness}
        return measured | edges(config, reduced, bulk, copies)

    orbit = iterate(
        lambda gram, _: step(gram, task, jnp.asarray(config.learning_rate)),
        gram,
        num_steps=config.num_steps,
        record=record,
        record_at=recorded_steps(config),
    )
    imbalance = jnp.trace(orbit.state[:-1, :-1]) - orbit.state[-1, -1]
    return _observables(config, orbit.observables, imbalance)


def edges(config: Config, reduced: Array, bulk: Array, copies: int) -> Observables:
    """Both ends, and the sum of all squares, of a reduced spectrum."""
    count = num_edges(config)
    beside = jnp.full(min(copies, count), bulk)
    values = jnp.sort(jnp.concatenate([reduced, -beside, beside]))
    edges = jnp.concatenate([values[-count:][::-1], values[:count]])
    return {"hessian_edges": edges, "hessian_norm": jnp.sum(reduced**2) + 2.0 * copies * bulk**2}


def floored(loss: Array) -> Array:
    """Losses along a run, those below ``FLOOR`` of the first set to that."""
    return jnp.where(loss < FLOOR * loss[0], FLOOR * loss[0], loss)


def _observables(config: Config, recorded: Observables, imbalance: Array) -> Observables:
    """Bring measurements to the units of the observables."""
    loss, sharpness, scale = recorded["loss"], recorded["sharpness"], problem(config).rate_scale
    edge = kernel_edge(config)
    return {
        "loss": floored(loss),
        "sharpness": sharpness,
        "initial_sharpness": sharpness[0],
        "final_sharpness": sharpness[-1],
        "sharpness_fluctuation": config.width * (sharpness[0] / edge - 1) ** 2,
        "imbalance": imbalance / config.width,
        "hessian_edges": scale * recorded["hessian_edges"][0],
        "hessian_norm": scale**2 * recorded["hessian_norm"][0],
    }


def _train_weights(key: jax.Array, config: Config) -> Observables:
    """Gradient descent on every parameter; Hessians by automatic differentiation, all of their eigenvalues."""
    task, columns = problem(config), linear_map.dimension(config.problem) + 1
    start = jnp.concatenate([part.ravel() for part in linear_map.draw_weights(key, task, config.width)])
    count, ends = config.width * (columns - 1), num_edges(config)

    def loss(weights: Array) -> Array:
        first, last = weights[:count].reshape(config.width, columns - 1), weights[count:]
        residual = task.output_scale * (first.T @ last) - task.target
        return jnp.sum(task.variances * residual**2) / 2

    def eigenvalues(weights: Array) -> Array:
        return jnp.linalg.eigvalsh(jax.hessian(loss)(weights))

    def record(weights: Array) -> Observables:
        values = eigenvalues(weights)
        edges = jnp.concatenate([values[-ends:][::-1], values[:ends]])
        measured = {"loss": loss(weights), "sharpness": task.rate_scale * values[-1]}
        return measured | {"hessian_edges": edges, "hessian_norm": jnp.sum(values**2)}

    rate = jnp.asarray(config.learning_rate) * task.rate_scale
    orbit = iterate(
        lambda weights, _: weights - rate * jax.grad(loss)(weights),
        start,
        num_steps=config.num_steps,
        record=record,
        record_at=recorded_steps(config),
    )
    squares = orbit.state**2
    return _observables(config, orbit.observables, jnp.sum(squares[:count]) - jnp.sum(squares[count:]))
