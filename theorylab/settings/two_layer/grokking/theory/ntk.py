"""The neural tangent kernel, in closed form from the moments of the weights."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.model import Activation, Moments, activation_and_slope


def tangent_kernel(
    moments: Moments, inputs: Float[Array, "samples dim"], quadratic_coeff: ArrayLike
) -> Float[Array, "samples samples"]:
    """K(x, x') = x·x' [1 + ε w̄·(x + x') + ε² xᵀ M x'], so that one small step changes the residual by −γ K Δ.

    That is (N/α²) ∇f·∇f'. At infinite width K_0 = x·x' + ε²(x·x')². Kumar et al. 2024 (arXiv 2310.06110), Section 4.
    """
    linear = quadratic_coeff * (inputs @ moments.mean)
    slopes = 1 + linear[:, None] + linear[None, :] + quadratic_coeff**2 * ((inputs @ moments.second) @ inputs.T)
    return (inputs @ inputs.T) * slopes


def network_kernel(
    weights: Float[Array, "width dim"], inputs: Float[Array, "samples dim"], activation: Activation
) -> Float[Array, "samples samples"]:
    """K(x, x') = x·x' (1/N) Σ_i φ'(w_i·x) φ'(w_i·x'), the kernel of given neurons, any activation."""
    _, slope = activation_and_slope(activation, inputs @ weights.T)
    return (inputs @ inputs.T) * (slope @ slope.T) / weights.shape[0]


def alignment(kernel: Float[Array, "samples samples"], target: Float[Array, " samples"]) -> Float[Array, ""]:
    """Kernel-target alignment yᵀ K y/(|K|_F |y|²), in [-1, 1]."""
    return target @ kernel @ target / (jnp.sqrt(jnp.sum(kernel**2)) * jnp.sum(target**2))


def population_eigenvalues(dim: int, quadratic_coeff: ArrayLike) -> tuple[Array, Array]:
    """Eigenvalues of K_0 under x ~ N(0, I/D) for linear functions, 1/D, and for traceless quadratic ones, 2 ε²/D².

    The target's quadratic part is learned D/(2 ε²) times more slowly than linear functions: a lazy network needs
    P ~ D² samples, one that learns features P ~ D.
    """
    coeff = jnp.asarray(quadratic_coeff)
    return jnp.ones_like(coeff) / dim, 2 * coeff**2 / dim**2
