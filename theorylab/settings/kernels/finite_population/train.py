"""Simulate ridge regression on real data."""

from __future__ import annotations

import math

import jax

from theorylab.contract import Observables
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.data import sample
from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.ridge_path import ridge_path, solve


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw a training set and fit it.

    Pure and traceable in every scalar field. The decomposition does not involve the ridge: a ``vmap`` over
    ridges inside one over keys computes it once per instance.

    Returns
    -------
    dict
        ``test_error``: squared error on the held-out points with noisy labels (it includes the noise variance).
        ``train_error``: (1/n) |y - f(X)|² on the noisy training labels.
        ``gcv``: generalised cross-validation, train_error / ((δ/n) tr(K̂ + δI)⁻¹)².
        ``inverse_trace``: 1 / tr(K̂ + δI)⁻¹.
    """
    return run(sample(key, config), config)


def run(instance: Problem, config: Config) -> Observables:
    """Fit a given training set; see :func:`simulate`."""
    decomposition = ridge_path(instance, kernel=math.isinf(config.num_features))
    fit = solve(decomposition, config.ridge)
    return {
        "test_error": fit.test_error,
        "train_error": fit.train_error,
        "gcv": fit.gcv,
        "inverse_trace": fit.inverse_trace,
    }
