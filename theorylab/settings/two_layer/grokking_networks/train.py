"""Train a network on the full batch by AdamW, in the precision of float32 whose edge is studied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from theorylab.contract import Observables
from theorylab.settings.two_layer.grokking_networks.config import Config
from theorylab.settings.two_layer.grokking_networks.data import Task, keys_of, task_of
from theorylab.settings.two_layer.grokking_networks.model import LOSSES, accuracy, homogeneity, module_of
from theorylab.settings.two_layer.grokking_networks.stability import collapsed, perpendicular_gradients
from theorylab.training.gradient_descent import gradient_descent
from theorylab.training.iterate import log_spaced_steps


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which :func:`simulate` records: twelve per decade."""
    return log_spaced_steps(config.num_steps, 12)


class Problem(NamedTuple):
    """A network on a task, as functions of its weights.

    Attributes
    ----------
    initial
        The initial weights, in float32.
    objective
        ``weights -> `` train loss.
    record
        ``weights -> `` observables.
    """

    initial: Any
    objective: Callable[[Any], Array]
    record: Callable[[Any], dict[str, Array]]


def problem(
    key: jax.Array,
    module: nn.Module,
    task: Task,
    *,
    loss: str = "softmax",
    output_scale: ArrayLike = 1.0,
    weight_scale: ArrayLike = 1.0,
    centred: bool = False,
    degree: int = 1,
) -> Problem:
    """Draw initial weights, and prepare what is minimised and measured.

    Parameters
    ----------
    key
        Initial weights; these are then multiplied by ``weight_scale``.
    loss, centred
        Static. ``centred`` trains α (F(w) - F(w_0)).
    output_scale, weight_scale
        May be traced.
    degree
        By which ``scaling_slope`` is divided.
    """
    initial = module.init(key, task.train_inputs[:1])
    initial = jax.tree.map(lambda leaf: jnp.asarray(leaf * _single(weight_scale), jnp.float32), initial)
    scale = _single(output_scale)

    def offset(inputs: Array) -> Any:
        return jax.lax.stop_gradient(module.apply(initial, inputs)) if centred else 0.0

    train_offset, test_offset = offset(task.train_inputs), offset(task.test_inputs)
    per_sample = LOSSES[loss]

    def mean_loss(logits: Array) -> Array:
        return jnp.mean(per_sample(logits, task.train_labels))

    def objective(params: Any) -> Array:
        return mean_loss(scale * (module.apply(params, task.train_inputs) - train_offset))

    def record(params: Any) -> dict[str, Array]:
        output: Any = module.apply(params, task.train_inputs)
        train = scale * (output - train_offset)
        test = scale * (module.apply(params, task.test_inputs) - test_offset)
        gradient = jax.grad(objective)(params)
        return {
            "train_loss": mean_loss(train),
            "test_loss": jnp.mean(per_sample(test, task.test_labels)),
            "train_accuracy": accuracy(train, task.train_labels),
            "test_accuracy": accuracy(test, task.test_labels),
            "collapsed_fraction": jnp.mean(collapsed(train, task.train_labels), dtype=jnp.float32),
            "weight_norm": optax.tree.norm(params),
            "distance": optax.tree.norm(jax.tree.map(jnp.subtract, params, initial)),
            "scaling_slope": optax.tree.vdot(params, gradient) / degree,
            "logit_slope": jnp.sum(scale * output * jax.grad(mean_loss)(train)),
        }

    return Problem(initial, objective, record)


def train_classifier(
    parts: Problem,
    *,
    num_steps: int,
    record_at: Sequence[int],
    optimizer: str = "adamw",
    learning_rate: ArrayLike = 1e-3,
    weight_decay: ArrayLike = 0.0,
    second_moment_decay: float = 0.99,
    epsilon: float = 1e-8,
) -> Observables:
    """Minimise the objective of a :class:`Problem` on the full batch by AdamW; returns what ``record`` measures.

    ``learning_rate`` and ``weight_decay`` may be traced: a grid of them is one program.
    """
    descent: Any = optax.adamw(
        _single(learning_rate), b1=0.9, b2=second_moment_decay, eps=epsilon, weight_decay=_single(weight_decay)
    )
    if optimizer == "perpendicular_adamw":
        descent = optax.chain(perpendicular_gradients(), descent)
    run = gradient_descent(
        parts.objective, parts.initial, descent, num_steps=num_steps, record=parts.record, record_at=record_at
    )
    return run.observables


def problem_of(key: jax.Array, config: Config) -> Problem:
    """The problem of a configuration's instance."""
    keys = keys_of(key)
    return problem(
        keys.weights, module_of(config), task_of(keys.split, config), loss=config.loss,
        output_scale=config.output_scale, weight_scale=config.weight_scale, centred=config.centred,
        degree=homogeneity(config) or 1,
    )  # fmt: skip


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one split of the data and initial weights, and train.

    Returns
    -------
    dict
        At :func:`recorded_steps`, in float32: ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy``;
        ``collapsed_fraction``, the share of training samples whose softmax has collapsed; ``weight_norm`` |w| and
        ``distance`` |w - w_0| of all weights together; ``scaling_slope`` w·∇L, the slope of the train loss in the
        logarithm of the weights' scale, over the network's degree of homogeneity (1 if it has none); and
        ``logit_slope``, that in the logarithm of the scale of the output α F(w).

    Raises
    ------
    ImportError
        If ``task`` is "images" and the package that ships them is missing; the message names the remedy.
    """
    return train_classifier(
        problem_of(key, config), num_steps=config.num_steps, record_at=recorded_steps(config),
        optimizer=config.optimizer, learning_rate=config.learning_rate, weight_decay=config.weight_decay,
        second_moment_decay=config.second_moment_decay, epsilon=config.epsilon,
    )  # fmt: skip


def _single(value: ArrayLike) -> Array:
    return jnp.asarray(value, jnp.float32)
