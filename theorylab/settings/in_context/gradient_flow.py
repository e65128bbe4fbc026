"""Gradient flow of one linear attention layer from a small structured start.

Half the exact loss of an averaging layer, ŷ = (1/n) uᵀ sum_i v_i (v_iᵀ M x_q) with tokens v_i = (x_i, y_i), is followed
by Euler steps of the whole layer: of (u, M) with ``query_key = "merged"``, of (u, W_K, W_Q), M = W_Kᵀ W_Q, with
``"separate"``. From u = (0, u_y) and a diagonal start nothing leaves the diagonal, and the d + 1 or more numbers that
move obey closed equations. Covariates N(0, Λ), tasks N(0, I), label noise σ². The loss includes the noise of the target
and has no factor 1/2; nothing is random.

Zhang, Frei and Bartlett 2023 (arXiv 2306.09927), in the commuting case; for separate weights Zhang, Singh, Latham and
Saxe 2025 (arXiv 2501.16265).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Case, Observable, Observables, Setting, at_config, config, scalar, size, theory
from theorylab.settings.in_context.layer import EffectiveLayer
from theorylab.settings.in_context.losses import exact_loss
from theorylab.settings.in_context.papers import SADDLES, ZHANG
from theorylab.settings.in_context.prompts import Law, power_law
from theorylab.training import iterate

#: Recorded steps, beside the first.
RECORDS = 40


@config
class Config:
    """Euler steps on half the exact loss of an averaging layer, from a balanced diagonal start of size ε."""

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens", symbol="n", at_least=1)
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    covariate_variance: float = scalar(default=1.0, help="mean eigenvalue of the covariates' covariance", above=0)
    covariate_exponent: float = scalar(
        default=1.0, help="decay of the covariance's eigenvalues, i^-a, of the given mean", symbol="a"
    )
    query_key: Literal["merged", "separate"] = size(
        default="merged", help="whether W_K^T W_Q moves as one matrix, or W_K and W_Q each"
    )
    initial_scale: float = scalar(default=0.01, help="size of the initial weights", symbol=r"\epsilon", above=0)
    num_steps: int = size(default=3000, help="Euler steps", at_least=1)
    time_step: float = scalar(default=2e-3, help="length of an Euler step", symbol=r"\mathrm{d}t", at_least=0)


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which the loss is recorded, evenly spaced."""
    return tuple(sorted(set(np.linspace(0, config.num_steps, RECORDS + 1).astype(int).tolist())))


def spectrum(config: Config) -> Float[Array, " dim"]:
    """Eigenvalues of the covariates' covariance."""
    return power_law(config.dim, config.covariate_exponent, config.covariate_variance)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Follow the gradient flow of half the exact loss of the whole layer by Euler steps.

    Structured start, :func:`structured_start`; the key is not used. Pure and traceable in every scalar field.
    """
    d, n, separate = config.dim, config.context_length, config.query_key == "separate"
    covariances = spectrum(config)
    start = structured_start(config.initial_scale, covariances, separate=separate)
    readout = jnp.zeros(d + 1).at[d].set(start.readout)
    diagonal = jnp.zeros((d + 1, d + 1)).at[jnp.arange(d), jnp.arange(d)].set(start.attention)
    params = (readout, diagonal, diagonal) if separate else (readout, diagonal[:, :d])
    population = exact_loss(Law(covariances, jnp.ones(d), config.noise_variance), n)

    def attention_of(params: Any) -> Array:
        return (params[1].T @ params[2])[:, :d] if separate else params[1]

    def loss(params: Any) -> Array:
        return population(EffectiveLayer(params[0], attention_of(params) / n))

    half_gradient = jax.grad(lambda params: loss(params) / 2)

    def step(params: Any, t: Any) -> Any:
        return jax.tree.map(lambda p, g: p - config.time_step * g, params, half_gradient(params))

    orbit = iterate(
        step, params, num_steps=config.num_steps, record=lambda p: {"loss": loss(p)}, record_at=recorded_steps(config)
    )
    u, final = orbit.state[0], attention_of(orbit.state)
    conserved = jnp.sum(u**2) - jnp.sum(orbit.state[1] ** 2)
    # |u|² - |attention|² keeps its initial value, 0; relative to |u|².
    return {
        "loss": orbit.observables["loss"],
        "final_loss": loss(orbit.state),
        "conserved": 1 + conserved / jnp.sum(u**2),
        "preconditioner": u[d] * jnp.stack([final[0, 0], final[d - 1, d - 1]]),
    }


# --- the reduced equations ----------------------------------------------------------------------------------------


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


# --- theories ---------------------------------------------------------------------------------------------------------


def euler_error(config: Config, observable: str) -> float:
    """Euler's error, proportional to the time step (it grows with the time to escape, log(1/initial_scale))."""
    return 10 * float(config.time_step)


