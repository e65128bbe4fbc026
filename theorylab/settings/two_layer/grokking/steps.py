"""One step of training, on moments of the weights: by their covariance, by a factor of it, or linearised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from theorylab.numerics import xla
from theorylab.settings.two_layer.grokking.moments import (
    AffineMap,
    Moments,
    linearised_moments,
    moments_output,
    transform,
)
from theorylab.settings.two_layer.grokking.optimiser import PLAIN, Optimiser


def batch_of(
    inputs: Float[Array, "samples dim"], goal: Float[Array, " samples"], batches: Int[Array, "steps batch"] | None
) -> Callable[[Any], tuple[Array, Array, float]]:
    """Inputs and goals of the batch of a step, and P/b, which makes its sum an unbiased estimate of that of all."""
    if batches is None:
        return lambda t: (inputs, goal, 1.0)
    share = inputs.shape[0] / batches.shape[1]
    return lambda t: (inputs[batches[t]], goal[batches[t]], share)


class MomentState(NamedTuple):
    """Moments of the weights, and ``spike``: what all maps so far make of the target, v = L_t … L_1 L_0 β."""

    moments: Moments
    spike: Float[Array, " dim"]


class FactorState(NamedTuple):
    """C = Fᵀ F for the covariance of the weights, their mean, and ``spike`` as in :class:`MomentState`."""

    factor: Float[Array, "dim dim"]
    mean: Float[Array, " dim"]
    spike: Float[Array, " dim"]

    @property
    def moments(self) -> Moments:
        """w̄ and M = Fᵀ F + w̄ w̄ᵀ."""
        return Moments(self.mean, self.factor.T @ self.factor + jnp.outer(self.mean, self.mean))


def moment_pull(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    batches: Int[Array, "steps batch"] | None = None,
) -> Callable[[Callable[[Array], Array], Any], AffineMap]:
    """What the gradient of a step adds to every neuron, w → c ε S w + c u, from f/α as a function of inputs in columns.

    Δ = goal − f, u = XᵀΔ, S = Xᵀ diag(Δ) X, c = γ/α; over the samples of a batch times P/b.
    """
    rate = scaled_learning_rate / output_scale
    batch = batch_of(inputs, goal, batches)
    stored = xla.stored_transpose(inputs) if batches is None else None

    def pull(output: Callable[[Array], Array], t: Any) -> AffineMap:
        points, aim, share = batch(t)
        columns = points.T if stored is None else stored
        residual = aim - output_scale * output(columns)
        form: Any = share * rate * quadratic_coeff * ((residual[None, :] * columns) @ points)
        shift: Any = share * rate * (residual @ points)
        return AffineMap(form, shift)

    return pull


def moment_step(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    *,
    weight_decay: ArrayLike = 0.0,
    batches: Int[Array, "steps batch"] | None = None,
) -> Callable[[MomentState, Any], MomentState]:
    """Gradient descent of a network of any width, on its moments. Exact for every step size.

    With Δ = goal − f, u = XᵀΔ, S = Xᵀ diag(Δ) X, c = γ/α and L = (1 − γ λ') I + c ε S:

        w̄' = L w̄ + c u,   M' = L M Lᵀ + c (L w̄ uᵀ + u (L w̄)ᵀ) + c² u uᵀ.

    A step costs 4 P D² + 4 D³ operations, whatever the width.
    """
    pull = moment_pull(inputs, goal, output_scale, quadratic_coeff, scaled_learning_rate, batches)
    kept: Any = 1 - scaled_learning_rate * weight_decay
    diagonal = jnp.eye(inputs.shape[1], dtype=bool)

    def step(state: MomentState, t: Any) -> MomentState:
        mean, second = state.moments

        def output(columns: Array) -> Array:
            field: Any = (quadratic_coeff / 2 * second) @ columns + mean[:, None]
            return jnp.sum(field * columns, axis=0)

        form, shift = pull(output, t)
        # No product with an identity: it would change which products the compiler rounds.
        affine = AffineMap(jnp.where(diagonal, kept, 0).astype(form.dtype) + form, shift)
        return MomentState(transform(state.moments, affine), affine.linear @ state.spike)

    return step


def factor_step(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    start: FactorState,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    *,
    optimiser: Optimiser,
    batches: Int[Array, "steps batch"] | None = None,
) -> Callable[[tuple[FactorState, Any], Any], tuple[FactorState, Any]]:
    """The same where a neuron remembers more than its weights: its velocity, or where it started.

    Weights and velocities are then the same linear images of the initial weights for all neurons, so that F, w̄ and the
    spike, with velocities of their own, follow :meth:`.Optimiser.step` as every neuron does. That is all of the joint
    second moment of weights and velocities, a factor of it. A step costs 4 P D² + 2 D³ operations.
    """
    pull = moment_pull(inputs, goal, output_scale, quadratic_coeff, scaled_learning_rate, batches)

    def step(state: tuple[FactorState, Any], t: Any) -> tuple[FactorState, Any]:
        now, velocity = state

        def output(columns: Array) -> Array:
            linear = now.mean @ columns
            return linear + quadratic_coeff / 2 * (jnp.sum((now.factor @ columns) ** 2, axis=0) + linear**2)

        form, shift = pull(output, t)
        # F Sᵀ, with S symmetric: products with a transpose are slow where runs are many.
        force = FactorState(now.factor @ form, form @ now.mean + shift, form @ now.spike)
        away = optimiser.displacement(now, start)
        return optimiser.step(now, velocity, force, away, scaled_learning_rate)

    return step


class MapState(NamedTuple):
    """What the steps so far make of initial weights, and the velocity of that; () without momentum."""

    change: AffineMap
    velocity: Any


def linearised_step(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    start: Moments,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    *,
    optimiser: Optimiser = PLAIN,
    batches: Int[Array, "steps batch"] | None = None,
) -> Callable[[MapState, Any], MapState]:
    """Gradient descent of the linearised model, w_i(t) = w_i(0) + Q w_i(0) + p: pulled by c ε Xᵀ diag(Δ) X, c XᵀΔ."""
    rate = scaled_learning_rate / output_scale
    batch = batch_of(inputs, goal, batches)

    def step(state: MapState, t: Any) -> MapState:
        change, velocity = state
        points, aim, share = batch(t)
        output = moments_output(linearised_moments(start, change), points, output_scale, quadratic_coeff)
        weighted = share * rate * (aim - output)[:, None] * points
        form: Any = quadratic_coeff * (weighted.T @ points)
        pull = AffineMap(form, jnp.sum(weighted, axis=0))
        away = change
        if not optimiser.towards_start:
            away = AffineMap(change.linear + jnp.eye(inputs.shape[1], dtype=inputs.dtype), change.shift)
        return MapState(*optimiser.step(change, velocity, pull, away, scaled_learning_rate))

    return step
