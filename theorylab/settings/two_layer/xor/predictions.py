"""The theories of XOR clusters as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from theorylab.contract import ROUNDING, Observables, Theory
from theorylab.numerics import random
from theorylab.settings.two_layer.xor.config import (
    Config,
    cluster_coupling,
    fits_reduced,
    leaves_small_outputs,
    snr,
    step_init_ratio,
)
from theorylab.settings.two_layer.xor.data import Instance, project, sample, sample_labels
from theorylab.settings.two_layer.xor.model import State, output, own_and_other
from theorylab.settings.two_layer.xor.theory import cell_model, first_step, late, memorisation
from theorylab.settings.two_layer.xor.theory.network_error import Network, network, sample_error
from theorylab.settings.two_layer.xor.train import final_weights, recorded_steps, train

PAPER = "Xu, Wang, Frei, Vardi and Hu 2024, arXiv 2310.02541"


# Shared by all host-side theories of the instance, so that the sampler is compiled once for each choice of sizes.
draw = jax.jit(sample)


@jax.jit
def final_network(instance: Instance, config: Config) -> Network:
    """Train, and return the law of the trained network's pre-activations."""
    state, _ = train(instance, config, lambda state: {}, (config.num_steps,))
    return network(instance, final_weights(instance, config, state), config)


# --- exact reduction ----------------------------------------------------------------------------------------------


@jax.jit
def _by_the_other_trainer(instance: Instance, config: Config) -> Observables:
    other = dataclasses.replace(config, trainer="gram" if config.trainer == "direct" else "direct")
    labels = instance.labels.observed

    def record(state: State) -> dict[str, jax.Array]:
        own, other = own_and_other(instance.signs, state.alignment)
        margin = jnp.mean(labels * output(instance.signs, state.train))
        return {"train_margin": margin, "own_alignment": own, "other_alignment": other}

    return train(instance, other, record, recorded_steps(config))[1]


def predict_reduction(key: jax.Array, config: Config) -> Observables:
    """The same instance by the other trainer: W itself instead of its coefficients in the data, or the reverse.

    Whole input vectors are first projected on the n + 2 coordinates of [μ_1, μ_2, X].
    """
    instance = draw(key, config)
    if config.sampler == "full" and fits_reduced(config):
        instance = project(instance)
    return _by_the_other_trainer(instance, config)


def reduction_holds(config: Config) -> str | None:
    """Say where float64 rounding may flip an activation and so separate the two runs; None where it does not."""
    if config.num_steps > 200:
        return f"num_steps = {config.num_steps}: over more than 200 steps rounding may flip an activation"
    return None


# --- first step ---------------------------------------------------------------------------------------------------


def predict_first_step(key: jax.Array, config: Config) -> Observables:
    """Accuracies per cluster after one step, the linear part, and the law of first alignments, given the labels."""
    labels = sample_labels(key, config)
    drift, variance = first_step.alignment_law(labels, config)
    return {
        "first_cluster_accuracy": first_step.cluster_accuracy(labels, config),
        "linear_cosine": jnp.ones(()),
        "linear_ratio": jnp.ones(()),
        "alignment_drift": drift,
        "alignment_variance": variance,
    }


def first_step_holds(config: Config) -> str | None:
    """Say why the first step is not all there is to the network after it; None where it is."""
    if step_init_ratio(config) < 3:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is below 3: the initialisation still counts"
    return leaves_small_outputs(config)


def first_step_finite_size(config: Config, observable: str) -> float:
    """Relative errors of the first-step theory, from the finite width (and the even part, in the accuracies)."""
    if observable == "first_cluster_accuracy":
        return 0.8 / math.sqrt(config.width) * max(1.0, cluster_coupling(config) / 6.25)
    if observable in ("linear_cosine", "linear_ratio"):
        return 3 / config.width
    # A variance over m/2 neurons scatters by 2/√m per run, and few runs give too small a standard error now and then.
    return 1.5 / math.sqrt(config.width) if observable == "alignment_variance" else 2 / config.width


# --- trajectories -------------------------------------------------------------------------------------------------


def predict_memorisation(key: jax.Array, config: Config) -> Observables:
    """Training accuracy and mean margin at the recorded steps."""
    steps = recorded_steps(config)
    mean, _ = memorisation.margin_moments(steps, config)
    return {"train_accuracy": memorisation.training_accuracy(steps, config), "train_margin": mean}


