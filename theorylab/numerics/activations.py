"""Activations as maps of covariances: E[phi(h) phi(h')] and E[phi'(h) phi'(h')] of Gaussian preactivations h, h'.

Closed forms for ReLU, erf and the identity, a finite Hermite expansion for polynomials. Any other function is expanded
too, sum_k c^k a_k b_k at correlation c (Mehler), which a kink makes converge slowly at c = ±1. Two remedies. The
coefficients are integrated on panels that end at the kinks: those of :class:`Kinked`, and 0 always. And the kink at 0,
of size Delta = phi'(0+) - phi'(0-), is taken out of the series: phi = Delta relu + r, the part Delta² relu relu in
closed form. The coefficients of relu and of r fall off as k^(-5/4) and k^(-7/4), on degrees of different parity, so
that leaky ReLU, |h|, ELU and SELU are nearly as accurate as smooth functions. What the cut series may leave out is
:func:`truncation`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics.gaussian import Function, expectation, hermite_coefficients, panel_coefficients, safe_sqrt

#: Terms of the Hermite series of an activation without closed form.
SERIES_DEGREE = 128


@dataclasses.dataclass(frozen=True)
class Kinked:
    """An elementwise function whose slope, or value, jumps at ``kinks``; one at 0 need not be named."""

    function: Function
    kinks: tuple[float, ...]


# A name, the coefficients of a polynomial in increasing degree, or an elementwise function.
Activation = str | tuple[float, ...] | Function | Kinked

#: Activations without closed form that have a name.
NAMED: dict[str, Any] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "abs": jnp.abs,
    "leaky_relu": jax.nn.leaky_relu,
    "elu": jax.nn.elu,
    "selu": jax.nn.selu,
    "relu6": Kinked(jax.nn.relu6, (0.0, 6.0)),
    "hard_tanh": Kinked(jax.nn.hard_tanh, (-1.0, 1.0)),
}


class Dual(NamedTuple):
    """An activation as a map of covariances.

    Attributes
    ----------
    pairs
        ``(variance1 [n1], covariance [n1, n2], variance2 [n2]) -> (E[phi(h) phi(h')], E[phi'(h) phi'(h')])``.
    diagonal
        ``variance [n] -> (E[phi(h)²], E[phi'(h)²])``.
    """

    pairs: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    diagonal: Callable[[jax.Array], tuple[jax.Array, jax.Array]]


# --- correlations ----------------------------------------------------------------------------------------


def _correlation(variance1: jax.Array, covariance: jax.Array, variance2: jax.Array) -> jax.Array:
    """covariance / sqrt(variance1 variance2), and 0 (with gradient 0) where a variance vanishes."""
    product = variance1[:, None] * variance2[None, :]
    positive = product > 0
    return jnp.where(positive, covariance / jnp.sqrt(jnp.where(positive, product, 1.0)), 0.0)


def _angle(cosine: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(cosine, sine, angle), where an angle within rounding of 0 or pi is exactly that.

    Equal inputs give a cosine of 1 - O(eps), hence an angle of O(sqrt(eps)): far above rounding.
    """
    cosine = jnp.clip(cosine, -1.0, 1.0)
    squared_sine = (1 - cosine) * (1 + cosine)
    apart = squared_sine > 16 * jnp.finfo(cosine.dtype).eps
    sine = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared_sine, 1.0)), 0.0)
    cosine = jnp.where(apart, cosine, jnp.sign(cosine))
    return cosine, sine, jnp.arctan2(sine, cosine)


