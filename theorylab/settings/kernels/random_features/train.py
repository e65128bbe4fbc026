"""Simulate random-feature ridge regression."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from theorylab.contract import Observables
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import sample
from theorylab.settings.kernels.random_features.model import ridge_path, solve

#: Eigenmodes (counted from 1) whose learned coefficients are measured, as far as the model has them.
MODES = (1, 2, 5, 10, 20, 50)


def measured_modes(config: Config) -> tuple[int, ...]:
    """Eigenmodes of the Gaussian model whose learned coefficients :func:`simulate` returns."""
    return tuple(mode for mode in MODES if mode <= config.num_modes)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and fit it.

    Pure and traceable in every scalar field. The decomposition does not involve the ridge: a ``vmap`` over
    ridges inside one over keys computes it once per instance.

    Returns
    -------
    dict
        ``test_error``: population risk on noisy labels (it includes the noise variance).
        ``train_error``: (1/n) |y - f(X)|² on the noisy training labels.
        ``gcv``: generalised cross-validation, train_error / ((δ/n) tr(K̂ + δI)⁻¹)².
        ``learned_coefficients`` (Gaussian model): v̂_i / v_i at :data:`MODES`, with v̂ = diag(√λ) W θ / √k.
    """
    decomposition = ridge_path(sample(key, config), kernel=math.isinf(config.num_features))
    fit = solve(decomposition, config.ridge)
    observables = {"test_error": fit.test_error, "train_error": fit.train_error, "gcv": fit.gcv}
    if config.model == "gaussian":
        rows = jnp.array(measured_modes(config)) - 1
        observables["learned_coefficients"] = fit.prediction[rows, 0] / decomposition.test_targets[rows, 0]
    return observables
