"""Several optimal steps of gradient descent on random regressions, from the moments of Wishart matrices.

x ~ N(0, I_d), w ~ N(0, I_d), n noisy samples, one query: excess = E|w - ŵ|² over the label noise σ².
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


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


def best_steps(num_samples: int, dim: int, noise_variance: ArrayLike, num_steps: int) -> Float[Array, " num_steps"]:
    """Coefficients c, lowest power first, of the r in ŵ = r(S) b that is best on average: c = H⁻¹b; one or two steps.

    Real where the step sizes are not.

    Raises
    ------
    ValueError
        If ``num_steps`` is not 1 or 2.
    """
    if num_steps not in (1, 2):
        raise ValueError(f"num_steps = {num_steps!r} is not allowed: step sizes are given for 1 or 2 steps")
    moments = jnp.asarray(wishart_moments(num_samples, dim, 2 * num_steps), float)
    rows = np.add.outer(np.arange(num_steps), np.arange(num_steps))
    return jnp.linalg.solve(moments[rows + 1] + noise_variance * moments[rows], moments[:num_steps])


def gradient_step_sizes(
    num_samples: int, dim: int, noise_variance: ArrayLike, num_steps: int
) -> Float[Array, " num_steps"]:
    """Best step sizes e_l of ŵ <- ŵ + e_l (b - S ŵ) from zero, in increasing order; one or two steps.

    Two steps: the roots of e² - c₀ e - c₁ = 0 with c of :func:`best_steps` (NaN where complex).
    """
    coefficients = best_steps(num_samples, dim, noise_variance, num_steps)
    if num_steps == 1:
        return coefficients
    root = jnp.sqrt(coefficients[0] ** 2 + 4 * coefficients[1])
    return jnp.stack([coefficients[0] - root, coefficients[0] + root]) / 2


def other_length_excess(
    num_samples: int, other_samples: int, dim: int, noise_variance: ArrayLike, num_steps: int
) -> Float[Array, ""]:
    """Excess at m samples of the k steps that are best at n, each of the mean gradient over its own samples.

    ŵ = r(S) b with r(s) = sum_i c_i s^i, c the solution at n, becomes c_i (n/m)^{i+1}:
    d - 2 sum_i c_i M_{i+1} + sum_ij c_i c_j (M_{i+j+2} + σ² M_{i+j+1}), moments at m. In monomials, for few steps.
    """
    rows = np.add.outer(np.arange(num_steps), np.arange(num_steps))

    def equations(samples: int) -> tuple[Array, Array]:
        # In units of the samples, where moments are of one size.
        moments = wishart_moments(samples, dim, 2 * num_steps)
        scaled = jnp.asarray([m / samples**j for j, m in enumerate(moments, 1)], float)
        return scaled[rows + 1] + noise_variance / samples * scaled[rows], scaled[:num_steps]

    coefficients = jnp.linalg.solve(*equations(num_samples))
    matrix, gains = equations(other_samples)
    return dim - 2 * gains @ coefficients + coefficients @ matrix @ coefficients


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


def best_polynomial(spectra: np.ndarray, noise_variance: float, num_steps: int) -> np.polynomial.Chebyshev:
    """The steps that are best for given spectra, [count, dim], as the r of degree k - 1 in ŵ = r(S) b, on the host.

    r minimises the mean of sum_j (1 - s_j r(s_j))² + σ² s_j r(s_j)² over the spectra of S.
    """
    s = spectra.ravel()
    basis = np.polynomial.chebyshev.chebvander(2 * s / s.max() - 1, num_steps - 1)
    rows = np.concatenate([basis * s[:, None], np.sqrt(noise_variance * s)[:, None] * basis])
    target = np.concatenate([np.ones_like(s), np.zeros_like(s)])
    return np.polynomial.Chebyshev(np.linalg.lstsq(rows, target, rcond=None)[0], domain=[0, s.max()])


def sampled_excesses(
    generator: np.random.Generator,
    count: int,
    num_samples: int,
    dim: int,
    noise_variance: float,
    filters: Sequence[Callable[[np.ndarray], np.ndarray]],
) -> np.ndarray:
    """|r(S) b - w|² on fresh prompts for each r, [filters, prompts], on the host."""
    x = generator.standard_normal((count, num_samples, dim))
    w = generator.standard_normal((count, dim))
    y = np.einsum("pnd,pd->pn", x, w) + noise_variance**0.5 * generator.standard_normal((count, num_samples))
    values, vectors = np.linalg.eigh(np.swapaxes(x, 1, 2) @ x)
    b = np.einsum("pde,pd->pe", vectors, np.einsum("pnd,pn->pd", x, y))
    w = np.einsum("pde,pd->pe", vectors, w)
    return np.array([np.sum((r(values) * b - w) ** 2, axis=1) for r in filters])
