"""Effective ridges of random-feature regression: the implicit equations and their solution.

With learnabilities L_i = λ_i/(λ_i + γ) and G_i = 1 − L_i,

    n = Σ m_i L_i + δ/κ,    k = Σ m_i L_i + k κ/γ                                                    (1)

for n samples, k features and the absolute ridge δ (Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646). Let
z = Σ m L, a = n − z = δ/κ the spare samples and b = k − z = kκ/γ the spare features. Then κ = γ b/k, and with
m = min(n, k), D = |n − k| the smaller of a and b is the positive root d of d (d + D) = k δ/γ. So (1) is one
monotone equation in γ,

    z(γ) + d(γ) = m,    d = 2t/(e + sqrt(e² + 4t/k)),    t = δ/γ,    e = |1 − n/k|.                       (2)

It has a unique root whenever δ > 0 or the rank Σ_{λ>0} m exceeds m; otherwise γ = 0.

Where the modes are those of M = Σ m points, from which the n samples are drawn without replacement, κ = γ b/(k ⟨G⟩) and
t = δ ⟨G⟩/γ with ⟨G⟩ = 1 − z/M: see :mod:`~theorylab.settings.kernels.theory.without_replacement`.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from theorylab.numerics.roots import decreasing_root, require_residual
from theorylab.numerics.spectra import Spectrum, validate_spectrum
from theorylab.numerics.xla import host_program
from theorylab.settings.kernels.theory.without_replacement import unlearned_averages, unlearned_share


class EffectiveRidges(NamedTuple):
    """Solution of the implicit equations; every entry is a scalar.

    Attributes
    ----------
    gamma
        γ, the effective ridge that eigenmodes see.
    kappa
        κ = γ b/k, the effective ridge of the data; γ >= κ >= δ/n. It is κ = γ b/(k − kz/M) for n of M points.
    spare_samples
        a = n − z = δ/κ.
    spare_features
        b = k − z; infinite for k = inf.
    spare_feature_fraction
        b/k, finite for every k.
    z, q, w
        Effective dimensions z = Σ m L, q = Σ m L², w = z − q = Σ m L G.
    unlearned_averages
        ⟨G⟩ and ⟨G²⟩ over the M points of a population; 1 and 1 for a distribution.
    residual
        log((z + d)/min(n, k)) where the search ended.
    iterations
        Evaluations of the spectrum's sums.
    """

    gamma: Float[Array, ""]
    kappa: Float[Array, ""]
    spare_samples: Float[Array, ""]
    spare_features: Float[Array, ""]
    spare_feature_fraction: Float[Array, ""]
    z: Float[Array, ""]
    q: Float[Array, ""]
    w: Float[Array, ""]
    unlearned_averages: tuple[Float[Array, ""], Float[Array, ""]]
    residual: Float[Array, ""]
    iterations: Int[Array, ""]


class Sizes(NamedTuple):
    """n and k in the forms that stay finite at k = inf and exact at n near k."""

    num_samples: Array
    num_features: Array  # 1 where infinite
    infinite: Array
    features_inverse: Array  # 1/k
    ordered: Array  # n <= k
    smaller: Array  # m = min(n, k)
    imbalance: Array  # e = |1 - n/k|
    population_inverse: ArrayLike  # 1/M; 0 for samples of a distribution


def as_floats(spectrum: Spectrum, *scalars: ArrayLike) -> tuple[Spectrum, list[Array]]:
    """Bring a spectrum and scalars to one floating dtype, the spectrum's own where scalars are Python's."""
    arrays = [jnp.asarray(array) for array in spectrum]
    dtype = jnp.result_type(float(0), *arrays, *(s for s in scalars if isinstance(s, Array | np.generic)))
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    return Spectrum(*(a.astype(dtype) for a in arrays)), [jnp.asarray(s, dtype) for s in scalars]


def sizes_of(num_samples: Array, num_features: Array, population_inverse: ArrayLike = 0.0) -> Sizes:
    """Prepare n and k; differentiable to any order at n = k and at k = inf."""
    infinite = jnp.isinf(num_features)
    finite = jnp.where(infinite, 1, num_features)
    ordered = num_samples <= num_features
    # Selecting, rather than |.| and min, keeps all derivatives right at n = k.
    gap = jnp.where(ordered, finite - num_samples, num_samples - finite)
    return Sizes(
        num_samples=num_samples,
        num_features=finite,
        infinite=infinite,
        features_inverse=jnp.where(infinite, 0, 1 / finite),
        ordered=ordered,
        smaller=jnp.where(ordered, num_samples, finite),
        imbalance=jnp.where(infinite, 1, gap / finite),
        population_inverse=population_inverse,
    )


def root_term(ratio: Array, sizes: Sizes) -> Array:
    """sqrt(e² + 4t/k), kept off zero so that its slope stays finite at n = k, δ = 0."""
    squared = sizes.imbalance**2 + 4 * ratio * sizes.features_inverse
    return jnp.sqrt(jnp.maximum(squared, jnp.finfo(squared.dtype).tiny))


def smaller_spare_of(ratio: Array, sizes: Sizes) -> Array:
    """d of equation (2), in the rationalised form that keeps all digits at small t = δ/γ."""
    return 2 * ratio / (sizes.imbalance + root_term(ratio, sizes))


def learnabilities(
    eigenvalues: Float[Array, " levels"], gamma: Float[Array, ""]
) -> tuple[Float[Array, " levels"], Float[Array, " levels"]]:
    """Return L = λ/(λ + γ) and G = γ/(λ + γ), with L = 0 and G = 1 on the kernel's null space."""
    total = eigenvalues + gamma
    total = jnp.where(total > 0, total, 1)
    return eigenvalues / total, jnp.where(eigenvalues > 0, gamma / total, 1)


