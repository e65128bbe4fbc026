"""The network's exact description by the mean and the second moment of its weights, at any width.

With φ'(h) = 1 + ε h, one step of gradient descent moves every neuron by the same affine map, w → L w + s: so the mean
weight w̄ and the second moment M of the weights follow closed equations. Output, test loss and tangent kernel are
closed forms in (w̄, M). Everything here is a function of plain arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class Moments(NamedTuple):
    """Averages over the neurons: w̄ = mean of w_i, M = mean of w_i w_iᵀ."""

    mean: Float[Array, " dim"]
    second: Float[Array, "dim dim"]


class AffineMap(NamedTuple):
    """w → L w + s, the same for every neuron."""

    linear: Float[Array, "dim dim"]
    shift: Float[Array, " dim"]


def moments_of(weights: Float[Array, "width dim"]) -> Moments:
    """Mean and second moment of given neurons."""
    return Moments(jnp.mean(weights, axis=0), weights.T @ weights / weights.shape[0])


def moments_output(
    moments: Moments, inputs: Float[Array, "samples dim"], output_scale: ArrayLike, quadratic_coeff: ArrayLike
) -> Float[Array, " samples"]:
    """f(x) = α w̄·x + (α ε/2) xᵀ M x: what the network of these moments returns."""
    # One matrix product and one pass: w̄ is added before the inner product with x.
    field: Any = inputs @ (quadratic_coeff / 2 * moments.second) + moments.mean[None, :]
    output: Any = output_scale * jnp.sum(field * inputs, axis=1)
    return output


def transform(moments: Moments, affine: AffineMap) -> Moments:
    """Moments after w → L w + s: w̄' = L w̄ + s, M' = L M Lᵀ + (L w̄) sᵀ + s (L w̄)ᵀ + s sᵀ."""
    linear, shift = affine
    moved = linear @ moments.mean
    cross = jnp.outer(moved + shift / 2, shift)
    return Moments(moved + shift, linear @ moments.second @ linear.T + cross + cross.T)


@jax.custom_jvp
def square_root(covariance: Float[Array, "dim dim"]) -> Float[Array, "dim dim"]:
    """The symmetric square root of a covariance of any rank, with derivatives where eigenvalues coincide too."""
    values, vectors = jnp.linalg.eigh(covariance)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))[None, :]) @ vectors.T


@square_root.defjvp
def _square_root_tangent(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """R dR + dR R = dC: in the eigenbasis of C, dR_ij = dC_ij/(r_i + r_j)."""
    values, vectors = jnp.linalg.eigh(primals[0])
    roots = jnp.sqrt(jnp.maximum(values, 0))
    sums = roots[:, None] + roots[None, :]
    inner = vectors.T @ tangents[0] @ vectors
    change = jnp.where(sums > 0, inner / jnp.where(sums > 0, sums, 1), 0)
    return (vectors * roots[None, :]) @ vectors.T, vectors @ change @ vectors.T


def linearised_moments(moments: Moments, change: AffineMap) -> Moments:
    """Moments that give the output of the model linearised at ``moments`` after w_i → w_i + Q w_i + p.

    ∇f·δw = α [x·(p + Q w̄) + ε (w̄·x)(p·x) + ε xᵀ Q M x]: hence the mean w̄ + p + Q w̄ and the second moment
    M + w̄ pᵀ + p w̄ᵀ + Q M + M Qᵀ, with ``change.linear`` = Q and ``change.shift`` = p.
    """
    q, p = change
    half = jnp.outer(moments.mean, p) + q @ moments.second
    return Moments(moments.mean + p + q @ moments.mean, moments.second + half + half.T)


# --- the test loss ---------------------------------------------------------------------------------------------------


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

    variance_error: Float[Array, " ..."]
    misalignment_error: Float[Array, " ..."]
    linear_power: Float[Array, " ..."]

    @property
    def total(self) -> Float[Array, " ..."]:
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
    trace: Any = target @ target - output_scale * quadratic_coeff * jnp.trace(moments.second)
    return Risk(
        (trace / dim) ** 2 / 4,
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


# --- the tangent kernel ----------------------------------------------------------------------------------------------


def tangent_kernel(
    moments: Moments,
    inputs: Float[Array, "samples dim"],
    quadratic_coeff: ArrayLike,
    others: Float[Array, "others dim"] | None = None,
) -> Float[Array, "samples others"]:
    """K(x, x') = x·x' [1 + ε w̄·(x + x') + ε² xᵀ M x'], so that one small step changes the residual by −γ K Δ.

    Between ``inputs`` and ``others``, by default the inputs themselves. That is (N/α²) ∇f·∇f'. At infinite width
    K_0 = x·x' + ε²(x·x')². Kumar et al. 2024 (arXiv 2310.06110), Section 4.
    """
    columns = inputs if others is None else others
    left, right = (quadratic_coeff * (points @ moments.mean) for points in (inputs, columns))
    slopes = 1 + left[:, None] + right[None, :] + quadratic_coeff**2 * ((inputs @ moments.second) @ columns.T)
    return (inputs @ columns.T) * slopes


class KernelFeatures(NamedTuple):
    """What summaries of the tangent kernel need of the samples, however many: Ψ = (x, x ⊗ x) has D + D² columns.

    Attributes
    ----------
    gram
        ΨᵀΨ.
    image
        Ψᵀ y.
    """

    gram: Float[Array, "features features"]
    image: Float[Array, " features"]


def kernel_features(inputs: Float[Array, "samples dim"], labels: Float[Array, " samples"]) -> KernelFeatures:
    """Features in which the tangent kernel of any moments is a quadratic form, K = Ψ A Ψᵀ."""
    products = (inputs[:, :, None] * inputs[:, None, :]).reshape(inputs.shape[0], -1)
    features = jnp.concatenate([inputs, products], axis=1)
    return KernelFeatures(features.T @ features, labels @ features)


def kernel_sums(
    features: KernelFeatures, moments: Moments, quadratic_coeff: ArrayLike
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """yᵀKy, |K|_F² and tr K of the tangent kernel, without its matrix, in (D + D²)³ operations.

    The quadratic form is A = [[I, ε I ⊗ w̄ᵀ], [ε I ⊗ w̄, ε² I ⊗ M]].
    """
    identity = jnp.eye(moments.mean.shape[0], dtype=moments.mean.dtype)
    mixed: Any = quadratic_coeff * jnp.kron(identity, moments.mean[None, :])
    square: Any = quadratic_coeff**2 * jnp.kron(identity, moments.second)
    form = jnp.block([[identity, mixed], [mixed.T, square]])
    product = form @ features.gram
    return features.image @ form @ features.image, jnp.sum(product * product.T), jnp.trace(product)
