"""Two-layer linear networks f(x) = c aᵀWx on a quadratic loss: problems, scalings, draws, and the map of their moments.

The population loss is L = (1/2) rᵀΣr with r = cWᵀa - β*. Under gradient descent with one step size the second moments

    P = [[M, u], [uᵀ, q]],  M = WᵀW, u = Wᵀa, q = |a|²  (d + 1 by d + 1)

close at any width m and any step η: P' = A P A with A = I - η [[0, g], [gᵀ, 0]] and g = cΣr. Derived here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random

Scaling = Literal["ntk", "standard", "mup"]
ProblemName = Literal["spread", "opposing", "scalar", "harmonic"]

#: Variances of the inputs (the eigenvalues of Σ), and the direction of the target β* in its eigenvectors.
PROBLEMS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "spread": ((3.0, 1.5, 1.0, 0.5, 0.25), (1.0, 1.0, 1.0, 1.0, 1.0)),
    "opposing": ((1.0, 20.0), (1.0, 0.01)),
    "scalar": ((1.0,), (1.0,)),
    "harmonic": ((1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 5), (1.0, 1.0, 1.0, 1.0, 1.0)),
}
#: What the fields of that type are, in every setting that has them.
PROBLEM_HELP = "; ".join(
    (
        "spread: Σ = diag(3, 1.5, 1, .5, .25), β* = s(1, 1, 1, 1, 1)",
        "opposing: diag(1, 20), s(1, .01)",
        "scalar: d = 1, β* = s",
        "harmonic: diag(1, 1/2, ..., 1/5), s(1, 1, 1, 1, 1)",
    )
)
SCALING_HELP = "how the initial weights, the output and the step scale with the width"


class Problem(NamedTuple):
    """What is learned, and by which network.

    Attributes
    ----------
    variances
        Eigenvalues of Σ, ``[d]``.
    target
        β*, ``[d]``.
    output_scale
        c.
    rate_scale
        The step of the parameters over ``learning_rate``: the width in muP, else 1.
    stds
        Standard deviations of the initial entries of the d columns of W, and of a: ``[d + 1]``.
    """

    variances: Float[Array, " d"]
    target: Float[Array, " d"]
    output_scale: float
    rate_scale: float
    stds: Float[Array, " columns"]


def problem_of(
    name: ProblemName, scaling: Scaling, width: int, target_scale: ArrayLike, init_scale: ArrayLike
) -> Problem:
    """Build a problem: a spectrum with a target of ``PROBLEMS``, and the scaling of the network with its width m.

    | scaling | c | step | variance of W, of a |
    |---|---|---|---|
    | ntk | m^-1/2 | η | 1, 1 |
    | mup (mean field) | 1/m | mη | 1, 1 |
    | standard | 1 | η | 1/d, 1/m |
    """
    variances, direction = (np.array(values) for values in PROBLEMS[name])
    dim = len(variances)
    scale = {"ntk": width**-0.5, "mup": 1 / width, "standard": 1.0}[scaling]
    first, last = (dim**-0.5, width**-0.5) if scaling == "standard" else (1.0, 1.0)
    stds = jnp.asarray(init_scale) * jnp.asarray([first] * dim + [last], dtype=float)
    return Problem(
        jnp.asarray(variances, dtype=float),
        jnp.asarray(target_scale) * jnp.asarray(direction, dtype=float),
        scale,
        float(width) if scaling == "mup" else 1.0,
        stds,
    )


def dimension(name: ProblemName) -> int:
    """Input dimension d of a problem."""
    return len(PROBLEMS[name][0])


def kernel_edge(name: ProblemName, scaling: Scaling, width: int, init_scale: float = 1.0) -> float:
    """Largest eigenvalue of the initial kernel as m -> ∞, in units of the step: ``rate_scale`` c² m (s_w² + s_a²) λ."""
    variances = PROBLEMS[name][0]
    parts = (width / len(variances) + 1) if scaling == "standard" else 2.0
    return float(init_scale**2 * parts * max(variances))


def draw_weights(key: jax.Array, problem: Problem, width: int) -> tuple[Array, Array]:
    """Draw W, ``[m, d]``, and a, ``[m]``, from their Gaussian laws."""
    dim = problem.variances.shape[0]
    first_key, last_key = random.split(key)
    first = problem.stds[None, :dim] * random.normal(first_key, width, dim)
    return first, problem.stds[dim] * random.normal(last_key, width)


def draw_gram(key: jax.Array, problem: Problem, width: int) -> Float[Array, "columns columns"]:
    """Draw P by its own law, at a cost that does not depend on the width: a Wishart matrix of m degrees of freedom.

    Bartlett's factor: chi-square numbers of m, m - 1, ... degrees on the diagonal, normal numbers below it. For
    m <= d + 1 the weights are drawn instead.
    """
    columns = problem.stds.shape[0]
    if width <= columns:
        return gram_of(*draw_weights(key, problem, width))
    normal_key, square_key = random.split(key)
    degrees = float(width) - jnp.arange(columns, dtype=float)
    squares = random.chi_square(square_key, degrees, 1, minimum_degrees=2)[0]
    factor = jnp.tril(random.normal(normal_key, columns, columns), -1) + jnp.diag(jnp.sqrt(squares))
    factor = problem.stds[:, None] * factor
    return factor @ factor.T


def mean_gram(problem: Problem, width: float) -> Float[Array, "columns columns"]:
    """E P: the start of an infinitely wide network, m diag(s_w², ..., s_w², s_a²)."""
    return jnp.diag(width * problem.stds**2)


def gram_of(first: Float[Array, "m d"], last: Float[Array, " m"]) -> Float[Array, "columns columns"]:
    """P of given weights."""
    rows = jnp.concatenate([first, last[:, None]], axis=1)
    return rows.T @ rows


# --- the map ----------------------------------------------------------------------------------------------------------


def residual_gradient(gram: Float[Array, "columns columns"], problem: Problem) -> tuple[Array, Array]:
    """r = cu - β* and g = cΣr."""
    residual = problem.output_scale * gram[:-1, -1] - problem.target
    return residual, problem.output_scale * problem.variances * residual


def loss_of(gram: Float[Array, "columns columns"], problem: Problem) -> Array:
    """L = (1/2) rᵀΣr."""
    residual, _ = residual_gradient(gram, problem)
    return jnp.sum(problem.variances * residual**2) / 2


def gram_step(gram: Float[Array, "columns columns"], problem: Problem, learning_rate: ArrayLike) -> Array:
    """One step of gradient descent, P' = A P A, symmetrised. The congruence keeps P positive semidefinite."""
    _, gradient = residual_gradient(gram, problem)
    pull = learning_rate * problem.rate_scale * gradient
    # A = I - [[0, pull], [pullᵀ, 0]] twice: two rank-one updates each, in place of products of matrices.
    left = gram - jnp.concatenate([pull[:, None] * gram[-1:], pull[None] @ gram[:-1]])
    moved = left - jnp.concatenate([left[:, -1:] * pull[None], left[:, :-1] @ pull[:, None]], axis=1)
    return (moved + moved.T) / 2


