"""Theories of ridge regression on real data that are wrong on purpose: what a check must reject."""

from __future__ import annotations

from dataclasses import replace

import jax

from theorylab.contract import Control, Observables, at_config
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.eigensystem import spectrum
from theorylab.settings.kernels.theory.implicit import EffectiveRidges, effective_ridges
from theorylab.settings.kernels.theory.risk import errors_at

WITHOUT_NOISE: Control = at_config(lambda config: replace(config, noise_variance=0.0))
#: K̂ + n δ I, another normalisation of the ridge.
RIDGE_PER_SAMPLE: Control = at_config(lambda config: replace(config, ridge=config.num_samples * config.ridge))
INFINITE_WIDTH: Control = at_config(lambda config: replace(config, num_features=float("inf")))


def solve(config: Config, population: float) -> tuple[EffectiveRidges, Observables]:
    """Effective ridges and errors for points drawn without replacement from a population, or of a distribution."""
    eigensystem, sizes = spectrum(config), (config.num_samples, config.num_features)
    solution = effective_ridges(eigensystem, *sizes, config.ridge, population)
    return solution, errors_at(eigensystem, *sizes, solution, config.noise_variance, population)


def with_fresh_labels(config: Config, solution: EffectiveRidges, train_error: jax.Array) -> jax.Array:
    """Error at the training points with labels drawn anew, train + 2σ² z/n.

    The fitted function follows the noise that it was trained on, by σ² for each of z degrees of freedom.
    """
    return train_error + 2 * config.noise_variance * (1 - solution.spare_samples / config.num_samples)


def on_the_whole_population(key: jax.Array, config: Config) -> Observables:
    """The risk over all points, those that were trained on included."""
    solution, errors = solve(config, config.population)
    n, M = config.num_samples, config.population
    trained = with_fresh_labels(config, solution, errors["train_error"])
    return {"test_error": ((M - n) * errors["test_error"] + n * trained) / M}


def with_replacement(key: jax.Array, config: Config) -> Observables:
    """Points drawn with replacement, as if new from a distribution with the population's eigensystem.

    Its risk is taken for that over all M points, and what the training points have of it is taken off.
    """
    solution, errors = solve(config, float("inf"))
    n, M = config.num_samples, config.population
    trained = with_fresh_labels(config, solution, errors["train_error"])
    return {**errors, "test_error": (M * errors["test_error"] - n * trained) / (M - n), "inverse_trace": solution.kappa}


def fitted_noise_as_fresh(key: jax.Array, config: Config) -> Observables:
    """The held-out risk from that of the whole population, with the train error of the noisy labels that were fitted
    as if these were fresh.
    """
    whole = on_the_whole_population(key, config)["test_error"]
    n, M = config.num_samples, config.population
    return {"test_error": (M * whole - n * solve(config, M)[1]["train_error"]) / (M - n)}
