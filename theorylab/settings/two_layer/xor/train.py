"""Simulate gradient descent on XOR clusters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from theorylab.contract import Observables
from theorylab.settings.two_layer.xor.config import Config
from theorylab.settings.two_layer.xor.data import Instance, sample
from theorylab.settings.two_layer.xor.model import (
    Products,
    State,
    output,
    own_and_other,
    products,
    read_coefficients,
    read_weights,
    split_centres,
    step_coefficients,
    step_weights,
    update,
)
from theorylab.training.iterate import iterate, log_spaced_steps


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which trajectories are recorded: log-spaced, with 0 and the last one."""
    return log_spaced_steps(config.num_steps, config.records_per_decade)


def slope_window(config: Config) -> tuple[int, int]:
    """Positions in :func:`recorded_steps` of the first and last step of the late slopes, the last third or so."""
    steps = np.asarray(recorded_steps(config))
    first = int(np.argmin(np.abs(steps - 2 * config.num_steps / 3)))
    return min(first, len(steps) - 2), len(steps) - 1


def train(
    instance: Instance, config: Config, record: Callable[[State], dict[str, Array]], record_at: tuple[int, ...]
) -> tuple[Any, dict[str, Any]]:
    """Train; return the final coefficients (or weights, for the direct trainer) and the records."""
    labels, signs = instance.labels.observed, instance.signs
    if config.trainer == "direct":
        orbit = iterate(
            lambda w, t: step_weights(w, instance.features, labels, signs, config),
            instance.weights,
            num_steps=config.num_steps,
            record=lambda w: record(read_weights(w, instance, config)),
            record_at=record_at,
        )
        return orbit.state, orbit.observables
    parts = products(instance, config)
    return train_products(parts, labels, signs, config, record, record_at)


def train_products(
    parts: Products,
    labels: Array,
    signs: Array,
    config: Config,
    record: Callable[[State], dict[str, Array]],
    record_at: tuple[int, ...],
) -> tuple[Array, dict[str, Any]]:
    """Train in the coefficients B of W = W_0 + B X, given all inner products."""
    orbit = iterate(
        lambda b, t: step_coefficients(b, parts.kernel, parts.initial, labels, signs, config),
        jnp.zeros_like(parts.initial),
        num_steps=config.num_steps,
        record=lambda b: record(read_coefficients(b, parts)),
        record_at=record_at,
    )
    return orbit.state, orbit.observables


def final_weights(instance: Instance, config: Config, state: Array) -> Array:
    """Weights in the instance's coordinates, from what :func:`train` returns."""
    return state if config.trainer == "direct" else instance.weights + state @ instance.features


def advance(instance: Instance, config: Config) -> Instance:
    """Return the instance with the weights that its run ends with; another run goes on from there."""
    state, _ = train(instance, config, lambda state: {}, (config.num_steps,))
    return instance._replace(weights=final_weights(instance, config, state))


def measure(instance: Instance, config: Config, state: State) -> dict[str, Array]:
    """Trajectory observables of one step: see :func:`simulate`."""
    labels, signs = instance.labels, instance.signs
    margins = labels.observed * output(signs, state.train)
    flipped = labels.observed != labels.clean
    fitted = jnp.where(flipped & (margins > 0), 1.0, 0.0).sum() / jnp.where(flipped, 1.0, 0.0).sum()
    odd, even = split_centres(signs, state.alignment, config)
    own, other = own_and_other(signs, state.alignment)
    right = test_correct(signs, state)
    return {
        "train_accuracy": jnp.mean(jnp.where(margins > 0, 1.0, 0.0)),
        "flipped_accuracy": fitted,
        "train_margin": jnp.mean(margins),
        "test_accuracy": jnp.mean(right),
        "cluster_accuracy": jnp.mean(right.reshape(4, -1), axis=1),
        "own_alignment": own,
        "other_alignment": other,
        "linear_part": jnp.sqrt(jnp.mean(odd**2)),
        "even_part": jnp.sqrt(jnp.mean(even**2)),
    }


