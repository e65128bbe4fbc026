"""Second moments of SGD at a minimum: how they grow, and the largest stable learning rate. Exact at any size.

Weights w off the minimum take the step w <- w - η H_B w, H_B = (1/B) Σ x xᵀ over a batch of B samples with E x xᵀ = H.
The second moments E w wᵀ obey a linear recursion. For fresh x ~ N(0, diag λ) the diagonal v_i = E w_i² decouples:

    v <- D v + (η²/B) λ (λ·v),   D = diag((1 - ηλ)² + η²λ²/B),

from E x xᵀ A x xᵀ = 2ΛAΛ + tr(ΛA) Λ. For batches of n given points see :func:`sample_terms`. Wu and Su 2023 (arXiv
2305.17490) and Mulayoff and Michaeli 2024 (arXiv 2306.07850) treat the same question.

The largest stable rate η* needs no search over η. The recursion is the identity minus 2η L plus η² S, so that the
spectral radius is 1 where 2/η is an eigenvalue of L⁻¹S: η* = 2/μ, μ the largest one. μ is a sharpness, the one that
stochastic descent sees. For Gaussian samples it is the top eigenvalue of a rank-one update,

    (1 + 1/B) Λ + (1/B) √λ √λᵀ.

All functions can be jitted, mapped and differentiated; concrete arguments are checked.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics.roots import decreasing_root


class TopOfUpdate(NamedTuple):
    """Largest eigenvalue of diag(a) + p pᵀ: ``value``, and the ``excess`` above the largest entry of a."""

    value: Array
    excess: Array


def top_of_rank_one_update(diagonal: Float[Array, " d"], squares: Float[Array, " d"]) -> TopOfUpdate:
    """Largest eigenvalue of diag(a) + p pᵀ, with ``squares`` p_i² >= 0: the root of Σ p²/(μ - a) = 1 above all a.

    With m the place of the largest a, μ - a_m lies between p_m² and Σ p². The root is found in log(μ - a_m), where the
    equation's logarithm is nearly straight. Its eigenvector is p/(μ - a).
    """
    top = jnp.max(diagonal)
    gaps = top - diagonal
    tiny = jnp.finfo(diagonal.dtype).tiny
    # A place without weight bounds nothing: rounding of the largest entry does.
    lower = jnp.maximum(squares[jnp.argmax(diagonal)], jnp.finfo(diagonal.dtype).eps ** 2 * jnp.abs(top))
    upper = jnp.maximum(jnp.sum(squares), lower)

    def value_and_slope(log_excess: Array) -> tuple[Array, Array]:
        terms = squares / (jnp.exp(log_excess) + gaps)
        total = jnp.sum(terms)
        slope = -jnp.exp(log_excess) * jnp.sum(terms / (jnp.exp(log_excess) + gaps)) / (total + tiny)
        return jnp.log(total + tiny), slope

    low, high = jnp.log(lower), jnp.log(upper)
    excess = jnp.exp(decreasing_root(value_and_slope, low, high, high).position)
    return TopOfUpdate(top + excess, excess)


# --- fresh Gaussian samples -------------------------------------------------------------------------------------------


def check_arguments(eigenvalues: ArrayLike, batch_size: ArrayLike) -> None:
    """Refuse what is no spectrum, or no batch; traced arguments pass.

    Raises
    ------
    ValueError
        Naming the argument, its value and the allowed range.
    """
    if not isinstance(eigenvalues, jax.core.Tracer):
        found = np.asarray(eigenvalues)
        if found.ndim != 1 or found.size == 0 or not np.all(np.isfinite(found)) or found.min() < 0 or found.max() == 0:
            raise ValueError(
                f"eigenvalues of shape {found.shape} are not allowed: must be a finite array, none negative, not all 0"
            )
    if not isinstance(batch_size, jax.core.Tracer) and not np.all(np.asarray(batch_size) >= 1):
        raise ValueError(f"batch_size = {batch_size} is not allowed: must be >= 1")


def effective_sharpness(
    eigenvalues: Float[ArrayLike, " d"], batch_size: ArrayLike, *, own: bool = True, cross: bool = True
) -> Array:
    """Curvature μ that SGD sees on Gaussian samples: it is stable in mean square below η* = 2/μ.

    The top eigenvalue of (1 + 1/B) Λ + (1/B) √λ √λᵀ. It falls from about tr H at B = 1 to λ_max.

    Parameters
    ----------
    own, cross
        Whether the two terms of the gradient's noise are kept: that of every mode itself, and that of all others.

    Raises
    ------
    ValueError
        For a spectrum or a batch size that is none.
    """
    check_arguments(eigenvalues, batch_size)
    lam = jnp.asarray(eigenvalues, float)
    diagonal = lam * (1 + own / jnp.asarray(batch_size, lam.dtype))
    return top_of_rank_one_update(diagonal, lam / batch_size).value if cross else jnp.max(diagonal)


class Critical(NamedTuple):
    """Largest stable learning rate, and the second moments of sum 1 that a step at it reproduces."""

    learning_rate: Array
    direction: Array


def critical(eigenvalues: Float[ArrayLike, " d"], batch_size: ArrayLike) -> Critical:
    """:func:`critical_learning_rate` η* = 2/μ with its direction, which is proportional to 1/(μ - (1 + 1/B) λ)."""
    check_arguments(eigenvalues, batch_size)
    lam = jnp.asarray(eigenvalues, float)
    diagonal = lam * (1 + 1 / jnp.asarray(batch_size, lam.dtype))
    sharpness, excess = top_of_rank_one_update(diagonal, lam / batch_size)
    direction = 1 / (excess + (jnp.max(diagonal) - diagonal))
    return Critical(2 / sharpness, direction / jnp.sum(direction))


def critical_learning_rate(eigenvalues: Float[ArrayLike, " d"], batch_size: ArrayLike) -> Array:
    """Largest learning rate at which SGD on fresh Gaussian samples is stable in mean square.

    The root of :func:`instability` = 1. A single eigenvalue has 2B/((B + 2) λ).

    Examples
    --------
    >>> import numpy as np
    >>> print(f"{critical_learning_rate(1 / np.arange(1, 21), 4):.4f}")
    1.1652
    """
    return 2 / effective_sharpness(eigenvalues, batch_size)


def critical_learning_rates(spectra: Float[ArrayLike, "spectra d"], batch_size: ArrayLike) -> Float[Array, " spectra"]:
    """:func:`critical_learning_rate` of many spectra, in one program; ``batch_size`` is one or one for each."""
    for row in np.atleast_2d(np.asarray(spectra))[:1]:
        check_arguments(row, 1)
    sizes = jnp.broadcast_to(jnp.asarray(batch_size, float), (np.shape(spectra)[0],))
    return _critical_learning_rates(jnp.asarray(spectra, float), sizes)


_critical_learning_rates = jax.jit(jax.vmap(critical_learning_rate))


def learning_rate_bounds(eigenvalues: Float[ArrayLike, " d"], batch_size: ArrayLike) -> tuple[Array, Array]:
    """Lower and upper bound of the critical learning rate, at most a factor 2 apart.

        2B/(tr H + (B+1) λ_max) <= η* <= min(2B/tr H, 2B/((B+1) λ_max))

    since a sum of positive matrices has a top eigenvalue above that of each, and below their sum. The rate is
    proportional to the batch size up to about tr H/λ_max, and saturates at 2/λ_max above.
    """
    check_arguments(eigenvalues, batch_size)
    lam = jnp.asarray(eigenvalues, float)
    own, cross = (1 + 1 / batch_size) * jnp.max(lam), jnp.sum(lam) / batch_size
    return jnp.asarray(2 / (own + cross)), 2 / jnp.maximum(own, cross)


def instability(learning_rate: float, eigenvalues: Float[ArrayLike, " d"], batch_size: float) -> float:
    """F(η) = Σ ηλ/(B(2 - ηλ) - ηλ), which grows through 1 at the critical learning rate; for concrete arguments.

    Raises
    ------
    ValueError
        Where η is not between 0 and the first pole, 2B/((B+1) λ_max): there F says nothing.
    """
    check_arguments(eigenvalues, batch_size)
    lam = np.asarray(eigenvalues, float)
    pole = 2 * batch_size / ((batch_size + 1) * lam.max())
    if not 0 < learning_rate < pole:
        raise ValueError(
            f"learning_rate = {learning_rate} is not allowed: must be > 0 and below 2B/((B+1) λ_max) = {pole:.6g}, "
            "above which a single mode is unstable"
        )
    step = learning_rate * lam
    return float(np.sum(step / (batch_size * (2 - step) - step)))


def contraction(
    eigenvalues: Float[Array, " d"], learning_rate: ArrayLike, batch_size: ArrayLike, *, own: bool = True
) -> Float[Array, " d"]:
    """The diagonal D = (1 - ηλ)² + η²λ²/B of the recursion."""
    step = learning_rate * eigenvalues
    return jnp.asarray((1 - step) ** 2 + own * step**2 / batch_size)


def next_second_moments(
    moments: Float[Array, " d"],
    eigenvalues: Float[Array, " d"],
    learning_rate: ArrayLike,
    batch_size: ArrayLike,
    *,
    own: bool = True,
    cross: bool = True,
) -> Float[Array, " d"]:
    """Second moments E w_i² after a step on fresh Gaussian samples: D v + (η²/B) λ (λ·v)."""
    noise = cross * jnp.asarray(learning_rate) ** 2 / batch_size
    return contraction(eigenvalues, learning_rate, batch_size, own=own) * moments + noise * eigenvalues * jnp.dot(
        eigenvalues, moments
    )


class Growth(NamedTuple):
    """Largest growth of second moments in a step (spectral radius ρ), and the direction that has it, of sum 1."""

    rate: Array
    direction: Array


def growth(
    eigenvalues: Float[ArrayLike, " d"],
    learning_rate: ArrayLike,
    batch_size: ArrayLike,
    *,
    own: bool = True,
    cross: bool = True,
) -> Growth:
    """Spectral radius of the recursion of second moments on Gaussian samples: 1 at the critical learning rate.

    ``direction`` are second moments that a step multiplies by ρ exactly: proportional to λ/(ρ - D).
    """
    check_arguments(eigenvalues, batch_size)
    lam = jnp.asarray(eigenvalues, float)
    diagonal = contraction(lam, learning_rate, batch_size, own=own)
    if not cross:
        alone = jnp.zeros_like(lam).at[jnp.argmax(diagonal)].set(1)
        return Growth(jnp.max(diagonal), alone)
    rate, excess = top_of_rank_one_update(diagonal, jnp.asarray(learning_rate) ** 2 * lam**2 / batch_size)
    direction = lam / (excess + (jnp.max(diagonal) - diagonal))
    return Growth(rate, direction / jnp.sum(direction))


# --- batches of given points ------------------------------------------------------------------------------------------


def batch_noise(num_samples: ArrayLike, batch_size: ArrayLike, *, replacement: bool) -> Array:
    """κ, the noise of a batch of B of n points: 1/B with replacement, (n - B)/((n - 1) B) without."""
    n, size = jnp.asarray(num_samples, float), jnp.asarray(batch_size, float)
    return 1 / size if replacement else (n - size) / (jnp.maximum(n - 1, 1) * size)


class SampleTerms(NamedTuple):
    """The recursion V <- V - 2η L(V) + η² S(V) of second moments on given points, in the eigenbasis of H.

    Attributes
    ----------
    eigenvalues, basis
        Of H = (1/n) Σ x xᵀ; columns of ``basis`` are eigenvectors.
    curvature
        Diagonal of L(V) = (HV + VH)/2: means of two eigenvalues, [d, d].
    square
        S(V) = E H_B V H_B = (1 - κ) HVH + κ E x xᵀ V x xᵀ as a matrix, [d², d²]; symmetric.
    """

    eigenvalues: Array
    basis: Array
    curvature: Array
    square: Array


def sample_terms(points: Float[Array, "n d"], noise: ArrayLike) -> SampleTerms:
    """Terms of the recursion for batches of given points, ``noise`` κ as of :func:`batch_noise`; d up to 40 or so.

    V <- (I - ηH) V (I - ηH) + κη² (E x xᵀ V x xᵀ - HVH).
    """
    n, d = points.shape
    lam, basis = jnp.linalg.eigh(points.T @ points / n)
    lam = jnp.maximum(lam, 0)
    turned = points @ basis
    pairs = (turned[:, :, None] * turned[:, None, :]).reshape(n, d * d)
    descent = jnp.diag(jnp.outer(lam, lam).reshape(d * d))
    square = (1 - noise) * descent + noise * pairs.T @ pairs / n
    return SampleTerms(lam, basis, (lam[:, None] + lam[None, :]) / 2, square)


def _top(matrix: Float[Array, "d2 d2"], basis: Float[Array, "d d"]) -> tuple[Array, Array]:
    """Largest eigenvalue of a symmetric map of matrices, and its eigenmatrix, turned back and of trace 1."""
    d = basis.shape[0]
    values, vectors = jnp.linalg.eigh(matrix)
    found = vectors[:, -1].reshape(d, d)
    found = (found + found.T) / 2
    return values[-1], basis @ (found / jnp.trace(found)) @ basis.T


def sample_growth(terms: SampleTerms, learning_rate: ArrayLike) -> Growth:
    """Spectral radius of the recursion on given points; ``direction`` is a second moment [d, d] of trace 1.

    A map that keeps positive matrices positive has its spectral radius as an eigenvalue.
    """
    linear = 1 - 2 * jnp.asarray(learning_rate) * terms.curvature.reshape(-1)
    matrix = jnp.diag(linear) + jnp.asarray(learning_rate) ** 2 * terms.square
    return Growth(*_top(matrix, terms.basis))


def sample_sharpness(terms: SampleTerms) -> Growth:
    """Curvature μ that batches of given points show, η* = 2/μ: top eigenvalue of L⁻¹S (Mulayoff and Michaeli 2024).

    ``direction`` is the second moment, of trace 1, which a step at η* reproduces. Directions that no point has are left
    out.
    """
    curvature = terms.curvature.reshape(-1)
    small = jnp.finfo(curvature.dtype).eps * curvature.shape[0] * jnp.max(curvature)
    root = jnp.where(curvature > small, 1 / jnp.sqrt(jnp.maximum(curvature, small)), 0.0)
    values, vectors = jnp.linalg.eigh(root[:, None] * terms.square * root[None, :])
    d = terms.basis.shape[0]
    found = (root * vectors[:, -1]).reshape(d, d)
    found = (found + found.T) / 2
    return Growth(values[-1], terms.basis @ (found / jnp.trace(found)) @ terms.basis.T)


def next_sample_moments(
    moments: Float[Array, "d d"], points: Float[Array, "n d"], learning_rate: ArrayLike, noise: ArrayLike
) -> Float[Array, "d d"]:
    """Second moments E w wᵀ after a step on a batch of given points."""
    hessian = points.T @ points / points.shape[0]
    descent = jnp.eye(points.shape[1]) - learning_rate * hessian
    spread = jnp.einsum("ni,nj,nk,nl,kl->ij", *[points] * 4, moments) / points.shape[0]
    rest = spread - hessian @ moments @ hessian
    return descent @ moments @ descent + noise * jnp.asarray(learning_rate) ** 2 * rest
