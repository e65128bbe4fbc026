"""The first correction in 1/d to the errors of layers fitted to few tasks, at fixed n/d, K/d and prompts per weight.

Prompts have features x ⊗ h with h = (b, mean of y²), as in :mod:`.leverages`, whose equations are expanded here to
first order. With Σ the pool's second moment, x = (1+ρ)/α and Q = (Σ + z)⁻¹, all that is of order 1/d:

- tokens: E b bᵀ = (1 + 1/n) Σ + x; the mean of y² is one more feature, in the limit an intercept;
- tasks: the mean resolvent of K vectors on the sphere, d δq = q₂(q₂ - 2q₁²)/(κ D³ q₁), q_j = tr Q^j/d, D = 1 + q₁/κ;
- leverages: q = |x|² and a = bᵀQb/d fluctuate by 1/sqrt(d). They reweigh prompts, move the ridge that few prompts
  imply, and go with the residuals.

The law of b given a task w, |w|² = d, is exact: b = A w + sqrt(d m/n) ξ, A the mean of y (x·w), m that of y², and ξ
standard normal off w. Hence covariances of quadratic forms of b and w are traces of Σ and Q, which are known in the
limit. Derived here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

#: Powers of the resolvent whose traces are needed, and coefficients of a polynomial.
POWERS, LENGTH = 6, 4


def multiplied(*factors: Sequence[Any]) -> list[Any]:
    """Product of polynomials."""
    product: list[Any] = [1.0]
    for factor in factors:
        terms: list[Any] = [0.0] * (len(product) + len(factor) - 1)
        for i, left in enumerate(product):
            for j, right in enumerate(factor):
                terms[i + j] = terms[i + j] + left * right
        product = terms
    return product


def inverse_series(series: Sequence[Any]) -> list[Any]:
    """Coefficients of one over a power series."""
    found = [1 / series[0]]
    for i in range(1, len(series)):
        found.append(-sum(series[j] * found[i - j] for j in range(1, i + 1)) / series[0])
    return found


class Pool(NamedTuple):
    """Traces of Q = (Σ + z)⁻¹ in the limit, Σ the second moment of K = κ d tasks of squared norm d.

    Attributes
    ----------
    plain, weighted
        tr Q^j/d and tr Σ Q^j/d, j = 0, 1, ....
    damping
        D(z - t) = 1 + tr Q(z - t)/K as a series in t: wᵀQw of a task of the pool is that of a fresh one over D.
    """

    plain: list[Any]
    weighted: list[Any]
    damping: list[Any]


def resolvents(task_ratio: ArrayLike, ridge: Any, powers: int = POWERS) -> Pool:
    """Solve z q + q/(1 + q/κ) = 1 and its derivatives: q(z - t) = sum_j q_{j+1} t^j."""
    kappa, z = task_ratio, ridge
    half = z + 1 - 1 / kappa
    series = [2 / (half + jnp.sqrt(half**2 + 4 * z / kappa))]
    for i in range(1, powers):
        inner = sum(series[j] * series[i - j] for j in range(1, i))
        square = sum(series[j] * series[i - 1 - j] for j in range(i))
        series.append((series[i - 1] + (square - z * inner) / kappa) / (2 * z * series[0] / kappa + half))
    damping = [1 + series[0] / kappa, *(c / kappa for c in series[1:])]
    weighted = multiplied(series, inverse_series(damping))[:powers]
    return Pool([1.0, *series], [1.0, *weighted], damping)


class Fluctuations:
    """Quadratic forms of a task w of the pool and of b, and d times their covariances, in the limit.

    A form over d is a vector: its derivatives in A and m, then polynomials in Q, those of the matrix between w and ξ,
    of that of ξ and of that of w. M = ΣQ = 1 - zQ is the mean of the fit, u = w - M b its residual. Polynomials are
    arrays, lowest power first, [..., :data:`LENGTH`].
    """

    def __init__(self, context_ratio: ArrayLike, task_ratio: ArrayLike, noise_variance: ArrayLike, ridge: Any) -> None:
        self.alpha, self.power = context_ratio, 1 + noise_variance
        self.x = jnp.asarray(self.power / context_ratio)
        self.z = self.x + ridge
        self.pool = resolvents(task_ratio, self.z)
        self.plain, self.weighted = jnp.stack(self.pool.plain), jnp.stack(self.pool.weighted)

    def _form(self, slope: Array, power: Array, task: Array) -> Array:
        """From the derivatives in A and √x, in m/α (which multiplies ξ ξᵀ x, too), and the matrix of the task."""
        means = slope @ self.weighted[:LENGTH], power @ self.plain[:LENGTH] / self.alpha
        parts = (*(mean[..., None] for mean in means), jnp.sqrt(self.x) * slope, self.x * power, task)
        return jnp.concatenate(parts, axis=-1)

    def of_summary(self, matrix: Array) -> Array:
        """bᵀ P b/d."""
        return self._form(2 * matrix, matrix, matrix)

    def of_residual(self) -> Array:
        """|u|²/d."""
        one = jnp.zeros_like(self.plain[:LENGTH]).at[0].set(1.0)
        fitted, missed = times(one, 1, -self.z), times(one, 0, self.z)
        return self._form(times(fitted, 0, -2 * self.z), times(fitted, 1, -self.z), times(missed, 0, self.z))

    def of_both(self, matrix: Array) -> Array:
        """bᵀ P u/d."""
        return self._form(times(matrix, -1, 2 * self.z), -times(matrix, 1, -self.z), times(matrix, 0, self.z))

    def covariance(self) -> Array:
        """Of A and m, of the parts linear and quadratic in ξ, and of the tasks of the pool, one block each."""
        labels = jnp.asarray([[1.0 + self.power, 2 * self.power], [2 * self.power, 2 * self.power**2]]) / self.alpha
        powers = np.add.outer(np.arange(LENGTH), np.arange(LENGTH))
        # wᵀQ(z - t)w of a task of the pool is that of a fresh one over D(z - t); fresh ones are on the sphere.
        inverse = inverse_series(multiplied(self.pool.damping, self.pool.damping)[: LENGTH - 1])
        rows = np.subtract.outer(np.arange(LENGTH - 1), np.arange(LENGTH - 1))
        damping = jnp.where(rows >= 0, jnp.stack(inverse)[np.maximum(rows, 0)], 0.0)
        first = self.plain[1:LENGTH]
        sphere = self.plain[2 + powers[:-1, :-1]] - jnp.outer(first, first)
        tasks = jnp.pad(2 * damping @ sphere @ damping.T, ((1, 0), (1, 0)))
        return jax.scipy.linalg.block_diag(labels, self.weighted[powers], 2 * self.plain[powers], tasks)


def times(polynomial: Array, constant: Any, slope: Any) -> Array:
    """Polynomials times ``constant`` + ``slope`` Q; their highest coefficients are zero."""
    shifted = jnp.concatenate([jnp.zeros_like(polynomial[..., :1]), polynomial[..., :-1]], axis=-1)
    return constant * polynomial + slope * shifted


def implied_ridge(prompts_per_weight: float, task_ratio: ArrayLike, x: Any) -> Any:
    """The ridge y of least squares of minimal norm: r = 1 - y q(x + y); none from as many prompts as weights on."""
    r, kappa = prompts_per_weight, task_ratio
    if r >= 1:
        return jnp.zeros_like(x)
    half = x + 1 - r / kappa
    return (1 - r) * (half + jnp.sqrt(half**2 + 4 * x * r / kappa)) / (2 * r)


class Moments(NamedTuple):
    """Means over prompts, of pool and fresh tasks.

    Attributes
    ----------
    size
        Of a with one resolvent S⁻¹ = (y + E h hᵀ)⁻¹ of the pool.
    errors
        Of the weights E w hᵀ S⁻¹, without noise.
    sizes
        Of hᵀ S⁻¹ H S⁻¹ h/(d + 1), H = E h hᵀ over the pool or over fresh tasks: how the weights' spread is seen.
    """

    size: Any
    errors: Any
    sizes: Any


def moments(
    context_ratio: ArrayLike, task_ratio: ArrayLike, noise: ArrayLike, ridge: Any, test_ratio: ArrayLike
) -> Moments:
    """The limit; fresh tasks have contexts of ``test_ratio`` tokens a dimension."""
    y, x = ridge, (1 + noise) / context_ratio
    z, spread = x + y, 1 + (1 + noise) / test_ratio
    _, one, two = resolvents(task_ratio, z, 2).plain
    square = 1 - 2 * z * one + z**2 * two
    # tr G S⁻¹ Gᵀ = 1 - z + z² q with its slope in y, and the fit's mean M = 1 - zQ on fresh tasks.
    errors = [z - z**2 * one - y * square, 2 * z * one - 1 + spread * square]
    sizes = [1 - 2 * y * one + y**2 * two, spread * (one - y * two)]
    return Moments(1 - y * one, jnp.stack(errors), jnp.stack(sizes))


def moments_correction(
    context_ratio: ArrayLike, task_ratio: ArrayLike, noise: ArrayLike, ridge: Any, test_ratio: ArrayLike
) -> Moments:
    """What is added to :func:`moments` for each 1/d: 1/n, the mean of y² as a feature, and K random tasks."""
    alpha, kappa, y, power = context_ratio, task_ratio, ridge, 1 + noise
    x = power / alpha
    z, spread = x + y, 1 + power / test_ratio
    limit, pool = moments(alpha, kappa, noise, ridge, test_ratio), resolvents(kappa, z, 3)
    _, one, two, _ = pool.plain
    # w̄ᵀQ²w̄ and w̄ᵀQ³w̄ of the pool's mean task w̄; Schur's complement of the feature, as a share of its square.
    mean2, mean3 = pool.weighted[2] / kappa, pool.weighted[3] / kappa

    def traces(y: Any) -> Any:
        """tr S⁻¹, tr G S⁻¹ Gᵀ, tr H S⁻¹ (fresh) and tr Q of the b alone; G = E w hᵀ."""
        z, pool = x + y, resolvents(kappa, x + y, 2)
        one, two, mean = pool.plain[1], pool.plain[2], pool.weighted[2] / kappa
        tokens = (z * two - one) / alpha
        of_b = tokens + two * (two - 2 * one**2) / (kappa * pool.damping[0] ** 3 * one)
        share = 1 / (y / power**2 + 1 / pool.damping[0])
        feature = share * mean
        fitted = (-1 + 2 * z - 2 * z**2 * one) / alpha + z**2 * (of_b + feature)
        return (
            of_b + feature + share / power**2,
            fitted,
            spread * (of_b + feature) + one / test_ratio + share,
            of_b,
        )

    (inverse, fitted, fresh, of_b), slopes = jax.jvp(traces, (y,), (jnp.ones_like(y),))
    share = 1 / (y / power**2 + 1 / pool.damping[0])
    square = 1 - 2 * z * one + z**2 * two
    fresh_error = (
        2 * z * of_b
        + 2 * (1 - z * one) / alpha
        + square / test_ratio
        - spread * (2 * square / alpha + 2 * z * of_b + z**2 * slopes[3])
        + 2 * share * z * mean2
        + spread * (-2 * share * z * (mean2 - z * mean3) + (share * z * mean2) ** 2)
        + share**2 * z**2 * mean2
    )
    size = limit.size - 1  # -y q, which is divided by d + 1
    sizes = jnp.stack(
        [
            1 - limit.sizes[0] - 2 * y * inverse - y**2 * slopes[0],
            -limit.sizes[1] + fresh + y * slopes[2],
        ]
    )
    return Moments(-size - y * inverse, jnp.stack([-fitted + y * slopes[1], fresh_error]), sizes)


def first_correction(
    context_ratio: ArrayLike,
    task_ratio: ArrayLike,
    prompts_per_weight: float,
    noise: ArrayLike,
    test_ratio: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Errors on fresh tasks and on the pool, [2], in the limit, and what is added for each 1/d.

    ``prompts_per_weight`` r counts d(d + 1) weights; all ratios are fixed as d grows. Errors are measured with contexts
    of m = ``test_ratio`` d tokens, as many as in training unless it is given. The second moments of a summary b are
    (1 + 1/m) Σ + (1+ρ) d/m, Σ those of its tasks; other moments hold the length in terms of order 1/d² alone. Hence the
    error of a fitted P grows by (d/m - d/n) ((1+ρ) T + U/d), T = E tr P Pᵀ/d and U = E tr P Σ Pᵀ/d. On fresh tasks U is
    T. On the pool it is what its error 1 + ρ - 2 E tr P Σ/d + U + xT holds.
    """
    arguments = context_ratio, task_ratio, prompts_per_weight, noise
    if test_ratio is None:
        return _correction(*arguments, context_ratio)
    lengths = jnp.stack([jnp.asarray(1.0 * ratio) for ratio in (context_ratio, test_ratio)])
    (limit, longer), (slope, steeper) = jax.vmap(lambda ratio: _correction(*arguments, ratio))(lengths)
    x = (1 + noise) / lengths[0]
    z = x + implied_ridge(prompts_per_weight, task_ratio, x)
    fit = 1 - z * resolvents(task_ratio, z, 1).plain[1]
    size = (limit[0] - 1 - noise + 2 * fit) / (1 + x)
    of_pool = limit[1] - 1 - noise + 2 * (1 - z * fit) - x * size
    moved = steeper[0] - slope[0]
    on_pool = moved + (1 / lengths[1] - 1 / lengths[0]) * (of_pool - size)
    return limit + longer[0] - limit[0], slope + jnp.stack([moved, on_pool])


