"""What is drawn before training: the sketch and its eigenbasis; the samples."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.kernels.scaling_laws.config import Config, traced_powers


class Sketch(NamedTuple):
    """A sketch as SGD sees it.

    Attributes
    ----------
    eigenvalues
        h of the Hessian H = Wᵀ Λ W, [width].
    energies
        f, the target's part along each: a run from zero weights begins with the loss Σ f + s.
    irreducible
        s, what no weights can fit; on Gaussian inputs it is label noise, independent of the sketched features.
    """

    eigenvalues: Float[Array, " width"]
    energies: Float[Array, " width"]
    irreducible: Float[Array, ""]


def sketch_matrix(key: jax.Array, config: Config) -> Float[Array, "features width"]:
    """The sketch W of entries N(0, 1/M)."""
    drawn = random.normal(random.split(key, 2)[0], config.num_features, config.width)
    return drawn / math.sqrt(config.width)


def sketch(key: jax.Array, config: Config) -> Sketch:
    """Draw W and diagonalise its Hessian; y = φ·θ* + N(0, s) with features φ = Wᵀ x."""
    variances, target = traced_powers(config)
    scaled = jnp.sqrt(variances)[:, None] * sketch_matrix(key, config)
    eigenvalues, basis = jnp.linalg.eigh(scaled.T @ scaled)
    along = basis.T @ (scaled.T @ jnp.sqrt(target))
    energies = along**2 / eigenvalues
    return Sketch(eigenvalues, energies, jnp.maximum(jnp.sum(target) - jnp.sum(energies), 0))


class Samples(NamedTuple):
    """Inputs [samples, features], label noise [samples]; the target's weights β [features] and variances λ."""

    inputs: Float[Array, "samples features"]
    noise: Float[Array, " samples"]
    weights: Float[Array, " features"]
    variances: Float[Array, " features"]


def samples(key: jax.Array, config: Config) -> Samples:
    """Draw n inputs N(0, Λ) and their label noise."""
    variances, target = traced_powers(config)
    input_key, noise_key = random.split(key, 2)
    inputs = random.normal(input_key, config.num_samples, config.num_features) * jnp.sqrt(variances)[None]
    noise = jnp.sqrt(1.0 * jnp.asarray(config.noise_variance)) * random.normal(noise_key, config.num_samples)
    return Samples(inputs, noise, jnp.sqrt(target / variances), variances)
