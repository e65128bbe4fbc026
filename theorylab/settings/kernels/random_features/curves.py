"""Theory at a configuration; and on arrays of sizes, ridges and noises, as figures draw it beside simulations.

Curves are those of features of one norm, which the Gaussian model's are for the theory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.typing import ArrayLike

from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.kernel_spectra import spectrum, square_norms
from theorylab.settings.kernels.theory.curves import FIELDS, best_errors, effective_kappas, error_curves
from theorylab.settings.kernels.theory.feature_norms import scaled_ridges
from theorylab.settings.kernels.theory.implicit import EffectiveRidges, effective_ridges


def solution(config: Config) -> EffectiveRidges:
    """Effective ridges of a configuration, with the law of its features' norms."""
    arguments, norms = (config.num_samples, config.num_features, config.ridge), square_norms(config)
    if norms is None:
        return effective_ridges(spectrum(config), *arguments)
    return scaled_ridges(spectrum(config), *arguments, *norms)


def errors(config: Config, **values: Any) -> dict[str, np.ndarray]:
    """Predict test and train error; ``values`` are arrays of ``num_samples``, ``num_features``, ``ridge``,
    ``noise_variance``, broadcast against each other, in place of the configuration's own.
    """
    return error_curves(spectrum(config), *(values.get(name, getattr(config, name)) for name in FIELDS))


def best_test_error(config: Config, num_samples: ArrayLike, num_features: ArrayLike) -> np.ndarray:
    """Predict the test error at the optimal ridge, for arrays of sizes."""
    return best_errors(spectrum(config), num_samples, num_features, config.noise_variance)["test_error"]


def effective_kappa(config: Config, num_samples: ArrayLike) -> np.ndarray:
    """Predict κ of ridgeless kernel regression, which 1/tr K⁻¹ of n samples measures."""
    return effective_kappas(spectrum(config), num_samples)
