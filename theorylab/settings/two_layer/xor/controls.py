"""Theories of XOR clusters that are wrong on purpose: each leaves out one piece of the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri

from theorylab.contract import Observables, Predictor
from theorylab.settings.two_layer.xor.adapter import (
    cells_at,
    draw,
    final_network,
    instance_cells,
    instance_sides,
    run_cells,
)
from theorylab.settings.two_layer.xor.config import Config, cluster_coupling, step_init_ratio
from theorylab.settings.two_layer.xor.data import sample, sample_labels
from theorylab.settings.two_layer.xor.model import State, output, own_and_other, products
from theorylab.settings.two_layer.xor.theory import cell_model, first_step, late, memorisation, network_error
from theorylab.settings.two_layer.xor.train import recorded_steps, train_products

# --- exact reduction ----------------------------------------------------------------------------------------------


@jax.jit
def orthogonal_samples(key: jax.Array, config: Config) -> Observables:
    """Samples that do not overlap at all: the Gram matrix without what is off its diagonal."""
    instance = sample(key, config)
    parts = products(instance, config)
    parts = parts._replace(kernel=jnp.diag(jnp.diagonal(parts.kernel)))
    labels, signs = instance.labels.observed, instance.signs

    def record(state: State) -> dict[str, jax.Array]:
        own, other = own_and_other(signs, state.alignment)
        margin = jnp.mean(labels * output(signs, state.train))
        return {"train_margin": margin, "own_alignment": own, "other_alignment": other}

    return train_products(parts, labels, signs, config, record, recorded_steps(config))[1]


# --- first step ---------------------------------------------------------------------------------------------------


def _first_accuracy(key: jax.Array, config: Config, factor: float) -> Observables:
    """Accuracies after one step, and the drift of alignments, for label imbalances that are multiplied by a factor."""
    labels = sample_labels(key, config)
    given = (labels.pair, labels.side, labels.observed)
    scales: dict[str, Any] = {"mean_norm": config.mean_norm, "input_dim": config.input_dim}
    accuracy = first_step.cluster_accuracy(
        *given, **scales, width=config.width, step_init_ratio=step_init_ratio(config)
    )
    drift, _ = first_step.alignment_law(*given, **scales)
    return {"first_cluster_accuracy": ndtr(factor * ndtri(accuracy)), "alignment_drift": factor * drift}


def other_sign(key: jax.Array, config: Config) -> Observables:
    """The larger side of a pair is the one that is classified wrongly; the mean over training sets is right."""
    return _first_accuracy(key, config, -1.0)


def half_the_argument(key: jax.Array, config: Config) -> Observables:
    """Half of the imbalance between the sides of a pair; the mean over training sets is right."""
    return _first_accuracy(key, config, 0.5)


def chance(key: jax.Array, config: Config) -> Observables:
    """Every training set as if its sides were balanced: the means over training sets."""
    return _first_accuracy(key, config, 0.0)


def independent_activations(key: jax.Array, config: Config) -> Observables:
    """Variance N_pair/4 of the first alignments: no arcsine law, as between samples of no common mean."""
    labels = sample_labels(key, config)
    _, variance = first_step.alignment_law(
        labels.pair, labels.side, labels.observed, mean_norm=0.0, input_dim=config.input_dim
    )
    return {"alignment_variance": variance}


def every_neuron_active(key: jax.Array, config: Config) -> Observables:
    """Linear part of a network whose neurons are all active on all samples, where half of them are."""
    return {"linear_ratio": 2 * jnp.ones(())}


# --- memorisation -------------------------------------------------------------------------------------------------


def nothing_falls(key: jax.Array, config: Config) -> Observables:
    """Neurons of the other sign stay as they were, and only those of a label's own sign move."""
    t = jnp.asarray(recorded_steps(config), float)
    s = 1 / jnp.asarray(step_init_ratio(config), float)
    mean, variance = memorisation.margin_of(
        memorisation.rising(t, s), memorisation.falling(jnp.zeros_like(t), s), config.width
    )
    return {"train_accuracy": ndtr(mean / jnp.sqrt(variance)), "train_margin": mean}


