"""The lazy network: gradient descent on the model linearised at its start, solved in the kernel's eigenbasis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.moments import AffineMap, Moments, linearised_moments, moments_output
from theorylab.settings.two_layer.grokking.optimiser import PLAIN, Optimiser
from theorylab.training.iterate import iterate


class LazyCurves(NamedTuple):
    """Residuals on the training set, and the moments that represent the linearised model, at given steps."""

    residual: Float[Array, "records samples"]
    moments: Moments  # with a leading axis along the records


def lazy_curves(
    inputs: Float[Array, "samples dim"],
    residual: Float[Array, " samples"],
    start: Moments,
    kernel: Float[Array, "samples samples"],
    steps: Sequence[int] | np.ndarray,
    *,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    optimiser: Optimiser = PLAIN,
) -> LazyCurves:
    """Solve r_{t+1} = (I − γ K_0) r_t, and carry the weights' change along.

    With K_0 = V Λ Vᵀ: r(t) = V (1 − γΛ)^t Vᵀ r(0), and the dual coefficients a(t) = γ Σ_{s<t} r(s) = V g Vᵀ r(0),
    g = (1 − (1 − γλ)^t)/λ. The weights moved by w → w + Q w + p with p = Xᵀa/α and Q = (ε/α) Xᵀ diag(a) X. Exact for
    discrete steps at any width; t → ∞ is kernel regression (:func:`kernel_regression`).

    Weight decay λ' makes it Q = (ε/α) Xᵀ diag(a) X − d I, with d the share of the initial weights that is gone and f_1
    what they give to first order, f_1 = ∇f·w(0): r = r(0) − K_0 a + d f_1. In each mode, with q = 1 − γλ', s = q − γλ
    and r* = λ' (r(0) + f_1)/(λ + λ'),

        r = r* + s^t (r(0) − r*),   a = r* (1 − q^t)/λ' + (r(0) − r*) (q^t − s^t)/λ,   d = 1 − q^t

    (d = f_1 = 0 where decay is towards the start). With momentum every mode's steps are taken one by one.
    """
    values, vectors = jnp.linalg.eigh(kernel)
    gamma, modes = scaled_learning_rate, vectors.T @ residual
    # At least one array, so that powers and quotients below are those of the arrays' precision.
    decay = jnp.asarray(optimiser.weight_decay, values.dtype)
    whole = jnp.zeros_like(modes)
    if not optimiser.towards_start:
        whole = vectors.T @ initial_pull(inputs, start, output_scale, quadratic_coeff)
    if optimiser.heavy_ball:
        duals, gone = _steps(values, modes, whole, steps, gamma, optimiser)
        remaining = modes[None, :] - values[None, :] * duals + gone[:, None] * whole[None, :]
    else:
        powers, rates = jnp.asarray(np.asarray(steps))[:, None], values[None, :]
        kept = (1 - gamma * decay) ** powers
        fading = (1 - gamma * (rates + decay)) ** powers
        limit = (decay * (modes + whole) / _nonzero(values + decay))[None, :]
        flat = gamma * powers * (1 - gamma * decay) ** jnp.maximum(powers - 1, 0)
        moving = jnp.where(rates == 0, flat, (kept - fading) / _nonzero(rates))
        steady = jnp.where(decay == 0, gamma * powers, (1 - kept) / _nonzero(decay))
        duals = moving * (modes[None, :] - limit) + steady * limit
        remaining = fading * (modes[None, :] - limit) + limit
        gone = jnp.zeros_like(kept[:, 0]) if optimiser.towards_start else 1 - kept[:, 0]

    def moments(dual: Array, gone: Array) -> Moments:
        return dual_moments(inputs, dual, start, output_scale, quadratic_coeff, gone)

    return LazyCurves(remaining @ vectors.T, jax.vmap(moments)(duals @ vectors.T, gone))


def _nonzero(values: Array) -> Array:
    return jnp.where(values == 0, 1.0, values)


def _steps(
    values: Float[Array, " samples"],
    modes: Float[Array, " samples"],
    whole: Float[Array, " samples"],
    steps: Sequence[int] | np.ndarray,
    scaled_learning_rate: ArrayLike,
    optimiser: Optimiser,
) -> tuple[Float[Array, "records samples"], Float[Array, " records"]]:
    """Dual coefficients of every mode and the lost share of the initial weights, step by step."""

    def step(state: tuple[tuple[Array, Array], Any], t: Any) -> tuple[tuple[Array, Array], Any]:
        (dual, left), velocity = state
        pull = scaled_learning_rate * (modes - values * dual + (1 - left) * whole)
        away = (dual, left - optimiser.towards_start)
        return optimiser.step((dual, left), velocity, (pull, jnp.zeros_like(left)), away, scaled_learning_rate)

    start = (jnp.zeros_like(modes), jnp.ones((), modes.dtype))
    recorded = tuple(int(step) for step in steps)
    orbit = iterate(
        step, (start, optimiser.velocity(start)), num_steps=max(1, *recorded), record_at=recorded,
        record=lambda state: {"dual": state[0][0], "gone": 1 - state[0][1]},
    )  # fmt: skip
    return orbit.observables["dual"], orbit.observables["gone"]


def initial_pull(
    inputs: Float[Array, "samples dim"], start: Moments, output_scale: ArrayLike, quadratic_coeff: ArrayLike
) -> Float[Array, " samples"]:
    """f_1 = ∇f·w(0) = α w̄·x + α ε xᵀ M x: not f_0, whose quadratic part it doubles."""
    return moments_output(Moments(start.mean, 2 * start.second), inputs, output_scale, quadratic_coeff)


def dual_moments(
    inputs: Float[Array, "samples dim"],
    dual: Float[Array, " samples"],
    start: Moments,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    gone: ArrayLike = 0.0,
) -> Moments:
    """Moments of the linearised model whose change of output is Σ_μ a_μ K_0(x, x_μ) − ``gone`` f_1(x)."""
    weighted = dual[:, None] * inputs / output_scale
    form: Any = quadratic_coeff * (weighted.T @ inputs)
    form = form - gone * jnp.eye(inputs.shape[1], dtype=form.dtype)
    return linearised_moments(start, AffineMap(form, jnp.sum(weighted, axis=0)))


def kernel_regression(
    inputs: Float[Array, "samples dim"],
    residual: Float[Array, " samples"],
    start: Moments,
    kernel: Float[Array, "samples samples"],
    *,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    optimiser: Optimiser = PLAIN,
) -> Moments:
    """The lazy network at t → ∞: a = K_0⁻¹ r(0); with weight decay ridge regression, a = (K_0 + λ')⁻¹ (r(0) + f_1).

    Then f = f_0 − f_1 + K_0 a; f_1 = 0 for decay towards the start. Decoupled decay beside momentum is (1 − μ) λ'.
    """
    ridge = jnp.asarray(optimiser.weight_decay, kernel.dtype) * (1 - optimiser.momentum * optimiser.decoupled)
    lost = jnp.where(ridge > 0, 1.0 - optimiser.towards_start, 0.0).astype(kernel.dtype)
    goal = residual + lost * initial_pull(inputs, start, output_scale, quadratic_coeff)
    dual = jnp.linalg.solve(kernel + ridge * jnp.eye(*kernel.shape, dtype=kernel.dtype), goal)
    return dual_moments(inputs, dual, start, output_scale, quadratic_coeff, lost)
