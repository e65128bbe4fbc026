"""Theories of ridge regression on real data that are wrong on purpose: what a check must reject."""

from __future__ import annotations

from dataclasses import replace

import jax

from theorylab.contract import Control, Observables, at_config
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.eigensystem import spectrum
from theorylab.settings.kernels.theory.risk import finite_population_test_error, predict_errors

WITHOUT_NOISE: Control = at_config(lambda config: replace(config, noise_variance=0.0))
#: K̂ + n δ I, another normalisation of the ridge.
RIDGE_PER_SAMPLE: Control = at_config(lambda config: replace(config, ridge=config.num_samples * config.ridge))
INFINITE_WIDTH: Control = at_config(lambda config: replace(config, num_features=float("inf")))


def on_the_whole_population(key: jax.Array, config: Config) -> Observables:
    """The risk over all points, those that were trained on included."""
    errors = predict_errors(
        spectrum(config), config.num_samples, config.num_features, config.ridge, config.noise_variance
    )
    return {"test_error": errors["test_error"]}


def fitted_noise_as_fresh(key: jax.Array, config: Config) -> Observables:
    """The correction with the training error of the noisy labels that were fitted, as if these were fresh."""
    errors = predict_errors(
        spectrum(config), config.num_samples, config.num_features, config.ridge, config.noise_variance
    )
    return {
        "test_error": finite_population_test_error(
            errors["test_error"], errors["train_error"], config.num_samples, config.population
        )
    }
