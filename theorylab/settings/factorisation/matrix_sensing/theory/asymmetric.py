"""Asymmetric model in the population: rates from the initialisation, balanced closed forms, the rebalancing step.

F' = −E G, G' = −Eᵀ F with E = F Gᵀ − M; Δ = Fᵀ F − Gᵀ G is conserved. All rates λ are per unit of effective time:
the error decays by the factor 1 − rate·λ per step.
"""

from __future__ import annotations

from typing import Any

from jaxtyping import Float

from theorylab.settings.factorisation.arrays import Numbers, namespace


def imbalance_increment(
    left: Float[Numbers, "n1 k"], right: Float[Numbers, "n2 k"], error: Float[Numbers, "n1 n2"], rate: Any
) -> Float[Numbers, "k k"]:
    """Δ_{t+1} − Δ_t = rate² (Gᵀ Eᵀ E G − Fᵀ E Eᵀ F), exactly, for simultaneous updates."""
    a, b = error @ right, error.T @ left
    return rate**2 * (a.T @ a - b.T @ b)


def descent_imbalance(
    left: Float[Numbers, "n1 k"],
    right: Float[Numbers, "n2 k"],
    spectrum: Float[Numbers, " rank"],
    rate: Any,
    times: Any,
) -> Float[Numbers, "times k k"]:
    """Δ_t to first order in the rate, leading order in α: the sum of its increments along the flow.

    While s_i − σ_i of the signal is still missing, its own rows lose: Δ_i = f_i f_iᵀ − g_i g_iᵀ decays at the rate
    rate (s_i − σ_i)², with σ_i = s_i/(1 + (s_i/σ_0 − 1) e^(−2 s_i t)) and σ_0 = |f_i + g_i|²/4: by rate I_i in all,
    I_i = (s_i/2) ln(σ_i/σ_0) − (σ_i − σ_0)/2. All other rows gain rate (σ_i − σ_0)/2 of what Δ has of them along the
    signal's column y_i: its part of F, or of G, is fitted away at the rate σ_i.
    """
    xp, rank = namespace(left), spectrum.shape[0]
    f, g = left[:rank], right[:rank]
    signal = f[:, :, None] * f[:, None, :] - g[:, :, None] * g[:, None, :]
    others = left.T @ left - right.T @ right - signal.sum(0)
    columns = xp.linalg.qr((f + g).T)[0].T
    along = xp.einsum("ij,jk,ik->i", columns, others, columns)
    start = ((f + g) ** 2).sum(1) / 4
    strength = spectrum / (1 + (spectrum / start - 1) * xp.exp(-2 * spectrum * xp.asarray(times)[:, None]))
    lost = 1 - xp.exp(-rate * (spectrum * xp.log(strength / start) - strength + start) / 2)
    gained = xp.einsum("ti,ij,ik->tjk", rate * (strength - start) / 2 * along, columns, columns)
    return signal.sum(0) + others - xp.einsum("ti,ijk->tjk", lost, signal) + gained


def slow_levels(left: Float[Numbers, "n1 k"], right: Float[Numbers, "n2 k"], rank: int) -> Float[Numbers, " extra"]:
    """Signed k − r eigenvalues of P Δ_0 P, P the projector off the rows of Y = Uᵀ F_0 + Vᵀ G_0, by size.

    Gradient flow aligns the signal with the rows of Y (the part of the initialisation that grows) and conserves
    Δ; what is left of Δ off the signal must live in F (positive) or in G (negative). Leading order in α.
    """
    xp, y = namespace(left), left[:rank] + right[:rank]
    projector = xp.eye(left.shape[1]) - y.T @ xp.linalg.solve(y @ y.T, y)
    delta = left.T @ left - right.T @ right
    levels = xp.linalg.eigvalsh(projector @ delta @ projector)
    # The r eigenvalues of smallest size belong to the rows of Y.
    return levels[xp.argsort(xp.abs(levels))[rank:]]


def initial_rate(left: Float[Numbers, "n1 k"], right: Float[Numbers, "n2 k"], rank: int) -> Any:
    """λ for k > r, leading order in α: the smallest size of the :func:`slow_levels`."""
    return abs(slow_levels(left, right, rank)[0])


def clear_levels(levels: Float[Numbers, " extra"]) -> Any:
    """Whether leading order can be trusted: one sign, and no level below a quarter of the largest."""
    one_sign = (levels > 0).all() | (levels < 0).all()
    size = namespace(levels).abs(levels)
    return one_sign & (size.min() >= 0.25 * size.max())


