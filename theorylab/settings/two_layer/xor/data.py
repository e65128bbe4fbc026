"""Samplers of XOR clusters: whole input vectors, or only the n + 2 coordinates in which anything happens.

All weights here are in units of α/(2 n √m), so that nothing is small: an active neuron's update is ±(±1) x_i, and the
initial weights are N(0, p/κ²) per coordinate with κ = ``step_init_ratio``. Pre-activations
w·x/p are then in units of the kick δ, and those of the initial weights are N(0, 1/κ²).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.two_layer.xor.config import Config, fits_reduced, step_init_ratio

#: Proposals of the chi-square sampler; each is accepted with probability > 0.95, so all fail in 1 of 10^10 draws.
PROPOSALS = 8


class Labels(NamedTuple):
    """Which cluster each training sample is from, and its label.

    ``pair`` is 0 for ±μ_1 (clean label +1) and 1 for ±μ_2 (clean label −1); ``side`` is the sign of the mean.
    """

    pair: Float[Array, " samples"]
    side: Float[Array, " samples"]
    clean: Float[Array, " samples"]
    observed: Float[Array, " samples"]


class Instance(NamedTuple):
    """One data set and one initialisation, in coordinates whose first two are along μ_1 and μ_2.

    ``outside`` are the pre-activations of the test points (in units of δ) by what the coordinates leave out;
    ``outside_variance`` their variance for a fresh point.
    """

    labels: Labels
    features: Float[Array, "samples coords"]
    signs: Float[Array, " width"]
    weights: Float[Array, "width coords"]
    test_features: Float[Array, "tests coords"]
    outside: Float[Array, "width tests"]
    outside_variance: Float[Array, ""]


def sample_labels(key: jax.Array, config: Config) -> Labels:
    """Draw the clusters and labels of the training set: what theories of the instance share with the simulation."""
    n = config.num_train
    uniform = jax.random.uniform(random.fold_in(key, 0), (3 * n,))
    clean = jnp.where(uniform[:n] < 0.5, 1.0, -1.0)
    side = jnp.where(uniform[n : 2 * n] < 0.5, 1.0, -1.0)
    observed = jnp.where(uniform[2 * n :] < config.label_noise, -clean, clean)
    return Labels((1 - clean) / 2, side, clean, observed)


def cluster_order(count: int) -> tuple[Float[Array, " tests"], Float[Array, " tests"]]:
    """Pair (0 or 1) and side (±1) of the test points: equally many of each cluster (k, σ), in the order of
    (1, +), (1, −), (2, +), (2, −)."""
    index = jnp.arange(4).repeat(count // 4, total_repeat_length=count)
    return (index // 2).astype(float), 1.0 - 2.0 * (index % 2)


def signal(pair: Array, side: Array, mean_norm: Array | float) -> Float[Array, "samples 2"]:
    """Coordinates of σ μ_k along μ_1 and μ_2."""
    return (side * mean_norm)[:, None] * jnp.stack([1 - pair, pair], axis=1)


def sample(key: jax.Array, config: Config) -> Instance:
    """Draw a data set and an initialisation.

    Reduced (exact in law, O(n²) numbers for any p): in an orthonormal basis that begins with μ_1, μ_2 and goes on
    with the noise of sample after sample, the noise is N(0, I_2) beside a lower triangle with N(0, 1) below a
    diagonal of χ_{p−2}, χ_{p−3}, … (Bartlett 1933); weights and test points have independent normal coordinates
    there, and each pre-activation of a test point gets N(0, (p − n − 2)/(p κ²)) from the rest of the space, which
    replaces a Wishart matrix by its mean (relative error √(m/p)).
    """
    labels = sample_labels(key, config)
    n, m, p, tests = config.num_train, config.width, config.input_dim, config.num_test
    reduced = config.sampler == "reduced" and fits_reduced(config)
    coords = n + 2 if reduced else p
    sizes = [m, m * coords, tests * coords]
    sizes += [2 * n, n * n, 2 * PROPOSALS * n, m * tests] if reduced else [n * p]
    # One call of the generator: each one costs compile time.
    flat = random.normal(random.fold_in(key, 1), sum(sizes))
    parts = jnp.split(flat, [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)])
    signs = jnp.where(parts[0] < 0, -1.0, 1.0)
    scale = 1 / jnp.asarray(step_init_ratio(config), flat.dtype)
    weights = math.sqrt(p) * scale * parts[1].reshape(m, coords)
    test_features = parts[2].reshape(tests, coords)
    if reduced:
        draws = parts[5].reshape(2, PROPOSALS, n)
        degrees = p - 2 - jnp.arange(n, dtype=flat.dtype)
        triangle = jnp.tril(parts[4].reshape(n, n), -1)
        diagonal = jnp.sqrt(random.chi_square_of(draws[0], jax.scipy.special.ndtr(draws[1]), degrees))
        triangle = triangle + jnp.diag(diagonal)
        features = jnp.concatenate([parts[3].reshape(n, 2), triangle], axis=1)
        variance = ((p - n - 2) / p) * scale**2
        outside = jnp.sqrt(variance) * parts[6].reshape(m, tests)
    else:
        features = parts[3].reshape(n, p)
        outside, variance = jnp.zeros((m, tests), flat.dtype), 0 * scale
    pair, side = cluster_order(tests)
    features = features.at[:, :2].add(signal(labels.pair, labels.side, config.mean_norm))
    test_features = test_features.at[:, :2].add(signal(pair, side, config.mean_norm))
    return Instance(labels, features, signs, weights, test_features, outside, variance)


def project(instance: Instance) -> Instance:
    """Exact reduction of given data to n + 2 coordinates: an orthonormal basis of [μ_1, μ_2, X] by QR.

    Gradient descent stays in the span of the data; of the weights beyond, only the pre-activations of the given test
    points are kept. ``outside_variance`` becomes the mean over neurons for a fresh test point.
    """
    coords = instance.features.shape[1]
    plane = jnp.eye(2, coords, dtype=instance.features.dtype)
    basis, triangle = jnp.linalg.qr(jnp.concatenate([plane, instance.features]).T)
    basis = basis * jnp.where(jnp.diagonal(triangle) < 0, -1.0, 1.0)[None]
    weights = instance.weights @ basis
    tests = instance.test_features @ basis
    outside = (instance.weights @ instance.test_features.T - weights @ tests.T) / coords
    # Exact means along μ_1, μ_2: the basis begins with them up to rounding.
    rest = jnp.sum(instance.weights**2, axis=1) - jnp.sum(weights**2, axis=1)
    return Instance(
        instance.labels,
        instance.features @ basis,
        instance.signs,
        weights,
        tests,
        instance.outside + outside,
        instance.outside_variance + jnp.mean(rest) / coords**2,
    )
