"""Random feature maps, the kernels they average to, and the polynomials that diagonalise those kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.numerics import random

#: Variance s of w·x in the features erf(w·x) on the hypercube.
ERF_SCALE = 2.0


class Geometry(NamedTuple):
    """An input distribution with its features, kernel and zonal polynomials.

    ``overlap`` is normalised to 1 at x = x'; ``polynomials(t, degrees, dim)`` are P_0 … P_degrees with
    P_l(1) = 1 and E[P_l(a·x) P_l(b·x)] = P_l(a·b) / ``multiplicity(l, dim)``. ``target_power(dim)`` is the
    power of the random target in each degree that it has; it adds to 1.
    """

    inputs: Callable[[jax.Array, int, int], Array]
    weights: Callable[[jax.Array, int, int], Array]
    features: Callable[[Array, Array], Array]
    overlap: Callable[[Array, Array], Array]
    kernel: Callable[[Array, Array], Array]
    polynomials: Callable[[Any, int, int], list[Any]]
    multiplicity: Callable[[int, int], int]
    target_power: Callable[[int], dict[int, float]]


# --- ReLU features on the unit sphere -----------------------------------------------------------------


def sphere_inputs(key: jax.Array, num: int, dim: int) -> Float[Array, "num dim"]:
    """Draw points uniformly on the unit sphere."""
    x = random.normal(key, num, dim)
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def relu_weights(key: jax.Array, num: int, dim: int) -> Float[Array, "dim num"]:
    """Draw w ~ N(0, I_d), one column per feature."""
    return random.normal(key, num, dim).T


def relu_features(
    x: Float[Array, "points dim"], weights: Float[Array, "dim features"]
) -> Float[Array, "points features"]:
    """Features √2 relu(w·x) / √k."""
    return jax.nn.relu(x @ weights) * math.sqrt(2 / weights.shape[1])


def sphere_overlap(x: Float[Array, "points dim"], y: Float[Array, "others dim"]) -> Float[Array, "points others"]:
    """Overlaps x·x' of points of unit norm."""
    return x @ y.T


def relu_kernel(x: Float[Array, "points dim"], y: Float[Array, "others dim"]) -> Float[Array, "points others"]:
    """Arc-cosine kernel (√(1-t²) + t (π - arccos t)) / π, t = x·x' (Cho and Saul 2009, order 1)."""
    t = jnp.clip(x @ y.T, -1, 1)
    return (jnp.sqrt(1 - t**2) + t * (math.pi - jnp.arccos(t))) / math.pi


def legendre(t: Any, degrees: int, dim: int) -> list[Any]:
    """Legendre polynomials in d dimensions: (l + d - 2) P_{l+1} = (2l + d - 2) t P_l - l P_{l-1}."""
    values = [t * 0 + 1, t]
    for l in range(1, degrees):
        values.append(((2 * l + dim - 2) * t * values[l] - l * values[l - 1]) / (l + dim - 2))
    return values[: degrees + 1]


def sphere_multiplicity(degree: int, dim: int) -> int:
    """Number of spherical harmonics of a degree: (2l + d - 2)/l · C(l + d - 3, l - 1), and 1 at l = 0."""
    if degree == 0:
        return 1
    return (2 * degree + dim - 2) * math.comb(degree + dim - 3, degree - 1) // degree


def sphere_target_power(dim: int) -> dict[int, float]:
    """Power of degrees 1 to 4; degree 3 is outside the kernel's span and acts as noise."""
    return {1: 0.5, 2: 0.3, 3: 0.1, 4: 0.1}


# --- erf features on the hypercube --------------------------------------------------------------------


def cube_inputs(key: jax.Array, num: int, dim: int) -> Float[Array, "num dim"]:
    """Draw points uniformly on {-1, 1}^d."""
    signs = (random.bits(key, num * dim) & jnp.uint32(1)).reshape(num, dim)
    return jnp.where(signs, 1.0, -1.0).astype(jnp.result_type(float))


def erf_weights(key: jax.Array, num: int, dim: int) -> Float[Array, "dim num"]:
    """Draw w ~ N(0, (s/d) I_d), so that w·x has variance s on the hypercube."""
    return math.sqrt(ERF_SCALE / dim) * random.normal(key, num, dim).T


def erf_features(
    x: Float[Array, "points dim"], weights: Float[Array, "dim features"]
) -> Float[Array, "points features"]:
    """Features erf(w·x) / √k."""
    return jax.scipy.special.erf(x @ weights) / math.sqrt(weights.shape[1])


def cube_overlap(x: Float[Array, "points dim"], y: Float[Array, "others dim"]) -> Float[Array, "points others"]:
    """Overlaps x·x' / d."""
    return x @ y.T / x.shape[1]


def erf_kernel(x: Float[Array, "points dim"], y: Float[Array, "others dim"]) -> Float[Array, "points others"]:
    """Kernel (2/π) arcsin(2 s t / (1 + 2 s)), t = x·x'/d (Williams 1997)."""
    return (2 / math.pi) * jnp.arcsin(2 * ERF_SCALE / (1 + 2 * ERF_SCALE) * cube_overlap(x, y))


def krawtchouk(t: Any, degrees: int, dim: int) -> list[Any]:
    """Normalised Krawtchouk polynomials: (d - l) P_{l+1} = d t P_l - l P_{l-1}, for degrees up to d."""
    values = [t * 0 + 1, t]
    for l in range(1, degrees):
        values.append((dim * t * values[l] - l * values[l - 1]) / (dim - l))
    return values[: degrees + 1]


def cube_multiplicity(degree: int, dim: int) -> int:
    """Number of products of ``degree`` coordinates, C(d, l)."""
    return math.comb(dim, degree)


def cube_target_power(dim: int) -> dict[int, float]:
    """Power of degrees 1, 3 and 5, as far as the dimension has them; even degrees are not in the kernel."""
    powers = {degree: power for degree, power in ((1, 0.5), (3, 0.3), (5, 0.2)) if degree <= dim}
    return {degree: power / sum(powers.values()) for degree, power in powers.items()}


GEOMETRIES: dict[str, Geometry] = {
    "relu_sphere": Geometry(
        sphere_inputs, relu_weights, relu_features, sphere_overlap, relu_kernel,
        legendre, sphere_multiplicity, sphere_target_power,
    ),
    "erf_hypercube": Geometry(
        cube_inputs, erf_weights, erf_features, cube_overlap, erf_kernel,
        krawtchouk, cube_multiplicity, cube_target_power,
    ),
}  # fmt: skip


# --- Fourier features of the RBF kernel ---------------------------------------------------------------


def fourier_weights(
    key: jax.Array, num: int, dim: int
) -> tuple[Float[Array, "dim features"], Float[Array, " features"]]:
    """Draw frequencies w ~ N(0, I_d) at unit bandwidth and phases uniform on (0, 2π)."""
    frequency_key, phase_key = random.split(key)
    frequencies = random.normal(frequency_key, num, dim).T
    return frequencies, 2 * math.pi * random.uniform(phase_key, num)


def fourier_features(
    x: Float[Array, "points dim"],
    frequencies: Float[Array, "dim features"],
    phases: Float[Array, " features"],
) -> Float[Array, "points features"]:
    """Features √2 cos(w·x + b) / √k (Rahimi and Recht 2007)."""
    return math.sqrt(2 / phases.shape[0]) * jnp.cos(x @ frequencies + phases[None, :])