# --- curvature --------------------------------------------------------------------------------------------------------


def few_neurons(gram: Float[Array, "columns columns"], count: int) -> tuple[Array, Array]:
    """A network of ``count`` neurons with moments P: rows √λ v of its largest eigenpairs."""
    values, vectors = jnp.linalg.eigh(gram)
    rows = (jnp.sqrt(jnp.maximum(values, 0.0))[None] * vectors).T[::-1][:count]
    return rows[:, :-1], rows[:, -1]


def hessian(first: Float[Array, "n d"], last: Float[Array, " n"], problem: Problem) -> Float[Array, "p p"]:
    """The Hessian of L in all parameters of a small network, in closed form; p = n(d + 1), neuron by neuron.

    JᵀΣJ with J = dβ/dθ = c(a ⊗ I, Wᵀ), and g on the mixed derivatives of a neuron's two weights.
    """
    n, dim = first.shape
    residual = problem.output_scale * (first.T @ last) - problem.target
    gradient = problem.output_scale * problem.variances * residual
    by_first = last[:, None, None] * jnp.eye(dim)[None]
    jacobian = problem.output_scale * jnp.concatenate([by_first, first[:, None]], axis=1).reshape(n * (dim + 1), dim)
    mixed = jnp.zeros((dim + 1, dim + 1)).at[:-1, -1].set(gradient).at[-1, :-1].set(gradient)
    return (jacobian * problem.variances[None]) @ jacobian.T + jnp.kron(jnp.eye(n), mixed)


def hessian_spectrum(
    gram: Float[Array, "columns columns"], problem: Problem, width: int, neurons: int | None = None
) -> tuple[Array, Array, int]:
    """All eigenvalues of the parameters' Hessian at width m, from P alone.

    Those of a network of min(m, d + 1) neurons with the same moments, and beyond d + 1 neurons ±c|Σr|, each
    m - d - 1 times, and 0, (d - 1)(m - d - 1) times. Derived here: a neuron orthogonal to the weights sees the mixed
    derivative alone. ``neurons`` is for a control.

    Returns
    -------
    reduced, bulk, copies
        Eigenvalues of the small network in ascending order, c|Σr|, and how often ±c|Σr| each occur besides.
    """
    columns = gram.shape[0]
    small = few_neurons(gram, min(width, columns) if neurons is None else neurons)
    _, gradient = residual_gradient(gram, problem)
    return jnp.linalg.eigvalsh(hessian(*small, problem)), jnp.linalg.norm(gradient), max(width - columns, 0)


def sharpness_of(reduced: Array, bulk: Array, copies: int, problem: Problem) -> Array:
    """Largest eigenvalue of a :func:`hessian_spectrum` times the step's scale: 2/η where descent is at its edge."""
    return problem.rate_scale * (jnp.maximum(reduced[-1], bulk) if copies else reduced[-1])


def kernel_top(gram: Float[Array, "columns columns"], problem: Problem) -> Array:
    """Largest eigenvalue of the kernel Σ^1/2 c²(M + qI) Σ^1/2, times the step's scale."""
    root = jnp.sqrt(problem.variances)
    kernel = root[:, None] * (gram[:-1, :-1] + gram[-1, -1] * jnp.eye(root.shape[0])) * root[None]
    return problem.rate_scale * problem.output_scale**2 * jnp.linalg.eigvalsh(kernel)[-1]


def logarithmic_rates(lowest: ArrayLike, highest: ArrayLike, count: int) -> Array:
    """``count`` steps, evenly spaced on a logarithmic axis, both ends among them; traceable in the ends."""
    low, high = jnp.log(jnp.asarray(lowest)), jnp.log(jnp.asarray(highest))
    return jnp.exp(low + (high - low) * jnp.arange(count) / max(count - 1, 1))
