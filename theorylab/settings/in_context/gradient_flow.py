"""Gradient flow of one averaging layer from a structured initialisation.

Loss L/2, mean convention, Σ_w = I, Λ = diag(λ): from u_x = c = 0 and diagonal A = diag(α) the flow stays diagonal.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class FlowState(NamedTuple):
    """u = u_y, and one number per direction: α (merged query-key matrix) or k (W_K = W_Q = diag k)."""

    readout: Float[Array, ""]
    attention: Float[Array, " dim"]


def curvatures(
    eigenvalues: Float[Array, " dim"], context_length: ArrayLike, noise_variance: ArrayLike
) -> Float[Array, " dim"]:
    """γ_j = (1 + 1/n) λ_j + (tr Λ + σ²)/n; the averaging layer's optimum is P = diag(1/γ)."""
    n = jnp.asarray(context_length, eigenvalues.dtype)
    return (1 + 1 / n) * eigenvalues + (jnp.sum(eigenvalues) + noise_variance) / n


def flow_loss(
    gains: Float[Array, " dim"],
    eigenvalues: Float[Array, " dim"],
    gamma: Float[Array, " dim"],
    noise_variance: ArrayLike,
) -> Float[Array, ""]:
    """Loss of P = diag(gains): t₀ + σ² - 2 sum λ_j² P_j + sum λ_j² γ_j P_j², t₀ = tr Λ."""
    squares = eigenvalues**2
    return jnp.sum(eigenvalues) + noise_variance + jnp.sum(squares * gains * (gamma * gains - 2))


def merged_flow(state: FlowState, eigenvalues: Float[Array, " dim"], gamma: Float[Array, " dim"]) -> FlowState:
    """dα_j/dt = u λ_j² (1 - u α_j γ_j), du/dt = sum_j λ_j² α_j (1 - u α_j γ_j); conserves u² - sum_j α_j².

    Zhang, Frei and Bartlett 2023 (arXiv 2306.09927), reduced to the commuting case.
    """
    u, alpha = state
    force = eigenvalues**2 * (1 - u * alpha * gamma)
    return FlowState(jnp.sum(alpha * force), u * force)


def separate_flow(state: FlowState, eigenvalues: Float[Array, " dim"], gamma: Float[Array, " dim"]) -> FlowState:
    """dk_j/dt = u λ_j² k_j (1 - u k_j² γ_j), du/dt = sum_j λ_j² k_j² (1 - u k_j² γ_j); conserves u² - sum_j k_j².

    Separate W_K and W_Q, balanced: saddle to saddle, one direction after another (Zhang, Singh, Latham and Saxe
    2025, arXiv 2501.16265, for the phenomenon).
    """
    u, k = state
    force = eigenvalues**2 * (1 - u * k**2 * gamma)
    return FlowState(jnp.sum(k**2 * force), u * k * force)


def structured_start(scale: ArrayLike, eigenvalues: Float[Array, " dim"], *, separate: bool = False) -> FlowState:
    """Initial condition: u = ε, α = ε λ²/sqrt(sum λ⁴) along the fastest growth (merged); k_j = ε, u = sqrt(d) ε.

    Both are balanced: the conserved quantity u² - |attention|² is zero.
    """
    dim = eigenvalues.shape[0]
    scale = jnp.asarray(scale)
    if separate:
        return FlowState(jnp.sqrt(1.0 * dim) * scale * jnp.ones(()), scale * jnp.ones(dim))
    squares = eigenvalues**2
    return FlowState(scale * jnp.ones(()), scale * squares / jnp.linalg.norm(squares))