def short_steps(config: Config) -> str | None:
    """Say where Euler's steps are long beside the fastest times; None elsewhere.

    These are 1/sqrt(sum λ⁴), of the growth, and 1/(ε² λ² γ), of the fall from a start beyond the optimum. The declared
    error was measured up to a hundredth of the first; at five hundredths it is twenty times too small.
    """
    values = np.arange(1, config.dim + 1) ** -float(config.covariate_exponent)
    with np.errstate(all="ignore"):
        values *= config.covariate_variance / values.mean()
        gamma = values + (values + values.sum() + config.noise_variance) / config.context_length
        fastest = max(np.linalg.norm(values**2), config.initial_scale**2 * (values**2 * gamma).max())
        change = float(config.time_step * fastest)
    if not change <= 0.0105:
        step = f"time_step = {config.time_step:g}"
        return f"Euler's steps of {step} are too long: the start changes by {change:.2g} in one"
    return None


def merged_and_isotropic(config: Config) -> str | None:
    """Say where the flow is not one logistic curve; None where it is."""
    if config.query_key != "merged":
        return "the logistic curve is for merged query-key weights"
    if config.covariate_exponent != 0 or config.covariate_variance != 1:
        return "the closed form is for standard normal covariates"
    return short_steps(config)


def _twice_as_fast(config: Config) -> Config:
    return dataclasses.replace(config, time_step=2 * config.time_step)


def _infinite_context(key: jax.Array, config: Config) -> Observables:
    """The loss of this context, along the path of an infinitely long one, whose curvatures are the eigenvalues."""
    return _along(config, _gains(config, spectrum(config)))


def _gains(config: Config, gamma: Float[Array, " dim"]) -> Float[Array, "times dim"]:
    """P_j along the flow of given curvatures, at the recorded steps."""
    values, separate = spectrum(config), config.query_key == "separate"
    times = jnp.array(recorded_steps(config), dtype=float) * config.time_step
    start = structured_start(config.initial_scale, values, separate=separate)
    path = solve_flow(start, times, values, gamma, separate=separate, substeps=100)
    return path.readout[:, None] * path.attention ** (2 if separate else 1)


def _along(config: Config, gains: Float[Array, "times dim"]) -> Observables:
    values = spectrum(config)
    gamma = curvatures(values, config.context_length, config.noise_variance)
    loss = jax.vmap(lambda gain: flow_loss(gain, values, gamma, config.noise_variance))(gains)
    return {
        "loss": loss,
        "final_loss": loss[-1],
        "conserved": jnp.ones((), loss.dtype),
        "preconditioner": jnp.stack([gains[-1, 0], gains[-1, -1]]),
    }


@theory(
    kind="exact",
    source=ZHANG.at(
        "the commuting case: dα/dt = u λ² (1 - u α γ), du/dt = sum λ² α (1 - u α γ); separate: derived here"
    ),
    predicts=("loss", "final_loss", "conserved", "preconditioner"),
    holds=short_steps,
    error=euler_error,
    controls={
        "flow of the loss without its half": at_config(_twice_as_fast),
        "infinitely long context": _infinite_context,
    },
)
def reduced_equations(key: jax.Array, config: Config) -> Observables:
    """Predict the loss along gradient flow from the structured start, and its conserved quantity."""
    return _along(config, _gains(config, curvatures(spectrum(config), config.context_length, config.noise_variance)))


