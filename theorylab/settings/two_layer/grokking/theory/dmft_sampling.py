"""Samples for the dynamical mean-field theory: weighted nodes for the teacher's field, and correlated noise.

The noise of the single-datum process is Gaussian with the covariance of fields that the process itself makes. It is
built causally, without a Cholesky factor: fields are orthonormalised over the particles as they appear, and the same
coefficients mix fresh normals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import erf, erfinv
from jax.typing import ArrayLike
from jaxtyping import Array, Float

SPREAD = 1.5  # standard deviation of the nodes' own law: wider than the field's, so that its tail is sampled


def teacher_nodes(num_particles: int, cutoff: ArrayLike = 6.0) -> tuple[Float[Array, " particles"], Array]:
    """Positive nodes h and weights p (summing to 1) of the standard normal law cut off at |h| <= cutoff.

    Midpoint quantiles of a half-normal law of standard deviation 1.5, weighted by p ∝ exp(-h²/2 + h²/(2·1.5²)).
    Averages are taken over functions that are even under (h, odd noise) -> -(h, odd noise), so h > 0 is enough.
    The map of one datum under gradient descent is unstable far in the tail (|h| of about 8 to 10 at usual
    learning rates), which no data set of realistic size visits: hence the cutoff.
    """
    cutoff = jnp.asarray(cutoff, jnp.result_type(float))
    levels = (jnp.arange(num_particles, dtype=cutoff.dtype) + 0.5) / num_particles
    scale = SPREAD * jnp.sqrt(2.0)
    nodes = scale * erfinv(levels * erf(cutoff / scale))
    weights = jnp.exp(-0.5 * nodes**2 * (1 - 1 / SPREAD**2))
    return nodes, weights / jnp.sum(weights)


def orthogonalise(
    vector: Float[Array, " particles"], basis: Float[Array, "rows particles"], weights: Float[Array, " particles"]
) -> tuple[Float[Array, " particles"], Float[Array, " rows"], Float[Array, ""]]:
    """Split a vector into its part in the span of ``basis`` and a unit vector, by Gram-Schmidt in two passes.

    ``vector = coefficients @ basis + length * unit`` in the inner product <a b> = sum_i p_i a_i b_i. Rows of
    ``basis`` are orthonormal or zero. A rest at rounding level gives unit = 0 and length = 0.

    Returns
    -------
    unit, coefficients, length
    """

    def project(_: Any, split: tuple[Array, Array]) -> tuple[Array, Array]:
        rest, total = split
        coefficients = basis @ (weights * rest)
        return rest - coefficients @ basis, total + coefficients

    rest, coefficients = jax.lax.fori_loop(0, 2, project, (vector, jnp.zeros(basis.shape[0], vector.dtype)))
    size, left = jnp.sqrt(jnp.stack([vector, rest]) ** 2 @ weights)
    resolved = left > 1e3 * jnp.finfo(vector.dtype).eps * size
    unit = jnp.where(resolved, rest / jnp.where(resolved, left, 1.0), 0.0)
    return unit, coefficients, jnp.where(resolved, left, 0.0)


def put(array: Array, values: Array, at: Array, axis: int = 0) -> Array:
    """Set an entry along an axis; ``array.at[...].set`` also checks bounds, in kernels that take long to compile."""
    return jax.lax.dynamic_update_index_in_dim(array, values.astype(array.dtype), at, axis)


class Noise(NamedTuple):
    """The Gaussian noise built so far, for each parity (even, odd) of the fields; later rows are zero.

    Fields of one parity fill ``slots``; there are as many slots in both, unused ones hold zeros.

    Attributes
    ----------
    directions
        Orthonormal functions in which the forces expand, [2, steps * slots, particles].
    normals
        The normal variable of each direction, [2, steps * slots, particles].
    excluded
        Orthonormal basis of all that a new normal is made orthogonal to, [2, rows, particles].
    loadings
        force = loadings @ directions, [2, slots, steps, steps * slots].
    """

    directions: Array
    normals: Array
    excluded: Array
    loadings: Array


def start_noise(nodes: Array, weights: Array, num_times: int, slots: int) -> Noise:
    """Prepare :class:`Noise` for ``num_times`` steps; h^0, h², h^4, h^6 (even) and h, h³, h^5, h^7 are excluded."""
    powers = jnp.stack([jnp.stack([nodes ** (k + parity) for k in (0, 2, 4, 6)], axis=1) for parity in (0, 1)])
    root = jnp.sqrt(weights)[None, :, None]
    helpers = jnp.swapaxes(jnp.linalg.qr(powers * root)[0] / root, 1, 2)
    rows = jnp.zeros((2, num_times * (1 + 2 * slots), nodes.shape[0]), nodes.dtype)
    empty = jnp.zeros((2, num_times * slots, nodes.shape[0]), nodes.dtype)
    loadings = jnp.zeros((2, slots, num_times, num_times * slots), nodes.dtype)
    return Noise(empty, empty, jnp.concatenate([helpers, rows], axis=1), loadings)


def extend_noise(
    noise: Noise,
    t: Array,
    weights: Float[Array, " particles"],
    residual: Float[Array, "2 particles"],
    force: Float[Array, "2 slots particles"],
    fresh: Float[Array, "2 slots particles"],
) -> tuple[Noise, Float[Array, "2 slots particles"]]:
    """Add step t: normals whose mixture by the forces' own loadings has the covariance <g(t) g(s)>.

    Normals are independent of every field so far. Making them orthogonal, over the particles, to the forces, to
    earlier normals and to the ``residual`` (its product with h* for the odd sector) takes out most of the sampling
    error.

    Returns
    -------
    noise, and the mixtures at step t
    """
    slots = force.shape[1]

    def one_parity(noise: Noise, residual: Array, force: Array, fresh: Array) -> tuple[Noise, Array]:
        directions, normals, excluded, loadings = noise

        def expand(directions: Array, slot: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            at, values = slot
            unit, coefficients, length = orthogonalise(values, directions, weights)
            return put(directions, unit, at), (unit, put(coefficients, length, at))

        def exclude(excluded: Array, row: tuple[Array, Array]) -> tuple[Array, Array]:
            at, values = row
            unit = orthogonalise(values, excluded, weights)[0]
            return put(excluded, unit, at), unit

        # Scans, so that one orthogonalisation of each kind is compiled: compiling the march takes longer than running.
        at = t * slots + jnp.arange(slots)
        directions, (units, loaded) = jax.lax.scan(expand, directions, (at, force))
        # The residual, then for each slot the force's direction and its normal.
        vectors = jnp.concatenate([residual[None], jnp.stack([units, fresh], axis=1).reshape(2 * slots, -1)])
        rows = 4 + t * (1 + 2 * slots) + jnp.arange(1 + 2 * slots)
        excluded, excluded_units = jax.lax.scan(exclude, excluded, (rows, vectors))
        normals = jax.lax.dynamic_update_slice_in_dim(normals, excluded_units[2::2], at[0], axis=0)
        loadings = put(loadings, loaded, t, axis=1)
        return Noise(directions, normals, excluded, loadings), loaded @ normals

    return jax.vmap(one_parity)(noise, residual, force, fresh)
