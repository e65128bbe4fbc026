"""The ridge path: one matrix decomposition of an instance, from which every ridge is solved cheaply."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.kernels.problem import Problem


class Decomposition(NamedTuple):
    """Everything of an instance that does not depend on the ridge.

    With r = min(samples, features) modes (r = samples for a kernel). Eigenvalues are those of the kernel
    matrix K̂ = Φ Φᵀ; ``test_modes`` are scaled so that the prediction is
    ``test_modes @ (label_modes / (eigenvalues + ridge))``.

    Attributes
    ----------
    eigenvalues
        The r leading eigenvalues of K̂, zero where not distinguishable from zero.
    test_modes
        The test matrix in the basis of the decomposition, ``[points, modes]``, zero at zero eigenvalues.
    label_modes
        Labels in the basis of the eigenvectors of K̂, ``[modes, outputs]``.
    unreachable
        Squared norm of each output's labels outside the span of the r modes (zero unless samples > features).
    test_targets, test_weight, noise_variance
        As in :class:`Problem`.
    num_unreachable
        Dimension of that space: samples - r.
    """

    eigenvalues: Float[Array, " modes"]
    test_modes: Float[Array, "points modes"]
    label_modes: Float[Array, "modes outputs"]
    unreachable: Float[Array, " outputs"]
    test_targets: Float[Array, "points outputs"]
    test_weight: Float[Array, ""]
    noise_variance: Float[Array, ""]
    num_unreachable: Float[Array, ""]

    def outputs(self, chosen: slice) -> Decomposition:
        """Keep some of the labels' outputs."""
        return self._replace(label_modes=self.label_modes[:, chosen], unreachable=self.unreachable[chosen])


class Fit(NamedTuple):
    """Ridge regression at one ridge: predictions at the test points, and its errors."""

    prediction: Float[Array, "points outputs"]
    test_error: Float[Array, ""]
    train_error: Float[Array, ""]
    gcv: Float[Array, ""]
    inverse_trace: Float[Array, ""]


def ridge_path(problem: Problem, *, kernel: bool = False) -> Decomposition:
    """Decompose an instance once, for all ridges.

    Features use the thin singular value decomposition Φ = U S Vᵀ: forming the smaller Gram matrix would
    square the condition number and lose every ridge below about 1e-10 |K̂|. A kernel matrix (``kernel=True``)
    uses its eigendecomposition. Singular values below max(samples, features) · eps · s_max, and eigenvalues
    of a kernel below samples · eps · λ_max, are set to zero, so that ridge 0 is the minimum-norm solution.
    """
    train, labels = problem.train, problem.labels
    num_samples = labels.shape[0]
    epsilon = jnp.finfo(train.dtype).eps
    if kernel:
        eigenvalues, left = jnp.linalg.eigh(train)
        keep = eigenvalues > num_samples * epsilon * eigenvalues[-1]
        eigenvalues = jnp.where(keep, eigenvalues, 0)
        test_modes = problem.test @ jnp.where(keep[None, :], left, 0)
    else:
        left, singular_values, right = jnp.linalg.svd(train, full_matrices=False)
        keep = singular_values > max(train.shape) * epsilon * singular_values[0]
        singular_values = jnp.where(keep, singular_values, 0)
        eigenvalues = singular_values**2
        test_modes = problem.test @ (right.T * singular_values[None, :])
    label_modes = left.T @ labels
    num_unreachable = num_samples - eigenvalues.shape[0]
    # Exactly zero, rather than rounding error, when the modes span all labels.
    outside = (labels - left @ label_modes) ** 2 if num_unreachable else jnp.zeros_like(labels)
    return Decomposition(
        eigenvalues,
        test_modes,
        label_modes,
        jnp.sum(outside, axis=0),
        problem.test_targets,
        problem.test_weight,
        problem.noise_variance,
        jnp.full((), num_unreachable, labels.dtype),
    )


def solve(decomposition: Decomposition, ridge: ArrayLike) -> Fit:
    """Solve at one ridge δ ≥ 0, which may be traced; δ = 0 is the limit δ → 0+.

    With eigenvalues s_i of K̂ and c = Uᵀy: prediction Σ_i t_i c_i / (s_i + δ),

    train error (1/n) |y - f(X)|² = (1/n) Σ_i (δ c_i / (s_i + δ))²,
    generalised cross-validation = train error / ((δ/n) tr(K̂ + δI)⁻¹)²,
    inverse trace = 1 / tr(K̂ + δI)⁻¹.

    The second is 0/0 at δ = 0 when K̂ is invertible; both its parts are therefore divided by the largest
    of the weights δ/(s_i + δ), which leaves n Σ (c_i/s_i)² / (Σ 1/s_i)² in that limit. At δ = 0 the inverse
    trace of a singular K̂ is 0.
    """
    s = decomposition.eigenvalues
    c2 = jnp.sum(decomposition.label_modes**2, axis=1)
    ridge = jnp.asarray(ridge, s.dtype)
    unreachable, num_unreachable = jnp.sum(decomposition.unreachable), decomposition.num_unreachable
    num_samples = s.shape[0] + num_unreachable

    positive, safe, inverse = _inverse(s, ridge)
    prediction = decomposition.test_modes @ (inverse[:, None] * decomposition.label_modes)
    error = jnp.sum((decomposition.test_targets - prediction) ** 2)
    test_error = decomposition.test_weight * error + decomposition.noise_variance

    weights = jnp.where(positive, ridge / safe, 1)
    train_error = (unreachable + jnp.sum(weights**2 * c2)) / num_samples

    # Weights relative to the largest: 1 outside the span of the modes, if there is an outside.
    largest = jnp.where(num_unreachable > 0, ridge, jnp.min(s) + ridge)
    relative = jnp.where(positive, largest / safe, 1)
    residual = (unreachable + jnp.sum(relative**2 * c2)) / num_samples
    relative_trace = num_unreachable + jnp.sum(relative)
    gcv = residual / (relative_trace / num_samples) ** 2
    return Fit(prediction, test_error, train_error, gcv, largest / relative_trace)


def learned_parts(
    decomposition: Decomposition, projections: Float[Array, "points outputs"], ridge: ArrayLike
) -> Float[Array, " outputs"]:
    """Project the prediction of each output on a function of its own: ``projections[:, i] @ prediction[:, i]``."""
    _, _, inverse = _inverse(decomposition.eigenvalues, ridge)
    weights = (projections.T @ decomposition.test_modes).T * decomposition.label_modes
    return inverse @ weights


def _inverse(eigenvalues: Array, ridge: ArrayLike) -> tuple[Array, Array, Array]:
    """Return where s + δ > 0, that with 1 elsewhere, and 1/(s + δ) on the modes with s > 0."""
    total = eigenvalues + ridge
    positive = total > 0
    safe = jnp.where(positive, total, 1)
    return positive, safe, jnp.where(eigenvalues > 0, 1 / safe, 0)
