"""The estimators that a layer is compared with: Bayes, least squares, steps of gradient descent.

Prompts (x_1, y_1), ..., (x_n, y_n), x_q with x ~ N(0, I_d), w ~ N(0, I_d), y = w·x + N(0, σ²). Every estimator reads
the same context and returns weights ŵ; its loss is E(ŵ·x_q - y_q)² = E|ŵ - w|² + σ², averaged over the query and the
noise of its target. No layer is trained: these are the losses between which a trained one lies. What a transformer
learns in context was compared with them by Garg, Tsipras, Liang and Valiant 2022 (arXiv 2208.01066).

Bayes of a pool of M tasks, each from N(0, I_d), enumerates them: ŵ = sum_m p_m w_m, p_m their posterior probabilities
(Raventós, Paul, Chen and Ganguli 2023, arXiv 2306.15063). On tasks of the pool nothing is better; on fresh ones ridge
is.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Case, Observable, Observables, Setting, at_config, config, scalar, size, theory
from theorylab.numerics import random
from theorylab.numerics.wishart import mean_spectrum
from theorylab.settings.in_context.gradient_steps import best_steps, gradient_steps_excess, wishart_spectra
from theorylab.settings.in_context.losses import query_averaged
from theorylab.settings.in_context.papers import AHN, GARG, RAVENTOS
from theorylab.settings.in_context.prompts import Law, sample_prompts

#: Steps of gradient descent that are measured.
GRADIENT_STEPS = (1, 2)


@config
class Config:
    """Regressions of n noisy samples in d dimensions, all standard normal."""

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens", symbol="n", at_least=1)
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    num_tasks: int = size(default=2, help="tasks of the pool, for its Bayes estimator", symbol="M", at_least=1)
    num_test: int = size(default=2000, help="prompts on which losses are measured", at_least=2)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Losses of the estimators on the same prompts, averaged over the query.

    Zero, (minimum-norm) least squares, Bayes' ridge σ², and the best one and two steps of gradient descent.
    Bayes of a pool reads the same covariates and noise. Pure and traceable in ``noise_variance``.
    """
    n, d, noise = config.context_length, config.dim, config.noise_variance
    law = Law(jnp.ones(d), jnp.ones(d), noise)
    prompts = sample_prompts(key, law, config.num_test, n)
    x: Array = prompts.covariates
    tasks: Any = prompts.tasks
    gram = jnp.einsum("bnd,bne->bde", x, x)
    b = jnp.einsum("bn,bnd->bd", prompts.labels, x)
    values, vectors = jnp.linalg.eigh(gram)
    rotated = jnp.einsum("bde,bd->be", vectors, b)
    positive = jnp.arange(d)[None] >= d - n
    inverse = jnp.where(positive, 1 / jnp.where(positive, values, 1.0), 0.0)

    def loss(weights: Array) -> Array:
        return query_averaged(weights, tasks, law)

    spectral = lambda factor: jnp.einsum("bde,be->bd", vectors, factor * rotated)  # noqa: E731
    regularised = jnp.where(values + noise > 0, 1 / (values + noise), 0.0)
    steps = []
    for count in GRADIENT_STEPS:
        polynomial = best_steps(n, d, noise, count)  # real where two step sizes are complex: few, noisy samples
        steps.append(loss(spectral(jnp.polyval(polynomial[::-1], values))))

    # The same prompts with other tasks; each is in the pool or fresh.
    pool = random.normal(random.fold_in(key, 3), config.num_tasks, d)
    squares = jnp.einsum("bde,md,me->bm", gram, pool, pool)

    def pool_loss(others: Any) -> Array:
        moments = b + jnp.einsum("bde,be->bd", gram, others - tasks)
        # Without noise the task that fits is certain.
        posterior = jax.nn.softmax((moments @ pool.T - squares / 2) / jnp.maximum(noise, 1e-12), axis=1)
        return query_averaged(posterior @ pool, others, law)

    return {
        "pool_bayes_loss": pool_loss(pool[jnp.arange(config.num_test) % config.num_tasks]),
        "pool_bayes_fresh_loss": pool_loss(tasks),
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


#: Logarithms of a χ² variable, for trapezoidal sums.
LOG_STEP = 0.1
LOGS = np.arange(-40.0, 8.0, LOG_STEP)


def chi_square_logs(degrees: int) -> np.ndarray:
    """Probabilities of :data:`LOGS`, for χ² with ``degrees`` degrees of freedom."""
    density = LOGS * degrees / 2 - np.exp(LOGS) / 2 - math.lgamma(degrees / 2) - degrees / 2 * math.log(2)
    return np.exp(density) * LOG_STEP


def two_tasks_excess(num_samples: int, dim: int, noise_variance: ArrayLike) -> Float[Array, ""]:
    """Bayes of a pool of two tasks, on that pool: E a p², p the posterior probability of the wrong one.

    a = |w_1 - w_2|² is 2 χ²_d, |X (w_1 - w_2)|² = a b with b ~ χ²_n. At t = a b/σ² the log odds of the right task are
    N(t/2, t), and E p² = exp(-t/8) E sech(l/2)/4 over l ~ N(0, t): each sign of l weighs what Bayes says. Trapezoidal
    sums in log a b and l, whose errors are below 1e-8.
    """
    nodes = 0.15
    weights = np.convolve(2 * np.exp(LOGS) * chi_square_logs(dim), chi_square_logs(num_samples))
    sums = 2 * LOGS[0] + LOG_STEP * np.arange(len(weights)) + math.log(2)
    t = jnp.exp(jnp.asarray(sums, float)) / noise_variance
    z, width = nodes * jnp.arange(-240, 241)[None], jnp.minimum(jnp.sqrt(t), 2.0)
    half = jnp.abs(width[:, None] * z) / 2
    # exp(-l²/2t - t/8)/cosh(l/2) in one exponent: of large t both factors are far from 1.
    exponent = -2 * half**2 / t[:, None] - t[:, None] / 8 - half
    wrong = width * nodes * jnp.sum(jnp.exp(exponent) / (1 + jnp.exp(-2 * half)), axis=1) / 2 / jnp.sqrt(2 * jnp.pi * t)
    return jnp.sum(jnp.asarray(weights, float) * wrong)


class Evidence(NamedTuple):
    """Fresh tasks and contexts: ι = log p(y|X, w)/p(y|X), and |w - ŵ|² of Bayes' ridge, [draws]."""

    information: np.ndarray
    ridge_error: np.ndarray


def evidence(num_samples: int, dim: int, noise_variance: float, *, draws: int = 40_000, seed: int = 0) -> Evidence:
    """Sample :class:`Evidence` on the host, in the eigenbasis of XᵀX, where it is a sum over directions."""
    generator, noise = np.random.default_rng(seed), noise_variance
    values = wishart_spectra(generator, draws, num_samples, dim).clip(0)
    w, z = generator.standard_normal((2, draws, dim))
    y, seen = np.sqrt(values) * w + math.sqrt(noise) * z, values > 1e-12 * values.max()
    gains = np.log1p(values / noise) / 2 - z**2 / 2 + y**2 / (2 * (values + noise))
    error = np.sum((w - np.sqrt(values) * y / (values + noise)) ** 2, axis=1)
    return Evidence(np.sum(np.where(seen, gains, 0), axis=1), error)


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


def two_tasks_only(config: Config) -> str | None:
    """Say where the pool has not two tasks."""
    if config.num_tasks != 2:
        return f"num_tasks = {config.num_tasks}: the closed form is for two; see 'annealed_pool'"
    if (noise := float(config.noise_variance)) <= 0:
        return "noise_variance = 0: the right task is certain"
    # E exp(-t/8) over b, which bounds the chance of a mistake.
    chance = np.sum(chi_square_logs(config.dim) * (1 + np.exp(LOGS) / (2 * noise)) ** (-config.context_length / 2)) / 2
    if (mistakes := chance * config.num_test) < 20:
        return f"about {mistakes:.2g} prompts of a run are mistaken for the other task: fewer than 20 are too rare"
    return None


def _two_tasks(config: Config, noise: ArrayLike) -> Observables:
    excess = two_tasks_excess(config.context_length, config.dim, noise)
    return {"pool_bayes_loss": excess + config.noise_variance}


@theory(
    kind="ensemble",
    source="posterior of two Gaussian hypotheses, derived here",
    predicts=("pool_bayes_loss",),
    holds=two_tasks_only,
    controls={
        "ridge, as if there were no pool": lambda key, config: {"pool_bayes_loss": bayes(key, config)["bayes_loss"]},
        "log odds of twice the size": lambda key, config: _two_tasks(config, config.noise_variance / 2),
    },
)
def two_tasks(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of Bayes on a pool of two tasks, exactly."""
    return _two_tasks(config, config.noise_variance)


def enough_tasks(config: Config) -> str | None:
    """Say where a pool is too small for its competitors to be counted by their mean."""
    noise, tasks = float(config.noise_variance), config.num_tasks
    if noise <= 0:
        return "noise_variance = 0: the right task is certain"
    if min(config.dim, config.context_length) > 200:
        return f"min(dim, context_length) = {min(config.dim, config.context_length)}: at most 200 are sampled"
    needed = math.exp(min(evidence(config.context_length, config.dim, noise, draws=500).information.mean(), 700)) / 4
    return None if tasks > max(2, needed) else f"num_tasks = {tasks}: the annealed average needs at least {needed:.3g}"


def _annealed(config: Config, *, mean_information: bool = False) -> dict[str, Any]:
    noise = float(config.noise_variance)
    information, error = evidence(config.context_length, config.dim, noise)
    if mean_information:
        information = np.full_like(information, information.mean())
    off = 1 / (1 + np.exp(np.clip(information - math.log(config.num_tasks - 1), -700, 700)))
    return {"pool_bayes_loss": np.float64(np.mean(off**2 * error) + noise)}


def annealed_error(config: Config, observable: str) -> float:
    """Relative error of the loss: 10%, and 20% where contexts are shorter than tasks.

    Measured at ten (d, n, σ²), d = 1 to 10, each with M at 1/4, 1 and 8 times e^I: at most (8 ± 2)% for n >= d and
    (18 ± 1.5)% for n < d, too low.
    """
    return 0.1 if config.context_length >= config.dim else 0.2


@theory(
    kind="ensemble",
    source="competitors' likelihoods replaced by their mean, (M - 1) p(y|X), derived here",
    predicts=("pool_bayes_loss",),
    holds=enough_tasks,
    error=annealed_error,
    controls={
        "ridge, as if there were no pool": lambda key, config: {"pool_bayes_loss": bayes(key, config)["bayes_loss"]},
        "information without its fluctuations": lambda key, config: _annealed(config, mean_information=True),
    },
    traceable=False,
)
def annealed_pool(key: jax.Array, config: Config) -> dict[str, Any]:
    """Predict the loss of Bayes on a pool of M tasks: E |w - ŵ|² (1 - s)² with ŵ ridge, s = e^ι/(e^ι + M - 1).

    The pool's estimator turns into ridge where log M is the information I = E ι.
    """
    return _annealed(config)


# --- cases ------------------------------------------------------------------------------------------------------------

BASE = Config()
POOL = Config(dim=4, context_length=4, num_tasks=73)
TEN = Config(dim=10, num_test=4000)


def _by_length(config: Config, lengths: tuple[int, ...], seeds: int) -> tuple[Case, ...]:
    """Every estimator against the context length."""
    return (Case("lengths", config, {"context_length": lengths}, seeds=seeds),)


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("estimators", BASE, {"noise_variance": (0.25, 1.0)}, seeds=8),
        Case("two tasks", Config(dim=3, context_length=2), {"noise_variance": (0.25, 1.0)}, seeds=40),
        Case("a pool", POOL, {}, seeds=16),
    ),
    "default": (
        Case("estimators", BASE, {"noise_variance": (0.25, 1.0)}, seeds=16),
        Case("pools", POOL, {"num_tasks": (24, 73, 293)}, seeds=16),
    ),
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
    papers=(GARG, AHN, RAVENTOS),
    config=Config,
    simulate=simulate,
    theories=(gradient_steps, least_squares, bayes, two_tasks, annealed_pool),
    observables=(
        Observable("bayes_loss", "loss of Bayes' ridge regression", r"L_\mathrm{Bayes}"),
        Observable("pool_bayes_loss", "loss of Bayes of a pool of tasks, on that pool", r"L_\mathrm{pool}"),
        Observable("pool_bayes_fresh_loss", "loss of Bayes of a pool of tasks, on fresh tasks"),
        Observable("zero_loss", "loss of predicting zero"),
        Observable("least_squares_loss", "loss of (minimum-norm) least squares", r"L_\mathrm{OLS}"),
        Observable("gradient_steps_loss", "loss of the best k steps of gradient descent", dims=("gradient_steps",)),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"gradient_steps": GRADIENT_STEPS},
)
