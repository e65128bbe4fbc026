"""The theories as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from theorylab.contract import ROUNDING, Observables, at_config, theory, times
from theorylab.numerics.contours import Contour, around_spectrum
from theorylab.numerics.second_moments import contraction
from theorylab.settings.kernels.papers import BORDELON, PAQUETTE
from theorylab.settings.kernels.scaling_laws.config import Config, noise_share, powers, recorded_steps
from theorylab.settings.kernels.scaling_laws.data import sketch
from theorylab.settings.kernels.scaling_laws.theory import equivalent, power_laws
from theorylab.training.iterate import iterate

# --- one-pass SGD on a sketch -----------------------------------------------------------------------------------------


def light_tails(config: Config) -> str | None:
    """Say that samples are given, or that SGD's noise is so large that rare runs carry the mean."""
    if config.regime == "offline":
        return "for one-pass SGD, regime = 'online'"
    if (share := noise_share(config)) > 0.5:
        return f"SGD's noise gives back {share:.2g} of the loss, above a half: rare runs carry the mean over seeds"
    return None


def _recursion(
    key: jax.Array, config: Config, *, own: bool = True, residual: bool = True, errors: bool = True
) -> Observables:
    """Losses along the second moments; SGD's noise may lack the term of a mode itself, or a part of the loss."""
    drawn = sketch(key, config)
    h, s = drawn.eigenvalues, drawn.irreducible
    factor = contraction(h, config.learning_rate, config.batch_size, own=own)
    source = jnp.asarray(config.learning_rate) ** 2 / config.batch_size * h**2

    def step(energies: Array, t: Array) -> Array:
        return factor * energies + source * (errors * jnp.sum(energies) + residual * s)

    orbit = iterate(
        step,
        drawn.energies,
        num_steps=config.num_steps,
        record=lambda energies: {"loss": jnp.sum(energies) + s},
        record_at=recorded_steps(config),
    )
    return {"loss": jnp.asarray(orbit.observables["loss"])}


@theory(
    kind="instance",
    source="fourth moments of Gaussian features; what the sketch cannot fit is label noise, derived here",
    predicts=("loss",),
    holds=light_tails,
    error=ROUNDING,
    controls={
        "a mode's own noise dropped": lambda key, config: _recursion(key, config, own=False),
        "the irreducible loss makes no noise": lambda key, config: _recursion(key, config, residual=False),
        "only the irreducible loss makes noise": lambda key, config: _recursion(key, config, errors=False),
        "5% more": times(1.05),
    },
)
def sgd_mean(key: jax.Array, config: Config) -> Observables:
    """Mean loss of one-pass SGD for the sketch of each seed, over SGD's noise: exact at any M, B and learning rate.

    L_t = Σ q + s with q <- [(1 - ηh)² + η²h²/B] q + (η²/B) h² L_t, in the eigenbasis of H = Wᵀ Λ W.
    """
    return _recursion(key, config)


@functools.lru_cache(maxsize=64)
def _modes(features: int, width: int, a: float, b: float, horizon: float) -> equivalent.Modes:
    index = np.arange(1, features + 1, dtype=float)
    return equivalent.width_modes(index**-a, index**-b, width, horizon)


def ensemble_modes(config: Config) -> equivalent.Modes:
    """Nodes and masses of the contour that serves a configuration."""
    rate, a, b = (float(x) for x in (config.learning_rate, config.spectrum_exponent, config.target_exponent))
    return _modes(config.num_features, config.width, a, b, rate * config.num_steps)


def _sgd(config: Config, modes: equivalent.Modes, irreducible: float, *, noise: bool = True) -> dict[str, Any]:
    rate, batch = float(config.learning_rate), float(config.batch_size)
    loss = equivalent.sgd_losses(modes, rate, batch, recorded_steps(config), noise=noise)
    return {"loss": loss, "irreducible_loss": np.float64(irreducible)}


def _ensemble(key: jax.Array, config: Config, *, noise: bool = True) -> dict[str, Any]:
    irreducible = equivalent.width_irreducible_loss(*powers(config), config.width)
    return _sgd(config, ensemble_modes(config), irreducible, noise=noise)


