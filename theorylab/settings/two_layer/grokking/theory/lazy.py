"""The lazy network: gradient descent on the model linearised at its start, solved in the kernel's eigenbasis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.moments import AffineMap, Moments, linearised_moments


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
) -> LazyCurves:
    """Solve r_{t+1} = (I − γ K_0) r_t, and carry the weights' change along.

    With K_0 = V Λ Vᵀ: r(t) = V (1 − γΛ)^t Vᵀ r(0), and the dual coefficients a(t) = γ Σ_{s<t} r(s) = V g Vᵀ r(0),
    g = (1 − (1 − γλ)^t)/λ. The weights moved by w → w + Q w + p with p = Xᵀa/α and Q = (ε/α) Xᵀ diag(a) X. Exact for
    discrete steps at any width; t → ∞ is kernel regression (:func:`kernel_regression`).
    """
    values, vectors = jnp.linalg.eigh(kernel)
    start_modes = vectors.T @ residual
    powers = jnp.asarray(np.asarray(steps))[:, None]
    decay = (1 - scaled_learning_rate * values)[None, :] ** powers
    safe = jnp.where(values == 0, 1.0, values)[None, :]
    filters = jnp.where(values[None, :] == 0, scaled_learning_rate * powers, (1 - decay) / safe)
    duals = (filters * start_modes[None, :]) @ vectors.T
    moments = jax.vmap(lambda dual: dual_moments(inputs, dual, start, output_scale, quadratic_coeff))(duals)
    return LazyCurves((decay * start_modes[None, :]) @ vectors.T, moments)


def dual_moments(
    inputs: Float[Array, "samples dim"],
    dual: Float[Array, " samples"],
    start: Moments,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
) -> Moments:
    """Moments of the linearised model whose change of output is Σ_μ a_μ K_0(x, x_μ)."""
    weighted = dual[:, None] * inputs / output_scale
    form: Any = quadratic_coeff * (weighted.T @ inputs)
    return linearised_moments(start, AffineMap(form, jnp.sum(weighted, axis=0)))


def kernel_regression(
    inputs: Float[Array, "samples dim"],
    residual: Float[Array, " samples"],
    start: Moments,
    kernel: Float[Array, "samples samples"],
    *,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
) -> Moments:
    """The lazy network at t → ∞: a = K_0⁻¹ r(0)."""
    dual = jnp.linalg.solve(kernel, residual)
    return dual_moments(inputs, dual, start, output_scale, quadratic_coeff)