def solve_flow(
    start: FlowState,
    times: Float[Array, " times"],
    eigenvalues: Float[Array, " dim"],
    gamma: Float[Array, " dim"],
    *,
    separate: bool = False,
    substeps: int = 200,
) -> FlowState:
    """Integrate :func:`merged_flow` or :func:`separate_flow` by Runge-Kutta steps of fourth order.

    ``substeps`` per interval of ``times``, which begins with the time of ``start``. Returns states along ``times``.
    """
    flow = separate_flow if separate else merged_flow

    def shifted(state: FlowState, slope: FlowState, size: ArrayLike) -> FlowState:
        return FlowState(state.readout + size * slope.readout, state.attention + size * slope.attention)

    def advance(state: FlowState, dt: ArrayLike) -> FlowState:
        first = flow(state, eigenvalues, gamma)
        second = flow(shifted(state, first, dt / 2), eigenvalues, gamma)
        third = flow(shifted(state, second, dt / 2), eigenvalues, gamma)
        fourth = flow(shifted(state, third, dt), eigenvalues, gamma)
        for slope, weight in zip((first, second, third, fourth), (1 / 6, 1 / 3, 1 / 3, 1 / 6), strict=True):
            state = shifted(state, slope, weight * dt)
        return state

    def interval(state: FlowState, length: ArrayLike) -> tuple[FlowState, FlowState]:
        state = jax.lax.fori_loop(0, substeps, lambda _, s: advance(s, length / substeps), state)
        return state, state

    _, later = jax.lax.scan(interval, start, jnp.diff(times))
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, later)


def balanced_limit(gamma: Float[Array, " dim"]) -> FlowState:
    """Limit of the balanced merged flow: u = (sum γ⁻²)^¼, α_j = 1/(u γ_j)."""
    u = jnp.sum(gamma**-2) ** 0.25
    return FlowState(u, 1 / (u * gamma))


def logistic_gain(time: ArrayLike, start: ArrayLike, dim: int, gamma: ArrayLike) -> ArrayLike:
    """Isotropic balanced flow (Λ = I), s = u α: ds/dt = 2 sqrt(d) s (1 - γ s), a logistic curve.

    s(t) = s₀ e^{rt}/(1 + γ s₀ (e^{rt} - 1)) with r = 2 sqrt(d); learnt after about ln(1/(γ s₀))/r.
    """
    growth = jnp.exp(2 * jnp.sqrt(1.0 * dim) * time)
    return start * growth / (1 + gamma * start * (growth - 1))


def linearised_start(
    readout: Float[Array, " token"], attention: Float[Array, "token dim"], eigenvalues: Float[Array, " dim"]
) -> FlowState:
    """Project a small unstructured initialisation on the growing direction of the flow linearised at zero.

    Growth rate r = sqrt(sum λ_j⁴), direction (u, α) = (1, λ²/r); amplitude (u_y + sum_j (λ_j²/r) A_jj)/2, whose sign
    is a symmetry. Leading order in the initial scale; a small amplitude goes to the plateau instead.
    """
    squares = eigenvalues**2
    direction = squares / jnp.linalg.norm(squares)
    amplitude = jnp.abs(readout[-1] + direction @ jnp.diagonal(attention[:-1])) / 2
    return FlowState(amplitude, amplitude * direction)


def plateau_losses(
    eigenvalues: Float[Array, " dim"], gamma: Float[Array, " dim"], noise_variance: ArrayLike
) -> Float[Array, " plateaus"]:
    """Losses t₀ + σ² - sum_{j<=p} λ_j²/γ_j of the saddles of :func:`separate_flow`, p = 0, ..., d (λ sorted).

    The last is the minimum. The loss after one step down along mode j alone, t₀ + σ² - λ_j²/γ_j, is also that of
    the merged layer's rank-one saddle u_y = 0, A = 0, c u_xᵀ = e_j e_jᵀ/γ_j, where random initialisations linger.
    """
    gains = jnp.concatenate([jnp.zeros(1), jnp.cumsum(eigenvalues**2 / gamma)])
    return jnp.sum(eigenvalues) + noise_variance - gains


def rank_one_plateaus(
    eigenvalues: Float[Array, " dim"], gamma: Float[Array, " dim"], noise_variance: ArrayLike
) -> Float[Array, " dim"]:
    """Losses t₀ + σ² - λ_j²/γ_j of the layer's rank-one saddles: attending on labels, reading out covariates."""
    return jnp.sum(eigenvalues) + noise_variance - eigenvalues**2 / gamma
