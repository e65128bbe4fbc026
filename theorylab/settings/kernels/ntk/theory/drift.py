"""How far the kernel moves: neurons driven by the residuals of infinite width, each by itself.

A neuron's contribution to the output is of order m^-1/2, so that to leading order it moves in the field of residuals
that the infinitely wide network has,

    δa = -η m^-1/2 Σ_i r_i φ(w·x_i),    δw = -η m^-1/2 a Σ_i r_i φ'(w·x_i) x_i,

and its contribution k to the kernel changes. With s the change of k of a neuron and its copy together, the m/2 pairs
being independent,

    E |K_T - K_0|² = |E s|²/4 + Σ Var s/(2m).

For smooth activations s is of order 1/m, for its first order cancels between the copies: the first term, m^-2, rules.
For kinked ones a fraction m^-1/2 of the neurons is switched, with random signs: the second term is m^-3/2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.kernels.ntk.neurons import Neurons, activate, contributions, push

#: Neurons are drawn this many typical moves from a kink.
REACH = 4.0
#: Neurons moved at a time.
BATCH = 512


class Drift(NamedTuple):
    """Parts of E |K_T - K_0|²: of the mean over neurons, and of their differences."""

    mean: Array
    scatter: Array


def near_kinks(z: Float[Array, "neurons dim"], x: Float[Array, "points dim"], reach: Array) -> tuple[Array, Array]:
    """Draw every other neuron near the kink of one of the points, from normal numbers z; returns them and weights.

    Their pre-activation at that point is N(0, reach²) instead of N(0, 1). The weight is the ratio of the densities.
    """
    number = jnp.arange(z.shape[0])
    point = x[(number // 2) % x.shape[0]]
    shift = jnp.where(number % 2 == 0, 0.0, (reach - 1) * jnp.sum(z * point, axis=1))
    w = z + shift[:, None] * point
    h = w @ x.T
    ratio = jnp.exp(-(h**2) * (1 / reach**2 - 1) / 2) / reach
    return w, 1 / (0.5 + 0.5 * jnp.mean(ratio, axis=1))


def driven(
    activation: str,
    z: Float[Array, "neurons numbers"],
    x: Float[Array, "points dim"],
    forces: Float[Array, "steps train"],
    width: ArrayLike,
) -> Drift:
    """Move a sample of neurons and their copies in given residuals, ``forces`` = -η r_t, at a width.

    ``z`` are standard normal numbers, 1 + dim for each of 2^k neurons. Output weights are drawn with twice their
    variance, and neurons of a kink near it, both with weights: few of all neurons make most of the scatter.
    """
    train = x[: forces.shape[1]]
    scale = 1 / jnp.sqrt(1.0 * jnp.asarray(width))
    a, weight = math.sqrt(2) * z[:, 0], math.sqrt(2) * jnp.exp(-(z[:, 0] ** 2) / 2)
    w = z[:, 1:]
    if activation == "relu":
        # How far a pre-activation is moved, all neurons active at half of the points.
        moved = scale * jnp.sqrt(jnp.mean(((w @ train.T > 0) * jnp.sum(forces, axis=0)[None] @ (train @ x.T)) ** 2))
        w, near = near_kinks(w, x, jnp.minimum(REACH * moved, 1.0))
        weight = weight * near

    def change(start: Neurons) -> Array:
        def step(now: Neurons, force: Array) -> tuple[Neurons, None]:
            return jax.tree.map(jnp.add, now, push(activation, now, now.w @ train.T, train, scale * force)), None

        def kernels(neurons: Neurons) -> Array:
            value, slope = activate(activation, neurons.w @ x.T)
            return jnp.asarray(contributions(value, neurons.a[:, None] * slope, x @ x.T))

        last, _ = jax.lax.scan(step, start, forces)
        return kernels(last) - kernels(start)

    def sums(part: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        a, w, weight = part
        both = jnp.sum(jax.vmap(change)(Neurons(jnp.stack([a, -a]), jnp.stack([w, w]))), axis=0)
        square = jnp.sum(both**2, axis=(1, 2))
        return jnp.tensordot(weight, both, 1), weight @ square, weight**2 @ square

    count = z.shape[0]
    batches = jax.tree.map(lambda leaf: leaf.reshape(-1, min(BATCH, count), *leaf.shape[1:]), (a, w, weight))
    total, square, error = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0) / count, jax.lax.map(sums, batches))
    mean = jnp.sum(total**2)
    # Squaring an average of independent numbers adds its variance; points of low discrepancy have none to speak of,
    # unless there is a kink.
    bias = (error - mean) / count if activation == "relu" else 0.0
    return Drift((mean - bias) / 4, (square - mean) / (2 * jnp.asarray(width)))
