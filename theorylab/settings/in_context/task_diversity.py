"""Pre-training on few tasks: memorisation of the pool against generalisation to fresh tasks."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.in_context.linear_attention.theory.risk import Regression, optimal_preconditioner, risk


class DiversityErrors(NamedTuple):
    """Total errors (with label noise): on fresh tasks ("ICL") and on the pre-training tasks ("IDG")."""

    fresh: Array
    pool: Array


def finite_pool_errors(
    tasks: Float[Array, "tasks dim"], problem: Regression, context_length: ArrayLike
) -> DiversityErrors:
    """Errors after infinitely many prompts on the fixed pool {±w_k}; exact for any d, n and K.

    The optimum is that of the pool's second moment, P_K = ((n+1) Σ_K Λ + s_K I)⁻¹ Σ_K; its risk with Σ_K is the error
    on the pool, with the prior's Σ_w (in ``problem``) the error on fresh tasks. Needs the pool's symmetry under signs.
    """
    pool = problem._replace(task_second_moment=pool_second_moment(tasks))
    preconditioner = optimal_preconditioner(pool, context_length)
    return DiversityErrors(risk(preconditioner, problem, context_length), risk(preconditioner, pool, context_length))


def pretraining_errors(
    context_ratio: float | int, task_ratio: float | int, prompt_ratio: float | int, noise_variance: ArrayLike
) -> DiversityErrors:
    """Errors of a reduced layer fitted without ridge to finitely many prompts on finitely many tasks, as d -> ∞.

    Lu, Letey, Zavatone-Veth, Maiti and Pehlevan 2024 (arXiv 2405.11751): x ~ N(0, I/d), |w|² = d, α = n/d, κ = K/d,
    τ = prompts/d²; interpolation threshold (double descent) at τ = 1. With
    M_k(z) = 2/[(z+1-1/k) + sqrt((z+1-1/k)² + 4z/k)], x = (1+ρ)/α, M = M_κ(x), μ = x M_{κ/τ}(x):

    τ > 1: k* = 1/(1 - κ (M/(κ+M))²),
      fresh = (k* - 1/(τ-1)) (1+x) (xM)² + ((3-2τ)/(τ-1)) M x² + [((1+ρ)/(τ-1)) M + 1] x + ρM/(τ-1) + ρ,
      pool  = τ (ρ + x (1 - xM))/(τ-1).
    τ < 1: fresh = τ(1+x)/(1-τ) [1 - τ(1-μ)² - ((x-ρ)/x) μ] - 2τ(1-μ) + 1 + ρ, and with ξ = (1-τ)x/(τμ),
      q = 1/(1 - κ/(1 + κξ/(1-τ))²): pool = τ [(x+ξ)²/ξ + (ρ + x - 2x(1-τ)(x/ξ+1))/(1-τ-q(1-τ)²)].

    Deviations at finite d are about 1/d; the branch τ < 1 is the less tested one.

    Raises
    ------
    ValueError
        If a ratio is not positive, the noise negative, or ``prompt_ratio`` is 1, where both errors are infinite.
    """
    alpha, kappa, tau, rho = context_ratio, task_ratio, prompt_ratio, noise_variance
    for name, value in (("context_ratio", alpha), ("task_ratio", kappa), ("prompt_ratio", tau)):
        if not value > 0:
            raise ValueError(f"{name} = {value!r} is not allowed: must be > 0")
    if isinstance(rho, (int, float)) and rho < 0:
        raise ValueError(f"noise_variance = {rho!r} is not allowed: must be >= 0")
    if tau == 1:
        raise ValueError("prompt_ratio = 1 is not allowed: the errors are infinite at the interpolation threshold")
    x = jnp.asarray((1 + rho) / alpha)

    def resolvent(k: float | int) -> Array:
        half = x + 1 - 1 / k
        return jnp.asarray(2 / (half + jnp.sqrt(half**2 + 4 * x / k)))

    m = resolvent(kappa)
    if tau > 1:
        k_star = 1 / (1 - kappa * (m / (kappa + m)) ** 2)
        fresh = (
            (k_star - 1 / (tau - 1)) * (1 + x) * (x * m) ** 2
            + (3 - 2 * tau) / (tau - 1) * m * x**2
            + ((1 + rho) / (tau - 1) * m + 1) * x
            + rho * m / (tau - 1)
            + rho
        )
        return DiversityErrors(jnp.asarray(fresh), jnp.asarray(tau * (rho + x * (1 - x * m)) / (tau - 1)))
    mu = x * resolvent(kappa / tau)
    bracket = 1 - tau * (1 - mu) ** 2 - (x - rho) / x * mu
    fresh = tau * (1 + x) / (1 - tau) * bracket - 2 * tau * (1 - mu) + 1 + rho
    xi = (1 - tau) * x / (tau * mu)
    q = 1 / (1 - kappa / (1 + kappa * xi / (1 - tau)) ** 2)
    rest = (rho + x - 2 * x * (1 - tau) * (x / xi + 1)) / (1 - tau - q * (1 - tau) ** 2)
    return DiversityErrors(jnp.asarray(fresh), jnp.asarray(tau * ((x + xi) ** 2 / xi + rest)))


def infinite_prompts_errors(
    context_ratio: float | int, task_ratio: float | int, noise_variance: ArrayLike
) -> DiversityErrors:
    """Limit τ -> ∞ of :func:`pretraining_errors`: infinitely many prompts on K = κ d tasks."""
    return pretraining_errors(context_ratio, task_ratio, 1e7, noise_variance)
