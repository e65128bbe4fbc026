"""What is drawn: gradients on fresh batches, batch Hessians, subsets of given points."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.step_size.sgd_stability.config import Config, spectrum


def gaussian_gradients(
    weights: Float[Array, "replicas dim"],
    chi_squares: Float[Array, " replicas"],
    normals: Float[Array, "replicas dim"],
    eigenvalues: Float[Array, " dim"],
    batch_size: ArrayLike,
) -> Float[Array, "replicas dim"]:
    """Gradients (1/B) Σ x (x·w) on fresh Gaussian samples, exact in law, in a time that does not depend on B.

    With u = √λ w of direction û the sum is √λ |u| (χ² û + χ ξ): χ² has B degrees of freedom, and ξ is a normal vector
    orthogonal to û.
    """
    roots = jnp.sqrt(eigenvalues)
    u = roots[None] * weights
    length, chi = jnp.sqrt(jnp.einsum("rd,rd->r", u, u)), jnp.sqrt(chi_squares)
    along = jnp.einsum("rd,rd->r", u, normals) / jnp.where(length > 0, length, 1.0)
    # Products of numbers for each run with its two vectors: as one fused expression it was miscompiled in float32.
    across = (length * chi)[:, None] * normals
    return roots[None] * ((chi_squares - chi * along)[:, None] * u + across) / batch_size


def wishart_factor(
    diagonal: Float[Array, " dim"], normals: Float[Array, "dim dim"], batch_size: ArrayLike
) -> Float[Array, "dim dim"]:
    """Upper triangular R with RᵀR in law the sum of g gᵀ over B standard normal g (Bartlett), also for B < d.

    ``diagonal`` are chi-square numbers of B, B - 1, ... degrees; rows beyond B are zero.
    """
    rows = jnp.arange(diagonal.shape[0]) < batch_size
    return jnp.where(rows[:, None], jnp.triu(normals, 1) + jnp.diag(jnp.sqrt(diagonal)), 0.0)


def subsets(
    uniforms: Float[Array, "batches n"], batch_size: ArrayLike, *, replacement: bool
) -> Float[Array, "batches n"]:
    """How often each of n points is in a batch of B <= n."""
    n = uniforms.shape[1]
    if replacement:
        chosen = jnp.minimum((uniforms * n).astype(int), n - 1)
        drawn = (jnp.arange(n) < batch_size).astype(uniforms.dtype)
        return jax.vmap(lambda places: jnp.zeros(n, uniforms.dtype).at[places].add(drawn))(chosen)
    last = jnp.take(jnp.sort(uniforms, axis=1), jnp.asarray(batch_size).astype(int) - 1, axis=1)
    return (uniforms <= last[:, None]).astype(uniforms.dtype)


def sample_points(key: jax.Array, config: Config) -> Float[Array, "n dim"]:
    """The given points, n draws of N(0, diag λ)."""
    return random.normal(random.split(key, 4)[0], config.num_samples, config.dim) * jnp.sqrt(spectrum(config))[None]


def chi_squares(key: jax.Array, config: Config, count: int) -> tuple[Array, Array, Array]:
    """Draw chi-square numbers: ``count`` of B degrees of freedom for the steps; those of B, B - 1, ... for one batch.

    The third is |X_spike|²/B of that batch. All come from one call, whose loop is dear to compile; a chi-square number
    of k degrees is one of k + 2 times U^(2/k), with a uniform number of its own.
    """
    batch = jnp.asarray(config.batch_size, float)
    degrees = jnp.maximum(batch - jnp.arange(config.dim, dtype=float), 1.0)
    degrees = jnp.concatenate([degrees, jnp.full(count, batch)])
    square_key, uniform_key = random.split(random.split(key, 4)[1])
    drawn = random.chi_square(square_key, degrees + 2, 1, minimum_degrees=3)[0]
    drawn = drawn * random.uniform(uniform_key, degrees.shape[0]) ** (2 / degrees)
    diagonal = drawn[: config.dim]
    return drawn[config.dim :], diagonal, config.spike * diagonal[0] / batch
