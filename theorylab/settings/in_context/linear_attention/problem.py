"""The optimal layer of a law of prompts, of whichever kind: its preconditioner and its loss."""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.in_context import losses
from theorylab.settings.in_context.linear_attention.theory import isotropic, nonlinear
from theorylab.settings.in_context.prompts import Law

#: Kurtosis of one coordinate of the covariates.
KURTOSIS = {"gaussian": 3.0, "uniform": 1.8}


def target_moments(law: Law) -> nonlinear.TargetMoments:
    """Moments of a nonlinear target; a random ReLU network has those of a single ReLU."""
    if law.target == "hermite":
        return nonlinear.hermite_moments(law.link, law.covariances.shape[0])
    link = "relu" if law.target == "network" else law.target
    return nonlinear.single_index_moments(link, law.covariances.shape[0])


def best_preconditioner(law: Law, context_length: int) -> Float[Array, "dim dim"]:
    """P* of a law of prompts: the optimal layer is ŷ = x_qᵀ P* b."""
    n, dim, noise = context_length, law.covariances.shape[0], law.noise_variance
    if law.target != "linear":
        return jnp.asarray(nonlinear.nonlinear_learning_rate(target_moments(law), n, noise) * jnp.eye(dim))
    if law.covariates == "uniform":
        rate = isotropic.independent_coordinates_learning_rate(n, dim, noise, law.covariances[0], KURTOSIS["uniform"])
        return jnp.asarray(rate * jnp.eye(dim))
    return losses.optimal_preconditioner(losses.training_problem(law), n)


def best_loss(law: Law, context_length: int) -> ArrayLike:
    """L_min of a law of prompts."""
    n, dim, noise = context_length, law.covariances.shape[0], law.noise_variance
    if law.target != "linear":
        return nonlinear.nonlinear_minimum_loss(target_moments(law), dim, n, noise)
    if law.covariates == "uniform":
        return isotropic.independent_coordinates_minimum_loss(n, dim, noise, law.covariances[0], KURTOSIS["uniform"])
    return losses.minimum_loss(losses.training_problem(law), n)


def context_length_risks(
    law: Law, context_length: int, test_lengths: tuple[int, ...], *, mean: bool
) -> Float[Array, " lengths"]:
    """Losses at other context lengths of the layer that is optimal at ``context_length``.

    ``mean`` says that the layer averages over its context. Gaussian covariates; with nonlinear targets ``mean`` only.
    """
    n, dim, noise = context_length, law.covariances.shape[0], law.noise_variance
    if law.target != "linear":
        moments = target_moments(law)
        risks = [nonlinear.nonlinear_context_length_risk(moments, dim, m, n, noise) for m in test_lengths]
        return jnp.stack([jnp.asarray(risk) for risk in risks])
    problem, best = losses.prior(law), best_preconditioner(law, n)
    return jnp.stack([losses.risk(best * (n / m if mean else 1.0), problem, m) for m in test_lengths])
