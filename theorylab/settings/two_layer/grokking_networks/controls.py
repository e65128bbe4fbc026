"""Wrong versions of the theories, each made of the right pieces, which a check must reject."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import Observables
from theorylab.settings.two_layer.grokking_networks.config import Config, num_classes
from theorylab.settings.two_layer.grokking_networks.model import homogeneity
from theorylab.settings.two_layer.grokking_networks.theory import loss_of_nothing
from theorylab.settings.two_layer.grokking_networks.train import problem_of, recorded_steps, simulate


def at_step(step: int, value: Any, config: Config) -> Any:
    """A curve that says one value at one recorded step, and nothing (NaN) elsewhere."""
    return jnp.where(jnp.asarray(recorded_steps(config)) == step, jnp.asarray(value, jnp.float32), jnp.nan)


def mean_over_classes(key: jax.Array, config: Config) -> Observables:
    """Losses averaged over the classes, where they are summed."""
    classes = num_classes(config)
    loss = loss_of_nothing(config.loss, classes) / classes
    return {name: at_step(0, loss, config) for name in ("train_loss", "test_loss")}


def initial_output_kept(key: jax.Array, config: Config) -> Observables:
    """The losses of α F(w_0), as if the initial output were not taken off."""
    parts = problem_of(key, dataclasses.replace(config, centred=False))
    values = parts.record(parts.initial)
    return {name: at_step(0, values[name], config) for name in ("train_loss", "test_loss")}


def plain_gradient_step(key: jax.Array, config: Config) -> Observables:
    """A first step of plain gradient descent, w - η (∇L + λ w)."""
    parts = problem_of(key, config)
    gradient = jax.grad(parts.objective)(parts.initial)

    def move(weights: Any, slope: Any) -> Any:
        return jnp.asarray(weights - config.learning_rate * (slope + config.weight_decay * weights), jnp.float32)

    values = parts.record(jax.tree.map(move, parts.initial, gradient))
    return {name: at_step(1, values[name], config) for name in ("train_loss", "distance")}


def readout_not_counted(key: jax.Array, config: Config) -> Observables:
    """Euler's identity with the degree of the last hidden layer, d − 1."""
    degree = homogeneity(config) or 1
    return {"scaling_slope": simulate(key, config)["logit_slope"] * (degree - 1) / degree}


def degree_forgotten(key: jax.Array, config: Config) -> Observables:
    """Euler's identity as for a network that is linear in its weights, d = 1."""
    return {"scaling_slope": simulate(key, config)["logit_slope"] / (homogeneity(config) or 1)}
