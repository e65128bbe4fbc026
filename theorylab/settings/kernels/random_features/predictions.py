"""The theories of random-feature regression as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from theorylab.contract import Observables, Theory
from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.random_features import kernel_spectra
from theorylab.settings.kernels.random_features.config import REAL_DATA, Config
from theorylab.settings.kernels.random_features.theory.implicit import effective_ridges, learnabilities
from theorylab.settings.kernels.random_features.theory.power_law import corrected_errors, corrected_problem
from theorylab.settings.kernels.random_features.theory.risk import errors_at, finite_population_test_error
from theorylab.settings.kernels.random_features.train import measured_modes, simulate

MORE_IS_BETTER = "Simon, Karkada, Ghosh and Belkin 2023, arXiv 2311.14646"


def spectrum_of(config: Config) -> Spectrum:
    """Eigensystem of the kernel behind a configuration; a host-side constant except for the Gaussian model."""
    if config.model in REAL_DATA:
        from theorylab.settings.kernels.random_features import real_data

        return real_data.spectrum(config)
    return kernel_spectra.spectrum(config)


# --- effective ridges --------------------------------------------------------------------------------------


def predict_effective_ridge(key: jax.Array, config: Config) -> Observables:
    """Predict test and train error, and the mean learned coefficients, from the effective ridges.

    Real data: the test error is that of the held-out points of a finite population. ``gcv`` estimates the risk
    without that correction, so no prediction is given for it here.
    """
    spectrum = spectrum_of(config)
    solution = effective_ridges(spectrum, config.num_samples, config.num_features, config.ridge)
    noise = config.noise_variance
    errors = errors_at(spectrum, config.num_samples, config.num_features, solution, noise)
    if config.model in REAL_DATA:
        errors["test_error"] = finite_population_test_error(
            errors["test_error"],
            errors["train_error"],
            config.num_samples,
            config.population,
            noise_variance=noise,
            spare_samples=solution.spare_samples,
        )
    if config.model == "gaussian":
        learned, _ = learnabilities(jnp.asarray(spectrum.eigenvalues), solution.gamma)
        errors["learned_coefficients"] = learned[jnp.array(measured_modes(config)) - 1]
    return errors


def universality_holds(config: Config) -> str | None:
    """Say why Gaussian universality, on which the theory rests, is not to be trusted; None where it is."""
    if config.model == "fourier" and config.ridge < 1:
        return (
            f"Gaussian universality fails for Fourier features in {config.input_dim} dimensions at ridge "
            f"{config.ridge:g} (fast-decaying spectrum); expect errors of 30% to 200%"
        )
    if config.model in REAL_DATA and config.num_samples > config.population / 5:
        return f"num_samples = {config.num_samples} is above population / 5 = {config.population / 5:g}"
    if config.model == "erf_hypercube" and config.input_dim < 16:
        return f"input_dim = {config.input_dim}: inputs repeat on a cube of 2^{config.input_dim} points"
    if config.ridge == 0 and config.num_samples == config.num_features:
        return "the prediction at num_features = num_samples without ridge is infinite"
    if min(config.num_samples, config.num_features) < 16:
        return "fewer than 16 samples or features: finite-size effects are not small"
    return None


#: Relative error at 100 samples and features, by model: measured, see the tests of theory against experiment.
FINITE_SIZE = {
    "gaussian": {"test_error": 0.02, "train_error": 0.03, "learned_coefficients": 0.03},
    "relu_sphere": {"test_error": 0.04, "train_error": 0.10},
    "erf_hypercube": {"test_error": 0.04, "train_error": 0.08},
    "fourier": {"test_error": 0.15, "train_error": 0.15},
    "digits": {"test_error": 0.08, "train_error": 0.20},
    "mnist": {"test_error": 0.06, "train_error": 0.20},
}


def finite_size(config: Config, observable: str) -> float:
    """Relative finite-size error of the effective-ridge theory.

    Two terms: the model's own, of order 1/min(n, k), and 1/(a + b) with the spare samples a = n - z and spare
    features b = k - z, the order of the correction n/(n-k) -> n/(n-k-1) of an inverse Wishart matrix.
    """
    size = FINITE_SIZE[config.model][observable]
    if config.model in (*REAL_DATA, "fourier"):
        return size  # not of Gaussian universality alone: measured, and flat in the sizes
    size *= max(1.0, 100 / min(config.num_samples, config.num_features))
    solution = effective_ridges(spectrum_of(config), config.num_samples, config.num_features, config.ridge)
    return size + float(1 / (solution.spare_samples + solution.spare_features))


# --- closed forms ------------------------------------------------------------------------------------------


def predict_power_law(key: jax.Array, config: Config) -> Observables:
    """Predict the errors of an infinite power-law spectrum in closed form; nothing for the other models."""
    if config.model != "gaussian":
        return {}
    return corrected_errors(
        config.num_samples,
        config.num_features,
        config.ridge,
        config.noise_variance,
        config.eigenvalue_exponent,
        config.target_exponent,
    )


def truncated_tail(config: Config) -> float:
    """Relative weight of what a spectrum cut at ``num_modes`` lacks: trace beside the ridge, power beside all power."""
    trace = config.num_modes ** (1 - config.eigenvalue_exponent) / (config.eigenvalue_exponent - 1)
    power = config.num_modes ** (1 - config.target_exponent) / (config.target_exponent - 1)
    return (trace / config.ridge if config.ridge > 0 else math.inf) + power


def power_law_holds(config: Config) -> str | None:
    """Say why the closed forms do not describe a configuration; None where they do."""
    problem = corrected_problem(config.eigenvalue_exponent, config.target_exponent)
    if problem is not None:
        return problem
    if truncated_tail(config) > 0.1:
        return f"the closed form is for infinitely many modes; beyond num_modes = {config.num_modes} lies too much"
    return universality_holds(config)


# --- generalised cross-validation ----------------------------------------------------------------------------


def predict_gcv(key: jax.Array, config: Config) -> Observables:
    """Estimate the test error from the training set of the same instance alone, without any spectrum."""
    return {"test_error": simulate(key, config)["gcv"]}


def gcv_holds(config: Config) -> str | None:
    """Say where generalised cross-validation is not to be trusted; None where it is."""
    if config.model in REAL_DATA and config.ridge < 1:
        return f"ridge = {config.ridge:g}: on few real data below ridge 1 it is up to 35% low (duplicates, heavy tails)"
    if config.model not in REAL_DATA and config.ridge < 0.1:
        return f"ridge = {config.ridge:g} is below 0.1: a ratio of two small numbers"
    return universality_holds(config)


def gcv_finite_size(config: Config, observable: str) -> float:
    """Relative error of the estimate: 5% at 100 samples and features; 10% on real data."""
    if config.model in REAL_DATA:
        return 0.10
    return 0.05 * max(1.0, 100 / min(config.num_samples, config.num_features))


EFFECTIVE_RIDGE = Theory(
    "effective_ridge",
    predict_effective_ridge,
    "ensemble",
    f"{MORE_IS_BETTER}, random-feature eigenframework (equations 1, 3' and 4 of theory/); learned coefficients: "
    "Jacot et al. 2020, arXiv 2002.08404",
    holds=universality_holds,
    error=finite_size,
)
POWER_LAW = Theory(
    "power_law",
    predict_power_law,
    "ensemble",
    f"zeta-corrected closed form of {MORE_IS_BETTER} for power laws (equation 12 of theory/power_law.py)",
    holds=power_law_holds,
    error=lambda config, observable: finite_size(config, observable) + truncated_tail(config),
)
GCV = Theory(
    "gcv",
    predict_gcv,
    "instance",
    "Golub, Heath and Wahba 1979; Craven and Wahba 1979",
    holds=gcv_holds,
    error=gcv_finite_size,
    estimates={"test_error": "gcv"},
)
THEORIES = (EFFECTIVE_RIDGE, POWER_LAW, GCV)
