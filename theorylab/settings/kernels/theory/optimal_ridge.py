"""Ridge curves and the optimal ridge, swept in the effective ridge so that no point needs a root solve.

Along a ridge curve δ = γ ab/k increases with γ from δ = 0 at γ_min, where z(γ_min) = min(n, k). With
u = log(γ/γ_min) the smaller spare count is, without cancellation,

    d(u) = expm1(u) γ_min Σ m λ/((λ + γ)(λ + γ_min)),                                                   (10)

so one root solve, for γ_min, gives the whole curve. Where rank <= min(n, k) there is no γ_min > 0 and γ
itself is swept, d = min(n, k) − rank + Σ_{λ>0} m γ/(λ + γ).

"More is better" (Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646, Theorem 1): at the optimal ridge the
test error does not increase with n or k. At fixed γ both derivatives of (3') are negative, which proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.theory.implicit import (
    EffectiveRidges,
    Sizes,
    as_floats,
    assemble,
    effective_ridges,
    learnabilities,
    rank,
    sizes_of,
)
from theorylab.settings.kernels.theory.risk import TargetSums, errors_at, errors_from_sums, target_sums
from theorylab.settings.kernels.theory.without_replacement import held_out_sums


class RidgePoint(NamedTuple):
    """A point, or arrays of points, of a ridge curve.

    Attributes
    ----------
    ridge
        Absolute ridge δ.
    gamma
        Effective ridge γ.
    test_error, train_error
        Mean squared errors on noisy labels.
    fitting_ratio
        r = sqrt(train/test) = a/n.
    """

    ridge: Array
    gamma: Array
    test_error: Array
    train_error: Array
    fitting_ratio: Array


class _Sweep(NamedTuple):
    """What all points of one ridge curve share."""

    spectrum: Spectrum
    sizes: Sizes
    noise: Array
    population: Array
    ridgeless: EffectiveRidges
    gamma_min: Array
    offset: Array  # d at gamma_min
    gamma_unit: Array  # gamma at u = 0


def _sweep(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    noise_variance: ArrayLike,
    population: ArrayLike = jnp.inf,
) -> _Sweep:
    spectrum, (samples, features, noise, size) = as_floats(
        spectrum, num_samples, num_features, noise_variance, population
    )
    sizes = sizes_of(samples, features, 1 / size)
    ridgeless = effective_ridges(spectrum, samples, features, 0.0, size)
    gamma_min = ridgeless.gamma
    full = gamma_min > 0
    eigenvalues = spectrum.eigenvalues
    smallest = jnp.min(jnp.where(eigenvalues > 0, eigenvalues, jnp.inf))
    smallest = jnp.where(jnp.isfinite(smallest), smallest, 1)  # a kernel that vanishes
    return _Sweep(
        spectrum,
        sizes,
        noise,
        size,
        ridgeless,
        gamma_min,
        jnp.where(full, 0, sizes.smaller - rank(spectrum)),
        jnp.where(full, gamma_min, 1e-9 * smallest),
    )


def _point(sweep: _Sweep, log_ratio: Array) -> RidgePoint:
    """Errors at γ = γ_unit exp(u), without a root solve."""
    spectrum, sizes, noise, _, _, gamma_min, offset, gamma_unit = sweep
    eigenvalues, multiplicities, _ = spectrum
    gamma = gamma_unit * jnp.exp(log_ratio)
    excess = jnp.where(gamma_min > 0, gamma_unit * jnp.expm1(log_ratio), gamma)
    learned_at_min, _ = learnabilities(jnp.asarray(eigenvalues), gamma_min)
    smaller_spare = offset + excess * jnp.sum(multiplicities * learned_at_min / (eigenvalues + gamma))
    zero = jnp.zeros_like(gamma)
    state = assemble(spectrum, sizes, gamma, smaller_spare, zero, zero.astype(int))
    w, *sums = held_out_sums(state.w, *target_sums(spectrum, gamma), state.unlearned_averages, sizes.population_inverse)
    errors = errors_from_sums(
        sizes.num_samples,
        sizes.features_inverse,
        state.spare_samples,
        state.spare_feature_fraction,
        w,
        TargetSums(*sums),
        noise,
    )
    # An error below the noise can only be rounding where both spare counts vanish.
    test_error = jnp.where(errors["test_error"] >= noise, errors["test_error"], jnp.inf)
    # Negative ridges end where δ stops increasing with γ, before q reaches n.
    test_error = jnp.where(state.spare_samples + w >= 0, test_error, jnp.inf)
    test_error = jnp.where(state.spare_feature_fraction >= 0, test_error, jnp.inf)
    return RidgePoint(
        ridge=state.kappa * state.spare_samples,
        gamma=gamma,
        test_error=test_error,
        train_error=errors["train_error"],
        fitting_ratio=state.spare_samples / sizes.num_samples,
    )


def ridge_curve(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    noise_variance: ArrayLike,
    log_ratio: Float[Array, " points"],
) -> RidgePoint:
    """Test and train error along the ridge curve, at γ = γ_min exp(u) for the given u >= 0.

    Parametric in γ: the ridges δ = γab/k are part of the answer. At n = k, u = 0 the test error is inf. For
    n < k negative u give negative ridges, down to where the curve turns (test error inf beyond). Where
    rank <= min(n, k) the unit of γ is 1e-9 of the smallest positive eigenvalue instead of γ_min.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, noise_variance)
    return _ridge_curve(spectrum, *scalars, log_ratio)


