"""Gradient descent in function space, at finite step: residuals and outputs under a kernel that does not move."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int


class Trajectory(NamedTuple):
    """Outputs at recorded steps: of the training points less labels [step, train], of the test points [step, test]."""

    residual: Array
    test: Array

    @property
    def loss(self) -> Float[Array, " step"]:
        """Half the summed squares."""
        return jnp.sum(self.residual**2, axis=-1) / 2

    @property
    def test_power(self) -> Float[Array, " step"]:
        """Mean squared output on the test points."""
        return jnp.mean(self.test**2, axis=-1)


def trajectory(
    kernel: Float[Array, "points points"],
    labels: Float[Array, " train"],
    learning_rate: ArrayLike,
    steps: Int[Array, " step"],
) -> Trajectory:
    """Follow gradient descent on half the summed squares from f_0 = 0, with a constant kernel; exact at every step.

    f_t(x*) = K_*X K⁻¹ (1 - (1 - ηK)^t) y, stable if η < 2/λ_1(K). ``kernel`` has the training points first.
    Source: Jacot, Gabriel and Hongler 2018 (arXiv 1806.07572) for gradient flow; of a finite step there are powers.
    """
    count = labels.shape[0]
    values, vectors = jnp.linalg.eigh(kernel[:count, :count])
    times, values = jnp.asarray(steps)[:, None], values[None]
    powers = (1 - learning_rate * values) ** times
    modes = (vectors.T @ labels)[None]
    # (1 - (1 - ηλ)^t)/λ, whose limit at λ = 0 is ηt.
    safe = jnp.where(jnp.abs(values) > 0, values, 1.0)
    gain = jnp.where(jnp.abs(values) > 0, (1 - powers) / safe, learning_rate * times)
    return Trajectory(-(powers * modes) @ vectors.T, (gain * modes) @ vectors.T @ kernel[:count, count:])
