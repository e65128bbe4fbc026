"""The estimators that a layer is compared with: Bayes, least squares, steps of gradient descent.

Prompts (x_1, y_1), ..., (x_n, y_n), x_q with x ~ N(0, I_d), w ~ N(0, I_d), y = w·x + N(0, σ²). Every estimator reads
the same context and returns weights ŵ; its loss is E(ŵ·x_q - y_q)² = E|ŵ - w|² + σ², averaged over the query and the
noise of its target. No layer is trained: these are the losses between which a trained one lies. What a transformer
learns in context was compared with them by Garg, Tsipras, Liang and Valiant 2022 (arXiv 2208.01066).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Case, Observable, Observables, Setting, at_config, config, scalar, size, theory
from theorylab.numerics.wishart import mean_spectrum
from theorylab.settings.in_context.gradient_steps import best_steps, gradient_steps_excess
from theorylab.settings.in_context.losses import query_averaged
from theorylab.settings.in_context.papers import AHN, GARG
from theorylab.settings.in_context.prompts import Law, sample_prompts

#: Steps of gradient descent that are measured.
GRADIENT_STEPS = (1, 2)


@config
class Config:
    """Regressions of n noisy samples in d dimensions, all standard normal."""

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens", symbol="n", at_least=1)
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    num_test: int = size(default=2000, help="prompts on which losses are measured", at_least=2)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Losses of the estimators on the same prompts, averaged over the query.

    Zero, (minimum-norm) least squares, Bayes' ridge σ², and the best one and two steps of gradient descent.
    Pure and traceable in ``noise_variance``.
    """
    n, d, noise = config.context_length, config.dim, config.noise_variance
    law = Law(jnp.ones(d), jnp.ones(d), noise)
    prompts = sample_prompts(key, law, config.num_test, n)
    x, tasks = prompts.covariates, prompts.tasks
    gram = jnp.einsum("bnd,bne->bde", x, x)
    b = jnp.einsum("bn,bnd->bd", prompts.labels, x)
    values, vectors = jnp.linalg.eigh(gram)
    rotated = jnp.einsum("bde,bd->be", vectors, b)
    positive = jnp.arange(d)[None] >= d - n
    inverse = jnp.where(positive, 1 / jnp.where(positive, values, 1.0), 0.0)

    def loss(weights: Array) -> Array:
        return query_averaged(weights, tasks, law)  # type: ignore[arg-type]

    spectral = lambda factor: jnp.einsum("bde,be->bd", vectors, factor * rotated)  # noqa: E731
    regularised = jnp.where(values + noise > 0, 1 / (values + noise), 0.0)
    steps = []
    for count in GRADIENT_STEPS:
        polynomial = best_steps(n, d, noise, count)  # real where two step sizes are complex: few, noisy samples
        steps.append(loss(spectral(jnp.polyval(polynomial[::-1], values))))
    return {
        "bayes_loss": loss(spectral(jnp.where(positive, regularised, 0.0))),
        "zero_loss": loss(jnp.zeros_like(b)),
        "least_squares_loss": loss(spectral(inverse)),
        "gradient_steps_loss": jnp.stack(steps),
    }


# --- closed forms -----------------------------------------------------------------------------------------------------


def least_squares_excess(num_samples: int, dim: int, noise_variance: ArrayLike) -> Float[Array, ""]:
    """Ordinary least squares, of minimal norm where n < d.

    σ² d/(n-d-1) for n > d + 1; (d-n) + σ² n/(d-n-1) for n < d - 1 (means of inverse Wishart matrices). With noise
    infinite for |n-d| <= 1; the formula for n > d + 1 holds for every Λ and Σ_w.
    """
    gap = abs(num_samples - dim)
    missing = float(max(dim - num_samples, 0))
    noise = jnp.asarray(noise_variance, float)
    if gap <= 1:
        return jnp.where(noise > 0, jnp.inf, missing)
    return missing + noise * min(num_samples, dim) / (gap - 1)


