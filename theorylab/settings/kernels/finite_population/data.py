"""Instances on real data: a random training set of a finite population, and the rest of it to test on.

There is no noise but what ``noise_variance`` adds: all power of the one-hot targets is in the target's
coefficients, which sum to 1. The training points are part of the population, so the risk on held-out points
differs from the population risk by an amount of order num_samples / population.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.numerics import datasets, random
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.eigensystem import kernel_matrix
from theorylab.settings.kernels.problem import Problem


def sample(key: jax.Array, config: Config) -> Problem:
    """Draw an instance: a random training set of the population; the held-out points are the test set.

    Labels are targets plus N(0, noise_variance / outputs) noise on each output. For one key, the training
    points of a smaller instance are among the first of a larger one, and ``num_test`` test points are the same for
    every number of training points. Traceable in the key: the data, or the
    kernel matrix where ``num_features`` is infinite, enter the program as constants.

    Raises
    ------
    ImportError
        If the package that holds the data is missing.
    """
    subset_key, features_key, noise_key = random.split(key, 3)
    dtype = jnp.result_type(float)
    data = datasets.load(config.data_set, config.population)
    targets = jnp.asarray(data.targets, dtype)
    outputs = targets.shape[1]
    order = jax.random.permutation(subset_key, config.population)
    num_test = int(min(config.num_test, config.population - config.num_samples))
    chosen, held_out = order[: config.num_samples], order[config.population - num_test :]
    if math.isinf(config.num_features):
        columns = jnp.asarray(kernel_matrix(config), dtype)[:, chosen]
        train, test = columns[chosen], columns[held_out]
    else:
        all_features = random_features(features_key, data.inputs, int(config.num_features))
        train, test = all_features[chosen], all_features[held_out]
    noise_variance = jnp.asarray(config.noise_variance, dtype)
    noise = random.normal(noise_key, config.num_samples * outputs, dtype=dtype)
    labels = targets[chosen] + jnp.sqrt(noise_variance / outputs) * noise.reshape(config.num_samples, outputs)
    test_weight = jnp.full((), 1 / num_test, dtype)
    return Problem(train, labels, test, targets[held_out], test_weight, noise_variance)


def random_features(key: jax.Array, inputs: np.ndarray, num_features: int) -> jax.Array:
    """Random ReLU features sqrt(2/k) relu(w_j·x / sqrt(dim)), w_j ~ N(0, I), as [points, features].

    E[features features^T] is the NNGP of depth 1 with K(x, x) = |x|²/dim.
    """
    dtype = jnp.result_type(float)
    dim = inputs.shape[1]
    # Feature by feature, so that one key's first features do not depend on their number.
    weights = random.normal(key, num_features, dim, dtype=dtype)
    hidden = jnp.asarray(inputs, dtype) @ weights.T / math.sqrt(dim)
    return math.sqrt(2 / num_features) * jax.nn.relu(hidden)