@jax.jit
def _ridge_curve(
    spectrum: Spectrum, samples: Array, features: Array, noise: Array, log_ratio: Float[Array, " points"]
) -> RidgePoint:
    sweep = _sweep(spectrum, samples, features, noise)
    return jax.vmap(lambda u: _point(sweep, u))(log_ratio)


def _refine(function: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Narrow brackets of local minima, all in step: each round keeps two ninths of every bracket."""
    inner = jnp.linspace(0, 1, 10, dtype=low.dtype)[1:-1]

    def narrow(_round: ArrayLike, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        spacing = (high - low) / (inner.size + 1)
        points = low[:, None] + (high - low)[:, None] * inner[None, :]
        values = jax.vmap(jax.vmap(function))(points)
        best = jnp.take_along_axis(points, jnp.argmin(values, axis=1)[:, None], axis=1)[:, 0]
        return best - spacing, best + spacing

    # (2/9)^20 is 1e-13, below what a flat minimum resolves.
    low, high = jax.lax.fori_loop(0, 20, narrow, (low, high))
    return (low + high) / 2


def optimal_ridge(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    noise_variance: ArrayLike,
    population: ArrayLike = jnp.inf,
    *,
    allow_negative: bool = False,
    num_points: int = 256,
    num_minima: int = 3,
) -> RidgePoint:
    """Find the ridge with the smallest test error.

    A grid over u = log(γ/γ_min), fine near δ = 0 and reaching past the null predictor, then a local
    refinement of the ``num_minima`` lowest local minima: ridge curves may have several. The ridge is exactly
    0 where interpolation is optimal, which for k <= n never happens (rank > k). Where nothing can be learned
    the optimum is δ -> inf, and the largest ridge of the grid is returned.

    With ``allow_negative`` and n < k, ridges below 0 are admitted, as long as ab + w(a + b) > 0, which is
    where δ still increases with γ.

    With a finite ``population`` the test error is that of the points held out of it, as in
    :func:`~theorylab.settings.kernels.theory.risk.predict_errors`.

    Traceable and vmappable over n, k (inf too), noise variance and spectrum.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, noise_variance, population)
    return _optimal_ridge(spectrum, *scalars, allow_negative, num_points, num_minima)


