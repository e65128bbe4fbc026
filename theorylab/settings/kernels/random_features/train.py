"""Simulate random-feature ridge regression."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from theorylab.contract import Observables
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import Instance, instance
from theorylab.settings.kernels.ridge_path import learned_parts, ridge_path, solve


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
        ``inverse_trace``: 1 / tr(K̂ + δI)⁻¹.
        ``learned_coefficients``: v̂_i / v_i of the eigenmodes that
        :func:`~theorylab.settings.kernels.random_features.kernel_spectra.measured_modes` names, as its mean over
        label noise and over the signs of all other coefficients, given inputs and features: ridge regression is linear
        in its labels, so that this is the part of mode i in the fit of mode i alone. In the Gaussian model
        v̂ = diag(√λ) W θ / √k.
    """
    return run(instance(key, config), config)


def run(drawn: Instance, config: Config) -> Observables:
    """Fit a given instance; see :func:`simulate`."""
    problem, modes, projections = drawn
    draws, labels = config.label_draws, jnp.concatenate([problem.labels, modes], axis=1)
    decomposition = ridge_path(problem._replace(labels=labels), kernel=math.isinf(config.num_features))
    fit = solve(decomposition.outputs(slice(draws)), config.ridge)
    return {
        "test_error": fit.test_error,
        "train_error": fit.train_error,
        "gcv": fit.gcv,
        "inverse_trace": fit.inverse_trace,
        "learned_coefficients": learned_parts(decomposition.outputs(slice(draws, None)), projections, config.ridge),
    }