def test_correct(signs: Array, state: State) -> Array:
    """Whether each test point is on the right side (1 or 0); the first half has label +1."""
    outputs = output(signs, state.test)
    half = outputs.shape[0] // 2
    truth = jnp.where(jnp.arange(2 * half) < half, 1.0, -1.0)
    return jnp.where(truth * outputs > 0, 1.0, 0.0)


def first_step(instance: Instance, config: Config, initial: Array) -> Observables:
    """What the first step's theory predicts: the linear part's direction and size, and the law of the alignments.

    ``linear_cosine`` and ``linear_ratio`` compare β(1) − β(0), β = Σ_j a_j w_j, with (α/4n) Σ_i y_i x_i.
    ``alignment_drift`` and ``alignment_variance`` are mean and variance over neurons of the signed active count
    D_kj = Σ_{i in pair k} σ_i y_i sgn(a_j) 1[u_ji > 0], separately for a_j > 0 on pair 1, 2 and a_j < 0 on pair 1, 2.
    """
    labels, signs = instance.labels, instance.signs
    coefficients = update(initial, labels.observed, signs, config)
    # Units: β in α/(2 n √m) · 1/√m sums over neurons; Σ y x there has m/2.
    learned = (signs @ coefficients) @ instance.features
    target = (config.width / 2) * (labels.observed @ instance.features)
    size = jnp.linalg.norm(target)
    in_pair = jnp.stack([(1 - labels.pair) * labels.side, labels.pair * labels.side], axis=1)
    active = jnp.where(initial > 0, signs[:, None] * labels.observed[None], 0.0)
    counts = active @ in_pair
    positive = jnp.where(signs > 0, 1.0, 0.0)
    weight = jnp.stack([positive, 1 - positive])
    members = jnp.sum(weight, axis=1)[:, None]
    mean = (weight @ counts) / members
    # Unbiased: the mean is estimated from the same neurons.
    square = (weight @ counts**2) / members
    variance = (square - mean**2) * members / (members - 1)
    return {
        "linear_cosine": (learned @ target) / (jnp.linalg.norm(learned) * size),
        "linear_ratio": jnp.linalg.norm(learned) / size,
        "alignment_drift": mean.reshape(4),
        "alignment_variance": variance.reshape(4),
    }


def late_slopes(observables: dict[str, Array], config: Config) -> dict[str, Array]:
    """``own_slope`` and ``other_slope`` from the alignments at the recorded steps: growth over :func:`slope_window`."""
    steps = recorded_steps(config)
    first, last = slope_window(config)
    scale = 2 / ((steps[last] - steps[first]) * config.num_train)
    paths = {name: observables[f"{name}_alignment"] for name in ("own", "other")}
    return {f"{name}_slope": scale * (path[last] - path[first]) for name, path in paths.items()}


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and train on it.

    Returns
    -------
    dict
        At :func:`recorded_steps`: ``train_accuracy`` on noisy labels and ``flipped_accuracy`` on the flipped ones
        alone (NaN if there are none); ``test_accuracy`` on clean labels; ``train_margin``, mean y f in units of
        α p/8n; ``own_alignment`` and ``other_alignment``, see ``own_and_other``;
        ``linear_part`` and ``even_part``, root mean squares of O and E at the cluster centres. Once:
        ``first_cluster_accuracy``, test accuracy in each cluster after one step; those of :func:`first_step`;
        ``final_test_error``, test error at the end; ``own_slope`` and ``other_slope``, growth of
        mean |v| per step and sample over the last third.
    """
    return run(sample(key, config), config)


def run(instance: Instance, config: Config) -> Observables:
    """Train on a given instance; see :func:`simulate`."""
    _, observables = train(instance, config, lambda state: measure(instance, config, state), recorded_steps(config))
    clusters = observables.pop("cluster_accuracy")
    observables["first_cluster_accuracy"] = clusters[1]
    observables["final_test_error"] = 1 - jnp.mean(clusters[-1])
    observables |= late_slopes(observables, config)
    initial = instance.weights @ instance.features.T / config.input_dim
    return observables | first_step(instance, config, initial)
