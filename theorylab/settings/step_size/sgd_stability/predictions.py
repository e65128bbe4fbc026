"""The theories as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import ROUNDING, Observables, theory, times
from theorylab.numerics import second_moments
from theorylab.numerics.outliers import additive_outlier, outlier
from theorylab.settings.step_size.papers import BENAYCH_GEORGES, GRANZIOL, MULAYOFF
from theorylab.settings.step_size.sgd_stability.config import Config, learning_rate, spectrum
from theorylab.settings.step_size.sgd_stability.data import chi_squares, sample_points


def light_tails(config: Config) -> str | None:
    """Say that rare batches rule the mean: after more than two steps near the critical rate or above."""
    if config.num_steps > 2 and config.relative_rate > 0.5:
        return (
            f"after num_steps = {config.num_steps} at {float(config.relative_rate):g} of the critical rate rare runs "
            "carry the mean, and a standard error over seeds does not show it: at most 2 steps, or half that rate"
        )
    return None


def fresh_samples(config: Config) -> str | None:
    """Say that batches are of given points, or that the mean has heavy tails."""
    if config.sampling != "population":
        return "for fresh Gaussian samples, sampling = 'population'"
    return light_tails(config)


def given_points(config: Config) -> str | None:
    """Say that there are no given points, that they are too many to enumerate, or that the mean has heavy tails."""
    if config.sampling == "population":
        return "for batches of given points, sampling = 'replacement' or 'no_replacement'"
    if config.dim > 40:
        return f"dim = {config.dim}: the matrix of dim^2 rows is taken up to dim = 40"
    return light_tails(config)


def _on_fresh_samples(config: Config, *, own: bool = True, cross: bool = True) -> Observables:
    lam, rate, batch = spectrum(config), learning_rate(config), config.batch_size

    def step(moments: Array, _: None) -> tuple[Array, Array]:
        moments = second_moments.next_second_moments(moments, lam, rate, batch, own=own, cross=cross)
        return moments, jnp.sum(lam * moments) / 2

    _, losses = jax.lax.scan(step, jnp.ones_like(lam), length=config.num_steps)
    return {
        "loss": jnp.concatenate([jnp.sum(lam)[None] / 2, losses]),
        "effective_sharpness": second_moments.effective_sharpness(lam, batch, own=own, cross=cross),
        "growth": second_moments.growth(lam, rate, batch, own=own, cross=cross).rate,
    }


@theory(
    kind="ensemble",
    source="fourth moments of Gaussian inputs; the top of a rank-one update, derived here",
    predicts=("loss", "effective_sharpness", "growth"),
    holds=fresh_samples,
    error=ROUNDING,
    controls={
        "cross term dropped": lambda key, config: _on_fresh_samples(config, cross=False),
        "one of two covariance terms": lambda key, config: _on_fresh_samples(config, own=False),
        "a batch twice as large": lambda key, config: _twice_the_batch(config),
        "5% more": times(1.05),
    },
)
def fresh_batches(key: jax.Array, config: Config) -> Observables:
    """Second moments under fresh Gaussian batches: losses, largest growth, and the sharpness 2/η* that SGD sees.

    Exact at any size, learning rate and batch size: v <- D v + (η²/B) λ (λ·v), D = (1 - ηλ)² + η²λ²/B.
    """
    return _on_fresh_samples(config)


def _twice_the_batch(config: Config) -> Observables:
    right, lam = _on_fresh_samples(config), spectrum(config)
    sharpness = second_moments.effective_sharpness(lam, 2 * config.batch_size)
    rate = second_moments.growth(lam, learning_rate(config), 2 * config.batch_size).rate
    return right | {"effective_sharpness": sharpness, "growth": rate}


def _on_given_points(key: jax.Array, config: Config, *, replacement: bool) -> Observables:
    points, rate = sample_points(key, config), learning_rate(config)
    noise = second_moments.batch_noise(config.num_samples, config.batch_size, replacement=replacement)
    hessian = points.T @ points / config.num_samples

    def step(moments: Array, _: None) -> tuple[Array, Array]:
        moments = second_moments.next_sample_moments(moments, points, rate, noise)
        return moments, jnp.sum(hessian * moments) / 2

    start = jnp.ones((config.dim, config.dim), points.dtype)
    _, losses = jax.lax.scan(step, start, length=config.num_steps)
    terms = second_moments.sample_terms(points, noise)
    return {
        "loss": jnp.concatenate([jnp.sum(hessian)[None] / 2, losses]),
        "effective_sharpness": second_moments.sample_sharpness(terms).rate,
        "growth": second_moments.sample_growth(terms, rate).rate,
    }


def _exchanged(key: jax.Array, config: Config) -> Observables:
    return _on_given_points(key, config, replacement=config.sampling != "replacement")


@theory(
    kind="instance",
    source=MULAYOFF.at("the threshold as a generalised eigenvalue, derived again here"),
    predicts=("loss", "effective_sharpness", "growth"),
    holds=given_points,
    error=ROUNDING,
    controls={
        "the two ways of drawing exchanged": _exchanged,
        "the points' distribution for the points": lambda key, config: _on_fresh_samples(config),
        "5% more": times(1.05),
    },
)
def given_batches(key: jax.Array, config: Config) -> Observables:
    """The same under batches of given points, for the points of each seed.

    V <- (I - ηH)V(I - ηH) + κη² (E x xᵀ V x xᵀ - HVH), κ = 1/B with replacement and (n - B)/((n - 1)B) without.
    """
    return _on_given_points(key, config, replacement=config.sampling == "replacement")


def half_width(config: Config, observable: str) -> float:
    """Declared error: the root of the ratio of the bounds, less 1; at most √2 - 1, where tr H = (B+1) λ_max."""
    lower, upper = second_moments.learning_rate_bounds(spectrum(config), config.batch_size)
    return float(jnp.sqrt(upper / lower)) - 1 + ROUNDING


@theory(
    kind="ensemble",
    source="sums of positive matrices; B = 1 is the known condition 2/tr H",
    predicts=("effective_sharpness",),
    holds=fresh_samples,
    error=half_width,
    controls={
        "proportional at every batch size": lambda key, config: {
            "effective_sharpness": jnp.sum(spectrum(config)) / config.batch_size
        },
        "full-batch descent at every batch size": lambda key, config: {
            "effective_sharpness": jnp.max(spectrum(config)) + 0.0
        },
        "twice as large": times(2.0),
    },
)
def two_sided_bound(key: jax.Array, config: Config) -> Observables:
    """Sharpness between max(tr H, (B+1) λ_max)/B and their sum over B: the geometric mean.

    The bounds differ by at most a factor of 2, and that is attained (1.9985 on random spectra).
    """
    lower, upper = second_moments.learning_rate_bounds(spectrum(config), config.batch_size)
    return {"effective_sharpness": 2 / jnp.sqrt(lower * upper)}


# --- theories of one batch's Hessian ----------------------------------------------------------------------------------

#: Relative distance from a transition within which theories of outliers do not speak.
MARGIN = 0.3


def flat_bulk(config: Config) -> str | None:
    """Say that the bulk is not flat, the samples not fresh or too few, or the spike at the transition."""
    if config.sampling != "population":
        return "for fresh Gaussian samples, sampling = 'population'"
    if config.spectrum_exponent != 0:
        return "for one spike above eigenvalues that are all 1, spectrum_exponent = 0"
    if config.batch_size < 4:
        return f"batch_size = {float(config.batch_size):g}: the limit wants at least 4 samples"
    if abs(float(config.spike) / _transition(config) - 1) < MARGIN:
        return f"spike = {float(config.spike):g} is near the transition at 1 + sqrt(d/B) = {_transition(config):.3g}"
    return None


def outlier_of_every_batch(config: Config) -> str | None:
    """Say that the spike of a batch may be lost in its bulk."""
    if (why := flat_bulk(config)) is None and config.spike < _transition(config):
        return f"spike = {float(config.spike):g} is below the transition at {_transition(config):.3g}: no outlier"
    return why


def off_the_additive_transition(config: Config) -> str | None:
    """Say that the eigenvalue is at the transition of the additive noise."""
    if abs(float(config.spike / config.noise_scale) - 1) < MARGIN:
        return f"spike = {float(config.spike):g} is near the transition at noise_scale"
    if config.dim < 4:
        return f"dim = {config.dim}: the laws of large matrices want at least 4"
    return None


def _aspect(config: Config) -> Array:
    return (config.dim - 1) / jnp.asarray(config.batch_size, float)


def _norm(key: jax.Array, config: Config) -> Array:
    return chi_squares(key, config, (config.num_steps + 2) * config.num_replicas)[2]


def _transition(config: Config) -> float:
    return 1 + math.sqrt((config.dim - 1) / float(config.batch_size))


def finite_batch(config: Config, observable: str) -> float:
    """Declared error: 0.6/m of an outlier, 0.8 m^(-2/3) of an edge, m = min(d, B).

    Measured on 400 draws each at d = 60, 200 and 1000, d/B from 50 to 0.1, spikes of 0.4 to 5 times the transition.
    """
    smaller = min(config.dim, float(config.batch_size))
    return float(0.6 / smaller if config.spike > _transition(config) else 0.8 * smaller ** (-2 / 3))


def finite_matrix(config: Config, observable: str) -> float:
    """Declared error: 0.5/d of an outlier, 0.85/d of the edge, measured at d = 4 to 200 and spikes up to 0.7 σ.

    There a spike just below σ pushes the edge: 0.148 at d = 4, 0.034 at d = 20, both at 0.7 σ.
    """
    return (0.5 if config.spike > config.noise_scale else 0.85) / config.dim


#: Mean of the Tracy-Widom law of real matrices.
TRACY_WIDOM = -1.2065335745820


@theory(
    kind="ensemble",
    source=BENAYCH_GEORGES.at("the outlier of a spiked covariance"),
    predicts=("batch_sharpness",),
    holds=flat_bulk,
    error=finite_batch,
    controls={
        "the population's eigenvalue": lambda key, config: {"batch_sharpness": config.spike + 0.0},
        "always the edge of the bulk": lambda key, config: {"batch_sharpness": outlier(1.0, _aspect(config))},
        "the spike and the edge added": lambda key, config: {
            "batch_sharpness": config.spike + outlier(1.0, _aspect(config))
        },
    },
)
def spiked_covariance(key: jax.Array, config: Config) -> Observables:
    """Mean largest eigenvalue of a batch's Hessian: ℓ (1 + γ/(ℓ - 1)), γ = (d - 1)/B, if ℓ > 1 + √γ, else (1 + √γ)²."""
    return {"batch_sharpness": outlier(config.spike, _aspect(config))}


