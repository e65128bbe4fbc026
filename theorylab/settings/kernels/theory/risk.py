"""Test and train errors of random-feature ridge regression, and their special cases.

All errors are mean squared errors on noisy labels: they include the noise variance σ². The ridge δ is
absolute, added to the un-normalised n x n kernel matrix of features that carry 1/sqrt(k).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.theory.implicit import (
    EffectiveRidges,
    as_floats,
    effective_ridges,
    learnabilities,
    rank,
)
from theorylab.settings.kernels.theory.without_replacement import held_out_sums


class TargetSums(NamedTuple):
    """Sums over the target: Σ v² G² (unlearned), Σ v² L G (mixed)."""

    unlearned: Array
    mixed: Array


def target_sums(spectrum: Spectrum, gamma: ArrayLike) -> TargetSums:
    """Return Σ v² G² and Σ v² L G at the effective ridge γ."""
    learned, unlearned = learnabilities(jnp.asarray(spectrum.eigenvalues), jnp.asarray(gamma))
    return TargetSums(
        jnp.sum(spectrum.target_power * unlearned**2),
        jnp.sum(spectrum.target_power * learned * unlearned),
    )


def errors_from_sums(
    num_samples: ArrayLike,
    features_inverse: ArrayLike,
    spare_samples: Array,
    spare_feature_fraction: Array,
    w: Array,
    sums: TargetSums,
    noise_variance: ArrayLike,
) -> dict[str, Array]:
    """Errors from the effective dimensions, in a form without cancellation where every term is >= 0.

        test  = n/(ab + w(a + b)) · [(b + w)(Σ v²G² + σ²) + w Σ v² L G],    train = (a/n)² test    (3'), (4)

    written with b/k and 1/k so that k = inf needs no case of its own. Identical to
    :func:`test_error_published` where that one can be evaluated.

    At n = k, δ = 0 the test error is inf and the train error 0, its limit: train -> a (Σ v² G + σ²)/(2n) with
    a = sqrt(kδ/γ) -> 0. Where z = rank = k < n the limit is n/a (Σ v²G² + σ²).
    """
    a, b, noise = spare_samples, spare_feature_fraction, jnp.asarray(noise_variance)
    n, w_k = num_samples, w * features_inverse
    bias = sums.unlearned + noise
    numerator = (b + w_k) * bias + w_k * sums.mixed
    denominator = a * b + w_k * a + w * b
    regular = denominator > 0
    denominator = jnp.where(regular, denominator, 1)
    # w = 0: every mode is learned or null, the remaining case of a vanishing denominator besides n = k.
    has_spare = a > 0
    limit = jnp.where(has_spare, n * bias / jnp.where(has_spare, a, 1), jnp.where(bias > 0, jnp.inf, 0))
    train_limit = a * bias / n
    return {
        "test_error": jnp.where(regular, n * numerator / denominator, limit),
        "train_error": jnp.where(regular, a * a * numerator / (n * denominator), train_limit),
    }


def errors_at(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    solution: EffectiveRidges,
    noise_variance: ArrayLike,
    population: ArrayLike = jnp.inf,
) -> dict[str, Array]:
    """Test and train error at effective ridges already solved for; see :func:`errors_from_sums`.

    With a finite ``population``, which the ridges were solved with too, the test error is that of the points held out.
    """
    spectrum, (samples, features, noise, size) = as_floats(
        spectrum, num_samples, num_features, noise_variance, population
    )
    w, *sums = held_out_sums(solution.w, *target_sums(spectrum, solution.gamma), solution.unlearned_averages, 1 / size)
    return errors_from_sums(
        samples,
        1 / features,
        solution.spare_samples,
        solution.spare_feature_fraction,
        w,
        TargetSums(*sums),
        noise,
    )


def predict_errors(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    noise_variance: ArrayLike,
    population: ArrayLike = jnp.inf,
) -> dict[str, Array]:
    """Predict the mean test and train error of random-feature ridge regression.

    ``{"test_error", "train_error"}``, on noisy labels: both include the noise variance. Equations (1), (3')
    and (4): the omniscient risk estimate of Simon, Karkada, Ghosh and Belkin (arXiv 2311.14646), asymptotic
    under Gaussian universality of the eigenfunctions, with relative corrections of order 1/min(n, k) that
    grow near n = k at small ridge. It fails for few input dimensions with fast-decaying spectra and small
    ridge. With a finite ``population`` the spectrum is that of so many points, n of them are drawn without replacement,
    and the test error is that of the others: equations (16) and (17) of
    :mod:`~theorylab.settings.kernels.theory.without_replacement`.

    Traceable, differentiable and vmappable in all arguments; k may be inf. Not checked here: see
    :func:`~theorylab.settings.kernels.theory.implicit.check_arguments`.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, ridge, noise_variance, population)
    return _predict_errors(spectrum, *scalars)


@jax.jit
def _predict_errors(
    spectrum: Spectrum, samples: Array, features: Array, ridge: Array, noise: Array, population: Array
) -> dict[str, Array]:
    solution = effective_ridges(spectrum, samples, features, ridge, population)
    return errors_at(spectrum, samples, features, solution, noise, population)


def test_error_published(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    solution: EffectiveRidges,
    noise_variance: ArrayLike,
) -> Array:
    """Test error in the published form, the oracle of :func:`predict_errors`.

        E = 1/(1 − (q(k − 2z) + z²)/(n(k − q))) · [Σ (γ/(λ+γ) − κλ/(λ+γ)² · k/(k−q)) v² + σ²]             (3)

    Source: arXiv 2311.14646. For k < inf only, and away from n = k: there its terms cancel to order 1e14 of
    either sign at ridge 0.
    """
    n, k = jnp.asarray(num_samples), jnp.asarray(num_features)
    z, q, gamma, kappa = solution.z, solution.q, solution.gamma, solution.kappa
    total = spectrum.eigenvalues + gamma
    bias = jnp.sum((gamma / total - kappa * spectrum.eigenvalues / total**2 * k / (k - q)) * spectrum.target_power)
    return (bias + noise_variance) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))


