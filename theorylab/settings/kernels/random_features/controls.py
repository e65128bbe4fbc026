"""Theories of random-feature regression that are wrong on purpose: what a check must reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
from jax import Array

from theorylab.contract import Control, Observables, at_config
from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.curves import solution
from theorylab.settings.kernels.random_features.kernel_spectra import measured_levels, spectrum
from theorylab.settings.kernels.theory.implicit import effective_ridges, learnabilities
from theorylab.settings.kernels.theory.power_law import PowerLawSums, continuum_law, corrected_law, errors_of_law
from theorylab.settings.kernels.theory.risk import (
    TargetSums,
    errors_at,
    errors_from_sums,
    target_sums,
)

WITHOUT_NOISE: Control = at_config(lambda config: replace(config, noise_variance=0.0))
#: K̂ + n δ I, another normalisation of the ridge.
RIDGE_PER_SAMPLE: Control = at_config(lambda config: replace(config, ridge=config.num_samples * config.ridge))
INFINITE_WIDTH: Control = at_config(lambda config: replace(config, num_features=float("inf")))
EXPONENTS_EXCHANGED: Control = at_config(
    lambda config: replace(
        config, eigenvalue_exponent=config.target_exponent, target_exponent=config.eigenvalue_exponent
    )
)


def learned_at_kappa(key: jax.Array, config: Config) -> Observables:
    """Learned coefficients at the effective ridge κ of the data instead of γ."""
    learned, _ = learnabilities(jnp.asarray(spectrum(config).eigenvalues), solution(config).kappa)
    return {"learned_coefficients": learned[measured_levels(config)]}


def inverse_trace_at_gamma(key: jax.Array, config: Config) -> Observables:
    """The inverse trace as the effective ridge γ of the eigenmodes instead of κ."""
    return {"inverse_trace": solution(config).gamma}


def one_norm(key: jax.Array, config: Config) -> Observables:
    """Errors and inverse trace of features that all have one norm."""
    arguments = (spectrum(config), config.num_samples, config.num_features)
    same = effective_ridges(*arguments, config.ridge)
    return {**errors_at(*arguments, same, config.noise_variance), "inverse_trace": same.kappa}


def train_error_at_gamma(key: jax.Array, config: Config) -> Observables:
    """The training error with the spare samples δ/γ in place of a = δ/κ."""
    solved = solution(config)
    errors = errors_at(spectrum(config), config.num_samples, config.num_features, solved, config.noise_variance)
    return {"train_error": (config.ridge / (config.num_samples * solved.gamma)) ** 2 * errors["test_error"]}


def within_the_span(key: jax.Array, config: Config) -> Observables:
    """Errors without the target's power on eigenfunctions of eigenvalue zero, which acts as noise."""
    eigenvalues, multiplicities, power = spectrum(config)
    inside = Spectrum(eigenvalues, multiplicities, jnp.where(eigenvalues > 0, power, 0))
    return errors_at(inside, config.num_samples, config.num_features, solution(config), config.noise_variance)


def without_mixed_term(key: jax.Array, config: Config) -> Observables:
    """Errors without w Σ v² L G, which only finitely many features have."""
    solved = solution(config)
    sums = TargetSums(target_sums(spectrum(config), solved.gamma).unlearned, jnp.zeros_like(solved.gamma))
    return errors_from_sums(
        config.num_samples,
        1 / config.num_features,
        solved.spare_samples,
        solved.spare_feature_fraction,
        solved.w,
        sums,
        config.noise_variance,
    )


def without_width_factor(key: jax.Array, config: Config) -> Observables:
    """The published test error, (3) of ``theory/risk.py``, without the factor k/(k − q) of its mixed term."""
    eigenvalues, _, power = spectrum(config)
    solved = solution(config)
    n, k, z, q = config.num_samples, config.num_features, solved.z, solved.q
    total = eigenvalues + solved.gamma
    bias = jnp.sum((solved.gamma / total - solved.kappa * eigenvalues / total**2) * power)
    return {"test_error": (bias + config.noise_variance) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))}


def _power_law(law: Callable[[Array, Array], Callable[[Array], PowerLawSums]], config: Config) -> Observables:
    arguments = (
        config.num_samples,
        config.num_features,
        config.ridge,
        config.noise_variance,
        config.eigenvalue_exponent,
        config.target_exponent,
    )
    return errors_of_law(law, *(jnp.asarray(x, float) for x in arguments))


def without_zeta_terms(key: jax.Array, config: Config) -> Observables:
    """Errors of the power law from the continuum sums, (11) of ``theory/power_law.py``."""
    return _power_law(continuum_law, config)


def without_mixed_zeta_term(key: jax.Array, config: Config) -> Observables:
    """Errors of the power law with Σ v² L G of the continuum, the other sums zeta-corrected."""

    def law(alpha: Array, beta: Array) -> Callable[[Array], PowerLawSums]:
        corrected, continuum = corrected_law(alpha, beta), continuum_law(alpha, beta)
        return lambda gamma: corrected(gamma)._replace(mixed=continuum(gamma).mixed)

    return _power_law(law, config)