def crude_rate(init_scale: Any, init_ratio: Any) -> Any:
    """λ = α² (1 − 1/γ²): the expectation of Δ alone. Only for n ≫ k; 20 to 40% too large at n = 50."""
    return init_scale**2 * (1 - init_ratio**-2.0)


def exact_rank_rate(
    left: Float[Numbers, "n1 k"], right: Float[Numbers, "n2 k"], spectrum: Float[Numbers, " rank"]
) -> Any:
    """λ at k = r: the smaller root of a b = s_r², a − b = δ, with δ the imbalance along the last signal direction.

    The directions of the signal in the space of columns are the rows of Y orthogonalised in order of decreasing s
    (the fastest grows first); leading order in α.
    """
    y = left[: spectrum.shape[0]] + right[: spectrum.shape[0]]
    xp = namespace(left)
    last = xp.linalg.qr(y.T)[0][:, -1]
    delta = left.T @ left - right.T @ right
    half = abs(last @ delta @ last) / 2
    return xp.sqrt(spectrum[-1] ** 2 + half**2) - half


# --- balanced initialisation, Δ = d·1 ---------------------------------------------------------------------------


def balanced_mode(value: Any, imbalance: Any, start: Any, time: Any) -> Any:
    """s(t) of s' = (σ − s) sqrt(d² + 4 s²), an aligned mode of strength s = f g with f² − g² = d > 0.

    σ = 0: s = d / (2 sinh(d t + asinh(d/(2 s_0)))). σ > 0: w = tanh(asinh(2 s/d)/2) obeys w' = σ − d w − σ w², so
    w = (w_+ − w_− e)/(1 − e) with e = C exp(−sqrt(d² + 4σ²) t), w_± = (−d ± sqrt(d² + 4σ²))/(2σ) and
    C = (w_0 − w_+)/(w_0 − w_−); s = d w/(1 − w²).
    """
    xp = namespace(value, imbalance, start, time)
    sigma, d, s0, t = value, imbalance, start, time
    safe = xp.where(xp.asarray(sigma) > 0, sigma, 1.0)
    root = xp.sqrt(d**2 + 4 * safe**2)
    # w_+ without cancellation, w_− its partner: their product is −1.
    plus = 2 * safe / (d + root)
    minus = -1 / plus
    w0 = xp.tanh(xp.arcsinh(2 * s0 / d) / 2)
    e = (w0 - plus) / (w0 - minus) * xp.exp(-root * t)
    w = (plus - minus * e) / (1 - e)
    # sinh(x + y) with exp(−x): no overflow at large times.
    y = xp.arcsinh(d / (2 * s0))
    decay = d * xp.exp(-d * t - y) / (1 - xp.exp(-2 * (d * t + y)))
    return xp.where(xp.asarray(sigma) > 0, d * w / (1 - w**2), decay)


def balanced_rate(imbalance: Any, smallest_value: Any, *, over_parameterised: bool = True) -> Any:
    """λ = min(d, (sqrt(d² + 4 s_r²) − d)/2) for Δ_0 = d·1; at k = r only the second. Not monotone in the scale."""
    xp, d = namespace(imbalance, smallest_value), imbalance
    signal = (xp.sqrt(d**2 + 4 * smallest_value**2) - d) / 2
    return xp.minimum(d, signal) if over_parameterised else signal


def best_scale(smallest_value: float, init_ratio: float) -> tuple[float, float]:
    """Scale α* of an orthonormal initialisation at which :func:`balanced_rate` is largest, and that rate s_r/√2."""
    best = smallest_value / 2**0.5
    return (best / (1 - init_ratio**-2)) ** 0.5, best


# --- the rebalancing step -------------------------------------------------------------------------------------------


def rebalanced_rate(
    scale: Any, spectrum: Float[Numbers, " rank"], *, boost_only: bool = False, over_parameterised: bool = True
) -> Any:
    """λ after the rebalancing step: min(β², s_r²/β²), largest (s_r) at β² = s_r, whatever the initial scale.

    ``boost_only``: min(β², min_i s_i²/max(β², s_i)), for α → 0 (at finite α the s_i in the maximum are the f_i²
    before the step). At k = r there is no off-signal β².
    """
    xp, squared = namespace(scale, spectrum), scale**2
    kept = xp.maximum(squared, spectrum) if boost_only else squared
    signal = (spectrum**2 / kept).min()
    return xp.minimum(squared, signal) if over_parameterised else signal
