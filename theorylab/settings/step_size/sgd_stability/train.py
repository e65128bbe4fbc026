"""Runs of SGD from the minimum's neighbourhood, and the Hessians of single batches."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random, second_moments
from theorylab.numerics.outliers import outlier
from theorylab.settings.step_size.sgd_stability.config import Config, spectrum
from theorylab.settings.step_size.sgd_stability.data import (
    chi_squares,
    gaussian_gradients,
    sample_points,
    subsets,
    wishart_factor,
)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Average ``num_replicas`` runs of SGD, and draw one batch Hessian and one Hessian with additive noise.

    Pure and traceable in every scalar field, the batch size among them.
    """
    lam, batch = spectrum(config), config.batch_size
    stable = second_moments.critical(lam, batch)
    rate = config.relative_rate * stable.learning_rate
    d, runs, rounds = config.dim, config.num_replicas, config.num_steps + 2
    _, _, steps_key, matrix_key = random.split(key, 4)
    normals = random.normal(matrix_key, 2, d, d)
    if config.sampling == "population":
        hessian = jnp.diag(lam)
        squares, diagonal, norm = chi_squares(key, config, rounds * runs)
        across = random.normal(steps_key, rounds, runs, d)
        squares = squares.reshape(rounds, runs)
        critical = stable.direction
        growing = second_moments.growth(lam, rate, batch).direction
        starts = [jnp.broadcast_to(jnp.sqrt(v), (runs, d)) for v in (critical, growing)]
        factor = wishart_factor(diagonal, normals[0], batch) * jnp.sqrt(lam / batch)[None]

        def gradient(index: ArrayLike, weights: Array) -> Array:
            return gaussian_gradients(weights, squares[index], across[index], lam, batch)
    else:
        replacement = config.sampling == "replacement"
        points = sample_points(key, config)
        hessian = points.T @ points / config.num_samples
        count_key, start_key = random.split(steps_key)
        uniforms = random.uniform(count_key, rounds * runs + 1, config.num_samples)
        counts = subsets(uniforms, batch, replacement=replacement)
        terms = second_moments.sample_terms(
            points, second_moments.batch_noise(config.num_samples, batch, replacement=replacement)
        )
        critical = second_moments.sample_sharpness(terms).direction
        growing = second_moments.sample_growth(terms, rate).direction
        roots = jnp.stack([_square_root(critical), _square_root(growing)])
        starts = list(jnp.einsum("srj,sjk->srk", random.normal(start_key, 2, runs, d), roots))
        factor = points * jnp.sqrt(counts[-1] / batch)[:, None]
        norm = jnp.sum(factor[:, 0] ** 2)
        counts = counts[:-1].reshape(rounds, runs, config.num_samples)

        def gradient(index: ArrayLike, weights: Array) -> Array:
            return (counts[index] * (weights @ points.T)) @ points / batch

    def loss(weights: Array) -> Array:
        return jnp.mean(jnp.einsum("ri,ij,rj->r", weights, hessian, weights)) / 2

    def step(weights: Array, index: Array) -> tuple[Array, Array]:
        weights = weights - rate * gradient(index, weights)
        return weights, loss(weights)

    ones = jnp.ones((runs, d), lam.dtype)
    _, losses = jax.lax.scan(step, ones, jnp.arange(config.num_steps))
    # One loop for both, as for the steps.
    _, (first, second) = jax.lax.scan(
        lambda _, inputs: (None, gradient(*inputs)), None, (jnp.arange(config.num_steps, rounds), jnp.stack(starts))
    )
    second = starts[1] - rate * second
    additive = config.noise_scale * (normals[1] + normals[1].T) / math.sqrt(2 * d)
    bare = jnp.zeros((d, d), lam.dtype).at[0, 0].set(config.spike)
    tops = jnp.linalg.eigvalsh(jnp.stack([factor.T @ factor, bare + additive]))[:, -1]
    return {
        "loss": jnp.concatenate([loss(ones)[None], losses]),
        # Both directions have E |w|² = 1, so that means alone are taken.
        "effective_sharpness": jnp.mean(jnp.sum(first**2, axis=1)) / jnp.sum(hessian * _moments(critical)),
        "growth": jnp.mean(jnp.sum(second**2, axis=1)),
        "batch_sharpness": tops[0],
        "sharpness_of_norm": outlier(norm, (d - 1) / batch),
        "noisy_sharpness": tops[1],
    }


def _moments(direction: Array) -> Array:
    return direction if direction.ndim == 2 else jnp.diag(direction)


def _square_root(matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))[None]) @ vectors.T
