"""Spectra of real Wishart matrices X Xᵀ of standard Gaussians, exactly at any size."""

from __future__ import annotations

import functools

import numpy as np

#: Gauss-Legendre nodes of a panel. Panels are in u = √x, where densities are smooth, and narrow near 0.
NODES = 16
_LARGEST = 200


@functools.lru_cache(maxsize=32)
def mean_spectrum(dim: int, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes x and weights w with E Σ_i f(λ_i) = Σ w f(x) for the positive eigenvalues λ_i of S = Σ_a x_a x_aᵀ.

    The samples x_a ~ N(0, I) are ``num_samples`` of dimension ``dim``; with fewer samples than dimensions the zero
    eigenvalues are not among the λ_i.

    The eigenvalues have the density Π λ_i^((α−1)/2) exp(−λ_i/2) |Δ(λ)|, α = |n − d|, whose integrals with Π g(λ_i)
    are Pfaffians (de Bruijn 1955) of A_jk = ∫∫ sgn(y − x) φ_j(x) φ_k(y) g(x) g(y), φ_j spanning polynomials times the
    weight; for an odd number of eigenvalues with a border ∫ φ_j g. The derivative at g = 1 is the mean spectrum,
    ρ(x) = Σ_jk (A⁻¹)_kj φ_j(x) ∫ sgn(y − x) φ_k(y) dy. With Laguerre functions for φ_j this is stable.

    Returns
    -------
    nodes, weights
        Float64 arrays of one length; the weights sum to min(dim, num_samples).

    Raises
    ------
    ValueError
        If there are more than 200 eigenvalues: there the Marchenko-Pastur law with its first correction is as good.
    """
    count, alpha = min(dim, num_samples), abs(num_samples - dim)
    if count > _LARGEST:
        raise ValueError(f"{count} eigenvalues: the exact mean spectrum is for at most {_LARGEST}")
    top = np.sqrt(dim) + np.sqrt(num_samples) + 8.0
    edges = np.concatenate([[0.0], 2.0 ** np.arange(-12.0, -2.0), np.arange(0.25, top + 0.25, 0.25)])
    points, legendre = np.polynomial.legendre.leggauss(NODES)
    half = np.diff(edges)[:, None] / 2
    u = (edges[:-1, None] + half * (1 + points)).ravel()
    weights = (half * legendre).ravel()
    functions = 2 * laguerre_functions(count, alpha, u)
    integrals = _signed_integrals(functions, half, points, legendre)
    matrix = (functions * weights) @ integrals.T
    matrix = (matrix - matrix.T) / 2
    if count % 2:
        border = functions @ weights
        matrix = np.block([[matrix, border[:, None]], [-border[None], np.zeros((1, 1))]])
        functions = np.concatenate([functions, np.zeros_like(u)[None]])
        integrals = np.concatenate([integrals, np.ones_like(u)[None]])
    density = np.sum(functions * (np.linalg.inv(matrix).T @ integrals), axis=0)
    return u**2, weights * density


def laguerre_functions(count: int, alpha: int, u: np.ndarray) -> np.ndarray:
    """Values of u^α exp(−u²/2) L_j^(α)(u²) √(j!/Γ(j + α + 1)) for j < ``count``, by their three-term recurrence."""
    from scipy.special import gammaln

    x = u**2
    values = np.zeros((count, len(u)))
    with np.errstate(divide="ignore"):
        values[0] = np.exp(alpha * np.log(u) - x / 2 - gammaln(alpha + 1) / 2)
    if count > 1:
        values[1] = (1 + alpha - x) * values[0] / np.sqrt(1 + alpha)
    for j in range(1, count - 1):
        ahead, behind = np.sqrt((j + 1) * (j + 1 + alpha)), np.sqrt(j * (j + alpha))
        values[j + 1] = ((2 * j + 1 + alpha - x) * values[j] - behind * values[j - 1]) / ahead
    return values


def _signed_integrals(functions: np.ndarray, half: np.ndarray, points: np.ndarray, legendre: np.ndarray) -> np.ndarray:
    """∫ sgn(v − u) φ(v) dv at all nodes: what lies above less what lies below, panel by panel."""
    # Integrals from −1 to each node of the polynomials through the nodes of a panel.
    vandermonde = np.polynomial.legendre.legvander(points, NODES - 1)
    rises = np.stack([
        np.polynomial.legendre.legval(points, np.polynomial.legendre.legint(row, lbnd=-1)) for row in np.eye(NODES)
    ])  # fmt: skip
    within = rises.T @ np.linalg.inv(vandermonde)
    panels = functions.reshape(len(functions), -1, len(points))
    whole = np.sum(panels * (half * legendre), axis=-1)
    before = np.cumsum(whole, axis=-1) - whole
    below = before[..., None] + np.einsum("qp,jap->jaq", within, panels) * half
    total = np.sum(whole, axis=-1)[:, None, None]
    signed: np.ndarray = (total - 2 * below).reshape(functions.shape)
    return signed
