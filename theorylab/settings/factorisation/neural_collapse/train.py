"""Gradient descent on weights and free features: every sample, or class means and the scatter around them.

Samples of a class have one target, so features enter by their class means h_k and by S = Σ δδᵀ, the scatter of the
deviations δ from them. Both obey closed equations under gradient descent, exact at any N; derived here.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.factorisation.neural_collapse.config import (
    Config,
    branches,
    class_costs,
    class_sizes,
    counts_of,
)
from theorylab.settings.factorisation.neural_collapse.data import explicit_network
from theorylab.training import iterate

#: Logits, norms and logits off the diagonal below this are shown as this: a collapsed class has exactly 0 in theory.
FLOOR = 1e-4
#: Logits below which a class is counted as collapsed.
COLLAPSED = 0.01
#: Intervals at whose ends the loss is measured.
RECORDS = 40


class State(NamedTuple):
    """Weights W_1, ..., W_M, class means ``[width, K]`` and scatter ``[width, width]``."""

    weights: tuple[Array, ...]
    means: Array
    scatter: Array


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps of the observables: evenly spaced, the middle and the last among them."""
    stride = max(1, config.num_steps // RECORDS)
    return tuple(sorted({*range(0, config.num_steps + 1, stride), config.num_steps // 2, config.num_steps}))


def product(weights: tuple[Array, ...]) -> Array:
    """W_M ... W_1."""
    return functools.reduce(lambda done, layer: layer @ done, weights)


def loss_of(state: State, config: Config) -> Array:
    """L of weights, means and scatter."""
    counts, total = class_sizes(config), sum(counts_of(config))
    whole = product(state.weights)
    errors = counts * jnp.sum((whole @ state.means - jnp.eye(counts.shape[0])) ** 2, axis=0)
    spread = jnp.sum((whole @ state.scatter) * whole)
    norms = jnp.sum(counts * jnp.sum(state.means**2, axis=0)) + jnp.trace(state.scatter)
    decay = config.weight_decay * sum(jnp.sum(layer**2) for layer in state.weights)
    return (jnp.sum(errors) + spread) / (2 * total) + (decay + config.feature_decay * norms) / 2


def draw_samples(key: jax.Array, config: Config) -> tuple[tuple[Array, ...], Array]:
    """Random weights and features of every sample, ``[width, N]``; the samples of a class stand together."""
    r, counts = config.width, counts_of(config)
    keys = random.split(key, config.depth + 1)
    scale = jnp.asarray(config.init_scale) / r**0.5
    shapes = [(r, r)] * (config.depth - 1) + [(len(counts), r)]
    weights = tuple(scale * random.normal(one, *shape) for one, shape in zip(keys[:-1], shapes, strict=True))
    return weights, scale * random.normal(keys[-1], r, sum(counts))


def summarise(weights: tuple[Array, ...], features: Array, config: Config) -> State:
    """Class means, and the scatter around them."""
    counts = counts_of(config)
    parts = jnp.split(features, [sum(counts[:k]) for k in range(1, len(counts))], axis=1)
    means = jnp.stack([part.mean(axis=1) for part in parts], axis=1)
    around = jnp.concatenate([part - part.mean(axis=1, keepdims=True) for part in parts], axis=1)
    return State(weights, means, around @ around.T)


def start(key: jax.Array, config: Config) -> State:
    """Where training starts: random, or the explicit network on a branch, every entry perturbed."""
    if config.start == "random":
        return summarise(*draw_samples(key, config), config)
    found = branches(config)
    logits = config.start_factor * (found.minimum if config.start == "minimum" else found.saddle)
    decays = jnp.full(config.depth, config.weight_decay)
    weights, means = explicit_network(
        logits, class_sizes(config), class_costs(config), decays, config.feature_decay, config.width
    )
    keys = random.split(key, config.depth + 1)
    moved = [
        part * (1 + config.perturbation * random.normal(one, *part.shape))
        for one, part in zip(keys, (*weights, means), strict=True)
    ]
    return State(tuple(moved[:-1]), moved[-1], jnp.zeros((config.width, config.width)))


def step(state: State, config: Config) -> State:
    """One step of gradient descent on all weights and all features, in means and scatter."""
    rate = jnp.asarray(config.learning_rate)
    # Features' gradients carry 1/N, and their step N.
    reach = rate * config.feature_rate
    shrink = 1 - reach * sum(counts_of(config)) * config.feature_decay
    pull = jax.grad(lambda weights: loss_of(state._replace(weights=weights), config))(state.weights)
    whole = product(state.weights)
    means = shrink * state.means - reach * whole.T @ (whole @ state.means - jnp.eye(state.means.shape[1]))
    push = shrink * jnp.eye(config.width) - reach * whole.T @ whole
    weights = tuple(w - rate * g for w, g in zip(state.weights, pull, strict=True))
    return State(weights, means, push @ state.scatter @ push)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train one model. Pure, and traceable in the scalars."""
    if config.simulator == "samples":
        return _train_samples(key, config)
    return follow(start(key, config), config)


def follow(state: State, config: Config, update: Any = step) -> Observables:
    """Observables along the equations of means and scatter."""
    orbit = iterate(
        lambda state, _: update(state, config),
        state,
        num_steps=config.num_steps,
        record=lambda state: {"loss": loss_of(state, config), "scatter": jnp.trace(state.scatter)},
        record_at=recorded_steps(config),
    )
    return _observables(config, orbit.observables, orbit.state)


def _train_samples(key: jax.Array, config: Config) -> Observables:
    """Gradient descent by automatic differentiation on every weight and every sample's feature."""
    counts, total = counts_of(config), sum(counts_of(config))
    if config.start == "random":
        weights, features = draw_samples(key, config)
    else:
        begun = start(key, config)
        weights, features = begun.weights, jnp.repeat(begun.means, jnp.array(counts), axis=1, total_repeat_length=total)
    targets = jnp.repeat(jnp.eye(len(counts)), jnp.array(counts), axis=1, total_repeat_length=total)

    def loss(weights: tuple[Array, ...], features: Array) -> Array:
        fit = jnp.sum((product(weights) @ features - targets) ** 2) / (2 * total)
        norms = sum(jnp.sum(layer**2) for layer in weights)
        return fit + (config.weight_decay * norms + config.feature_decay * jnp.sum(features**2)) / 2

    def update(state: Any, _: Any) -> Any:
        weights, features = state
        by_weights, by_features = jax.grad(loss, argnums=(0, 1))(weights, features)
        rate = jnp.asarray(config.learning_rate)
        moved = tuple(w - rate * g for w, g in zip(weights, by_weights, strict=True))
        return moved, features - rate * config.feature_rate * total * by_features

    orbit = iterate(
        update,
        (weights, features),
        num_steps=config.num_steps,
        record=lambda state: {
            "loss": loss(*state),
            "scatter": jnp.trace(summarise(state[0], state[1], config).scatter),
        },
        record_at=recorded_steps(config),
    )
    return _observables(config, orbit.observables, summarise(orbit.state[0], orbit.state[1], config))


def _observables(config: Config, recorded: Observables, state: State) -> Observables:
    """What is measured of a run."""
    logits = product(state.weights) @ state.means
    diagonal = jnp.diagonal(logits)
    middle, steps = config.num_steps // 2, recorded_steps(config)
    tiny = jnp.finfo(logits.dtype).tiny * 1e8
    scatter = recorded["scatter"] + tiny
    fallen = jnp.log(scatter[steps.index(middle)] / scatter[-1])
    return {
        "loss": recorded["loss"],
        "final_loss": recorded["loss"][-1],
        "class_logit": floored(diagonal),
        "feature_norm": floored(jnp.linalg.norm(state.means, axis=0)),
        "off_diagonal": floored(jnp.max(jnp.abs(logits - jnp.diag(diagonal)))),
        "num_collapsed": jnp.sum(diagonal < COLLAPSED).astype(logits.dtype),
        "noise_rate": fallen / (config.num_steps - middle),
    }


def floored(value: Array) -> Array:
    """Values below ``FLOOR`` set to that; NaN stays."""
    return jnp.where(value < FLOOR, FLOOR, value)