def bayes_excess(
    num_samples: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike, *, correction: bool = True
) -> ArrayLike:
    """Bayes' ridge regression, E[σ² tr(S + σ² I)⁻¹], by the Marchenko-Pastur law.

    With g = d/n, l = σ²/n: m = [-(1-g+l) + sqrt((1-g+l)² + 4gl)]/(2gl), excess ≈ l d m, low by O(1/d). The correction
    l ¼ [(l+a)^-½ - (l+b)^-½]², a, b = (1 ∓ sqrt g)², is the mean correction of Bai and Silverstein for real
    Gaussians; it is unreliable for n ≈ d at σ²/n << 1. Needs σ² > 0: without noise the excess is max(d-n, 0).
    """
    g, l = dim / num_samples, noise_variance / num_samples
    half = 1 - g + l
    m = (-half + jnp.sqrt(half**2 + 4 * g * l)) / (2 * g * l)
    low, high = (1 - jnp.sqrt(g)) ** 2, (1 + jnp.sqrt(g)) ** 2
    shift = 0.25 * l * ((l + low) ** -0.5 - (l + high) ** -0.5) ** 2
    return l * dim * m + (shift if correction else 0.0)


def bayes_excess_exact(num_samples: int, dim: int, noise_variance: ArrayLike) -> Float[Array, ""]:
    """Bayes' ridge regression, E[σ² tr(S + σ² I)⁻¹], with the exact mean spectrum of S; max(d-n, 0) without noise.

    :func:`bayes_excess` is low by up to 5% and high by up to 25% of it at d <= 8 (least noise, n near d).
    """
    eigenvalues, weights = mean_spectrum(dim, num_samples)
    noise = jnp.asarray(noise_variance, float)
    shares = jnp.where(noise > 0, noise / (jnp.asarray(eigenvalues, float) + noise), 0.0)
    return max(dim - num_samples, 0) + jnp.sum(jnp.asarray(weights, float) * shares)


