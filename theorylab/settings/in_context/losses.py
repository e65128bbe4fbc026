"""Exact losses and minimisers of one layer of linear attention on random linear regressions.

Conventions, everywhere in this family: the loss is E[(ŷ - y_q)²] without a factor 1/2, on a noisy target (it
includes the noise variance); contexts are summed, ŷ = x_qᵀ P b with b = sum_i x_i y_i. A layer that averages over
n context tokens is the same layer with P/n in place of P.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.in_context.layer import EffectiveLayer
from theorylab.settings.in_context.prompts import Law


class Regression(NamedTuple):
    """A distribution of linear regressions: x ~ N(0, Λ), y = w·x + ε, E[w wᵀ] = Σ_w, Var ε = σ².

    Attributes
    ----------
    covariate_covariance, task_second_moment
        Λ and Σ_w, symmetric and positive semi-definite; Σ_w may be singular (few or fixed tasks).
    noise_variance
        σ² of the labels, context and query alike.
    """

    covariate_covariance: Float[Array, "dim dim"]
    task_second_moment: Float[Array, "dim dim"]
    noise_variance: ArrayLike


def isotropic(dim: int, noise_variance: ArrayLike, task_variance: ArrayLike = 1.0) -> Regression:
    """Standard normal covariates and tasks w ~ N(0, task_variance I)."""
    return Regression(jnp.eye(dim), jnp.asarray(task_variance) * jnp.eye(dim), noise_variance)


def signal_power(problem: Regression) -> Float[Array, ""]:
    """t = tr(Λ Σ_w) = E[(w·x)²]; the labels have power s = t + σ²."""
    return jnp.sum(problem.covariate_covariance * problem.task_second_moment)


def second_moment(problem: Regression, context_length: ArrayLike) -> Float[Array, "dim dim"]:
    """B_n = E[b bᵀ] = n (n + 1) Λ Σ_w Λ + n s Λ for b = sum_i x_i y_i (Gaussian covariates; Isserlis)."""
    cov, tasks = problem.covariate_covariance, problem.task_second_moment
    power = signal_power(problem) + problem.noise_variance
    n = jnp.asarray(context_length)
    return n * (n + 1) * (cov @ tasks @ cov) + n * power * cov


def risk(
    preconditioner: Float[Array, "dim dim"],
    problem: Regression,
    context_length: ArrayLike,
    query_covariance: Float[Array, "dim dim"] | None = None,
) -> Float[Array, ""]:
    """Risk of ŷ = x_qᵀ P b for any P on any test distribution.

    R(P) = tr(Λ_q Σ_w) - 2 m tr(Λ_q P Λ Σ_w) + tr(Pᵀ Λ_q P B_m) + σ², with m, Λ, Λ_q, Σ_w and σ² those of the test:
    covers shifts of context length, covariates, queries, tasks and noise. Gaussian covariates; follows from
    :func:`second_moment`; reduces to Zhang, Frei and Bartlett 2023 (arXiv 2306.09927) without noise at Σ_w = I.
    """
    cov, tasks = problem.covariate_covariance, problem.task_second_moment
    query = cov if query_covariance is None else query_covariance
    cross = jnp.trace(query @ preconditioner @ cov @ tasks)
    quadratic = jnp.sum((query @ preconditioner) * (preconditioner @ second_moment(problem, context_length)))
    return jnp.trace(query @ tasks) - 2 * context_length * cross + quadratic + problem.noise_variance


def label_power_second_moment(problem: Regression) -> Float[Array, ""]:
    """E[(wᵀΛw + σ²)²] = t² + 2 tr((Λ Σ_w)²) + 2 σ² t + σ⁴ for Gaussian tasks of mean zero."""
    product = problem.covariate_covariance @ problem.task_second_moment
    t, noise = jnp.trace(product), problem.noise_variance
    return t**2 + 2 * jnp.sum(product * product.T) + 2 * noise * t + noise**2


def pool_second_moment(tasks: Float[Array, "tasks dim"]) -> Float[Array, "dim dim"]:
    """Σ_K = (1/K) sum_k w_k w_kᵀ, the second moment of a pool."""
    return tasks.T @ tasks / tasks.shape[0]


def pool_label_power_second_moment(tasks: Float[Array, "tasks dim"], problem: Regression) -> Float[Array, ""]:
    """E[(wᵀΛw + σ²)²] over a pool, which the exact loss of a whole layer needs."""
    power = jnp.sum((tasks @ problem.covariate_covariance) * tasks, axis=1) + problem.noise_variance
    return jnp.mean(power**2)


class LossTerms(NamedTuple):
    """The terms of :func:`population_loss`; their sum is the loss."""

    reduced: Float[Array, ""]
    even_squared: Float[Array, ""]
    cross: Float[Array, ""]
    label_power: Float[Array, ""]


def population_loss_terms(
    readout: Float[Array, " token"],
    attention: Float[Array, "token dim"],
    problem: Regression,
    context_length: ArrayLike,
    power_second_moment: ArrayLike | None = None,
) -> LossTerms:
    """Exact loss of the whole layer ŷ = uᵀ G M x_q, G = sum_i v_i v_iᵀ, v_i = (x_i, y_i), in four terms.

    With u = (u_x, u_y), M = (A; cᵀ), P = u_y Aᵀ + c u_xᵀ (A is dim x dim), K = A Λ Aᵀ, q = E[(wᵀΛw + σ²)²]:

    L = R(P) + u_xᵀ [n(n+1) Λ K Λ + n tr(Λ K) Λ] u_x
        + 2 u_y u_xᵀ [n² s Λ + 2n Λ Σ_w Λ] A Λ c + u_y² n(n+2) q cᵀ Λ c.

    The last three terms are the power of the part of the prediction that is even in the labels; it is
    uncorrelated with the target and can only hurt. Derived here by Isserlis' theorem.

    Parameters
    ----------
    power_second_moment
        q; default: that of Gaussian tasks. Tasks need a law symmetric under w -> -w, covariates be Gaussian.
    """
    n, cov = context_length, problem.covariate_covariance
    dim = cov.shape[0]
    u_x, u_y, a, c = readout[:dim], readout[dim], attention[:dim], attention[dim]
    if power_second_moment is None:
        power_second_moment = label_power_second_moment(problem)
    power = signal_power(problem) + problem.noise_variance
    preconditioner = u_y * a.T + jnp.outer(c, u_x)
    cov_u, cov_c = cov @ u_x, cov @ c
    a_u = a.T @ cov_u  # Aᵀ Λ u_x
    a_cov = a @ cov
    even = n * (n + 1) * a_u @ cov @ a_u + n * jnp.sum((cov @ a_cov) * a) * (u_x @ cov_u)
    left = n**2 * power * cov_u + 2 * n * cov @ (problem.task_second_moment @ cov_u)
    cross = 2 * u_y * left @ (a @ cov_c)
    labels = u_y**2 * n * (n + 2) * power_second_moment * (c @ cov_c)
    return LossTerms(risk(preconditioner, problem, n), jnp.asarray(even), jnp.asarray(cross), jnp.asarray(labels))


def population_loss(
    readout: Float[Array, " token"],
    attention: Float[Array, "token dim"],
    problem: Regression,
    context_length: ArrayLike,
    power_second_moment: ArrayLike | None = None,
) -> Float[Array, ""]:
    """Exact loss of the whole layer: the sum of :func:`population_loss_terms`, whose docstring has the equation."""
    return sum(population_loss_terms(readout, attention, problem, context_length, power_second_moment), jnp.zeros(()))


def optimal_preconditioner(problem: Regression, context_length: ArrayLike) -> Float[Array, "dim dim"]:
    """P* = [(n+1) Λ + s Σ_w⁻¹]⁻¹ = ((n+1) Σ_w Λ + s I)⁻¹ Σ_w: the layer's global minimiser.

    One step of preconditioned gradient descent from zero. Mahankali, Hashimoto and Ma 2023 (arXiv 2307.03576) for
    Σ_w = I and Σ_w = Λ⁻¹; the limit Σ_w = I, σ = 0 is Zhang, Frei and Bartlett's Γ⁻¹/n. Valid for singular Σ_w;
    as a function it is the only minimiser when dim >= 2.
    """
    cov, tasks = problem.covariate_covariance, problem.task_second_moment
    power = signal_power(problem) + problem.noise_variance
    return jnp.linalg.solve((context_length + 1) * tasks @ cov + power * jnp.eye(cov.shape[0], dtype=cov.dtype), tasks)


def minimum_loss(problem: Regression, context_length: ArrayLike) -> Float[Array, ""]:
    """L_min = t - n tr(Λ P* Λ Σ_w) + σ², the smallest loss of one layer; see :func:`optimal_preconditioner`."""
    cov = problem.covariate_covariance
    gain = jnp.trace(cov @ optimal_preconditioner(problem, context_length) @ cov @ problem.task_second_moment)
    return signal_power(problem) - context_length * gain + problem.noise_variance


def random_length_preconditioner(problem: Regression, mean_inverse_length: ArrayLike) -> Float[Array, "dim dim"]:
    """Optimal P of a layer that averages over a context of random length m: [(1+k) Λ + k s Σ_w⁻¹]⁻¹, k = E[1/m].

    Mean convention, ŷ = x_qᵀ P b/m. Not 1/E[m] in place of E[1/m].
    """
    k, cov, tasks = mean_inverse_length, problem.covariate_covariance, problem.task_second_moment
    power = signal_power(problem) + problem.noise_variance
    return jnp.linalg.solve((1 + k) * tasks @ cov + k * power * jnp.eye(cov.shape[0], dtype=cov.dtype), tasks)


# --- of a law of prompts ----------------------------------------------------------------------------------------


def prior(law: Law) -> Regression:
    """The regression problem of fresh tasks (linear targets)."""
    return Regression(jnp.diag(law.covariances), jnp.diag(law.task_variances), law.noise_variance)


def training_problem(law: Law) -> Regression:
    """The regression problem of the prompts: of the pool where there is one, else of fresh tasks."""
    problem = prior(law)
    return problem if law.pool is None else problem._replace(task_second_moment=pool_second_moment(law.pool))


def has_exact_loss(law: Law) -> bool:
    """Whether :func:`exact_loss` describes a law of prompts: Gaussian covariates and linear targets."""
    return law.covariates == "gaussian" and law.target == "linear"


def exact_loss(law: Law, context_length: int) -> Callable[[EffectiveLayer], Array]:
    """The population loss on prompts of a law (Gaussian covariates, linear targets) as a function of the layer."""
    problem = training_problem(law)
    power = (
        label_power_second_moment(problem) if law.pool is None else pool_label_power_second_moment(law.pool, problem)
    )
    return lambda layer: population_loss(layer.readout, layer.attention, problem, context_length, power)


def query_averaged(
    weights: Float[Array, "prompts dim"], tasks: Float[Array, "prompts dim"], law: Law
) -> Float[Array, ""]:
    """Mean over prompts of (ŵ - w)ᵀ Λ (ŵ - w) + σ²: the squared error averaged over the query and its noise."""
    return jnp.mean((weights - tasks) ** 2 @ law.covariances) + law.noise_variance
