"""Least squares on products of a query and a context's summary, at finite dimension.

Prompts have features x ⊗ h: a query x ~ N(0, I/d) and a summary h of a context, whose law is that of a pool of tasks.
The prediction of a matrix Ŵ is x·Ŵh, its target x·w + noise. Features of one prompt have a common factor, |x|² hᵀRh,
which fluctuates by 1/sqrt(d): their leverages differ, and that is the largest correction to the limit d -> ∞.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg
from jaxtyping import Float

#: Relative changes at which fixed points count as found, and iterations at most.
TOLERANCE, ITERATIONS = 1e-5, 3000


class Contexts(NamedTuple):
    """Summaries of contexts and the tasks that they are of."""

    summaries: Float[np.ndarray, "contexts features"]
    tasks: Float[np.ndarray, "contexts dim"]


class Fit(NamedTuple):
    """Mean W of the fitted matrix, and E (Ŵ - W)ᵀ(Ŵ - W) around it.

    ``sampling`` is such a matrix of W itself, around that of all contexts instead of a sample.
    """

    mean: Float[np.ndarray, "dim features"]
    spread: Float[np.ndarray, "features features"]
    sampling: Float[np.ndarray, "features features"]


def fitted(
    contexts: Contexts,
    num_prompts: int,
    noise_variance: float,
    ridge: float,
    *,
    generator: np.random.Generator,
) -> Fit:
    """Least squares with a ridge on prompts of a law that is given by a sample of its contexts.

    The deterministic equivalent of (ΦᵀΦ + ridge)⁻¹ for rows x ⊗ h is I ⊗ R,

        R⁻¹ = ridge + (N/d) E[q h hᵀ/(1 + ℓ)],   ℓ = q hᵀRh,   q = |x|².

    Leaving one prompt out, Ŵ has the mean W = (N/d) E[q w hᵀ/(1 + ℓ)] R, and its spread V obeys the linear equation

        V = N R E[q h hᵀ e²/(1 + ℓ)²] R,   e² = (q/d) (|w - Wh|² + hᵀVh) + σ².

    At q hᵀRh = const this is the textbook's N/(N - p); derived here. Corrections are of order 1/d, from the
    law of h given its norm; they grow as contexts shorten.

    W of a sample of M contexts is off by S = (N/(M d²)) R (N/M) Σ h hᵀ g² |w - Wh|² R, g = q/(1 + ℓ). The sample's own
    misses are smaller by hᵀSh, which is put back: they are those of all contexts up to 1/M².
    """
    h, tasks = contexts
    count, d = len(h), tasks.shape[1]
    q = generator.chisquare(d, count) / d

    def leverages(resolvent: np.ndarray) -> np.ndarray:
        found: np.ndarray = q * _quadratic(h, resolvent)
        return found

    def of_prompts(weights: np.ndarray) -> np.ndarray:
        return (h * weights[:, None]).T @ h * (num_prompts / count)

    resolvent: np.ndarray = np.eye(h.shape[1]) / ridge
    for _ in range(ITERATIONS):
        old, inverse = resolvent, of_prompts(q / (1 + leverages(resolvent)) / d)
        resolvent = np.linalg.inv(inverse + ridge * np.eye(len(inverse)))
        if np.abs(resolvent - old).max() < TOLERANCE * np.abs(resolvent).max():
            break
    leverage = leverages(resolvent)
    mean = (tasks * (q / (1 + leverage))[:, None]).T @ h @ resolvent * (num_prompts / count / d)
    miss = np.sum((tasks - h @ mean.T) ** 2, axis=1)
    sampling = resolvent @ of_prompts((q / (1 + leverage)) ** 2 * miss) @ resolvent * (num_prompts / count / d**2)
    miss += _quadratic(h, sampling)

    def spread_of(error: np.ndarray) -> np.ndarray:
        found: np.ndarray = resolvent @ of_prompts(q * error / (1 + leverage) ** 2) @ resolvent
        return found

    def remainder(flat: np.ndarray) -> np.ndarray:
        spread = flat.reshape(resolvent.shape)
        return (spread - spread_of(q / d * _quadratic(h, spread))).ravel()

    size = resolvent.size
    operator = scipy.sparse.linalg.LinearOperator((size, size), matvec=remainder, dtype=float)
    start = spread_of(q / d * miss + noise_variance).ravel()
    spread, failed = scipy.sparse.linalg.gmres(operator, start, rtol=TOLERANCE / 10, maxiter=ITERATIONS)
    if failed:
        raise RuntimeError(f"the spread of the fitted matrix was not found in {ITERATIONS} iterations")
    return Fit(mean, spread.reshape(resolvent.shape), sampling)


def error(fit: Fit, contexts: Contexts, noise_variance: float, *, fitted: bool) -> float:
    """Mean squared error on prompts of a law, given by a sample of its contexts: that of the fit, or another one."""
    h, tasks = contexts
    sampling = fit.sampling if fitted else -fit.sampling
    miss = np.sum((tasks - h @ fit.mean.T) ** 2, axis=1) + _quadratic(h, fit.spread + sampling)
    return float(miss.mean() / tasks.shape[1] + noise_variance)


def _quadratic(vectors: Float[np.ndarray, "count dim"], matrix: Float[np.ndarray, "dim dim"]) -> np.ndarray:
    """vᵀ A v of each vector."""
    found: np.ndarray = np.sum((vectors @ matrix) * vectors, axis=1)
    return found
