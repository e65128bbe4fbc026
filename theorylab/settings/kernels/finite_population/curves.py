"""Theory on arrays of sizes, ridges and noises, as figures draw it beside simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.typing import ArrayLike

from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.eigensystem import spectrum
from theorylab.settings.kernels.theory.curves import FIELDS, best_errors, effective_kappas, error_curves
from theorylab.settings.kernels.theory.risk import finite_population_test_error


def errors(config: Config, **values: Any) -> dict[str, np.ndarray]:
    """Predict the test error on held-out points, and the train error; ``values`` are arrays of ``num_samples``,
    ``num_features``, ``ridge``, ``noise_variance``, broadcast against each other, in place of the configuration's own.
    """
    arguments = [values.get(name, getattr(config, name)) for name in FIELDS]
    found = error_curves(spectrum(config), *arguments)
    n, noise = (np.broadcast_to(np.asarray(arguments[i], float), found["test_error"].shape) for i in (0, 3))
    return {**found, "test_error": held_out(config, found, n, noise)}


def best_test_error(config: Config, num_samples: ArrayLike, num_features: ArrayLike) -> np.ndarray:
    """Predict the test error on held-out points at the ridge that is best for the population, for arrays of sizes."""
    found = best_errors(spectrum(config), num_samples, num_features, config.noise_variance)
    n = np.broadcast_to(np.asarray(num_samples, float), found["test_error"].shape)
    return held_out(config, found, n, config.noise_variance)


def effective_kappa(config: Config, num_samples: ArrayLike) -> np.ndarray:
    """Predict κ of ridgeless kernel regression, which 1/tr K⁻¹ of n samples measures."""
    return effective_kappas(spectrum(config), num_samples)


def held_out(
    config: Config, errors: dict[str, np.ndarray], num_samples: np.ndarray, noise_variance: ArrayLike
) -> np.ndarray:
    """Test error on the points held out of the population.

    The spare samples a = n - z that the correction needs are n sqrt(train/test).
    """
    test, train = errors["test_error"], errors["train_error"]
    spare = num_samples * np.sqrt(train / test)
    corrected = finite_population_test_error(
        test, train, num_samples, config.population, noise_variance=noise_variance, spare_samples=spare
    )
    return np.asarray(corrected)