def rank(spectrum: Spectrum) -> Array:
    """Number of eigenfunctions with λ > 0."""
    return jnp.sum(jnp.where(spectrum.eigenvalues > 0, spectrum.multiplicities, 0))


def assemble(
    spectrum: Spectrum,
    sizes: Sizes,
    gamma: Array,
    smaller_spare: Array,
    residual: Array,
    iterations: Array,
) -> EffectiveRidges:
    """Collect the state that belongs to γ and d = min(a, b)."""
    learned, unlearned = learnabilities(jnp.asarray(spectrum.eigenvalues), gamma)
    z = jnp.sum(spectrum.multiplicities * learned)
    q = jnp.sum(spectrum.multiplicities * learned**2)
    w = jnp.sum(spectrum.multiplicities * learned * unlearned)
    gap = jnp.abs(sizes.num_samples - sizes.num_features)
    averages = unlearned_averages(spectrum.multiplicities, unlearned, sizes.population_inverse)
    fraction = smaller_spare * sizes.features_inverse + jnp.where(sizes.ordered, sizes.imbalance, 0)
    return EffectiveRidges(
        gamma=gamma,
        kappa=gamma * fraction / averages[0],
        spare_samples=smaller_spare + jnp.where(sizes.ordered, 0, sizes.num_samples - sizes.num_features),
        spare_features=jnp.where(sizes.infinite, jnp.inf, smaller_spare + jnp.where(sizes.ordered, gap, 0)),
        spare_feature_fraction=fraction,
        z=z,
        q=q,
        w=w,
        unlearned_averages=averages,
        residual=residual,
        iterations=iterations,
    )


