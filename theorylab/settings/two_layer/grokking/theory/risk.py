"""The exact test loss of a network with a quadratic activation on Gaussian inputs, and its three parts."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.model import Moments


class Risk(NamedTuple):
    """The test loss as a sum of three errors.

    Attributes
    ----------
    variance_error
        A: wrong mean of the output, (tr 𝒜)²/(4 D²).
    misalignment_error
        B: wrong quadratic form, |𝒜|_F²/(2 D²).
    linear_power
        C: the linear output, which the target does not have: α² |w̄|²/D.
    """

    variance_error: Float[Array, ...]
    misalignment_error: Float[Array, ...]
    linear_power: Float[Array, ...]

    @property
    def total(self) -> Float[Array, ...]:
        """The test loss A + B + C."""
        return self.variance_error + self.misalignment_error + self.linear_power


def population_risk(
    moments: Moments, target: Float[Array, " dim"], output_scale: ArrayLike, quadratic_coeff: ArrayLike
) -> Risk:
    """E (y − f)² over x ~ N(0, I/D): with 𝒜 = β βᵀ − α ε M,

        L = (tr 𝒜/D)²/4 + |𝒜|_F²/(2 D²) + α² |w̄|²/D.

    Exact at any width and any D: y − f = xᵀ𝒜x/2 − α w̄·x, whose quadratic part has the mean tr 𝒜/(2D) and the variance
    |𝒜|_F²/(2 D²). For a centred network give the moments' change since the start. Kumar et al. 2024
    (arXiv 2310.06110), the test loss in its sufficient statistics.
    """
    dim = target.shape[0]
    form = jnp.outer(target, target) - output_scale * quadratic_coeff * moments.second
    return Risk(
        (jnp.trace(form) / dim) ** 2 / 4,
        jnp.sum(form**2) / (2 * dim**2),
        jnp.asarray(output_scale, form.dtype) ** 2 * jnp.sum(moments.mean**2) / dim,
    )


def isotropic_risk(dim: int, output_scale: ArrayLike, quadratic_coeff: ArrayLike, init_scale: ArrayLike = 1.0) -> Risk:
    """The test loss at the isotropic start, M = σ² I, w̄ = 0: with κ = α ε σ²,

    A = (1 − κ)²/4,   B = [(D − κ)² + (D − 1) κ²]/(2 D²),   C = 0.
    """
    kappa = jnp.asarray(output_scale * quadratic_coeff * init_scale**2)
    misalignment = ((dim - kappa) ** 2 + (dim - 1) * kappa**2) / (2 * dim**2)
    return Risk((1 - kappa) ** 2 / 4, misalignment, jnp.zeros_like(kappa))
