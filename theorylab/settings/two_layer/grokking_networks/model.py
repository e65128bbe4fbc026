"""The networks: an MLP and a one-layer transformer, in flax, their losses, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from theorylab.numerics.activations import NAMED
from theorylab.settings.two_layer.grokking_networks.config import Config, num_classes
from theorylab.settings.two_layer.grokking_networks.stability import softmax_cross_entropy, stablemax_cross_entropy

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": nn.relu, "square": jnp.square, **NAMED}
#: φ(c h) = c^degree φ(h), of those that are homogeneous.
DEGREES = {"relu": 1, "leaky_relu": 1, "abs": 1, "square": 2}


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


def module_of(config: Config) -> nn.Module:
    """The network of a configuration."""
    classes = num_classes(config)
    if config.architecture == "transformer":
        return Transformer(classes + 1, classes, dim=config.width, heads=config.heads)
    widths = (*[config.width] * config.num_hidden, classes)
    return MLP(widths, activation=ACTIVATIONS[config.activation], use_bias=config.use_bias)


def homogeneity(config: Config) -> int | None:
    """Degree d in F(c w) = c^d F(w); ``None`` where a network is not homogeneous in its weights."""
    if config.architecture == "transformer" or config.use_bias or config.activation not in DEGREES:
        return None
    power = DEGREES[config.activation]
    degree = 1
    for _ in range(config.num_hidden):
        degree = power * degree + 1
    return degree


# --- losses ----------------------------------------------------------------------------------------------------------


def squared_error(logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]) -> Float[Array, " samples"]:
    """Squared distance to the one-hot label."""
    return jnp.sum((logits - jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)) ** 2, axis=1)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "squared": squared_error,
    "softmax": softmax_cross_entropy,
    "stablemax": stablemax_cross_entropy,
}


def accuracy(logits: Float[Array, "samples classes"], labels: Int[Array, " samples"]) -> Float[Array, ""]:
    """Share of samples whose largest logit is that of their class, in float32."""
    return jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
