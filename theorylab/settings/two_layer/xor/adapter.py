"""Theory meets a configuration: its functions of arrays and numbers at a key and a configuration.

Shared by the predictions, by their controls and by figures.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.numerics import xla
from theorylab.settings.two_layer.xor.config import Config, step_init_ratio
from theorylab.settings.two_layer.xor.data import Instance, Labels, sample, sample_labels
from theorylab.settings.two_layer.xor.model import own_and_other
from theorylab.settings.two_layer.xor.theory import cell_model, late
from theorylab.settings.two_layer.xor.theory.network_error import Network, network, sample_error
from theorylab.settings.two_layer.xor.train import advance, late_slopes, recorded_steps, train

# Shared by all host-side theories of the instance, so that the sampler is compiled once for each choice of sizes.
draw = xla.host_program(sample)
sampled_error = jax.jit(sample_error, static_argnames=("draws",))


@xla.host_program
def final_network(instance: Instance, config: Config) -> Network:
    """Train, and return the law of the trained network's pre-activations."""
    trained = advance(instance, config)
    return network(
        trained.weights,
        trained.signs,
        trained.outside_variance,
        mean_norm=config.mean_norm,
        input_dim=config.input_dim,
    )


def cells_at(key: jax.Array, labels: Labels, config: Config) -> cell_model.Cells:
    """Draw the neurons of the cell model for the labels of a training set."""
    return cell_model.draw(
        key,
        labels.pair,
        labels.side,
        labels.observed,
        width=config.width,
        input_dim=config.input_dim,
        mean_norm=config.mean_norm,
        step_init_ratio=step_init_ratio(config),
    )


def instance_cells(instance: Instance, config: Config) -> cell_model.Cells:
    """Cells of an instance, with its own neurons as they start."""
    labels = instance.labels
    return cell_model.given(
        labels.pair,
        labels.side,
        labels.observed,
        xla.inner_products(instance.weights, instance.features),
        instance.signs,
        instance.weights[:, :2] / config.mean_norm,
        input_dim=config.input_dim,
        mean_norm=config.mean_norm,
        step_init_ratio=step_init_ratio(config),
    )


def instance_sides(key: jax.Array, config: Config) -> late.Sides:
    """Sides that neurons choose on the labels of the instance that ``key`` fixes."""
    return sides_of(sample_labels(key, config), config)


def sides_of(labels: Labels, config: Config) -> late.Sides:
    """Sides that neurons choose on given labels."""
    return late.chosen_sides(
        labels.pair,
        labels.side,
        labels.observed,
        mean_norm=config.mean_norm,
        input_dim=config.input_dim,
        step_init_ratio=step_init_ratio(config),
    )


def read_cells(state: cell_model.State, cells: cell_model.Cells) -> dict[str, Array]:
    """Observables of the cell model at one step, under the names that ``simulate`` gives them."""
    train_accuracy, flipped_accuracy, train_margin = cell_model.read_train(state, cells)
    own, other = own_and_other(cells.signs, state.alignment)
    return {
        "train_accuracy": train_accuracy,
        "flipped_accuracy": flipped_accuracy,
        "train_margin": train_margin,
        "test_accuracy": jnp.mean(cell_model.read_test(state, cells)),
        "own_alignment": own,
        "other_alignment": other,
    }


def run_cells(cells: cell_model.Cells, config: Config, seen: cell_model.Cells | None = None) -> dict[str, Array]:
    """Observables of the cell model; its steps may see other cells than the start and the read-out do."""
    observables = cell_model.run(
        cells,
        lambda state: read_cells(state, cells),
        num_steps=config.num_steps,
        record_at=recorded_steps(config),
        seen=seen,
    )
    return observables | {"own_slope": late_slopes(observables, config)["own_slope"]}


@functools.partial(jax.jit, static_argnames=("record_at",))
def neuron_alignments(keys: jax.Array, config: Config, record_at: tuple[int, ...]) -> dict[str, Any]:
    """Signs and alignments v of every neuron for each of ``keys``, in the network and in the cell model.

    Returns
    -------
    dict
        ``signs`` and ``model_signs`` [keys, width], ``alignment`` and ``model_alignment`` [keys, steps, width, 2], and
        the training sets' ``labels``.
    """

    def one(key: jax.Array) -> dict[str, Any]:
        instance = sample(key, config)
        _, records = train(instance, config, lambda state: {"alignment": state.alignment}, record_at)
        cells = cells_at(key, instance.labels, config)
        model = cell_model.run(
            cells, lambda state: {"alignment": state.alignment}, num_steps=config.num_steps, record_at=record_at
        )
        return {
            "signs": instance.signs,
            "alignment": records["alignment"],
            "labels": instance.labels,
            "model_signs": cells.signs,
            "model_alignment": model["alignment"],
        }

    return jax.lax.map(one, keys)