def effective_ridges(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    population: ArrayLike = jnp.inf,
) -> EffectiveRidges:
    """Solve the implicit equations n = Σ m L + δ/κ, k = Σ m L + kκ/γ.

    Source: Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646 (omniscient risk estimate of random-feature
    regression); the one-equation form is derived in this module's docstring. A finite ``population`` is the number of
    points that the spectrum belongs to, the sum of its multiplicities, of which n < M are drawn without replacement.

    Holds for any ridge >= 0, n = k, k = inf (kernel ridge regression) and any rank. Traceable and
    differentiable in all arguments; n and k may be real. Scalars only: use ``vmap`` for arrays. At ridge 0
    with rank <= min(n, k) there is no root, γ = 0, and only first derivatives hold. Arguments are not
    checked: see :func:`check_arguments` and :func:`solve_effective_ridges`.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, ridge, population)
    return _effective_ridges(spectrum, *scalars)


# Compiled here too: an eager while_loop would be compiled anew at every call.
@host_program
def _effective_ridges(
    spectrum: Spectrum, samples: Array, features: Array, ridge: Array, population: Array
) -> EffectiveRidges:
    sizes = sizes_of(samples, features, 1 / population)
    eigenvalues, multiplicities, _ = spectrum
    dtype = ridge.dtype
    positive_modes = rank(spectrum)
    rootless = (ridge == 0) & (positive_modes <= sizes.smaller)
    # A root exists for the stand-in ridge, so that no nan arises in the branch that is not taken.
    solved_ridge = jnp.where(rootless, 1, ridge)

    def value_and_slope(log_gamma: Array) -> tuple[Array, Array]:
        gamma = jnp.exp(log_gamma)
        learned = eigenvalues / (eigenvalues + gamma)
        weighted = multiplicities * learned
        z = jnp.sum(weighted)
        w = z - jnp.sum(weighted * learned)  # steers Newton only: cancellation does no harm
        unlearned = unlearned_share(z, sizes.population_inverse)
        ratio = solved_ridge * unlearned / gamma
        falling = solved_ridge * (unlearned - w * sizes.population_inverse) / gamma  # −dt/d log γ
        total = z + smaller_spare_of(ratio, sizes)
        slope = -(w + falling / root_term(ratio, sizes)) / total
        return jnp.log(total / sizes.smaller), slope

    tiny = float(jnp.finfo(dtype).tiny)
    trace = jnp.sum(multiplicities * eigenvalues)
    # At the upper end z <= m/4 and d <= m/2; at the lower end γ >= κ >= δ/n.
    upper = jnp.log(jnp.maximum(jnp.maximum(4 * trace / sizes.smaller, 8 * solved_ridge / samples), 2 * tiny))
    lower = jnp.log(jnp.maximum(solved_ridge / samples, tiny))
    root = decreasing_root(value_and_slope, lower, upper, upper)

    gamma = jnp.exp(root.position)
    learned, _ = learnabilities(jnp.asarray(eigenvalues), gamma)
    unlearned = unlearned_share(jnp.sum(multiplicities * learned), sizes.population_inverse)
    spare = smaller_spare_of(solved_ridge * unlearned / gamma, sizes)
    # Rootless: γ ≈ δ ⟨G⟩ k/(a b) for small δ, which gives γ = 0 with the right first derivative.
    full_spare = sizes.smaller - positive_modes
    full_fraction = jnp.where(sizes.infinite, 1, 1 - positive_modes * sizes.features_inverse)
    product = (samples - positive_modes) * full_fraction
    product = jnp.where(product > 0, product, 1)
    share = unlearned_share(positive_modes, sizes.population_inverse)
    rootless_gamma = jnp.where(full_spare > 0, ridge * share / product, 0)
    _, unlearned = learnabilities(jnp.asarray(eigenvalues), rootless_gamma)
    rootless_spare = full_spare + jnp.sum(jnp.where(eigenvalues > 0, multiplicities * unlearned, 0))
    return assemble(
        spectrum,
        sizes,
        jnp.where(rootless, rootless_gamma, gamma),
        jnp.where(rootless, rootless_spare, spare),
        jnp.where(rootless, 0, root.residual),
        root.iterations,
    )


def implicit_equation_residuals(
    spectrum: Spectrum,
    num_samples: float | int,
    num_features: float | int,
    ridge: float | int,
    solution: EffectiveRidges,
) -> tuple[float, float]:
    """Relative residuals of both implicit equations (1), evaluated in float64 by NumPy.

    At ridge 0 with γ = 0 the equations hold as limits and the residual is that of the spare counts.
    """
    eigenvalues, multiplicities, _ = (np.asarray(array, np.float64) for array in spectrum)
    gamma, kappa = float(solution.gamma), float(solution.kappa)
    learned = np.where(eigenvalues > 0, eigenvalues / np.maximum(eigenvalues + gamma, 1e-300), 0.0)
    z = float(np.sum(multiplicities * learned))
    # δ/κ and kκ/γ are 0/0 in the ridgeless limit; the spare counts carry their values.
    samples_term = ridge / kappa if ridge > 0 else float(solution.spare_samples)
    fraction = kappa / gamma if gamma > 0 else float(solution.spare_feature_fraction)
    features_residual = z / num_features + fraction - 1
    return (z + samples_term) / num_samples - 1, features_residual


def solve_effective_ridges(
    spectrum: Spectrum,
    num_samples: float | int,
    num_features: float | int,
    ridge: float | int,
    *,
    tolerance: float = 1e-10,
) -> EffectiveRidges:
    """Solve the implicit equations for concrete arguments, and verify them.

    Checks the arguments, solves with :func:`effective_ridges`, and evaluates both equations (1) anew in
    float64. In float32 the default tolerance is out of reach, and this says so instead of returning a number
    that is wrong in its fourth digit.

    Raises
    ------
    ValueError
        See :func:`check_arguments`.
    ResidualError
        Where a relative residual exceeds ``tolerance``.
    """
    spectrum = check_arguments(spectrum, num_samples, num_features, ridge)
    solution = effective_ridges(spectrum, num_samples, num_features, ridge)
    residuals = implicit_equation_residuals(spectrum, num_samples, num_features, ridge, solution)
    require_residual(np.asarray(residuals, solution.gamma.dtype), tolerance, "implicit equations of random features")
    return solution


def check_arguments(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    noise_variance: ArrayLike = 0.0,
) -> Spectrum:
    """Check concrete arguments and return the spectrum with rounding-level negative eigenvalues clipped.

    Scalars may also be arrays that are to be mapped over. Warns where n = k at ridge 0: the test error is
    infinite there.

    Raises
    ------
    ValueError
        Naming the argument, its value and what is allowed.
    """
    spectrum = validate_spectrum(spectrum)
    samples, features = np.asarray(num_samples, float), np.asarray(num_features, float)
    ridges, noise = np.asarray(ridge, float), np.asarray(noise_variance, float)
    if not np.all(samples > 0) or not np.all(np.isfinite(samples)):
        raise ValueError(
            f"num_samples = {num_samples} is not allowed: must be finite and above 0 (population_test_error "
            "gives the limit of infinitely many samples)"
        )
    if not np.all(features > 0):
        raise ValueError(f"num_features = {num_features} is not allowed: must be above 0 (or inf)")
    for name, value in (("ridge", ridges), ("noise_variance", noise)):
        if not np.all(value >= 0) or not np.all(np.isfinite(value)):
            raise ValueError(f"{name} = {value} is not allowed: must be finite and at least 0")
    if samples.ndim == features.ndim == ridges.ndim == 0 and samples == features and ridges == 0:
        warnings.warn(f"n = k = {samples:g} at ridge 0: the test error is infinite (interpolation peak)", stacklevel=2)
    return spectrum
