"""Instances of the grokking model: the inputs, the target direction, and the initial weights."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from theorylab.numerics import random
from theorylab.settings.two_layer.grokking.config import Config
from theorylab.settings.two_layer.grokking.moments import Moments, moments_of, moments_output

#: Entry of the key's tree from which batches are drawn.
BATCH_KEY = 1


class Instance(NamedTuple):
    """One instance.

    Attributes
    ----------
    inputs
        Training inputs x ~ N(0, I/D).
    target
        β; the labels are (β·x)²/2.
    moments
        Mean and second moment of the initial weights: all that the dynamics needs of them.
    weights
        The initial weights themselves; ``None`` at infinite width.
    test_inputs
        Fresh inputs.
    noise
        ξ, standard normal: the training labels are y + σ_y ξ, and y where it is ``None``.
    batches
        Samples of each step; ``None`` takes all of them in every step.
    """

    inputs: Float[Array, "samples dim"]
    target: Float[Array, " dim"]
    moments: Moments
    weights: Float[Array, "width dim"] | None
    test_inputs: Float[Array, "test dim"]
    noise: Float[Array, " samples"] | None = None
    batches: Int[Array, "steps batch"] | None = None


def labels(inputs: Float[Array, "samples dim"], target: Float[Array, " dim"]) -> Float[Array, " samples"]:
    """y = (β·x)²/2."""
    return (inputs @ target) ** 2 / 2


def label_errors(instance: Instance, config: Config) -> Any:
    """σ_y ξ, by which the training labels differ from the target; 0 without noise."""
    return 0.0 if instance.noise is None else config.label_noise * instance.noise


def training_labels(instance: Instance, config: Config) -> Float[Array, " samples"]:
    """y + σ_y ξ."""
    return labels(instance.inputs, instance.target) + label_errors(instance, config)


def training_goal(instance: Instance, config: Config) -> Float[Array, " samples"]:
    """What the network's own output is to be: the labels, and f_0 more where f − f_0 is trained."""
    goal = training_labels(instance, config)
    if config.centred:
        start = instance.moments
        goal = goal + moments_output(start, instance.inputs, config.output_scale, config.quadratic_coeff)
    return goal


def initial_residual(instance: Instance, config: Config) -> Float[Array, " samples"]:
    """What is left to fit at the start: the labels, and f_0 less where f itself is trained."""
    residual = training_labels(instance, config)
    if not config.centred:
        start = instance.moments
        residual = residual - moments_output(start, instance.inputs, config.output_scale, config.quadratic_coeff)
    return residual


def initial_moments(target: Float[Array, " dim"], overlap: ArrayLike, scale: ArrayLike) -> Moments:
    """Moments of infinitely many neurons: w̄ = 0 and M = σ² [(I − b bᵀ) + ρ_0 D b bᵀ], b = β/|β|.

    With |β|² = D, βᵀMβ/D² = σ² ρ_0; ρ_0 = 1/D is the isotropic start, M = σ² I.
    """
    dim = target.shape[0]
    direction = target / jnp.sqrt(jnp.sum(target**2))
    spike = (jnp.asarray(overlap, target.dtype) * dim - 1) * jnp.outer(direction, direction)
    second = jnp.asarray(scale, target.dtype) ** 2 * (jnp.eye(dim, dtype=target.dtype) + spike)
    return Moments(jnp.zeros_like(target), second)


def plant(weights: Float[Array, "width dim"], target: Float[Array, " dim"], overlap: ArrayLike) -> Any:
    """Stretch isotropic weights along the target, so that the mean of βᵀ w wᵀ β/D² is ρ_0 for |β|² = D."""
    direction = target / jnp.sqrt(jnp.sum(target**2))
    stretch = jnp.sqrt(jnp.asarray(overlap, target.dtype) * target.shape[0]) - 1
    return weights + stretch * jnp.outer(weights @ direction, direction)


def draw_batches(key: jax.Array, config: Config) -> Int[Array, "steps batch"] | None:
    """Samples of every step: pieces of one permutation per epoch, or all drawn anew; ``None`` for all samples.

    A longer run begins with the batches of a shorter one.
    """
    if math.isinf(config.batch_size):
        return None
    size, count, steps = int(config.batch_size), config.num_samples, config.num_steps
    if config.replacement:
        return jnp.minimum(random.uniform(key, steps, size) * count, count - 1).astype(jnp.int32)
    epochs = -(-steps * size // count)
    order = jnp.argsort(random.bits(key, epochs * count).reshape(epochs, count), axis=1)
    return order.reshape(-1, size)[:steps].astype(jnp.int32)


def sample(key: jax.Array, config: Config) -> Instance:
    """Draw an instance: x ~ N(0, I/D), w_i ~ N(0, σ² I) stretched along β where planted. One flat draw for these."""
    dim, width = config.input_dim, 0 if math.isinf(config.width) else int(config.width)
    # Test samples come late: but for the label noise, the instance does not depend on their number.
    free = 0 if config.normalise_target else dim
    counts = (config.num_samples * dim, width * dim, free, config.num_test * dim, config.num_samples)
    ends = np.cumsum(counts)
    normals = random.normal(key, int(ends[-1]))
    inputs, weights, direction, test, noise = jnp.split(normals, [int(end) for end in ends[:-1]])
    length = np.sqrt(dim) if config.normalise_target else jnp.sqrt(jnp.sum(direction**2))
    target = jnp.zeros(dim, normals.dtype).at[0].set(length)
    overlap = config.spike_overlap if config.planted else 1 / dim
    drawn: Any = None
    moments = initial_moments(target, overlap, config.init_scale)
    if width:
        drawn = config.init_scale * plant(weights.reshape(width, dim), target, overlap)
        moments = moments_of(drawn)
    return Instance(
        inputs.reshape(config.num_samples, dim) / np.sqrt(dim),
        target,
        moments,
        drawn,
        test.reshape(config.num_test, dim) / np.sqrt(dim),
        noise,
        draw_batches(random.fold_in(key, BATCH_KEY), config),
    )
