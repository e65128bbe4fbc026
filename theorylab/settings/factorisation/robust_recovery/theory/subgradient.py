"""The l1 loss: Sign-RIP, effective rates, plateau exponents, step budgets and pair sums (Ma and Fattahi 2023).

D(E) = (1/m) Σ_i sign(<A_i, E> − c_i) A_i for symmetric E, A_i symmetrised standard Gaussian matrices, and additive
corruptions c_i ~ N(0, τ²) of a fraction p of the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from theorylab.settings.factorisation.arrays import Numbers, namespace

SIGN = math.sqrt(2 / math.pi)


def sign_rip_scale(norm: Any, outlier_prob: Any = 0.0, outlier_scale: Any = 0.0, noise: Any = 0.0) -> Any:
    """φ of D(E) ≈ φ E/|E|: sqrt(2/π) [1 − p + p/sqrt(1 + τ²/|E|²)], or sqrt(2/π)/sqrt(1 + ν²/|E|²) with dense noise ν.

    The familiar sqrt(2/π)(1 − p) is its limit for corruptions much larger than E.
    """
    xp, p = namespace(norm, outlier_prob, outlier_scale, noise), outlier_prob
    clean = 1 / xp.sqrt(1 + (noise / norm) ** 2)
    total = xp.sqrt(1 + (outlier_scale**2 + noise**2) / norm**2)
    return SIGN * ((1 - p) * clean + p / total)


def sign_rip_deviation(dim: int, num_measurements: int) -> float:
    """|D(E) − φ E/|E||_op for a fixed E: sqrt(2 n/m) (1 − 0.245 n^(−2/3) − 0.35/n) on average.

    Signs of <A_i, E> say nothing of the rest of A_i: what is left over is 1/sqrt(m) times a matrix of the Gaussian
    orthogonal ensemble without its part along E, at any m. 0.245 is half the mean −0.49 of the larger of two
    Tracy-Widom variables, those of the two edges; 0.35 was fitted to means of 20,000 draws at n = 4 to 30.
    """
    return math.sqrt(2 * dim / num_measurements) * (1 - 0.245 * dim ** (-2 / 3) - 0.35 / dim)


def instance_scale(rows: Float[Numbers, "m entries"], kept: Float[Numbers, " m"]) -> Any:
    """φ_1 = (1/m) Σ_{uncorrupted i} |<A_i, u_1 u_1ᵀ>|: φ of the instance along u_1 (entry 0 of svec)."""
    xp = namespace(rows, kept)
    return xp.mean(kept * xp.abs(rows[:, 0]))


def effective_rate_l1(step: Any) -> Any:
    """Rate of the gradient descent that ``l1`` steps amount to on average: step · 2/π."""
    return step * 2 / math.pi


def residual_rate(
    spectrum: Sequence[float], dim: int, num_measurements: int, window: tuple[float, float], *, draws: int = 20
) -> float:
    """Mean rate λ of |E| ~ exp(−λ t) between two sizes of |E|, t the sum of :func:`effective_rate_l1`.

    Errors at the target are those of its tangent space, of rates s_i (n − r times) and s_i + s_j. m measurements turn
    that diagonal Λ into Λ^½ W Λ^½, W a Wishart matrix of m degrees of freedom over m: |E|² is the mean of exp(−2 λ t)
    over its eigenvalues, of which the smallest is below s_r by 2 s_r sqrt((n − r)/m). Of the sign map that is the
    quadratic part, the first of its Hermite series: |a·e| of Gaussian a varies with a as (a·e)²/2 does.
    """
    from scipy.optimize import brentq

    s, rng = np.asarray(spectrum), np.random.default_rng(0)
    rates = np.concatenate([np.repeat(s, dim - len(s)), np.add.outer(s, s)[np.triu_indices(len(s))]])
    found = []
    for _ in range(draws):
        rows = rng.standard_normal((num_measurements, len(rates))) * np.sqrt(rates)
        values = np.linalg.eigvalsh(rows.T @ rows) / num_measurements
        slowest, others = values[0], values - values[0]

        def log_error(time: float, slowest: float = slowest, others: np.ndarray = others) -> float:
            return float(-slowest * time + np.log(np.mean(np.exp(-2 * others * time))) / 2)

        ends = [brentq(lambda t, e=e: log_error(t) - math.log(e), 0.0, -2 * math.log(e) / slowest) for e in window]
        found.append(math.log(window[0] / window[1]) / (ends[1] - ends[0]))
    return float(np.mean(found))


# --- the plateau of a small initialisation -----------------------------------------------------------------------


def plateau_exponent(
    rows: np.ndarray, spectrum: np.ndarray, dim: int, *, loss: Literal["l1", "l2"], corruption: np.ndarray | None = None
) -> float:
    """Exponent of the final |E|_F ~ α^{2(1 − g)} at k = n and finite m, from the instance's measurements.

    Logarithms of all scales in units of ln α become piecewise linear in time (a tropical limit). Stage j learns
    s_j: with E_j = −Σ_{i>=j} s_i u_i u_iᵀ and H_j = −D(E_j) mean|A(E_j)| (l1) or −A*A(E_j) (l2) restricted to the
    complement of u_1 … u_{j−1}, of eigenvalues μ_1 >= μ_2 >= …, the stage lasts (1 − ℓ_j)/μ_1, in which ℓ_i grows by
    μ_{i−j+1} per unit of time and the strongest direction off the signal, g, by μ_{r−j+2}. The population's 2 is
    never reached: measurement noise feeds the off-signal directions.
    """
    r = len(spectrum)
    logs, growth = np.zeros(r), 0.0
    i, k = np.triu_indices(dim)
    weight = np.where(i == k, 1.0, np.sqrt(0.5))
    for j in range(r):
        vector = np.zeros(rows.shape[1])
        vector[np.flatnonzero(i == k)[j:r]] = -np.asarray(spectrum)[j:]
        response = rows @ vector
        if loss == "l1":
            seen = response if corruption is None else response - corruption
            gradient = np.sign(seen) @ rows / len(rows) * np.mean(np.abs(seen))
        else:
            gradient = response @ rows / len(rows)
        matrix = np.zeros((dim, dim))
        matrix[i, k] = matrix[k, i] = -gradient * weight
        mu = np.linalg.eigvalsh(matrix[j:, j:])[::-1]
        duration = (1 - logs[j]) / mu[0]
        logs[j:] += mu[: r - j] * duration
        growth += mu[r - j] * duration
    return 2 * (1 - growth)


# --- geometric steps ------------------------------------------------------------------------------------------------


def budget_constant(spectrum: Sequence[float]) -> float:
    """c = Σ_j |E_j|_F (1/s_j − 1/s_{j−1}), |E_j|_F = sqrt(Σ_{i>=j} s_i²), 1/s_0 = 0."""
    s = np.asarray(spectrum, float)
    left = np.sqrt(np.cumsum(s[::-1] ** 2)[::-1])
    return float(np.sum(left * np.diff(1 / s, prepend=0.0)))


def budget_fraction(
    first_step: float, decay: float, init_scale: float, spectrum: Sequence[float], outlier_prob: float = 0.0
) -> float:
    """Sum of the geometric steps over what recovery needs, φ η_0/(1 − ρ) / (c ln(1/α)): a sharp transition at 1."""
    budget = SIGN * (1 - outlier_prob) * first_step / (1 - decay)
    return budget / (budget_constant(spectrum) * math.log(1 / init_scale))


def pair_sum(largest_value: Any, scale: Any, step: Any) -> Any:
    """|E_t| + |E_{t+1}| = 2 s_1 φ η_t, once the leading direction flips sign at every step.

    |E_t| itself is not determined: the map of |E_t|/η_t is marginally unstable and it wanders in (0, 2 φ s_1).
    """
    return 2 * largest_value * scale * step


def outlier_fraction(mean_pair_ratio: float, largest_value: float) -> float:
    """Estimate p from a trajectory: 1 − median[(|E_t| + |E_{t+1}|)/η_t] / (2 s_1 sqrt(2/π))."""
    return 1 - mean_pair_ratio / (2 * largest_value * SIGN)


# --- what gradient descent on the square loss does with outliers -----------------------------------------------------


def corrupted_limit(noise: Float[Numbers, "n n"], spectrum: Float[Numbers, " rank"]) -> Any:
    """|(M + N)_+ − M|_F, the final error of the square loss at k = n: it fits the positive part of M plus noise."""
    xp, n = namespace(noise), noise.shape[0]
    target = xp.diag(xp.concatenate([spectrum, xp.zeros(n - spectrum.shape[0])]))
    values, vectors = xp.linalg.eigh(target + noise)
    fitted = (vectors * xp.maximum(values, 0.0)[None, :]) @ vectors.T
    return xp.sqrt(((fitted - target) ** 2).sum())


class ScheduleReport(NamedTuple):
    """Whether geometric steps sum to enough.

    Attributes
    ----------
    fraction
        Sum of the steps over what recovery needs; below 1 a matrix of lower rank comes out.
    smallest_step
        First step at which ``fraction`` is 1.
    slowest_decay
        Decay at which ``fraction`` is 1 with the given first step.
    """

    fraction: float
    smallest_step: float
    slowest_decay: float


def diagnose_schedule(
    first_step: float, decay: float, init_scale: float, target: Sequence[float], outlier_prob: float = 0.0
) -> ScheduleReport:
    """Check the steps η_0 ρ^t of the subgradient method against the budget law φ η_0/(1 − ρ) >= c ln(1/α)."""
    if init_scale >= 1:
        return ScheduleReport(math.inf, 0.0, 0.0)
    fraction = budget_fraction(first_step, decay, init_scale, target, outlier_prob)
    return ScheduleReport(fraction, first_step / fraction, max(0.0, 1 - (1 - decay) * fraction))
