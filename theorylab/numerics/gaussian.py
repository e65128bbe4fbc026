"""Expectations over Gaussian variables: quadrature in one and two dimensions, and Hermite coefficients."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

Function = Callable[[jax.Array], jax.Array]


@functools.lru_cache(maxsize=32)
def _nodes(order: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import roots_hermitenorm

    if order < 1:
        raise ValueError(f"order = {order} is not allowed: a quadrature needs at least one node")
    nodes, weights = roots_hermitenorm(order)
    return nodes, weights / weights.sum()


def gauss_hermite(order: int, dtype: DTypeLike | None = None) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Nodes and weights of Gauss-Hermite quadrature for a standard normal variable.

    E[f(z)] ≈ sum_i w_i f(z_i) with z ~ N(0, 1) and sum_i w_i = 1: exact for polynomials of degree below
    2 * order. Smooth functions converge geometrically, but a kink (ReLU) only as 1/order.

    Raises
    ------
    ValueError
        If ``order`` is below 1.
    """
    nodes, weights = _nodes(order)
    return jnp.asarray(nodes, dtype), jnp.asarray(weights, dtype)


def safe_sqrt(value: jax.Array) -> jax.Array:
    """Square root with gradient 0, not infinite, at 0."""
    positive = value > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1.0)), 0.0)


def _outer(first: jax.Array, second: jax.Array) -> jax.Array:
    """Products of every entry of ``first`` with every entry of a vector, along a new last axis."""
    return first[..., None] * second.reshape((1,) * first.ndim + (-1,))


def expectation(function: Function, variance: ArrayLike = 1.0, *, order: int = 64) -> Array:
    """Gaussian average E[f(h)], h ~ N(0, variance), for every entry of ``variance``.

    ``function`` acts elementwise. For the accuracy see :func:`gauss_hermite`.
    """
    variance = jnp.asarray(variance, jnp.result_type(float, variance))
    nodes, weights = gauss_hermite(order, variance.dtype)
    return function(_outer(safe_sqrt(variance), nodes)) @ weights


def pair_expectation(
    first: Function,
    second: Function,
    variance1: ArrayLike,
    covariance: ArrayLike,
    variance2: ArrayLike,
    *,
    order: int = 64,
) -> Array:
    """Gaussian average E[f(h1) g(h2)] over (h1, h2) ~ N(0, [[variance1, covariance], [., variance2]]).

    Product quadrature on h1 = s1 z1, h2 = (covariance / s1) z1 + sqrt(variance2 - covariance²/variance1) z2,
    with order² evaluations for each entry of the broadcast arguments. A covariance beyond the
    Cauchy-Schwarz bound by rounding is treated as on the bound.
    """
    variance1, covariance, variance2 = jnp.broadcast_arrays(
        *(jnp.asarray(v, jnp.result_type(float, variance1, covariance, variance2))
          for v in (variance1, covariance, variance2))
    )  # fmt: skip
    nodes, weights = gauss_hermite(order, variance1.dtype)
    positive = variance1 > 0
    std1 = jnp.sqrt(jnp.where(positive, variance1, 1.0))
    slope = jnp.where(positive, covariance / std1, 0.0)
    std_rest = safe_sqrt(variance2 - slope**2)
    h1 = _outer(jnp.where(positive, std1, 0.0), nodes)
    h2 = _outer(slope, nodes)[..., :, None] + _outer(std_rest, nodes)[..., None, :]
    return (first(h1) * (second(h2) @ weights)) @ weights


def hermite_polynomials(z: Float[Array, "*shape"], degree: int) -> Float[Array, " degrees *shape"]:
    """Orthonormal (probabilists') Hermite polynomials he_0, ..., he_degree at ``z``.

    E[he_j(z) he_k(z)] = delta_jk for z ~ N(0, 1), by the recursion
    sqrt(k + 1) he_{k+1}(z) = z he_k(z) - sqrt(k) he_{k-1}(z).
    """
    return jnp.stack(_hermite_rows(z, degree))


