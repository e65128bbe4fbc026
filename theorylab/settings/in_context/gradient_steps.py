"""Excess risks (over the label noise σ²) of the standard estimators, and of several optimal steps of gradient descent.

Unless said otherwise x ~ N(0, I_d), w ~ N(0, I_d), n noisy samples, one query: excess = E|w - ŵ|².
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

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


@functools.lru_cache(maxsize=4096)
def _power_sum_mean(parts: tuple[int, ...], num_samples: int, dim: int) -> int:
    """E prod_m tr S^m over ``parts`` (decreasing), exactly, by Gaussian integration by parts.

    With p_m = tr S^m and p_0 = d: E[p_{k+1} p_μ] = (n+k) E[p_k p_μ] + sum_{l<k} E[p_{l+1} p_{k-1-l} p_μ]
    + sum_{m in μ} 2m E[p_{k+m} p_{μ without m}].
    """
    if not parts:
        return 1
    k, rest = parts[0] - 1, parts[1:]

    def mean(*more: int, others: tuple[int, ...] = rest) -> int:
        factor = dim ** sum(part == 0 for part in more)
        joined = tuple(sorted((*(part for part in more if part), *others), reverse=True))
        return factor * _power_sum_mean(joined, num_samples, dim)

    total = (num_samples + k) * mean(k) + sum(mean(part + 1, k - 1 - part) for part in range(k))
    return total + sum(2 * m * mean(k + m, others=rest[:i] + rest[i + 1 :]) for i, m in enumerate(rest))


def wishart_moments(num_samples: int, dim: int, order: int = 4) -> tuple[int, ...]:
    """M_j = E tr S^j, j = 1..order, exactly, for S = sum_i x_i x_iᵀ with n standard normal x_i in d dimensions.

    M_1 = nd, M_2 = nd(n+d+1), M_3 = nd(n² + d² + 3nd + 3n + 3d + 4), ...
    """
    return tuple(_power_sum_mean((j,), int(num_samples), int(dim)) for j in range(1, order + 1))


def gradient_steps_excess(num_samples: int, dim: int, noise_variance: ArrayLike, num_steps: int) -> Float[Array, ""]:
    """Excess of k steps of gradient descent from zero with the best step sizes (complex ones allowed).

    excess_k = d - bᵀH⁻¹b, H_ij = M_{i+j+2} + σ² M_{i+j+1}, b_i = M_{i+1}, i, j < k, from :func:`wishart_moments`:
    the best ŵ = r(S) b over polynomials r of degree k - 1. One layer of linear attention per step (Ahn et al. 2023,
    arXiv 2306.00297).

    Raises
    ------
    ValueError
        If ``num_steps`` is below 1.
    """
    matrix, gains = _orthogonal_equations(num_samples, dim, num_steps)
    system = jnp.eye(num_steps) + noise_variance * jnp.asarray(matrix)
    return dim - gains @ jnp.linalg.solve(system, jnp.asarray(gains))


@functools.lru_cache(maxsize=256)
def _orthogonal_equations(num_samples: int, dim: int, num_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """(B, b) of the normal equations (I + σ² B) c = b, in polynomials orthonormal under the weight s².

    The monomials' Hankel matrix is ill-conditioned, so the change of basis is made in exact rationals.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps = {num_steps!r} is not allowed: must be >= 1")
    moments = [Fraction(m) for m in wishart_moments(num_samples, dim, 2 * num_steps)]
    basis: list[list[Fraction]] = []  # coefficients of orthogonal polynomials, lowest power first
    for degree in range(num_steps):
        new = [Fraction(int(i == degree)) for i in range(num_steps)]
        for old in basis:
            share = _inner(new, old, moments, 2) / _inner(old, old, moments, 2)
            new = [a - share * b for a, b in zip(new, old, strict=True)]
        basis.append(new)
    norms = [math.sqrt(_inner(p, p, moments, 2)) for p in basis]
    matrix = [
        [float(_inner(p, q, moments, 1)) / (a * b) for q, b in zip(basis, norms, strict=True)]
        for p, a in zip(basis, norms, strict=True)
    ]
    gains = [float(sum(c * moments[i] for i, c in enumerate(p))) / a for p, a in zip(basis, norms, strict=True)]
    return np.array(matrix), np.array(gains)


def _inner(p: list[Fraction], q: list[Fraction], moments: list[Fraction], weight: int) -> Fraction:
    """E sum_j p(s_j) q(s_j) s_j^weight."""
    pairs = ((i + j, a * b) for i, a in enumerate(p) for j, b in enumerate(q))
    return sum((c * moments[power + weight - 1] for power, c in pairs if c), Fraction(0))


def gradient_step_sizes(
    num_samples: int, dim: int, noise_variance: ArrayLike, num_steps: int
) -> Float[Array, " num_steps"]:
    """Best step sizes e_l of ŵ <- ŵ + e_l (b - S ŵ) from zero, in increasing order; one or two steps.

    Two steps: the roots of e² - c₀ e - c₁ = 0 with c = H⁻¹b (NaN where complex).

    Raises
    ------
    ValueError
        If ``num_steps`` is not 1 or 2.
    """
    if num_steps not in (1, 2):
        raise ValueError(f"num_steps = {num_steps!r} is not allowed: step sizes are given for 1 or 2 steps")
    moments = jnp.asarray(wishart_moments(num_samples, dim, 2 * num_steps), float)
    rows = np.add.outer(np.arange(num_steps), np.arange(num_steps))
    coefficients = jnp.linalg.solve(moments[rows + 1] + noise_variance * moments[rows], moments[:num_steps])
    if num_steps == 1:
        return coefficients
    root = jnp.sqrt(coefficients[0] ** 2 + 4 * coefficients[1])
    return jnp.stack([coefficients[0] - root, coefficients[0] + root]) / 2


def wishart_spectra(generator: np.random.Generator, count: int, num_samples: int, dim: int) -> np.ndarray:
    """Eigenvalues of ``count`` Wishart matrices S (n samples in d dimensions), [count, dim], on the host."""
    x = generator.standard_normal((count, num_samples, dim))
    if num_samples >= dim:
        return np.linalg.eigvalsh(np.swapaxes(x, 1, 2) @ x)
    values = np.linalg.eigvalsh(x @ np.swapaxes(x, 1, 2))
    return np.concatenate([np.zeros((count, dim - num_samples)), values], 1)


def asymptotic_gradient_steps_excess(ratio: float, num_steps: int) -> float:
    """Noiseless excess per dimension of k optimal steps as n, d -> ∞ at g = d/n: g^k (1-g)/(1-g^{k+1}); 1/(k+1) at 1.

    Orthogonal polynomials of the Marchenko-Pastur law; g/(1+g) for one layer, max(0, 1 - 1/g) for infinitely many.
    """
    if math.isclose(ratio, 1.0):
        return 1 / (num_steps + 1)
    return ratio**num_steps * (1 - ratio) / (1 - ratio ** (num_steps + 1))
