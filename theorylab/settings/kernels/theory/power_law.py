"""Closed forms for the infinite power law λ_i = i^-α, v_i² = i^-β (α, β > 1).

Write t = (β − 1)/α, A = (π/α)/sin(π/α), C = (π/α)/sin(πt). Replacing sums by integrals gives the continuum
forms (11); the next terms of the Mellin expansion give the zeta-corrected forms (12), which stay right for
t > 1. The fitting-ratio curve (13), the optimal fitting ratio and its threshold (14) are those of Simon,
Karkada, Ghosh and Belkin (arXiv 2311.14646, Theorem 2 and Corollary 1) for kernel regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from theorylab.numerics.roots import decreasing_root
from theorylab.numerics.spectra import validate_exponents
from theorylab.settings.kernels.theory.implicit import root_term, sizes_of, smaller_spare_of
from theorylab.settings.kernels.theory.risk import TargetSums, errors_from_sums

# Above this effective ridge the first mode alone decides, and (12) is off by more than 1e-3.
LARGEST_GAMMA = 0.1

# B_2j/(2j)! for j = 1 … 8
_BERNOULLI: tuple[float, ...] = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)
_BERNOULLI += (-691 / 1307674368000, 1 / 74724249600, -3617 / 10670622842880000)


class PowerLawSums(NamedTuple):
    """Sums over an infinite power law at the effective ridge γ.

    Attributes
    ----------
    z, q, w
        Σ L, Σ L², Σ L G.
    unlearned, mixed
        Σ v² G², Σ v² L G.
    """

    z: Array
    q: Array
    w: Array
    unlearned: Array
    mixed: Array


def riemann_zeta(s: ArrayLike) -> Array:
    """Riemann's ζ(s) for real s != 1 by Euler and Maclaurin's formula, traceable and differentiable.

    Negative s go through ζ(s) = 2^s π^(s−1) sin(πs/2) Γ(1−s) ζ(1−s). Relative error about 1e-14 in float64
    for |s| < 30, away from the zeros at negative even s.
    """
    s = jnp.asarray(s, dtype=jnp.result_type(s, float(0)))

    def upper(s: Array) -> Array:
        cut = 12
        head = jnp.sum(jnp.arange(1.0, cut, dtype=s.dtype) ** -s)
        pole = s - 1
        total = head + cut**-s * (0.5 + cut / jnp.where(pole == 0, jnp.nan, pole))
        term = s * cut ** (-s - 1)
        for j, coefficient in enumerate(_BERNOULLI, start=1):
            total = total + coefficient * term
            term = term * (s + 2 * j - 1) * (s + 2 * j) / cut**2
        return total

    below = s < 0
    reflected = jnp.where(below, 1 - s, 2.0)
    factor = 2**s * jnp.pi ** (s - 1) * jnp.sin(jnp.pi * s / 2)
    reflection = factor * jnp.exp(jax.scipy.special.gammaln(reflected)) * upper(reflected)
    return jnp.where(below, reflection, upper(jnp.where(below, 2.0, s)))


def _constants(eigenvalue_exponent: Array, target_exponent: Array) -> tuple[Array, Array, Array]:
    """Return t, A, C."""
    t = (target_exponent - 1) / eigenvalue_exponent
    unit = jnp.pi / eigenvalue_exponent
    return t, unit / jnp.sin(unit), unit / jnp.sin(jnp.pi * t)


def continuum_sums(gamma: ArrayLike, eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike) -> PowerLawSums:
    """Sums in the continuum limit γ -> 0.

        z = A γ^(-1/α),  w = z/α,  q = (1 − 1/α) z,  Σv²G² = γ^t C(1 − t),  Σv²LG = γ^t C t           (11)

    For 0 < t < 2 (Σv²G²) and 0 < t < 1 (Σv²LG, needed at finite k), see :func:`continuum_problem`.
    Corrections to Σv²LG are of relative order γ^(1−t): slow for t near 1, where :func:`corrected_sums` is the
    one to use.
    """
    return continuum_law(jnp.asarray(eigenvalue_exponent), jnp.asarray(target_exponent))(jnp.asarray(gamma))


def continuum_law(alpha: Array, beta: Array) -> Callable[[Array], PowerLawSums]:
    """Return (11) as a function of γ."""
    t, A, C = _constants(alpha, beta)

    def sums(gamma: Array) -> PowerLawSums:
        z = A * gamma ** (-1 / alpha)
        return PowerLawSums(z, z - z / alpha, z / alpha, gamma**t * C * (1 - t), gamma**t * C * t)

    return sums


def corrected_sums(gamma: ArrayLike, eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike) -> PowerLawSums:
    """Sums with the leading finite-size corrections, by Mellin transform.

        z = A γ^(-1/α) − 1/2 − γ ζ(−α),    w = A γ^(-1/α)/α + γ ζ(−α),
        Σv²G² = γ^t C(1−t) + γ² ζ(β−2α),    Σv²LG = γ^t C t + γ ζ(β−α) − 2γ² ζ(β−2α)                  (12)

    Regime: γ << 1 and t not an integer (poles of C and ζ cancel there). Relative error against direct sums
    2e-5 at γ = 0.03 and 3e-8 at γ = 1e-3 for t < 1; 1.4e-3 and 1.2e-5 for t = 5/3.
    """
    return corrected_law(jnp.asarray(eigenvalue_exponent), jnp.asarray(target_exponent))(jnp.asarray(gamma))


def corrected_law(alpha: Array, beta: Array) -> Callable[[Array], PowerLawSums]:
    """Return (12) as a function of γ; its zeta functions are evaluated once."""
    t, A, C = _constants(alpha, beta)
    zeta_edge, zeta_first, zeta_second = (riemann_zeta(s) for s in (-alpha, beta - alpha, beta - 2 * alpha))

    def sums(gamma: Array) -> PowerLawSums:
        bulk, edge = A * gamma ** (-1 / alpha), gamma * zeta_edge
        z, w = bulk - 0.5 - edge, bulk / alpha + edge
        first, second = gamma * zeta_first, gamma**2 * zeta_second
        return PowerLawSums(z, z - w, w, gamma**t * C * (1 - t) + second, gamma**t * C * t + first - 2 * second)

    return sums


def continuum_problem(
    num_features: float | int, eigenvalue_exponent: float | int, target_exponent: float | int
) -> str | None:
    """Say why the continuum forms (11) do not apply to concrete exponents, or None if they do."""
    t = (target_exponent - 1) / eigenvalue_exponent
    if eigenvalue_exponent <= 1 or target_exponent <= 1:
        return "the power law is not summable: both exponents must exceed 1"
    if t >= 2:
        return f"t = (β−1)/α = {t:g} >= 2: the first modes decide, use predict_errors"
    if t >= 1 and not math.isinf(num_features):
        return f"t = (β−1)/α = {t:g} >= 1 at finite k: use corrected_errors or predict_errors"
    if t == 1:
        return "t = (β−1)/α = 1: a logarithm replaces the power, use predict_errors"
    return None


def corrected_problem(eigenvalue_exponent: float | int, target_exponent: float | int) -> str | None:
    """Say why the zeta-corrected forms (12) do not apply to concrete exponents, or None if they do."""
    if eigenvalue_exponent <= 1 or target_exponent <= 1:
        return "the power law is not summable: both exponents must exceed 1"
    t = (target_exponent - 1) / eigenvalue_exponent
    if abs(t - round(t)) < 1e-4:
        return f"t = (β−1)/α = {t:g} is an integer, where poles cancel: use predict_errors"
    return None


def continuum_errors(
    num_samples: float | int,
    num_features: float | int,
    effective_dimension: ArrayLike,
    noise_variance: ArrayLike,
    eigenvalue_exponent: float | int,
    target_exponent: float | int,
) -> dict[str, Array]:
    """Errors in closed form, parametrised by z in (0, min(n, k)): (11) in (3').

    ``{"ridge", "test_error", "train_error"}`` with γ = (A/z)^α, δ = γ (n − z)(k − z)/k. For n, k -> inf.

    Raises
    ------
    ValueError
        Where (11) does not hold, with the function to use instead; see :func:`continuum_problem`.
    """
    problem = continuum_problem(num_features, eigenvalue_exponent, target_exponent)
    if problem:
        raise ValueError(f"the continuum closed form does not apply: {problem}")
    z = jnp.asarray(effective_dimension)
    _, A, _ = _constants(jnp.asarray(eigenvalue_exponent), jnp.asarray(target_exponent))
    gamma = (A / z) ** eigenvalue_exponent
    sums = continuum_sums(gamma, eigenvalue_exponent, target_exponent)
    # At k = inf the mixed sum carries weight 0 but is meaningless for t >= 1.
    target = TargetSums(sums.unlearned, jnp.where(math.isinf(num_features), 0, sums.mixed))
    spare, fraction = num_samples - z, 1 - z / num_features
    errors = errors_from_sums(num_samples, 1 / num_features, spare, fraction, sums.w, target, noise_variance)
    return {"ridge": gamma * spare * fraction, **errors}


def corrected_errors(
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    noise_variance: ArrayLike,
    eigenvalue_exponent: ArrayLike,
    target_exponent: ArrayLike,
) -> dict[str, Array]:
    """Errors of the infinite power law from the zeta-corrected closed forms (12), at a given ridge.

    ``{"test_error", "train_error"}`` from the implicit equation z(γ) + d(γ) = min(n, k) with z(γ) of (12). No
    spectrum is summed: the cost does not depend on a number of modes. Traceable in all arguments, k may be
    inf. nan where the effective ridge exceeds 0.1, outside the regime of (12). Exponents: see
    :func:`corrected_problem`; the effective ridge: :func:`beyond_regime`.
    """
    arguments = (num_samples, num_features, ridge, noise_variance, eigenvalue_exponent, target_exponent)
    return errors_of_law(corrected_law, *(jnp.asarray(x, float) for x in arguments))


def beyond_regime(
    num_samples: ArrayLike, num_features: ArrayLike, ridge: ArrayLike, eigenvalue_exponent: ArrayLike
) -> bool:
    """Whether the effective ridge exceeds 0.1 at concrete arguments, so that :func:`corrected_errors` are nan."""
    arguments = (num_samples, num_features, ridge, eigenvalue_exponent)
    return bool(_beyond_regime(*(jnp.asarray(x, float) for x in arguments)))


@jax.jit
def _beyond_regime(samples: Array, features: Array, ridge: Array, alpha: Array) -> Array:
    sizes = sizes_of(samples, features)
    gamma = jnp.asarray(LARGEST_GAMMA, samples.dtype)
    # z does not depend on the target.
    return corrected_law(alpha, alpha)(gamma).z + smaller_spare_of(ridge / gamma, sizes) > sizes.smaller


@partial(jax.jit, static_argnums=0)
def errors_of_law(
    law: Callable[[Array, Array], Callable[[Array], PowerLawSums]],
    samples: Array,
    features: Array,
    ridge: Array,
    noise: Array,
    alpha: Array,
    beta: Array,
) -> dict[str, Array]:
    """Errors at a given ridge from the sums of a power law, (11) or (12), with dz/dlog γ = -w; see above."""
    dtype = samples.dtype
    sizes = sizes_of(samples, features)
    _, A, _ = _constants(alpha, beta)
    at_gamma = law(alpha, beta)

    def value_and_slope(log_gamma: Array) -> tuple[Array, Array]:
        gamma = jnp.exp(log_gamma)
        sums, ratio = at_gamma(gamma), ridge / gamma
        total = sums.z + smaller_spare_of(ratio, sizes)
        return jnp.log(total / sizes.smaller), -(sums.w + ratio / root_term(ratio, sizes)) / total

    upper = jnp.log(jnp.asarray(LARGEST_GAMMA, dtype))
    # z <= A γ^(-1/α), so at this γ the bulk alone exceeds min(n, k); never above the upper end.
    lower = jnp.minimum(alpha * jnp.log(A / (2 * sizes.smaller + 2)), upper - 1)
    outside = value_and_slope(upper)[0] > 0
    root = decreasing_root(value_and_slope, lower, upper, lower)
    gamma = jnp.exp(root.position)
    sums = at_gamma(gamma)
    spare = smaller_spare_of(ridge / gamma, sizes)
    gap = jnp.where(sizes.ordered, 0, sizes.num_samples - sizes.num_features)
    fraction = spare * sizes.features_inverse + jnp.where(sizes.ordered, sizes.imbalance, 0)
    errors = errors_from_sums(
        samples,
        sizes.features_inverse,
        spare + gap,
        fraction,
        sums.w,
        TargetSums(sums.unlearned, sums.mixed),
        noise,
    )
    return {name: jnp.where(outside, jnp.nan, value) for name, value in errors.items()}


# --- kernel regression: the fitting ratio ----------------------------------------------------------------


def fitting_ratio_test_error(
    fitting_ratio: ArrayLike,
    num_samples: ArrayLike,
    relative_noise: ArrayLike,
    eigenvalue_exponent: ArrayLike,
    target_exponent: ArrayLike,
) -> Array:
    """Test error of kernel regression (k = inf) at the fitting ratio r = sqrt(train/test).

        E = α B₀ [(1 − r)^(1−β) + α σ_rel²]/(1 + (α − 1) r),    αB₀ = (A/n)^(β−1) α C (1 − t)          (13)

    The noise is σ² = σ_rel² E(σ = δ = 0). Source: arXiv 2311.14646, Theorem 2. For n -> inf and t < 2; 0.1 %
    accurate at n = 1e3 and 0.01 % at n = 1e4.
    """
    r, n, noise = (jnp.asarray(x) for x in (fitting_ratio, num_samples, relative_noise))
    alpha, beta = jnp.asarray(eigenvalue_exponent), jnp.asarray(target_exponent)
    t, A, C = _constants(alpha, beta)
    scale = (A / n) ** (beta - 1) * alpha * C * (1 - t)
    return scale * ((1 - r) ** (1 - beta) + alpha * noise) / (1 + (alpha - 1) * r)


def interpolation_threshold(eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike) -> Array:
    """Relative noise (β − α)/(α(α − 1)) up to which interpolation is optimal in kernel regression.

    Source: arXiv 2311.14646, Corollary 1. Negative: fitting the training data is never optimal.
    """
    alpha, beta = jnp.asarray(eigenvalue_exponent), jnp.asarray(target_exponent)
    return (beta - alpha) / (alpha * (alpha - 1))


@jax.jit
def optimal_fitting_ratio(
    relative_noise: ArrayLike, eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike
) -> Array:
    """Fitting ratio r* at the optimal ridge of kernel regression, n -> inf.

        α − β − (α − 1)β r + α(α − 1)(1 − r)^β σ_rel² = 0 in [0, 1);  r* = 0 at or below the threshold   (14)

    Source: arXiv 2311.14646, Corollary 1. Noiseless: r* = max(0, (α − β)/((α − 1)β)).
    """
    dtype = jnp.result_type(float)
    noise, alpha, beta = (jnp.asarray(x, dtype) for x in (relative_noise, eigenvalue_exponent, target_exponent))
    interpolating = noise <= interpolation_threshold(alpha, beta)
    # Below the threshold the equation has no root in [0, 1): solve it at a noise that has one.
    noise = jnp.where(interpolating, jnp.maximum(interpolation_threshold(alpha, beta), 0) + 1, noise)

    def value_and_slope(r: Array) -> tuple[Array, Array]:
        strength = alpha * (alpha - 1) * noise
        value = alpha - beta - (alpha - 1) * beta * r + strength * (1 - r) ** beta
        return value, -(alpha - 1) * beta - strength * beta * (1 - r) ** (beta - 1)

    # Decreasing and convex: Newton from 0 approaches the root from the left without overshooting.
    root = decreasing_root(value_and_slope, 0.0, 1.0, jnp.zeros((), dtype))
    return jnp.where(interpolating, 0, root.position)


def kernel_optimal_ridge(
    num_samples: ArrayLike,
    relative_noise: ArrayLike,
    eigenvalue_exponent: ArrayLike,
    target_exponent: ArrayLike,
) -> Array:
    """Optimal absolute ridge of kernel regression, δ* = r* n κ with κ = (A/(n(1 − r*)))^α; n -> inf."""
    n, alpha = jnp.asarray(num_samples), jnp.asarray(eigenvalue_exponent)
    r = optimal_fitting_ratio(relative_noise, eigenvalue_exponent, target_exponent)
    _, A, _ = _constants(alpha, jnp.asarray(target_exponent))
    return r * n * (A / (n * (1 - r))) ** alpha


class ScalingExponents(NamedTuple):
    """Exponents x of error ~ size^-x, noiseless or at fixed relative noise, and at fixed noise.

    Attributes
    ----------
    data_limited
        In n at k = inf: min(β − 1, 2α).
    feature_limited
        In k at n = inf: min(β − 1, α).
    joint
        In n at fixed k/n: min(β − 1, α).
    optimal_excess
        Fixed σ² > 0, optimal ridge, k = inf, t < 2: test − σ² ~ n^-((β−1)/β). Approached slowly.
    tempered_ratio
        Fixed σ² > 0, ridge 0, k = inf: test -> α σ², the factor α.
    """

    data_limited: float
    feature_limited: float
    joint: float
    optimal_excess: float
    tempered_ratio: float


def scaling_exponents(eigenvalue_exponent: float | int, target_exponent: float | int) -> ScalingExponents:
    """Scaling laws of power-law random features, n, k -> inf; see :class:`ScalingExponents` (15).

    Raises
    ------
    ValueError
        Where an exponent does not exceed 1.
    """
    validate_exponents(eigenvalue_exponent, target_exponent)
    alpha, source = eigenvalue_exponent, target_exponent - 1
    return ScalingExponents(
        data_limited=min(source, 2 * alpha),
        feature_limited=min(source, alpha),
        joint=min(source, alpha),
        optimal_excess=source / target_exponent,
        tempered_ratio=alpha,
    )
