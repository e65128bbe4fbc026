"""Theory on arrays of sizes, ridges and noises, as figures draw it beside simulations."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.typing import ArrayLike

from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.eigensystem import spectrum
from theorylab.settings.kernels.theory.curves import FIELDS, best_errors, effective_kappas, error_curves


def errors(config: Config, **values: Any) -> dict[str, np.ndarray]:
    """Predict the test error on held-out points, and the train error; ``values`` are arrays of ``num_samples``,
    ``num_features``, ``ridge``, ``noise_variance``, broadcast against each other, in place of the configuration's own.
    """
    arguments = [*(values.get(name, getattr(config, name)) for name in FIELDS), config.population]
    return error_curves(spectrum(config), *arguments)


def best_test_error(config: Config, num_samples: ArrayLike, num_features: ArrayLike) -> np.ndarray:
    """Predict the test error on held-out points at the ridge that is best for them, for arrays of sizes."""
    best = best_errors(spectrum(config), num_samples, num_features, config.noise_variance, config.population)
    return best["test_error"]


def effective_kappa(config: Config, num_samples: ArrayLike) -> np.ndarray:
    """Predict κ of ridgeless kernel regression, which 1/tr K⁻¹ of n samples measures."""
    return effective_kappas(spectrum(config), num_samples, config.population)
