"""Training points drawn without replacement from the M points that the eigensystem belongs to.

A data set of M points is all there is; n of them, each at most once, are trained on, and the others tested on. Let K be
the kernel matrix of all M, P the selection of n rows, and noisy labels y of power v² on K's eigenvectors. For
eigenvectors in general position (Haar) free compression gives a deterministic equivalent as n, M -> inf at any n/M:

    Pᵀ (P K Pᵀ + δ)⁻¹ P  ~  (K + g)⁻¹,    n − z = δ (M − z)/g,    z = tr K (K + g)⁻¹.                    (16)

Derivation. Compression to a share t = n/M of the dimensions multiplies the argument of the R-transform by t. At −g the
Stieltjes transform of K is (z − M)/(Mg). Hence at the ridge δ = g (n − z)/(M − z) the selected block has the trace
tr (P K Pᵀ + δ)⁻¹ = (M − z)/g, and subordination gives (16). In units of K/M, with γ = g/M and G = γ/(λ + γ): for points
drawn with replacement n = z + δ/γ, and here that ridge is multiplied by the mean over the modes, ⟨G⟩ = 1 − z/M.

Squares of the resolvent follow as derivatives. With L = 1 − G, q = Σ L², r = δ/g = (n − z)/(M − z) and
D = n − q − r (z − q), let Q = Pᵀ (P K Pᵀ + δ)⁻¹ P be the left side of (16). Then

    along K + tK²:  Q K² Q ~ (K + g)⁻¹ (K² + g') (K + g)⁻¹,            g' = g² (1 − r) q/D,
    along δ:        Pᵀ (P K Pᵀ + δ)⁻² P ~ (dg/dδ) (K + g)⁻²,           dg/dδ = (M − z)/D.

The first gives the risk on all M points, the second the train error. With labels that are noisy everywhere, which is
power σ²/M on every mode, their difference leaves on the points held out

    test = n/D · M/(M − z) · Σ (v² + σ²/M) G²,      train = ((n − z)/n)² test.                          (17)

So the fitting ratio, and generalised cross-validation with it, are as for new points of a distribution. A finite number
k of features makes K a random matrix: z and the first order stay, and with b = k − z, w = z − q, s = b/(b + w), the
second order has z − s w for q and G (1 − s L) for G².

Written with averages over the M modes, w̃ = w ⟨G⟩/⟨G²⟩ and sums Σ v²G²/⟨G²⟩, Σ v²G/⟨G⟩, all of it is once more
equation (3') of points drawn with replacement: M -> inf is that formula, where the averages are 1.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike


def unlearned_share(z: Array, population_inverse: ArrayLike) -> Array:
    """⟨G⟩ = 1 − z/M, what multiplies the ridge in equation (16): 1 for a distribution, 1/M = 0."""
    return 1 - z * population_inverse


def unlearned_averages(
    multiplicities: ArrayLike, unlearned: Array, population_inverse: ArrayLike
) -> tuple[Array, Array]:
    """⟨G⟩ and ⟨G²⟩ from G of each level, also where nearly all is learned and 1 − z/M would be rounding.

    That is so at the most negative ridges, where γ goes to 0. With 1/M = 0 both are 1; levels that a spectrum of M
    points lacks count as not learned.
    """
    lacking = 1 - jnp.sum(jnp.asarray(multiplicities)) * population_inverse
    lacking = jnp.where(lacking > 8 * jnp.finfo(unlearned.dtype).eps, lacking, 0)
    first, second = (jnp.sum(multiplicities * unlearned**power) * population_inverse for power in (1, 2))
    return lacking + first, lacking + second


def held_out_sums(
    w: Array, unlearned: Array, mixed: Array, averages: tuple[Array, Array], population_inverse: ArrayLike
) -> tuple[Array, Array, Array]:
    """Return w, Σ v²G², Σ v²LG as the errors on points held out of M have them; unchanged where 1/M = 0.

        w ⟨G⟩/⟨G²⟩,    Σ v²G²/⟨G²⟩,    Σ v²G/⟨G⟩ − Σ v²G²/⟨G²⟩

    with the averages ⟨G⟩ and ⟨G²⟩. The last may be negative; the sum of the last two is not.
    """
    first, second = averages
    # Σ v²G = Σ v²G² + Σ v²LG, without the difference of nearly equal terms.
    shift = unlearned * w * population_inverse / (first * second)
    return w * first / second, unlearned / second, mixed / first - shift
