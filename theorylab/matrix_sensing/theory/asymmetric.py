"""Asymmetric model in the population: rates from the initialisation, balanced closed forms, the rebalancing step.

F' = −E G, G' = −Eᵀ F with E = F Gᵀ − M; Δ = Fᵀ F − Gᵀ G is conserved. All rates λ are per unit of effective time:
the error decays by the factor 1 − rate·λ per step.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def imbalance_increment(
    left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], error: Float[Array, "n1 n2"], rate: ArrayLike
) -> Float[Array, "k k"]:
    """Δ_{t+1} − Δ_t = rate² (Gᵀ Eᵀ E G − Fᵀ E Eᵀ F), exactly, for simultaneous updates."""
    a, b = error @ right, error.T @ left
    return jnp.asarray(rate) ** 2 * (a.T @ a - b.T @ b)


def slow_levels(left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], rank: int) -> Float[Array, " extra"]:
    """Signed k − r eigenvalues of P Δ_0 P, P the projector off the rows of Y = Uᵀ F_0 + Vᵀ G_0, by size.

    Gradient flow aligns the signal with the rows of Y (the part of the initialisation that grows) and conserves
    Δ; what is left of Δ off the signal must live in F (positive) or in G (negative). Leading order in α.
    """
    y = left[:rank] + right[:rank]
    k = left.shape[1]
    projector = jnp.eye(k, dtype=left.dtype) - y.T @ jnp.linalg.solve(y @ y.T, y)
    delta = left.T @ left - right.T @ right
    levels = jnp.linalg.eigvalsh(projector @ delta @ projector)
    # The r eigenvalues of smallest size belong to the rows of Y.
    return levels[jnp.argsort(jnp.abs(levels))[rank:]]


def initial_rate(left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], rank: int) -> Float[Array, ""]:
    """λ for k > r, leading order in α: the smallest size of the :func:`slow_levels`."""
    return jnp.abs(slow_levels(left, right, rank)[0])


def clear_levels(levels: Float[Array, " extra"]) -> Array:
    """Whether leading order can be trusted: one sign, and no level below a quarter of the largest."""
    one_sign = jnp.all(levels > 0) | jnp.all(levels < 0)
    return one_sign & (jnp.min(jnp.abs(levels)) >= 0.25 * jnp.max(jnp.abs(levels)))


def crude_rate(init_scale: ArrayLike, init_ratio: ArrayLike) -> Array:
    """λ = α² (1 − 1/γ²): the expectation of Δ alone. Only for n ≫ k; 20 to 40% too large at n = 50."""
    return jnp.asarray(init_scale) ** 2 * (1 - jnp.asarray(init_ratio) ** -2.0)


def exact_rank_rate(
    left: Float[Array, "n1 k"], right: Float[Array, "n2 k"], spectrum: Float[Array, " rank"]
) -> Float[Array, ""]:
    """λ at k = r: the smaller root of a b = s_r², a − b = δ, with δ the imbalance along the last signal direction.

    The directions of the signal in the space of columns are the rows of Y orthogonalised in order of decreasing s
    (the fastest grows first); leading order in α.
    """
    y = left[: spectrum.shape[0]] + right[: spectrum.shape[0]]
    last = jnp.linalg.qr(y.T)[0][:, -1]
    delta = left.T @ left - right.T @ right
    half = jnp.abs(last @ delta @ last) / 2
    return jnp.sqrt(spectrum[-1] ** 2 + half**2) - half


# --- balanced initialisation, Δ = d·1 ---------------------------------------------------------------------------


def balanced_mode(value: ArrayLike, imbalance: ArrayLike, start: ArrayLike, time: ArrayLike) -> Array:
    """s(t) of s' = (σ − s) sqrt(d² + 4 s²), an aligned mode of strength s = f g with f² − g² = d > 0.

    σ = 0: s = d / (2 sinh(d t + asinh(d/(2 s_0)))). σ > 0: w = tanh(asinh(2 s/d)/2) obeys w' = σ − d w − σ w², so
    w = (w_+ − w_− e)/(1 − e) with e = C exp(−sqrt(d² + 4σ²) t), w_± = (−d ± sqrt(d² + 4σ²))/(2σ) and
    C = (w_0 − w_+)/(w_0 − w_−); s = d w/(1 − w²).
    """
    sigma, d, s0, t = (jnp.asarray(part, float) for part in (value, imbalance, start, time))
    decay = d / (2 * jnp.sinh(d * t + jnp.arcsinh(d / (2 * s0))))
    safe = jnp.where(sigma > 0, sigma, 1.0)
    root = jnp.sqrt(d**2 + 4 * safe**2)
    # w_+ without cancellation, w_− its partner: their product is −1.
    plus = 2 * safe / (d + root)
    minus = -1 / plus
    w0 = jnp.tanh(jnp.arcsinh(2 * s0 / d) / 2)
    e = (w0 - plus) / (w0 - minus) * jnp.exp(-root * t)
    w = (plus - minus * e) / (1 - e)
    return jnp.where(sigma > 0, d * w / (1 - w**2), decay)


def balanced_rate(imbalance: ArrayLike, smallest_value: ArrayLike, *, over_parameterised: bool = True) -> Array:
    """λ = min(d, (sqrt(d² + 4 s_r²) − d)/2) for Δ_0 = d·1; at k = r only the second. Not monotone in the scale."""
    d = jnp.asarray(imbalance)
    signal = (jnp.sqrt(d**2 + 4 * jnp.asarray(smallest_value) ** 2) - d) / 2
    return jnp.minimum(d, signal) if over_parameterised else signal


def best_scale(smallest_value: float, init_ratio: float) -> tuple[float, float]:
    """Scale α* of an orthonormal initialisation at which :func:`balanced_rate` is largest, and that rate s_r/√2."""
    best = smallest_value / 2**0.5
    return (best / (1 - init_ratio**-2)) ** 0.5, best


# --- the rebalancing step -------------------------------------------------------------------------------------------


def rebalanced_rate(
    scale: ArrayLike, spectrum: Float[Array, " rank"], *, boost_only: bool = False, over_parameterised: bool = True
) -> Array:
    """λ after the rebalancing step: min(β², s_r²/β²), largest (s_r) at β² = s_r, whatever the initial scale.

    ``boost_only``: min(β², min_i s_i²/max(β², s_i)), for α → 0 (at finite α the s_i in the maximum are the f_i²
    before the step). At k = r there is no off-signal β².
    """
    squared = jnp.asarray(scale) ** 2
    kept = jnp.maximum(squared, spectrum) if boost_only else squared
    signal = jnp.min(spectrum**2 / kept)
    return jnp.minimum(squared, signal) if over_parameterised else signal