test_error_published.__test__ = False  # type: ignore[attr-defined]  # a formula, whatever pytest thinks


# --- special cases ---------------------------------------------------------------------------------------


def ridgeless_underparametrised_test_error(
    spectrum: Spectrum, num_samples: ArrayLike, num_features: ArrayLike, noise_variance: ArrayLike
) -> Array:
    """Test error at ridge 0 for k < n and rank > k: n/(n−k) [Σ v² G + σ²] with z(γ) = k (7)."""
    n, k = jnp.asarray(num_samples), jnp.asarray(num_features)
    return n / (n - k) * population_test_error(spectrum, num_features, noise_variance)


def low_rank_test_error(spectrum: Spectrum, num_samples: ArrayLike, noise_variance: ArrayLike) -> Array:
    """Test error at ridge 0 for rank <= min(n, k): (σ² + power on λ = 0)/(1 − rank/n) (7)."""
    null_power = jnp.sum(jnp.where(spectrum.eigenvalues > 0, 0, spectrum.target_power))
    return (null_power + noise_variance) / (1 - rank(spectrum) / num_samples)


def population_test_error(spectrum: Spectrum, num_features: ArrayLike, noise_variance: ArrayLike = 0.0) -> Array:
    """Test error of infinitely many samples: Σ v² G + σ² with z(γ) = k, pure approximation error (7).

    Holds for any fixed ridge, which is negligible beside infinitely many samples.
    """
    # z(γ) = k is also the ridgeless equation of kernel regression on k samples.
    gamma = effective_ridges(spectrum, num_features, jnp.inf, 0.0).gamma
    _, unlearned = learnabilities(jnp.asarray(spectrum.eigenvalues), gamma)
    return jnp.sum(spectrum.target_power * unlearned) + noise_variance


def peak_test_error(spectrum: Spectrum, num_samples: ArrayLike, ridge: ArrayLike, noise_variance: ArrayLike) -> Array:
    """Height of the double-descent peak n = k for small ridge: ½ sqrt(nγ₀/δ) [Σ v² G + σ²], z(γ₀) = n (8).

    Leading order in δ -> 0; the correction tends to a constant.
    """
    n, ridge = jnp.asarray(num_samples), jnp.asarray(ridge)
    gamma = effective_ridges(spectrum, num_samples, jnp.inf, 0.0).gamma
    _, unlearned = learnabilities(jnp.asarray(spectrum.eigenvalues), gamma)
    bias = jnp.sum(spectrum.target_power * unlearned) + noise_variance
    return 0.5 * jnp.sqrt(n * gamma / ridge) * bias