# --- cell model ---------------------------------------------------------------------------------------------------


def _cells_that_step_as(seen: Callable[[cell_model.Cells], cell_model.Cells]) -> Predictor:
    """Cell model of which every step, but neither the start nor the read-out, sees other scales."""

    def predict(key: jax.Array, config: Config) -> Observables:
        cells = instance_cells(sample(key, config), config)
        return run_cells(cells, config, seen(cells))

    return predict


#: Half of the clusters' feedback on the samples.
half_the_feedback = _cells_that_step_as(lambda cells: cells._replace(coupling=cells.coupling / 2))
#: Feedback from v in place of v − v(0).
feedback_from_zero = _cells_that_step_as(lambda cells: cells._replace(alignment=0 * cells.alignment))


def cells_without_arcsine_law(key: jax.Array, config: Config) -> Observables:
    """Cell model whose initial activations know nothing of the initial alignments."""
    instance = sample(key, config)
    blind = cells_at(key, instance.labels, dataclasses.replace(config, mean_norm=config.mean_norm * 1e-9))
    return run_cells(instance_cells(instance, config)._replace(active=blind.active), config)


# --- late rates ---------------------------------------------------------------------------------------------------


def infinitely_many_samples(key: jax.Array, config: Config) -> Observables:
    """The limit of the rate for n → ∞, the same for all labels."""
    return {"own_slope": late.limiting_rate(label_noise=config.label_noise, cluster_coupling=cluster_coupling(config))}


def _rate_of_sides(changed: Callable[[late.Sides], late.Sides]) -> Predictor:
    """Late rate from changed counts of the samples of both sides."""

    def predict(key: jax.Array, config: Config) -> Observables:
        sides = changed(instance_sides(key, config))
        coupling = cluster_coupling(config)
        return {"own_slope": late.own_rate(sides, num_train=config.num_train, cluster_coupling=coupling)}

    return predict


#: The side that a neuron did not choose holds it back with no sample at all.
other_side_inactive = _rate_of_sides(lambda sides: sides._replace(active=0 * sides.active))
#: It holds back with half of its samples: neurons choose their side blindly.
half_of_the_other_side_active = _rate_of_sides(lambda sides: sides._replace(active=sides.opposite / 2))
#: Flipped samples of the chosen side are as if they were not there.
flipped_labels_do_not_hold_back = _rate_of_sides(lambda sides: sides._replace(flipped=0 * sides.flipped))
#: Flipped samples of the chosen side are active always, and not in a share λd of the steps.
flipped_labels_hold_back_in_every_step = _rate_of_sides(
    lambda sides: sides._replace(active=sides.active + sides.flipped, flipped=0 * sides.flipped)
)


# --- test error of the trained network ----------------------------------------------------------------------------


_bound = jax.jit(network_error.lipschitz_bound)
_gaussian_error = jax.jit(network_error.gaussian_error)


def central_limit(key: jax.Array, config: Config) -> Observables:
    """Test error as if the output were Gaussian: neurons share factors, and so it is skewed whatever the width.

    No declared control: at the sizes of ``tiny`` it is 0.005 off, of either sign, and 40 to 400 seeds would show it.
    The default case "weak clusters" rejects it.
    """
    return {"final_test_error": jnp.mean(_gaussian_error(final_network(draw(key, config), config)))}


def linear_part_alone(key: jax.Array, config: Config) -> Observables:
    """Test error of the odd part of the output, which is linear: right on half of the clusters, whatever it is."""
    return {"final_test_error": jnp.asarray(0.5)}


def bound_for_the_error(key: jax.Array, config: Config) -> Observables:
    """The rigorous Lipschitz bound taken for the error itself."""
    return {"final_test_error": jnp.mean(_bound(final_network(draw(key, config), config)))}
