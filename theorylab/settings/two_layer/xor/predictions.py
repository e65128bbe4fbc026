"""The theories of XOR clusters as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import ROUNDING, Observables, at_config, theory
from theorylab.numerics import random
from theorylab.settings.two_layer.xor import controls
from theorylab.settings.two_layer.xor.adapter import (
    draw,
    final_network,
    instance_cells,
    run_cells,
    sampled_error,
    sides_of,
)
from theorylab.settings.two_layer.xor.config import (
    Config,
    cluster_coupling,
    fits_reduced,
    leaves_small_outputs,
    snr,
    step_init_ratio,
)
from theorylab.settings.two_layer.xor.data import Instance, project, sample
from theorylab.settings.two_layer.xor.model import State, output, own_and_other
from theorylab.settings.two_layer.xor.papers import HASOFER, XU
from theorylab.settings.two_layer.xor.theory.cell_model import NODES
from theorylab.settings.two_layer.xor.theory.first_step import alignment_law, cluster_accuracy, linear_part
from theorylab.settings.two_layer.xor.theory.late import limiting_rate, own_rate
from theorylab.settings.two_layer.xor.theory.memorisation import margin_moments, training_accuracy
from theorylab.settings.two_layer.xor.train import recorded_steps, train

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


def rounding_stays_small(config: Config) -> str | None:
    """Say where float64 rounding may flip an activation and so separate the two runs; None where it does not."""
    if config.num_steps > 200:
        return f"num_steps = {config.num_steps}: over more than 200 steps rounding may flip an activation"
    return None


@theory(
    kind="exact",
    source="W − W_0 stays in the span of the data: n + 2 coordinates, or an m x n matrix of coefficients",
    predicts=("train_margin", "own_alignment", "other_alignment"),
    holds=rounding_stays_small,
    error=ROUNDING,
    controls={
        "samples do not overlap": controls.orthogonal_samples,
        "learning rate doubled": at_config(lambda c: dataclasses.replace(c, learning_rate=2 * c.learning_rate)),
    },
    traceable=False,
    sample=draw,
)
def reduction(instance: Instance, config: Config) -> Observables:
    """The same instance by the other trainer: W itself instead of its coefficients in the data, or the reverse.

    Whole input vectors are first projected on the n + 2 coordinates of [μ_1, μ_2, X].
    """
    if config.sampler == "full" and fits_reduced(config):
        instance = project(instance)
    return _by_the_other_trainer(instance, config)


# --- first step ---------------------------------------------------------------------------------------------------


def initialisation_is_forgotten(config: Config) -> str | None:
    """Say why the first step is not all there is to the network after it; None where it is."""
    if step_init_ratio(config) < 3:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is below 3: the initialisation still counts"
    return leaves_small_outputs(config)


def first_step_error(config: Config, observable: str) -> float:
    """Relative errors of the first-step theory: of the even part, in the accuracies; else of higher orders in 1/m."""
    if observable == "first_cluster_accuracy":
        return 0.8 / math.sqrt(config.width) * max(1.0, cluster_coupling(config) / 6.25)
    return 1 / config.width if observable in ("linear_cosine", "linear_ratio") else 2 / config.width


def first_step_residual(config: Config, observable: str) -> float:
    """What m neurons leave of the scatter over training sets; in accuracies what num_test points add, too."""
    if observable not in ("first_cluster_accuracy", "alignment_drift"):
        return math.nan
    neurons = 4 / math.sqrt(config.width) * max(1.0, math.sqrt(cluster_coupling(config) / 4))
    if observable == "alignment_drift":
        return neurons
    # Accuracies Φ(x) with x of variance v have about the variance v/(2π (1 + 2 v/π)).
    initial, noise = config.input_dim / config.num_train / step_init_ratio(config) ** 2, 4 / config.width
    of_labels = snr(config) / (2 * (1 + config.mean_norm**2 / config.input_dim))
    variance = (of_labels + noise * (initial + 0.25) * 2 / math.pi) / (1 + noise * (initial + 0.5))
    points = 2 * math.pi * (1 + 2 * variance / math.pi) / (variance * config.num_test * (1 + variance))
    return math.hypot(neurons, math.sqrt(points))


@theory(
    kind="instance",
    source=XU.at("eq. 4.3 (linear part) and Lemma A.11, with the orthant law of activations"),
    predicts=("first_cluster_accuracy", "linear_cosine", "linear_ratio", "alignment_drift", "alignment_variance"),
    holds=initialisation_is_forgotten,
    error=first_step_error,
    residual=first_step_residual,
    controls={
        "the other sign": controls.other_sign,
        "half the argument": controls.half_the_argument,
        "chance, whatever the labels": controls.chance,
        "without the arcsine law": controls.independent_activations,
        "every neuron active": controls.every_neuron_active,
    },
    sample=sample,
)
def first_step(instance: Instance, config: Config) -> Observables:
    """Accuracies per cluster after one step, the linear part, and the law of first alignments, given the labels."""
    labels = instance.labels
    given = (labels.pair, labels.side, labels.observed)
    scales: dict[str, Any] = {"mean_norm": config.mean_norm, "input_dim": config.input_dim}
    drift, variance = alignment_law(*given, **scales)
    cosine, ratio = linear_part(*given, **scales, width=config.width)
    return {
        "first_cluster_accuracy": cluster_accuracy(
            *given,
            **scales,
            width=config.width,
            step_init_ratio=step_init_ratio(config),
            sign_sum=jnp.sum(instance.signs),
        ),
        "linear_cosine": cosine,
        "linear_ratio": ratio,
        "alignment_drift": drift,
        "alignment_variance": variance,
    }


# --- trajectories -------------------------------------------------------------------------------------------------


def samples_move_alone(config: Config) -> str | None:
    """Say why samples do not move independently in continuous time; None where they do."""
    if step_init_ratio(config) > 0.05:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is above 0.05: time is not continuous"
    if cluster_coupling(config) > 1:
        return f"cluster_coupling λ = {cluster_coupling(config):.3g} is above 1: samples of a cluster move together"
    if step_init_ratio(config) * config.num_steps > 2:
        return f"rescaled time κ T = {step_init_ratio(config) * config.num_steps:.3g} is above 2: features are learned"
    return leaves_small_outputs(config)


@theory(
    kind="ensemble",
    source="independent samples in continuous time, derived here (theory/memorisation.py)",
    predicts=("train_accuracy", "train_margin"),
    holds=samples_move_alone,
    error=0.04,
    controls={
        "half the rate": at_config(lambda c: dataclasses.replace(c, learning_rate=c.learning_rate / 2)),
        "nothing falls": controls.nothing_falls,
    },
)
def memorisation(key: jax.Array, config: Config) -> Observables:
    """Training accuracy and mean margin at the recorded steps."""
    steps, scales = recorded_steps(config), {"step_init_ratio": step_init_ratio(config), "width": config.width}
    mean, _ = margin_moments(steps, **scales)
    return {"train_accuracy": training_accuracy(steps, **scales), "train_margin": mean}


def cells_are_classes(config: Config) -> str | None:
    """Say why the cell model does not describe a configuration; None where it does."""
    if config.input_dim < 50 * config.num_train:
        return f"input_dim = {config.input_dim} is below 50 num_train: samples are not nearly orthogonal"
    if snr(config) < 0.1:
        return f"snr |μ|⁴/p = {snr(config):.3g} is below 0.1: {NODES} nodes do not resolve the noise"
    return leaves_small_outputs(config)


def many_kicks(config: Config) -> str | None:
    """Say why sums over classes do not describe a configuration: classes, or too few samples that go on moving."""
    flipped = config.label_noise * config.num_train
    if step_init_ratio(config) > 1 and flipped < 2:
        return (
            f"{flipped:.2g} flipped labels at large steps: the other alignments are those of single samples' kicks, "
            "not of their means"
        )
    return cells_are_classes(config)


@theory(
    kind="instance",
    source="classes of samples of independent neurons, derived here (theory/cell_model.py)",
    predicts=(
        "train_accuracy",
        "flipped_accuracy",
        "train_margin",
        "test_accuracy",
        "own_alignment",
        "other_alignment",
        "own_slope",
    ),
    holds=many_kicks,
    # Measured at n = 50 to 200 on the same neurons. Largest seen, on 64 seeds of n = 100: own alignments 10.6 ± 1.4%
    # (κ = 100, λ = 0.15), their growth 9.1 ± 0.7% (120 steps, n = 200), others 27 ± 5% (κ = 100, λ = 0.15).
    error={
        "train_accuracy": 0.01,
        "flipped_accuracy": 0.02,
        "train_margin": 0.05,
        "test_accuracy": 0.04,
        "own_alignment": 0.1,
        "other_alignment": 0.25,
        "own_slope": 0.09,
    },
    controls={
        "half the feedback": controls.half_the_feedback,
        "feedback from v, not v − v(0)": controls.feedback_from_zero,
        "without the arcsine law": controls.cells_without_arcsine_law,
    },
    sample=sample,
)
def cell_model(instance: Instance, config: Config) -> Observables:
    """Whole trajectories from the counts of samples by cluster, label and initial activity of the same neurons."""
    return run_cells(instance_cells(instance, config), config)


def late_and_large(config: Config) -> str | None:
    """Say why the late rates are not reached; None where they are."""
    if step_init_ratio(config) < 3:
        return f"step_init_ratio κ = {step_init_ratio(config):.3g} is below 3: for large steps only"
    if config.num_steps < 15 or config.num_train < 50:
        return f"num_steps = {config.num_steps}, num_train = {config.num_train}: not late (15) or too few samples (50)"
    if snr(config) < 3:
        return f"snr |μ|⁴/p = {snr(config):.3g} is below 3: noise moves neurons to the other side"
    # How fast the clusters push against a sample's own kick on the larger side; above 1 it is dropped.
    coupling = cluster_coupling(config)
    push = coupling * limiting_rate(label_noise=config.label_noise, cluster_coupling=coupling)
    if push * (1 + 10 / math.sqrt(config.num_train)) > 0.8:
        return f"cluster_coupling λ = {coupling:.3g}: on some sides active samples are pushed down and dropped"
    return cells_are_classes(config)


def late_error(config: Config, observable: str) -> float:
    """Of the next order, 1/n, and of neurons that noise moves (γ of 3 to 10)."""
    return 0.012 + 1.5 / config.num_train


@theory(
    kind="instance",
    source=XU.at("Lemma 4.7, with constants and the order 1/√n derived here"),
    predicts=("own_slope",),
    holds=late_and_large,
    error=late_error,
    controls={
        "infinitely many samples": controls.infinitely_many_samples,
        "other side inactive": controls.other_side_inactive,
        "half of the other side active": controls.half_of_the_other_side_active,
        "flipped labels do not hold back": controls.flipped_labels_do_not_hold_back,
        "flipped labels hold back in every step": controls.flipped_labels_hold_back_in_every_step,
    },
    sample=sample,
)
def late_rates(instance: Instance, config: Config) -> Observables:
    """Growth rate of the mean alignment with a neuron's own pair over the last third of the run, given the labels."""
    sides = sides_of(instance.labels, config)
    return {"own_slope": own_rate(sides, num_train=config.num_train, cluster_coupling=cluster_coupling(config))}


# --- test error of the trained network ----------------------------------------------------------------------------


@theory(
    kind="instance",
    source=HASOFER.at("first-order design point, around which points are sampled"),
    predicts=("final_test_error",),
    controls={
        "linear part alone": controls.linear_part_alone,
        "bound for the error": controls.bound_for_the_error,
    },
)
def importance_sampling(key: jax.Array, config: Config) -> Observables:
    """Test error of the same trained network from its weights, without a test set."""
    estimate = sampled_error(random.fold_in(key, 3), final_network(draw(key, config), config), draws=1000)
    return {"final_test_error": jnp.mean(estimate.error)}


THEORIES = (reduction, first_step, memorisation, cell_model, late_rates, importance_sampling)
