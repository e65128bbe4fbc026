"""The theories of the networks as the laboratory sees them: what is exact about training that has no theory."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from theorylab.contract import Observables, Theory, at_config, theory
from theorylab.contract.papers import PRIETO
from theorylab.settings.two_layer.grokking_networks import controls
from theorylab.settings.two_layer.grokking_networks.config import Config, num_classes
from theorylab.settings.two_layer.grokking_networks.controls import at_step
from theorylab.settings.two_layer.grokking_networks.model import homogeneity
from theorylab.settings.two_layer.grokking_networks.stability import perpendicular
from theorylab.settings.two_layer.grokking_networks.theory import first_adamw_step, loss_of_nothing
from theorylab.settings.two_layer.grokking_networks.train import problem_of, simulate
from theorylab.settings.two_layer.papers import KUMAR

#: Declared error of an exact theory in float32: rounding of one loss, and of sums of many terms of both signs.
SINGLE, SUMS = 1e-6, 1e-3


def is_centred(config: Config) -> str | None:
    """Say that the output does not start at zero."""
    return None if config.centred else "for a centred network, whose output starts at zero"


@theory(
    kind="exact",
    source=KUMAR.at("Section 5: networks are trained as α (F(w) − F(w_0))"),
    predicts=("train_loss", "test_loss", "collapsed_fraction"),
    holds=is_centred,
    error=SINGLE,
    controls={
        "mean over the classes": controls.mean_over_classes,
        "the initial output kept": controls.initial_output_kept,
    },
)
def zero_output(key: jax.Array, config: Config) -> Observables:
    """A centred network starts from an output of zeros: loss 1 (squared) or log p (cross-entropy), no collapse."""
    loss = loss_of_nothing(config.loss, num_classes(config))
    values = {"train_loss": loss, "test_loss": loss, "collapsed_fraction": 0.0}
    return {name: at_step(0, value, config) for name, value in values.items()}


def digits_are_kept(config: Config) -> str | None:
    """Say why the weights after a step are not known: single precision rounds them to what the step itself resolves."""
    if config.learning_rate > 1e3:
        return f"learning_rate = {config.learning_rate:g} > 1000: single precision keeps few digits of the weights"
    return None


@theory(
    kind="exact",
    source="a step along the signs of the gradient: Kingma and Ba 2015, arXiv 1412.6980, Section 2.1",
    predicts=("train_loss", "test_loss", "weight_norm", "distance"),
    holds=digits_are_kept,
    error={"train_loss": SUMS, "test_loss": SUMS, "weight_norm": 10 * SINGLE, "distance": SUMS},
    controls={
        "plain gradient descent": controls.plain_gradient_step,
        "without weight decay": at_config(lambda c: dataclasses.replace(c, weight_decay=0.0)),
    },
)
def first_step(key: jax.Array, config: Config) -> Observables:
    """The network after one step: its weights have moved by η along the signs of the gradient, and by η λ w."""
    parts = problem_of(key, config)
    gradient = jax.grad(parts.objective)(parts.initial)
    if config.optimizer == "perpendicular_adamw":
        gradient = jax.tree.map(perpendicular, gradient, parts.initial)

    def move(weights: Any, slope: Any) -> Any:
        moved = first_adamw_step(weights, slope, config.learning_rate, config.weight_decay, config.epsilon)
        return moved.astype(weights.dtype)

    values = parts.record(jax.tree.map(move, parts.initial, gradient))
    return {name: at_step(1, values[name], config) for name in ("train_loss", "test_loss", "weight_norm", "distance")}


def is_homogeneous(config: Config) -> str | None:
    """Say why the slope along the weights is not known from the output."""
    if homogeneity(config) is None:
        return "for an MLP without biases: no other network here is homogeneous in its weights"
    if config.loss == "squared":
        return "loss = 'squared': both slopes vanish once the data are fitted, and rounding is left"
    return None


@theory(
    kind="exact",
    source=PRIETO.at("Section 4: homogeneous networks lower their loss by scaling their logits; Euler's identity"),
    predicts=("scaling_slope",),
    holds=is_homogeneous,
    error=SUMS,
    estimates={"scaling_slope": "logit_slope"},
    controls={
        "degree forgotten": controls.degree_forgotten,
        "the readout not counted": controls.readout_not_counted,
    },
)
def euler(key: jax.Array, config: Config) -> Observables:
    """w·∇L = d · z·∂L/∂z for logits z homogeneous of degree d: scaling the weights is scaling the logits."""
    return {"scaling_slope": simulate(key, config)["logit_slope"]}


THEORIES: tuple[Theory, ...] = (zero_output, first_step, euler)