@jax.custom_jvp
def arc_cosine_0(cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Arc-cosine kernel of order 0, k0(c) = 1 - arccos(c) / pi = 2 E[1(h > 0) 1(h' > 0)].

    h, h' are N(0, 1) with correlation c; arguments beyond [-1, 1] are taken as rounding. Source: Cho and
    Saul, NeurIPS 2009, eq. (6). Its slope is infinite at c = ±1: there the derivative is defined as 0, the
    mean of the two one-sided slopes along a path of inputs through coincidence.
    """
    return 1 - _angle(cosine)[2] / math.pi


@arc_cosine_0.defjvp
def _arc_cosine_0_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (cosine,), (tangent,) = primals, tangents
    sine = _angle(cosine)[1]
    apart = sine > 0
    slope = jnp.where(apart, 1 / (math.pi * jnp.where(apart, sine, 1.0)), 0.0)
    return arc_cosine_0(cosine), slope * tangent


@jax.custom_jvp
def arc_cosine_1(cosine: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    r"""Arc-cosine kernel of order 1, k1(c) = (sqrt(1 - c²) + (pi - arccos c) c) / pi = 2 E[relu(h) relu(h')].

    Same variables as :func:`arc_cosine_0`, k1' = k0 (finite everywhere). Source: Cho and Saul, NeurIPS 2009,
    eq. (6).
    """
    cosine, sine, angle = _angle(cosine)
    return (sine + (math.pi - angle) * cosine) / math.pi


@arc_cosine_1.defjvp
def _arc_cosine_1_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    (cosine,), (tangent,) = primals, tangents
    return arc_cosine_1(cosine), arc_cosine_0(cosine) * tangent


# --- activations -----------------------------------------------------------------------------------------


def _relu_pairs(variance1: jax.Array, covariance: jax.Array, variance2: jax.Array) -> tuple[jax.Array, jax.Array]:
    cosine = _correlation(variance1, covariance, variance2)
    scale = safe_sqrt(variance1[:, None] * variance2[None, :])
    return scale * arc_cosine_1(cosine) / 2, arc_cosine_0(cosine) / 2


def _erf_pairs(variance1: jax.Array, covariance: jax.Array, variance2: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Williams, NeurIPS 1996: (2/pi) arcsin(2 c12 / sqrt((1 + 2 c11)(1 + 2 c22))). As an arctangent it keeps
    # its digits for large variances; the determinant is at least 1, so nothing is singular.
    v1, v2 = variance1[:, None], variance2[None, :]
    excess = v1 * v2 - covariance**2
    determinant = 1 + 2 * v1 + 2 * v2 + 4 * jnp.where(excess > 0, excess, 0.0)
    root = jnp.sqrt(determinant)
    return (2 / math.pi) * jnp.arctan2(2 * covariance, root), (4 / math.pi) / root


def _polynomial_dual(coefficients: tuple[float, ...]) -> Dual:
    highest_first = np.array(coefficients[::-1], float)
    degree = len(coefficients) - 1

    def function(h: jax.Array) -> jax.Array:
        return jnp.polyval(jnp.asarray(highest_first, h.dtype), h)

    slope = jnp.vectorize(jax.grad(function))
    exact = functools.partial(hermite_coefficients, degree=degree, order=degree + 1)

    def pairs(variance1: jax.Array, covariance: jax.Array, variance2: jax.Array) -> tuple[jax.Array, jax.Array]:
        cosine = _correlation(variance1, covariance, variance2)
        values = (exact(f, variance=v).T for f in (function, slope) for v in (variance1, variance2))
        a, b, da, db = values
        return _mehler(cosine, a, b), _mehler(cosine, da, db)

    def diagonal(variance: jax.Array) -> tuple[jax.Array, jax.Array]:
        order = degree + 1
        return (
            expectation(lambda h: function(h) ** 2, variance, order=order),
            expectation(lambda h: slope(h) ** 2, variance, order=order),
        )

    return Dual(pairs, diagonal)


def _mehler(cosine: jax.Array, a: jax.Array, b: jax.Array, removed: Any = 0.0, scale: Any = 0.0) -> jax.Array:
    """Sum over k of c^k (a_k b_k - removed_k² scale), by Horner's rule; a and b are [degrees, n1] and [degrees, n2]."""

    def horner(total: jax.Array, term: Any) -> tuple[jax.Array, None]:
        return total * cosine + (term[0][:, None] * term[1][None, :] - term[2] ** 2 * scale), None

    removed = jnp.broadcast_to(jnp.asarray(removed, cosine.dtype), a.shape[:1])
    return jax.lax.scan(horner, jnp.zeros_like(cosine), (a[::-1], b[::-1], removed[::-1]))[0]


@functools.lru_cache(maxsize=1)
def _relu_coefficients() -> tuple[np.ndarray, np.ndarray]:
    """Hermite coefficients of max(0, z) and of its slope, k = 0 .. SERIES_DEGREE.

    With E[1(z > 0) he_k] = he_{k-1}(0)/sqrt(2 pi k), from which those of max(0, z) follow by parts.
    """
    at_zero = [1.0, 0.0]
    for degree in range(2, SERIES_DEGREE + 1):
        at_zero.append(-math.sqrt((degree - 1) / degree) * at_zero[degree - 2])
    k = np.arange(1, SERIES_DEGREE + 1)
    step = np.append(0.5, np.array(at_zero)[k - 1] / np.sqrt(2 * math.pi * k))
    return np.append(1 / math.sqrt(2 * math.pi), step[:-1] / np.sqrt(k)), step


def _jump(slope: Function, dtype: Any) -> jax.Array:
    """The kink at 0: phi'(0+) - phi'(0-); 0 where there is none."""
    near = jnp.asarray(1e-30, dtype)
    jump = slope(near) - slope(-near)
    return jnp.where(jnp.isfinite(jump), jump, 0.0)


def _function_dual(function: Function, kinks: tuple[float, ...]) -> Dual:
    slope = jnp.vectorize(jax.grad(function))

    def moments(f: Function, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
        return panel_coefficients(f, SERIES_DEGREE, variance, kinks)

    def pairs(variance1: jax.Array, covariance: jax.Array, variance2: jax.Array) -> tuple[jax.Array, jax.Array]:
        cosine = _correlation(variance1, covariance, variance2)
        relu, step = _relu_coefficients()
        squared_jump = _jump(slope, cosine.dtype) ** 2
        scale = squared_jump * safe_sqrt(variance1)[:, None] * safe_sqrt(variance2)[None, :]
        (a, b), (da, db) = ([moments(f, v)[0].T for v in (variance1, variance2)] for f in (function, slope))
        product = _mehler(cosine, a, b, relu, scale) + scale * arc_cosine_1(cosine) / 2
        return product, _mehler(cosine, da, db, step, squared_jump) + squared_jump * arc_cosine_0(cosine) / 2

    def diagonal(variance: jax.Array) -> tuple[jax.Array, jax.Array]:
        return moments(function, variance)[1], moments(slope, variance)[1]

    return Dual(pairs, diagonal)


def _expanded(activation: Activation) -> str | tuple[float, ...] | Kinked:
    """The function that is expanded in a series, with its kinks; what has a closed form as it is."""
    if isinstance(activation, str):
        activation = NAMED.get(activation, activation)
    return Kinked(activation, ()) if callable(activation) else activation


def truncation(activation: Activation, variance: Float[Array, " n"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """How far E[phi phi'] and E[phi' phi'] of :func:`dual_activation` may be off, over their values at c = 1.

    The bound of Cauchy and Schwarz on the terms beyond the last, at c = ±1 (it falls as |c|^128), and how far panels of
    another width integrate otherwise: a kink that was not named shows there. 0 for closed forms and polynomials.
    """
    chosen = _expanded(activation)
    if not isinstance(chosen, Kinked):
        return jnp.zeros_like(variance), jnp.zeros_like(variance)
    return _truncation(chosen.function, chosen.kinks, variance)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _truncation(function: Function, kinks: tuple[float, ...], variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    slope = jnp.vectorize(jax.grad(function))
    jump = _jump(slope, variance.dtype)
    parts: Any = (
        (function, lambda h: function(h) - jump * jnp.maximum(h, 0), jump * safe_sqrt(variance)),
        (slope, lambda h: slope(h) - jump * (h > 0), jump * jnp.ones_like(variance)),
    )
    found = []
    for (f, without_kink, scale), removed in zip(parts, _relu_coefficients(), strict=True):
        square, other = (panel_coefficients(f, 0, variance, kinks, num_panels=count)[1] for count in (24, 38))
        rest = panel_coefficients(without_kink, SERIES_DEGREE, variance, kinks)
        tail = safe_sqrt(rest[1] - jnp.sum(rest[0] ** 2, axis=1))
        beyond = jnp.abs(scale) * math.sqrt(max(0.5 - float(np.sum(removed**2)), 0.0))
        found.append((tail**2 + 2 * beyond * tail + jnp.abs(other - square)) / jnp.maximum(square, 1e-30))
    return found[0], found[1]


def dual_activation(activation: Activation) -> Dual:
    """Covariance maps of an activation: E[phi(h) phi(h')] and E[phi'(h) phi'(h')] for Gaussian h, h'.

    Parameters
    ----------
    activation
        "relu" (arc-cosine kernels, Cho and Saul 2009), "erf" (arcsine kernel, Williams 1996), "linear", or a name of
        :data:`NAMED`; or the coefficients (c_0, c_1, ...) of a polynomial sum_k c_k h^k, exact by Hermite expansion; or
        an elementwise function, by the series of this module: near machine precision where it is smooth on the scale
        of its argument, or bends at 0 alone. Kinks elsewhere are named: ``Kinked(function, (-1.0, 1.0))``. How far it
        may be off is :func:`truncation`.

    Raises
    ------
    ValueError
        If a name is unknown or a polynomial is empty.
    """
    chosen = _expanded(activation)
    if isinstance(chosen, Kinked):
        return _function_dual(chosen.function, chosen.kinks)
    if isinstance(chosen, tuple):
        if not chosen:
            raise ValueError("activation = () is not allowed: a polynomial needs a coefficient")
        return _polynomial_dual(chosen)
    if chosen == "relu":
        return Dual(_relu_pairs, lambda v: (v / 2, jnp.full_like(v, 0.5)))
    if chosen == "erf":
        return Dual(
            _erf_pairs,
            lambda v: (
                (2 / math.pi) * jnp.arctan2(2 * v, jnp.sqrt(1 + 4 * v)),
                (4 / math.pi) / jnp.sqrt(1 + 4 * v),
            ),
        )
    if chosen == "linear":
        return Dual(lambda v1, c, v2: (c, jnp.ones_like(c)), lambda v: (v, jnp.ones_like(v)))
    raise ValueError(
        f"activation = {activation!r} is not allowed: choose relu, erf, linear, {', '.join(NAMED)}, "
        "a tuple of polynomial coefficients or a function"
    )