def _infinitely_wide(key: jax.Array, config: Config) -> dict[str, Any]:
    variances, energies = powers(config)
    return _sgd(config, equivalent.Modes(variances, energies, variances**2), 0.0)


def _cut(key: jax.Array, config: Config) -> dict[str, Any]:
    variances, energies = powers(config)
    kept, lost = slice(config.width), float(energies[config.width :].sum())
    return _sgd(config, equivalent.Modes(variances[kept], energies[kept], variances[kept] ** 2, lost), lost)


def narrow(config: Config) -> str | None:
    """Say that tails are heavy, the contour too small for the step, or the sketch nearly as wide as the features."""
    if (why := light_tails(config)) is not None:
        return why
    if 2 * config.width > config.num_features:
        return f"width = {config.width}: at most half of num_features = {config.num_features}"
    return equivalent.why_no_contour(powers(config)[0], config.width, float(config.learning_rate))


def finite_width(config: Config, observable: str) -> float:
    """Declared error max(1.1, b²/6)/M: the faster the target falls, the fewer modes decide.

    Measured on 3000 to 8000 sketches each at M = 16, 32, a = 1.2 to 2.5 and b = 1.4 to 5, without the scatter of SGD.
    M times the deviation of the floor is at most 0.75 ± 0.11 at b = 1.8, 1.0 ± 0.1 at 2.4, 1.4 ± 0.2 at 3.5 and 3.1 ±
    0.2 at 5; on the way down that of the loss is 1.46 ± 0.15 at b = 3 and 2.1 ± 0.2 at 3.8. Always upwards.
    """
    return float(max(1.1, config.target_exponent**2 / 6) / config.width)


@theory(
    kind="ensemble",
    source="deterministic equivalent of the sketch's Hessian on a contour, derived here",
    predicts=("loss", "irreducible_loss"),
    holds=narrow,
    error=finite_width,
    controls={
        "infinite width": _infinitely_wide,
        "the first M features for the sketch": _cut,
        "no noise of SGD": lambda key, config: _ensemble(key, config, noise=False),
    },
    traceable=False,
)
def deterministic_equivalent(key: jax.Array, config: Config) -> dict[str, Any]:
    """Mean loss over sketches: the same recursion on complex nodes of a contour around the limiting spectrum.

    Exact in time, learning rate and batch size; up to 1/M in width.
    """
    return _ensemble(key, config)


# --- full-batch descent on samples ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def _contour(features: int, num_samples: int, a: float, horizon: float) -> Contour:
    return around_spectrum(np.arange(1, features + 1, dtype=float) ** -a, num_samples, horizon)


def _descent(key: jax.Array, config: Config, *, fluctuations: bool = True) -> dict[str, Any]:
    rate, n = float(config.learning_rate), config.num_samples
    variances, energies = powers(config)
    contour = _contour(config.num_features, n, float(config.spectrum_exponent), rate * config.num_steps)
    loss = equivalent.descent_losses(
        contour,
        variances,
        energies,
        n,
        float(config.noise_variance),
        rate,
        recorded_steps(config),
        fluctuations=fluctuations,
    )
    floor = equivalent.sample_irreducible_loss(variances, energies, n, fluctuations=fluctuations)
    return {"loss": loss, "irreducible_loss": np.float64(floor)}


def _infinitely_many_samples(key: jax.Array, config: Config) -> dict[str, Any]:
    variances, energies = powers(config)
    decay = 1 - float(config.learning_rate) * variances
    loss = np.array([np.sum(energies * decay ** (2 * t)) for t in recorded_steps(config)])
    return {"loss": loss, "irreducible_loss": np.float64(0.0)}


def given_samples(config: Config) -> str | None:
    """Say that samples are fresh, as many as features, or the contour too small for the step."""
    if config.regime == "online":
        return "for given samples, regime = 'offline'"
    if abs(config.num_samples - config.num_features) < 10:
        return f"num_samples = {config.num_samples} is within 10 of num_features, where label noise is amplified"
    return equivalent.why_no_contour(powers(config)[0], config.num_samples, float(config.learning_rate))


