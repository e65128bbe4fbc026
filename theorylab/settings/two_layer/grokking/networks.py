"""Classifiers in which grokking is seen beyond the solvable model: an MLP and a one-layer transformer, in flax.

Both are trained as α (F(w) - F(w_0)) or α F(w), with the output scale α that moves them between lazy and rich
training (Kumar, Bordelon, Gershman and Pehlevan, arXiv 2310.06110, section 5). This module imports flax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from theorylab.settings.two_layer.grokking.stability import (
    collapsed,
    perpendicular_gradients,
    softmax_cross_entropy,
    stablemax_cross_entropy,
)
from theorylab.training.gradient_descent import gradient_descent

LossName = Literal["squared", "softmax", "stablemax"]
OptimizerName = Literal["adamw", "perpendicular_adamw"]


class Task(NamedTuple):
    """A classification problem: inputs (points, or tokens of pairs) and classes, for training and for testing."""

    train_inputs: Array
    train_labels: Int[Array, " train"]
    test_inputs: Array
    test_labels: Int[Array, " test"]


class MLP(nn.Module):
    """Fully connected network with the given widths, the last of them the number of classes.

    Weights are uniform in ± init_scale/sqrt(fan_in); biases, where wanted, start at 0.
    """

    widths: tuple[int, ...]
    activation: Callable[[Any], Any] = nn.relu
    use_bias: bool = False
    init_scale: float = 1.0

    @nn.compact
    def __call__(self, inputs: Any) -> Any:
        """Logits of a batch, [batch, classes]."""
        uniform = nn.initializers.variance_scaling(self.init_scale**2 / 3, "fan_in", "uniform")
        hidden = inputs
        for depth, width in enumerate(self.widths):
            hidden = nn.Dense(width, use_bias=self.use_bias, kernel_init=uniform)(hidden)
            if depth < len(self.widths) - 1:
                hidden = self.activation(hidden)
        return hidden


class Transformer(nn.Module):
    """One layer of attention and a ReLU MLP, with residual connections and no normalisation; reads the last token.

    The architecture of Nanda et al., arXiv 2301.05217: token and position embeddings of ``dim``, ``heads`` heads, a
    hidden layer of 4 ``dim``, no biases in the unembedding.
    """

    vocabulary: int
    classes: int
    dim: int = 128
    heads: int = 4

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        """Logits at the last position, [batch, classes]."""
        normal = nn.initializers.normal(self.dim**-0.5)
        hidden = nn.Embed(self.vocabulary, self.dim, embedding_init=normal)(tokens)
        hidden = hidden + self.param("positions", normal, (tokens.shape[1], self.dim))[None]
        # Only the last position is read and there is one layer: its queries are enough, and causality is automatic.
        attention = nn.MultiHeadDotProductAttention(num_heads=self.heads, use_bias=False, kernel_init=normal)
        last = hidden[:, -1:] + attention(hidden[:, -1:], hidden)
        wide = nn.Dense(4 * self.dim, kernel_init=normal)(last)
        last = last + nn.Dense(self.dim, kernel_init=normal)(nn.relu(wide))
        return nn.Dense(self.classes, use_bias=False, kernel_init=normal)(last[:, 0])


class Curves(NamedTuple):
    """What :func:`train_classifier` records, each [records].

    ``collapsed_fraction`` is the share of training samples whose softmax has collapsed; ``weight_norm`` is |w|.
    """

    train_loss: Float[Array, " records"]
    test_loss: Float[Array, " records"]
    train_accuracy: Float[Array, " records"]
    test_accuracy: Float[Array, " records"]
    collapsed_fraction: Float[Array, " records"]
    weight_norm: Float[Array, " records"]


def squared_error(logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]) -> Float[Array, " samples"]:
    """Squared distance to the one-hot label."""
    return jnp.sum((logits - jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)) ** 2, axis=1)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "squared": squared_error,
    "softmax": softmax_cross_entropy,
    "stablemax": stablemax_cross_entropy,
}


def train_classifier(
    key: jax.Array,
    module: nn.Module,
    task: Task,
    *,
    num_steps: int,
    record_at: Sequence[int],
    loss: LossName = "softmax",
    optimizer: OptimizerName = "adamw",
    learning_rate: ArrayLike = 1e-3,
    weight_decay: ArrayLike = 0.0,
    second_moment_decay: ArrayLike = 0.99,
    epsilon: float = 1e-8,
    output_scale: ArrayLike = 1.0,
    weight_scale: ArrayLike = 1.0,
    centred: bool = False,
) -> Curves:
    """Train α F(w) on the full batch by AdamW, in the precision of float32.

    Parameters
    ----------
    key
        Initial weights; these are then multiplied by ``weight_scale``.
    loss, optimizer, num_steps, record_at, centred
        Static. ``centred`` trains α (F(w) - F(w_0)).
    output_scale, weight_scale, learning_rate, weight_decay, second_moment_decay
        May be traced: a grid of them is one program.
    """
    initial = module.init(key, task.train_inputs[:1])
    initial = jax.tree.map(lambda leaf: jnp.asarray(leaf * weight_scale, jnp.float32), initial)
    scale = jnp.asarray(output_scale, jnp.float32)

    def offset(inputs: Array) -> Any:
        return jax.lax.stop_gradient(module.apply(initial, inputs)) if centred else 0.0

    train_offset, test_offset = offset(task.train_inputs), offset(task.test_inputs)
    per_sample = LOSSES[loss]

    def objective(params: Any) -> Array:
        return jnp.mean(per_sample(scale * (module.apply(params, task.train_inputs) - train_offset), task.train_labels))

    def record(params: Any) -> dict[str, Array]:
        train = scale * (module.apply(params, task.train_inputs) - train_offset)
        test = scale * (module.apply(params, task.test_inputs) - test_offset)
        return Curves(
            train_loss=jnp.mean(per_sample(train, task.train_labels)),
            test_loss=jnp.mean(per_sample(test, task.test_labels)),
            train_accuracy=_accuracy(train, task.train_labels),
            test_accuracy=_accuracy(test, task.test_labels),
            collapsed_fraction=jnp.mean(collapsed(train, task.train_labels), dtype=jnp.float32),
            weight_norm=optax.tree.norm(params),
        )._asdict()

    descent: Any = optax.adamw(learning_rate, b1=0.9, b2=second_moment_decay, eps=epsilon, weight_decay=weight_decay)
    if optimizer == "perpendicular_adamw":
        descent = optax.chain(perpendicular_gradients(), descent)
    run = gradient_descent(objective, initial, descent, num_steps=num_steps, record=record, record_at=record_at)
    return Curves(**run.observables)


def _accuracy(logits: Array, labels: Array) -> Array:
    return jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