def _hermite_rows(z: Any, degree: int) -> list[Any]:
    rows = [0 * z + 1, z]
    for k in range(1, degree):
        rows.append((z * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return rows[: degree + 1]


@functools.lru_cache(maxsize=32)
def _weighted_hermite(degree: int, order: int) -> np.ndarray:
    # [order, degree + 1] on the host: single precision would overflow at the outermost nodes.
    nodes, weights = _nodes(order)
    return (np.stack(_hermite_rows(nodes, degree)) * weights).T


def hermite_coefficients(
    function: Function, degree: int, variance: ArrayLike = 1.0, *, order: int = 64
) -> Float[Array, "*shape degrees"]:
    """Hermite coefficients a_k = E[f(s z) he_k(z)], k = 0..degree, with s² = ``variance``.

    They give E[f(h1) g(h2)] = sum_k c^k a_k(s1) b_k(s2) for jointly Gaussian h1, h2 with correlation c
    (Mehler). Exact for a polynomial f if ``degree`` is at least its degree and ``order`` exceeds ``degree``.

    Raises
    ------
    ValueError
        If ``order`` is not above ``degree``: such a quadrature confuses the polynomials with each other.
    """
    if order <= degree:
        raise ValueError(f"order = {order} is not allowed: must be above degree = {degree}")
    variance = jnp.asarray(variance, jnp.result_type(float, variance))
    nodes, _ = gauss_hermite(order, variance.dtype)
    values = function(_outer(safe_sqrt(variance), nodes))
    return values @ jnp.asarray(_weighted_hermite(degree, order), variance.dtype)


#: Panels span this many standard deviations to either side: beyond lies 1e-35 of the measure.
_REACH = 12.5


def panel_coefficients(
    function: Function,
    degree: int,
    variance: Float[Array, " n"],
    kinks: tuple[float, ...] = (),
    *,
    num_panels: int = 24,
    order: int = 16,
) -> tuple[Float[Array, "n degrees"], Float[Array, " n"]]:
    """Hermite coefficients as :func:`hermite_coefficients`, and E[f(h)²], of a function with kinks.

    Gauss-Legendre on panels that end at h = 0 and at h = ``kinks``: between them f is to be smooth on the scale of a
    panel, which with the default is one standard deviation. ``num_panels`` is even.
    """
    spread, dtype = safe_sqrt(variance), variance.dtype
    edges = np.linspace(-_REACH, _REACH, num_panels + 1)
    if not kinks:
        z, measure = _panel_nodes(edges[None, :], order, np)
        table = jnp.asarray((np.stack(_hermite_rows(z[0], degree)) * measure).T, dtype)
        values = function(_outer(spread, jnp.asarray(z[0], dtype)))
        return values @ table, values**2 @ jnp.asarray(measure[0], dtype)
    inner = jnp.asarray(kinks, dtype)[None, :] / jnp.where(spread > 0, spread, 1.0)[:, None]
    both = [jnp.broadcast_to(jnp.asarray(edges, dtype)[None, :], (variance.shape[0], num_panels + 1)), inner]
    z, measure = _panel_nodes(jnp.sort(jnp.clip(jnp.concatenate(both, axis=1), -_REACH, _REACH), axis=1), order, jnp)
    values = function(spread[:, None] * z)

    def step(rows: Any, k: Array) -> tuple[Any, Array]:
        before, at = rows
        after = (z * at - jnp.sqrt(k) * before) / jnp.sqrt(k + 1)
        return (at, after), jnp.sum(values * measure * at, axis=1)

    start = (jnp.zeros_like(z), jnp.ones_like(z))
    coefficients = jax.lax.scan(step, start, jnp.arange(degree + 1, dtype=dtype))[1]
    return coefficients.T, jnp.sum(values**2 * measure, axis=1)


def _panel_nodes(edges: Any, order: int, xp: Any) -> tuple[Any, Any]:
    """Nodes and weights under the standard normal, [rows, panels · order], between edges [rows, panels + 1]."""
    nodes, weights = (xp.asarray(each, edges.dtype)[None, None, :] for each in np.polynomial.legendre.leggauss(order))
    half, middle = (edges[:, 1:] - edges[:, :-1]) / 2, (edges[:, 1:] + edges[:, :-1]) / 2
    z = (half[:, :, None] * nodes + middle[:, :, None]).reshape(edges.shape[0], -1)
    measure = (half[:, :, None] * weights).reshape(edges.shape[0], -1)
    return z, measure * xp.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def variance_derivatives(function: Callable[[Any], Any], count: int, variance: Any, *, order: int = 64) -> Any:
    """Derivatives 0, ..., ``count`` in K of the Gaussian average E[f(h)], h ~ N(0, K), along a new last axis.

    By the heat equation d/dK E[f] = E[f'']/2, hence d^j/dK^j E[f] = E[f(h) He_2j(h/sqrt K)]/(2K)^j: f itself need not
    be smooth. K = ``variance`` > 0 is a number or an array; one of NumPy's is worked on by NumPy, with a NumPy ``f``,
    so that theories can be evaluated cell by cell without compilation. The accuracy is that of
    :func:`hermite_coefficients`.

    Raises
    ------
    ValueError
        If ``order`` is not above 2 ``count``.
    """
    if order <= 2 * count:
        raise ValueError(f"order = {order} is not allowed: must be above 2 count = {2 * count}")
    xp: Any = jnp if isinstance(variance, jax.Array) else np
    variance = xp.asarray(variance)
    nodes, weights = _nodes(order)[0], _weighted_hermite(2 * count, order)[:, ::2]
    norms = np.sqrt([1.0 * math.factorial(2 * j) for j in range(count + 1)])
    values = function(xp.sqrt(variance)[..., None] * nodes.reshape((1,) * variance.ndim + (-1,)))
    powers = np.arange(count + 1).reshape((1,) * variance.ndim + (-1,))
    return values @ xp.asarray(weights * norms, values.dtype) / (2 * variance[..., None]) ** powers