def _isotropic_loss(config: Config, *, clock: float = 1.0, start: float = 1.0) -> Observables:
    """d (1 - 2s + γ s²) + σ², s on a logistic curve of which ``clock`` and ``start`` are mistakes by these factors."""
    d, noise = config.dim, config.noise_variance
    gamma = curvatures(spectrum(config), config.context_length, noise)[0]
    times = clock * jnp.array(recorded_steps(config), dtype=float) * config.time_step
    gains = logistic_gain(times, start * config.initial_scale**2 / jnp.sqrt(1.0 * d), d, gamma)
    return {"loss": jnp.asarray(d * (1 + gains * (gamma * gains - 2)) + noise)}


@theory(
    kind="exact",
    source="isotropic balanced flow, ds/dt = 2 sqrt(d) s (1 - γ s), a logistic curve",
    predicts=("loss",),
    holds=merged_and_isotropic,
    error=euler_error,
    controls={
        "growth rate sqrt(d)": lambda key, config: _isotropic_loss(config, clock=0.5),
        "s₀ = ε², not ε²/sqrt(d)": lambda key, config: _isotropic_loss(config, start=config.dim**0.5),
    },
)
def logistic(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of the isotropic flow in closed form: each gain follows a logistic curve."""
    return _isotropic_loss(config)


# --- cases ------------------------------------------------------------------------------------------------------------

FLOW = Config()
SEPARATE = dataclasses.replace(FLOW, query_key="separate", dim=4, num_steps=15_000)
#: Of the figure.
FIVE = dataclasses.replace(FLOW, covariate_exponent=0.8)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (Case("gradient flow", FLOW, {"covariate_exponent": (0.0, 1.0)}, seeds=2),),
    "default": (
        Case("gradient flow", FLOW, {"covariate_exponent": (0.0, 1.0)}, seeds=2),
        Case("gradient flow, separate", SEPARATE, {}, seeds=2),
    ),
    "paper": (
        Case(
            "ten directions",
            dataclasses.replace(FLOW, dim=10, context_length=40, num_steps=4000),
            {"covariate_exponent": (0.0, 0.5)},
            seeds=2,
        ),
        Case("saddle to saddle", dataclasses.replace(SEPARATE, num_steps=25_000), {}, seeds=2),
    ),
}

SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("merged", dataclasses.replace(FIVE, num_steps=200), {}, seeds=1),
        Case("separate", dataclasses.replace(SEPARATE, num_steps=200), {}, seeds=1),
    ),
    "default": (
        Case("merged", FIVE, {}, seeds=1),
        Case("separate", dataclasses.replace(SEPARATE, num_steps=25_000), {}, seeds=1),
    ),
    "paper": (
        Case("merged", FIVE, {}, seeds=1),
        Case("separate", dataclasses.replace(SEPARATE, num_steps=25_000), {}, seeds=1),
    ),
}

SETTING = Setting(
    papers=(ZHANG, SADDLES),
    config=Config,
    simulate=simulate,
    theories=(reduced_equations, logistic),
    observables=(
        Observable("loss", "exact loss along the flow, noisy target, no factor 1/2", r"L(t)", dims=("step",)),
        Observable("final_loss", "exact loss at the end", r"L"),
        Observable("conserved", "1 + (|u|² - |attention|²)/|u|² along a flow, initially 1"),
        Observable(
            "preconditioner",
            "u A_jj at the largest (0) and smallest (1) eigenvalue of the covariates",
            r"u A_{jj}",
            dims=("direction",),
        ),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"step": recorded_steps(config), "direction": (0, 1)},
)