@theory(
    kind="instance",
    source="R-transform of the bulk's Gram matrix, γ/(1 - g): a rank-one addition, derived here",
    predicts=("batch_sharpness",),
    holds=outlier_of_every_batch,
    error=finite_batch,
    estimates={"batch_sharpness": "sharpness_of_norm"},
    controls={
        "the spike's own sample norm alone": lambda key, config: {"batch_sharpness": _norm(key, config)},
        "a batch twice as large": lambda key, config: {
            "batch_sharpness": outlier(_norm(key, config), _aspect(config) / 2)
        },
    },
)
def given_norm(key: jax.Array, config: Config) -> Observables:
    """Largest eigenvalue of a batch's Hessian given n2 = |X_spike|²/B of that batch: n2 + γ n2/(n2 - 1)."""
    return {"batch_sharpness": outlier(_norm(key, config), _aspect(config))}


@theory(
    kind="ensemble",
    source=GRANZIOL.at("additive noise on an outlier of the Hessian; the formula is that of a spiked Wigner matrix"),
    predicts=("noisy_sharpness",),
    holds=off_the_additive_transition,
    error=finite_matrix,
    controls={
        "noise adds nothing": lambda key, config: {"noisy_sharpness": config.spike + 0.0},
        "always the edge of the noise": lambda key, config: {"noisy_sharpness": 2.0 * config.noise_scale},
        "twice the shift": lambda key, config: {
            "noisy_sharpness": 2 * additive_outlier(config.spike, config.noise_scale) - config.spike
        },
    },
)
def spiked_wigner(key: jax.Array, config: Config) -> Observables:
    """Mean largest eigenvalue of one eigenvalue ℓ in a Wigner matrix of edge 2σ: ℓ + σ²/ℓ if ℓ > σ, else the edge.

    Its mean is σ [2 √(1 - 1/2d) - 1.2065 d^(-2/3)], from the Tracy-Widom law.
    """
    d, sigma = config.dim, config.noise_scale
    edge = sigma * (2 * math.sqrt(1 - 1 / (2 * d)) + TRACY_WIDOM * d ** (-2 / 3))
    return {"noisy_sharpness": jnp.where(config.spike > sigma, additive_outlier(config.spike, sigma), edge)}


THEORIES = (fresh_batches, given_batches, two_sided_bound, spiked_covariance, given_norm, spiked_wigner)