def finite_samples(config: Config, observable: str) -> float:
    """Declared error max(1, 1.7 r^1.5)/n with r = (b-1)/a, and at least 1.5/|n - D|.

    Measured on 8000 data sets each at n = 20 and 40, a = 1.5 and 2, b = 2.2 to 5: n times the deviation is at most 0.9
    ± 0.1 at r = 0.8, 1.9 ± 0.2 at 1.33 and 6.1 ± 0.4 at 2.67, always upwards. For n > D label noise adds in the end
    σ² D/(n - D - 1), exactly, against σ² D/(n - D).
    """
    ratio = (float(config.target_exponent) - 1) / float(config.spectrum_exponent)
    return max(max(1, 1.7 * ratio**1.5) / config.num_samples, 1.5 / abs(config.num_samples - config.num_features))


@theory(
    kind="ensemble",
    source=BORDELON.at("the same limit by dynamical mean-field theory; the double contour is derived here"),
    predicts=("loss", "irreducible_loss"),
    holds=given_samples,
    error=finite_samples,
    controls={
        "resolvents of one sample taken for independent": lambda key, config: _descent(key, config, fluctuations=False),
        "infinitely many samples": _infinitely_many_samples,
        "half of the label noise": at_config(
            lambda config: dataclasses.replace(config, noise_variance=config.noise_variance / 2)
        ),
    },
    traceable=False,
)
def double_contour(key: jax.Array, config: Config) -> dict[str, Any]:
    """Mean excess test loss of full-batch descent over data sets, at any number of steps, samples and label noise."""
    return _descent(key, config)


# --- power laws -------------------------------------------------------------------------------------------------------


def _size(config: Config) -> int:
    return config.width if config.regime == "online" else config.num_samples


def _floor(config: Config) -> power_laws.Floor:
    law = power_laws.width_floor if config.regime == "online" else power_laws.sample_floor
    return law(float(config.spectrum_exponent), float(config.target_exponent), _size(config), config.num_features)


def power_law_error(config: Config, observable: str) -> float:
    """Declared error: that of the finite size, at least 1.5 over it; and the next terms in κ and in the features.

    From the deterministic equivalent of the D features it is at most 0.99 of 1.5 over the size and the next terms, on
    2795 choices of D = 64 to 4096, sizes of 8 to 100, a = 1.2 to 3 and b = 1.3 to 5, online and offline. Half of them
    are within 0.02% of it.
    """
    if not (floor := _floor(config)).loss > 0:
        return np.inf
    size = finite_width if config.regime == "online" else finite_samples
    return float(max(1.5 / _size(config), size(config, observable)) + floor.neglected)


def many_features(config: Config) -> str | None:
    """Say that features are too few, or the size too small, for the power law to be within 20%."""
    if not (error := power_law_error(config, "irreducible_loss")) <= 0.2:
        return f"the power law may be {error:.0%} off here: it wants a large size and many more features"
    return None


def _another_exponent(key: jax.Array, config: Config) -> Observables:
    """Control: the floor falls like the size to the power a, in every phase."""
    floor = _floor(config)
    return {"irreducible_loss": jnp.asarray(floor.loss * _size(config) ** (floor.exponent - config.spectrum_exponent))}


def _tail_of_target(key: jax.Array, config: Config) -> Observables:
    """Control: what is lost are the features beyond the size."""
    b = float(config.target_exponent)
    return {"irreducible_loss": jnp.asarray(_size(config) ** (1 - b) / (b - 1))}


@theory(
    kind="ensemble",
    source=PAQUETTE.at("the exponent of the floor; its amplitude is derived here"),
    predicts=("irreducible_loss",),
    holds=many_features,
    error=power_law_error,
    controls={
        "the exponent of the features' variances": _another_exponent,
        "the target's tail": _tail_of_target,
        "twice the size": at_config(
            lambda config: dataclasses.replace(config, width=2 * config.width, num_samples=2 * config.num_samples)
        ),
    },
    traceable=False,
)
def power_law_floor(key: jax.Array, config: Config) -> Observables:
    """Loss that no number of steps removes, for a large size and still more features, with its amplitude.

    M^{-min(b-1, a)} online, n^{-min(b-1, 2a)} offline, and what the features beyond D would add, to first order.
    """
    return {"irreducible_loss": jnp.asarray(_floor(config).loss)}


THEORIES = (sgd_mean, deterministic_equivalent, double_contour, power_law_floor)