def memorisation_holds(config: Config) -> str | None:
    """Say why samples do not move independently in continuous time; None where they do."""
    if step_init_ratio(config) > 0.05:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is above 0.05: time is not continuous"
    if cluster_coupling(config) > 1:
        return f"cluster_coupling λ = {cluster_coupling(config):.3g} is above 1: samples of a cluster move together"
    if step_init_ratio(config) * config.num_steps > 2:
        return f"rescaled time κ T = {step_init_ratio(config) * config.num_steps:.3g} is above 2: features are learned"
    return leaves_small_outputs(config)


def predict_cell_model(key: jax.Array, config: Config) -> Observables:
    """Whole trajectories on the same cluster and label counts as the simulation's, with neurons of its own."""
    paths = cell_model.trajectory(key, sample_labels(key, config), config, recorded_steps(config))
    return {
        name: paths[name]
        for name in ("train_accuracy", "train_margin", "test_accuracy", "own_alignment", "other_alignment")
    }


def cell_model_holds(config: Config) -> str | None:
    """Say why the cell model does not describe a configuration; None where it does."""
    if config.input_dim < 50 * config.num_train:
        return f"input_dim = {config.input_dim} is below 50 num_train: samples are not nearly orthogonal"
    if snr(config) < 0.1:
        return f"snr |μ|⁴/p = {snr(config):.3g} is below 0.1: {cell_model.NODES} nodes do not resolve the noise"
    return leaves_small_outputs(config)


def cell_model_finite_size(config: Config, observable: str) -> float:
    """Relative errors of the cell model, measured at n = 50 to 200 on counts shared with the simulation."""
    return {
        "train_accuracy": 0.01,
        "train_margin": 0.05,
        "test_accuracy": 0.04,
        "own_alignment": 0.06,
        "other_alignment": 0.25,
    }[observable]


def predict_late_rates(key: jax.Array, config: Config) -> Observables:
    """Growth rates of the mean alignments over the last third of the run."""
    own, other = late.growth_rates(config)
    return {"own_slope": jnp.asarray(own), "other_slope": jnp.asarray(other)}


def late_rates_hold(config: Config) -> str | None:
    """Say why the late rates are not reached; None where they are, roughly."""
    if step_init_ratio(config) < 5:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is below 5: for large steps only"
    if config.num_steps < 15 or config.num_train < 100:
        return f"num_steps = {config.num_steps}, num_train = {config.num_train}: not late (15) or too few samples (100)"
    if cluster_coupling(config) > 8 or snr(config) < 10:
        return f"for cluster_coupling <= 8 ({cluster_coupling(config):.3g}) and snr >= 10 ({snr(config):.3g})"
    return leaves_small_outputs(config)


sampled_error = jax.jit(sample_error)


# --- test error of the trained network ------------------------------------------------------------------------------


def predict_importance_sampling(key: jax.Array, config: Config) -> Observables:
    """Test error of the same trained network from its weights, without a test set."""
    estimate = sampled_error(random.fold_in(key, 3), final_network(draw(key, config), config))
    return {"final_test_error": jnp.mean(estimate.error)}


REDUCTION = Theory(
    "reduction",
    predict_reduction,
    "exact",
    "W − W_0 stays in the span of the data: n + 2 coordinates, or an m x n matrix of coefficients",
    holds=reduction_holds,
    error=ROUNDING,
    traceable=False,
    predicts=("train_margin", "own_alignment", "other_alignment"),
)
FIRST_STEP = Theory(
    "first_step",
    predict_first_step,
    "instance",
    f"{PAPER}, eq. 4.3 (linear part) and Lemma A.11 with the orthant law of activations (theory/first_step.py)",
    holds=first_step_holds,
    error=first_step_finite_size,
)
MEMORISATION = Theory(
    "memorisation",
    predict_memorisation,
    "ensemble",
    "independent samples in continuous time (theory/memorisation.py)",
    holds=memorisation_holds,
    error=lambda config, observable: 0.04,
)
CELL_MODEL = Theory(
    "cell_model",
    predict_cell_model,
    "instance",
    "classes of samples of independent neurons (theory/cell_model.py)",
    holds=cell_model_holds,
    error=cell_model_finite_size,
)
LATE_RATES = Theory(
    "late_rates",
    predict_late_rates,
    "ensemble",
    f"{PAPER}, Lemma 4.7 with constants (theory/late.py)",
    holds=late_rates_hold,
    error=lambda config, observable: 0.2 if observable == "own_slope" else 0.5,
)
IMPORTANCE_SAMPLING = Theory(
    "importance_sampling",
    predict_importance_sampling,
    "instance",
    "importance sampling around the first-order design point (Hasofer and Lind 1974; theory/network_error.py)",
    traceable=False,
    predicts=("final_test_error",),
)
THEORIES = (REDUCTION, FIRST_STEP, MEMORISATION, CELL_MODEL, LATE_RATES, IMPORTANCE_SAMPLING)
