"""Theories of XOR clusters that are wrong on purpose: each leaves out one piece of the right one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr

from theorylab.contract import Observables, Predictor
from theorylab.settings.two_layer.xor.adapter import draw, final_network, instance_cells, read_cells
from theorylab.settings.two_layer.xor.config import Config, cluster_coupling, step_init_ratio
from theorylab.settings.two_layer.xor.data import sample, sample_labels
from theorylab.settings.two_layer.xor.model import State, output, own_and_other, products
from theorylab.settings.two_layer.xor.theory import cell_model, first_step, late, memorisation, network_error
from theorylab.settings.two_layer.xor.train import recorded_steps, train_products
from theorylab.training.iterate import iterate

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
        cells = instance_cells(key, config)
        wrong = seen(cells)
        return iterate(
            lambda state, t: cell_model.step(state, wrong),
            cell_model.initial_state(cells),
            num_steps=config.num_steps,
            record=lambda state: read_cells(state, cells),
            record_at=recorded_steps(config),
        ).observables

    return predict


#: Half of the clusters' feedback on the samples.
half_the_feedback = _cells_that_step_as(lambda cells: cells._replace(coupling=cells.coupling / 2))
#: Feedback from v in place of v − v(0).
feedback_from_zero = _cells_that_step_as(lambda cells: cells._replace(alignment=0 * cells.alignment))


def cells_without_arcsine_law(key: jax.Array, config: Config) -> Observables:
    """Cell model whose initial activations know nothing of the initial alignments."""
    blind = instance_cells(key, dataclasses.replace(config, mean_norm=config.mean_norm * 1e-9))
    cells = instance_cells(key, config)._replace(active=blind.active)
    return cell_model.run(
        cells, lambda state: read_cells(state, cells), num_steps=config.num_steps, record_at=recorded_steps(config)
    )


# --- late rates ---------------------------------------------------------------------------------------------------


def opposite_side_inactive(key: jax.Array, config: Config) -> Observables:
    """Growth rates twice as large: the side that a neuron did not choose no longer holds it back."""
    own, other = late.growth_rates(label_noise=config.label_noise, cluster_coupling=cluster_coupling(config))
    return {"own_slope": jnp.asarray(2 * own), "other_slope": jnp.asarray(2 * other)}


# --- test error of the trained network ----------------------------------------------------------------------------


_bound = jax.jit(network_error.lipschitz_bound)


def linear_part_alone(key: jax.Array, config: Config) -> Observables:
    """Test error of the odd part of the output, which is linear: right on half of the clusters, whatever it is."""
    return {"final_test_error": jnp.asarray(0.5)}


def bound_for_the_error(key: jax.Array, config: Config) -> Observables:
    """The rigorous Lipschitz bound taken for the error itself."""
    return {"final_test_error": jnp.mean(_bound(final_network(draw(key, config), config)))}