def _correction(
    context_ratio: ArrayLike,
    task_ratio: ArrayLike,
    prompts_per_weight: float,
    noise: ArrayLike,
    test_ratio: ArrayLike,
) -> tuple[Array, Array]:
    """As :func:`first_correction`; the test length is that of contexts of fresh tasks alone.

    With more prompts than weights the spread of the fitted weights costs E/r of the error E. There 1/r becomes
    r (L/(1 + L))² (1 + (s/d) L (L - 2)/(1 + L)²) where L = 1/(r - 1) + s/(d r (r - 1)) is the mean leverage and s/d the
    variance of |x|² a; to that come the covariances of leverages with residuals. With fewer prompts all means move with
    the implied ridge.
    """
    r, rho, arguments = prompts_per_weight, noise, (context_ratio, task_ratio, noise)
    ridge = implied_ridge(r, task_ratio, jnp.asarray((1 + rho) / context_ratio))
    law = Fluctuations(*arguments, ridge)
    x, z = jnp.asarray((1 + rho) / test_ratio), law.z
    once, twice = jnp.asarray([0.0, 1.0, 0.0, 0.0], x.dtype), jnp.asarray([0.0, 0.0, 1.0, 0.0], x.dtype)
    # What the spread of the weights is seen with: H of pool or fresh tasks between two resolvents. HQ = 1 - yQ.
    seen = jnp.stack([times(once, 1, -ridge), (1 + x) * twice])
    summaries = law.of_summary(jnp.concatenate([once[None], seen, times(seen, 1, -ridge), twice[None]]))
    turns = law.of_both(jnp.stack([times(-ridge * once, 1, -z), times(once, x, -(1 + x) * z)]))
    forms = jnp.concatenate([summaries[:1], law.of_residual()[None], summaries[1:3], turns, summaries[3:]])
    size, residual, pool_seen, *_ = forms @ law.covariance() @ forms.T
    spread, both = size[0], 2 + size[0]
    limit, slope = jax.jvp(lambda y: moments(*arguments, y, test_ratio), (ridge,), (jnp.ones_like(ridge),))
    added = moments_correction(*arguments, ridge, test_ratio)
    # Fewer prompts than weights: the implied ridge moves.
    moved = -(added.size - ridge * size[8] / r) / slope.size if r < 1 else jnp.zeros_like(ridge)

    def errors(eps: Any) -> Array:
        # Prompts of large leverage count less, which turns the mean weights.
        bias = limit.errors + rho + eps * (added.errors + slope.errors * moved - 2 / r * size[4:6])
        sizes = limit.sizes + eps * (added.sizes + slope.sizes * moved)
        if r > 1:
            leading = limit.errors[0] * r / (r - 1) + rho * r / (r - 1)
            rest = leading / r
            leverage = 1 / (r - 1) + eps * both / (r * (r - 1))
            most = 1 + eps * both * leverage * (leverage - 2) / (1 + leverage) ** 2
            along = eps * (2 * (leading - rho) + rest * spread + residual[0])
            more = r * leverage**2 * (1 - leverage) / (1 + leverage) ** 3 * along
            pool = (bias[0] + more) / (1 - r * leverage**2 / (1 + leverage) ** 2 * most)
            apart = rest * (size[3] - sizes[1] * spread) + residual[3] - sizes[1] * residual[0]
            return jnp.stack([bias[1] + sizes[1] * (pool - bias[0]) + eps * apart / r, pool])
        leading = (limit.errors[0] + rho) / (1 - limit.sizes[0] / r)
        error = residual + leading / r * pool_seen
        changed = limit.sizes * spread / r**2 + 2 / r * size[6:8] - 2 / r * size[2:4]
        more = eps / r * (2 * rho * limit.sizes + leading * changed - 2 / r * limit.sizes * error[0] + error[2:4])
        pool = (bias[0] + more[0]) / (1 - sizes[0] / r)
        return jnp.stack([bias[1] + pool * sizes[1] / r + more[1], pool])

    zero = jnp.zeros_like(ridge)
    found: tuple[Array, Array] = jax.jvp(errors, (zero,), (jnp.ones_like(zero),))
    return found