def bayes_risk(
    num_samples: ArrayLike, eigenvalues: Float[Array, " dim"], noise_variance: ArrayLike, *, iterations: int = 100
) -> Float[Array, ""]:
    """Total Bayes risk (with σ²) ≈ n κ of any Λ, Σ_w, h = eig(Σ_w^½ Λ Σ_w^½): a deterministic equivalent.

    κ solves σ²/κ + sum_j h_j/(h_j + κ) = n, found by bisection on log κ within [tiny, (σ² + sum h)/n]. Low by
    O(1/d); equals :func:`bayes_excess` + σ² without its correction at h = 1. Without noise κ = 0 if n >= rank h.
    """
    top = (noise_variance + jnp.sum(eigenvalues)) / num_samples

    def halve(_: ArrayLike, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        kappa = jnp.exp(middle)
        count = noise_variance / kappa + jnp.sum(eigenvalues / (eigenvalues + kappa))
        above = count > num_samples
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    high = jnp.log(top)
    low, high = jax.lax.fori_loop(0, iterations, halve, (high - 60.0, high))
    kappa = jnp.exp((low + high) / 2)
    nothing = (jnp.asarray(noise_variance) == 0) & (num_samples >= jnp.sum(eigenvalues > 0))
    return jnp.where(nothing, 0.0, num_samples * kappa)


# --- theories ---------------------------------------------------------------------------------------------------------


def least_squares_has_variance(config: Config) -> str | None:
    """Say where the mean of sampled losses is not to be trusted: heavy tails of least squares near n = d."""
    if abs(config.context_length - config.dim) <= 3:
        return "least squares has no finite variance within three samples of n = d"
    return None


def few_eigenvalues(config: Config) -> str | None:
    """Say where the exact mean spectrum is not made."""
    if min(config.dim, config.context_length) > 200:
        return f"min(dim, context_length) = {min(config.dim, config.context_length)}: exact spectra are for at most 200"
    return None


def _one_step_more(key: jax.Array, config: Config) -> Observables:
    return _steps_loss(config, tuple(k + 1 for k in GRADIENT_STEPS))


def _steps_loss(config: Config, counts: tuple[int, ...]) -> Observables:
    n, d, noise = config.context_length, config.dim, config.noise_variance
    return {"gradient_steps_loss": jnp.stack([gradient_steps_excess(n, d, noise, k) + noise for k in counts])}


def _noise_doubled(config: Config) -> Config:
    return dataclasses.replace(config, noise_variance=2 * config.noise_variance)


@theory(
    kind="ensemble",
    source=AHN.at("layers as steps; their best sizes and losses from Wishart moments, derived here"),
    predicts=("gradient_steps_loss", "zero_loss"),
    controls={"one step more": _one_step_more, "twice the noise": at_config(_noise_doubled)},
)
def gradient_steps(key: jax.Array, config: Config) -> Observables:
    """Predict the losses of none and of the best one and two steps of gradient descent, exactly."""
    return {"zero_loss": jnp.asarray(config.dim + config.noise_variance), **_steps_loss(config, GRADIENT_STEPS)}


def _without_the_one(key: jax.Array, config: Config) -> Observables:
    """σ² d/(n - d), as n, d -> ∞."""
    small, gap = min(config.context_length, config.dim), abs(config.context_length - config.dim)
    missing = max(config.dim - config.context_length, 0)
    return {"least_squares_loss": jnp.asarray(missing + config.noise_variance * small / gap + config.noise_variance)}


@theory(
    kind="ensemble",
    source="means of inverse Wishart matrices",
    predicts=("least_squares_loss",),
    holds=least_squares_has_variance,
    controls={"d/(n - d) without the one": _without_the_one, "twice the noise": at_config(_noise_doubled)},
)
def least_squares(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of (minimum-norm) least squares, exactly."""
    excess = least_squares_excess(config.context_length, config.dim, config.noise_variance)
    return {"least_squares_loss": excess + config.noise_variance}


def _marchenko_pastur(key: jax.Array, config: Config) -> Observables:
    """The law of infinitely large matrices."""
    n, d, noise = 1.0 * config.context_length, 1.0 * config.dim, config.noise_variance
    return {"bayes_loss": jnp.asarray(bayes_excess(n, d, noise, correction=False) + noise)}


@theory(
    kind="ensemble",
    source="mean spectrum of real Wishart matrices from de Bruijn's Pfaffians (numerics/wishart.py), derived here",
    predicts=("bayes_loss",),
    holds=few_eigenvalues,
    controls={"Marchenko-Pastur law": _marchenko_pastur, "twice the noise": at_config(_noise_doubled)},
)
def bayes(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of Bayes' ridge exactly, at any size."""
    n, d, noise = config.context_length, config.dim, config.noise_variance
    return {"bayes_loss": bayes_excess_exact(n, d, noise) + noise}


# --- cases ------------------------------------------------------------------------------------------------------------

BASE = Config()
TEN = Config(dim=10, num_test=4000)


def _by_length(config: Config, lengths: tuple[int, ...], seeds: int) -> tuple[Case, ...]:
    """Every estimator against the context length."""
    return (Case("lengths", config, {"context_length": lengths}, seeds=seeds),)


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (Case("estimators", BASE, {"noise_variance": (0.25, 1.0)}, seeds=8),),
    "default": (Case("estimators", BASE, {"noise_variance": (0.25, 1.0)}, seeds=16),),
    "paper": (
        Case(
            "twenty dimensions",
            Config(dim=20, context_length=40, num_test=10_000),
            {"noise_variance": (0.25, 1.0)},
            seeds=16,
            note="arXiv 2208.01066: d = 20, up to 40 examples; with noise here",
        ),
    ),
}

LENGTHS = (2, 4, 6, 8, 10, 12, 15, 20, 30, 40, 60, 80)
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _by_length(dataclasses.replace(TEN, num_test=200), (5, 20), seeds=2),
    "default": _by_length(TEN, LENGTHS, seeds=8),
    "paper": _by_length(dataclasses.replace(TEN, num_test=20_000), LENGTHS, seeds=16),
}

SETTING = Setting(
    papers=(GARG, AHN),
    config=Config,
    simulate=simulate,
    theories=(gradient_steps, least_squares, bayes),
    observables=(
        Observable("bayes_loss", "loss of Bayes' ridge regression", r"L_\mathrm{Bayes}"),
        Observable("zero_loss", "loss of predicting zero"),
        Observable("least_squares_loss", "loss of (minimum-norm) least squares", r"L_\mathrm{OLS}"),
        Observable("gradient_steps_loss", "loss of the best k steps of gradient descent", dims=("gradient_steps",)),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"gradient_steps": GRADIENT_STEPS},
)