@partial(jax.jit, static_argnums=(5, 6, 7))
def _optimal_ridge(
    spectrum: Spectrum,
    samples: Array,
    features: Array,
    noise: Array,
    population: Array,
    allow_negative: bool,
    num_points: int,
    num_minima: int,
) -> RidgePoint:
    sweep = _sweep(spectrum, samples, features, noise, population)
    dtype = sweep.noise.dtype
    largest = jnp.max(sweep.spectrum.eigenvalues)
    largest = jnp.where(largest > 0, largest, 1)
    span = jnp.maximum(40, jnp.log(largest / sweep.gamma_unit) + 35)
    fine = jnp.geomspace(1e-10, 0.5 / num_points, num_points // 4, dtype=dtype)
    grid = span * jnp.concatenate([fine, jnp.linspace(1 / num_points, 1, num_points, dtype=dtype)])
    grid = jnp.concatenate([jnp.zeros(1, dtype), grid])
    if allow_negative:
        grid = jnp.concatenate([-jnp.geomspace(30, 1e-6, num_points, dtype=dtype), grid])

    def test_error(log_ratio: Array) -> Array:
        return _point(sweep, log_ratio).test_error

    whole = -(-grid.size // 32) * 32  # a remainder would be another program
    values = jax.lax.map(test_error, jnp.pad(grid, (0, whole - grid.size), mode="edge"), batch_size=32)[: grid.size]
    before = jnp.concatenate([values[:1], values[:-1]])
    after = jnp.concatenate([values[1:], values[-1:]])
    local = jnp.where((values <= before) & (values <= after), values, jnp.inf)
    _, places = jax.lax.top_k(-local, num_minima)
    left = grid[jnp.maximum(places - 1, 0)]
    right = grid[jnp.minimum(places + 1, grid.size - 1)]
    refined = _refine(test_error, left, right)
    points = jax.vmap(lambda u: _point(sweep, u))(refined)
    best = jnp.argmin(points.test_error)
    found = RidgePoint(*(entry[best] for entry in points))

    # The ridgeless end itself: γ_min > 0 has it at u = 0 up to rounding, a low rank not at all.
    ridgeless = sweep.ridgeless
    errors = errors_at(sweep.spectrum, samples, features, ridgeless, sweep.noise, sweep.population)
    end = RidgePoint(
        ridge=jnp.zeros_like(found.ridge),
        gamma=ridgeless.gamma,
        test_error=errors["test_error"],
        train_error=errors["train_error"],
        fitting_ratio=ridgeless.spare_samples / sweep.sizes.num_samples,
    )
    rounding = 8 * float(jnp.finfo(dtype).eps)
    take_end = end.test_error <= found.test_error * (1 + rounding)
    return RidgePoint(*(jnp.where(take_end, e, f) for e, f in zip(end, found, strict=True)))


def optimal_envelope(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    noise_variance: ArrayLike,
    population: ArrayLike = jnp.inf,
    allow_negative: bool = False,
) -> RidgePoint:
    """Optimally ridged errors for arrays of n and k, broadcast against each other.

    By "more is better" (arXiv 2311.14646, Theorem 1) the test error does not increase along n or along k;
    strictly it falls if the target has power on some λ > 0.
    """
    samples, features = jnp.broadcast_arrays(
        jnp.asarray(num_samples, dtype=float), jnp.asarray(num_features, dtype=float)
    )
    flat = jax.lax.map(
        lambda pair: optimal_ridge(
            spectrum, pair[0], pair[1], noise_variance, population, allow_negative=allow_negative
        ),
        (samples.ravel(), features.ravel()),
    )
    return RidgePoint(*(entry.reshape(samples.shape) for entry in flat))


def zero_ridge_slope(
    spectrum: Spectrum, num_samples: ArrayLike, num_features: ArrayLike, noise_variance: ArrayLike
) -> Array:
    """Return d log E_test/d log γ at δ = 0+, for rank > min(n, k).

    Negative: a small ridge helps. Interpolation can be optimal only where this is >= 0, hence only for n < k:
    for k < n it equals −2w/(n − k), and it is −inf at n = k.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, noise_variance)
    return _zero_ridge_slope(spectrum, *scalars)


@jax.jit
def _zero_ridge_slope(spectrum: Spectrum, samples: Array, features: Array, noise: Array) -> Array:
    sweep = _sweep(spectrum, samples, features, noise)
    n, k = sweep.sizes.num_samples, sweep.sizes.num_features
    zero = jnp.zeros_like(sweep.noise)
    overparametrised = n < jnp.where(sweep.sizes.infinite, jnp.inf, k)
    # Evaluated off the peak in the branch that is not taken.
    slope = jax.grad(lambda u: jnp.log(_point(sweep, u).test_error))(zero)
    gap = n - k
    return jnp.where(overparametrised, slope, -2 * sweep.ridgeless.w / jnp.where(gap > 0, gap, 0))
