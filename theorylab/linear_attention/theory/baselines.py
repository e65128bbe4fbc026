"""Excess risks (over the label noise σ²) of the standard estimators, and of several optimal steps of gradient descent.

Unless said otherwise x ~ N(0, I_d), w ~ N(0, I_d), n noisy samples, one query: excess = E|w - ŵ|².
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def least_squares_excess(num_samples: int, dim: int, noise_variance: ArrayLike) -> Float[Array, ""]:
    """Ordinary least squares, of minimal norm where n < d.

    σ² d/(n-d-1) for n > d + 1; (d-n) + σ² n/(d-n-1) for n < d - 1 (means of inverse Wishart matrices). With noise
    infinite for |n-d| <= 1; the formula for n > d + 1 holds for every Λ and Σ_w.
    """
    gap = abs(num_samples - dim)
    missing = float(max(dim - num_samples, 0))
    noise = jnp.asarray(noise_variance, float)
    if gap <= 1:
        return jnp.where(noise > 0, jnp.inf, missing)
    return missing + noise * min(num_samples, dim) / (gap - 1)


def bayes_excess(
    num_samples: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike, *, correction: bool = True
) -> ArrayLike:
    """Bayes' ridge regression, E[σ² tr(S + σ² I)⁻¹], by the Marchenko-Pastur law.

    With g = d/n, l = σ²/n: m = [-(1-g+l) + sqrt((1-g+l)² + 4gl)]/(2gl), excess ≈ l d m, low by O(1/d). The correction
    l ¼ [(l+a)^-½ - (l+b)^-½]², a, b = (1 ∓ sqrt g)², is the mean correction of Bai and Silverstein for real
    Gaussians; it is unreliable for n ≈ d at σ²/n << 1. Needs σ² > 0: without noise the excess is max(d-n, 0).
    """
    g, l = dim / num_samples, noise_variance / num_samples
    half = 1 - g + l
    m = (-half + jnp.sqrt(half**2 + 4 * g * l)) / (2 * g * l)
    low, high = (1 - jnp.sqrt(g)) ** 2, (1 + jnp.sqrt(g)) ** 2
    shift = 0.25 * l * ((l + low) ** -0.5 - (l + high) ** -0.5) ** 2
    return l * dim * m + (shift if correction else 0.0)


def bayes_risk(
    num_samples: ArrayLike, eigenvalues: Float[Array, " dim"], noise_variance: ArrayLike, *, iterations: int = 100
) -> Float[Array, ""]:
    """Total Bayes risk (with σ²) ≈ n κ of any Λ, Σ_w, h = eig(Σ_w^½ Λ Σ_w^½): a deterministic equivalent.

    κ solves σ²/κ + sum_j h_j/(h_j + κ) = n, found by bisection on log κ within [tiny, (σ² + sum h)/n]. Low by
    O(1/d); equals :func:`bayes_excess` + σ² without its correction at h = 1. Without noise κ = 0 if n >= rank h.
    """
    top = (noise_variance + jnp.sum(eigenvalues)) / num_samples

    def halve(_: ArrayLike, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        kappa = jnp.exp(middle)
        count = noise_variance / kappa + jnp.sum(eigenvalues / (eigenvalues + kappa))
        above = count > num_samples
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    high = jnp.log(top)
    low, high = jax.lax.fori_loop(0, iterations, halve, (high - 60.0, high))
    kappa = jnp.exp((low + high) / 2)
    nothing = (jnp.asarray(noise_variance) == 0) & (num_samples >= jnp.sum(eigenvalues > 0))
    return jnp.where(nothing, 0.0, num_samples * kappa)


def wishart_moments(num_samples: ArrayLike, dim: ArrayLike) -> Float[Array, 4]:
    """M_j = E tr S^j, j = 1..4, for S = sum_i x_i x_iᵀ with n standard normal x_i in d dimensions."""
    n, d = num_samples, dim
    first, second = n * d, n * d * (n + d + 1)
    third = n * d * (n**2 + d**2 + 3 * n * d + 3 * n + 3 * d + 4)
    fourth = n * d * (
        n**3 + 6 * n**2 * d + 6 * n * d**2 + d**3 + 6 * n**2 + 17 * n * d + 6 * d**2 + 21 * n + 21 * d + 20
    )  # fmt: skip
    return jnp.stack([jnp.asarray(m, float) for m in (first, second, third, fourth)])


def gradient_steps_excess(
    num_samples: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike, num_steps: int
) -> Float[Array, ""]:
    """Excess of one or two steps of gradient descent from zero with the best step sizes.

    excess_k = d - bᵀH⁻¹b, H_ij = M_{i+j+2} + σ² M_{i+j+1}, b_i = M_{i+1}, i, j < k, from :func:`wishart_moments`:
    the best ŵ = r(S) b over polynomials r of degree k - 1. One layer of linear attention per step (Ahn et al. 2023,
    arXiv 2306.00297). More steps: :func:`gradient_steps_excess_from_spectra`.

    Raises
    ------
    ValueError
        If ``num_steps`` is not 1 or 2.
    """
    if num_steps not in (1, 2):
        raise ValueError(f"num_steps = {num_steps!r} is not allowed: closed moments serve 1 or 2 steps only")
    coefficients, gains = _normal_equations(num_samples, dim, noise_variance, num_steps)
    return jnp.asarray(dim - gains @ coefficients)


def gradient_step_sizes(
    num_samples: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike, num_steps: int
) -> Float[Array, " num_steps"]:
    """Best step sizes e_l of ŵ <- ŵ + e_l (b - S ŵ) from zero, in increasing order; one or two steps.

    Two steps: the roots of e² - c₀ e - c₁ = 0 with c = H⁻¹b (NaN where complex).
    """
    coefficients, _ = _normal_equations(num_samples, dim, noise_variance, num_steps)
    if num_steps == 1:
        return coefficients
    root = jnp.sqrt(coefficients[0] ** 2 + 4 * coefficients[1])
    return jnp.stack([coefficients[0] - root, coefficients[0] + root]) / 2


def _normal_equations(n: ArrayLike, d: ArrayLike, noise: ArrayLike, steps: int) -> tuple[Array, Array]:
    moments = wishart_moments(n, d)
    rows = np.add.outer(np.arange(steps), np.arange(steps))
    gains = moments[:steps]
    matrix = moments[rows + 1] + noise * moments[rows]
    return jnp.linalg.solve(matrix, gains), gains


def wishart_spectra(generator: np.random.Generator, count: int, num_samples: int, dim: int) -> np.ndarray:
    """Eigenvalues of ``count`` Wishart matrices S (n samples in d dimensions), [count, dim], on the host."""
    x = generator.standard_normal((count, num_samples, dim))
    if num_samples >= dim:
        return np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x)
    values = np.linalg.eigvalsh(x @ np.swapaxes(x, 1, 2))
    return np.concatenate([np.zeros((count, dim - num_samples)), values], 1)


def gradient_steps_excess_from_spectra(spectra: np.ndarray, noise_variance: float, num_steps: int) -> float:
    """Excess of k optimal steps of gradient descent, averaged over given spectra of S.

    min over r of degree k - 1 of mean[sum_j (1 - s_j r(s_j))² + σ² s_j r(s_j)²], by weighted least squares in a
    Chebyshev basis (the monomials are ill-conditioned). Its polynomial may need complex step sizes.
    """
    s = spectra.ravel()
    basis = np.polynomial.chebyshev.chebvander(2 * s / s.max() - 1, num_steps - 1) * s[:, None]
    noise = np.sqrt(noise_variance / np.where(s > 0, s, 1.0))[:, None]
    rows = np.concatenate([basis, noise * basis])
    target = np.concatenate([np.ones_like(s), np.zeros_like(s)])
    coefficients = np.linalg.lstsq(rows, target, rcond=None)[0]
    return float(np.sum((rows @ coefficients - target) ** 2) / len(spectra))


def asymptotic_gradient_steps_excess(ratio: float, num_steps: int) -> float:
    """Noiseless excess per dimension of k optimal steps as n, d -> ∞ at g = d/n: g^k (1-g)/(1-g^{k+1}); 1/(k+1) at 1.

    Orthogonal polynomials of the Marchenko-Pastur law; g/(1+g) for one layer, max(0, 1 - 1/g) for infinitely many.
    """
    if math.isclose(ratio, 1.0):
        return 1 / (num_steps + 1)
    return ratio**num_steps * (1 - ratio) / (1 - ratio ** (num_steps + 1))
