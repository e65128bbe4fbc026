"""Laws of two features under an oscillating descent, as pure functions of h = η S² and r = (s/S)²."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

#: Relative learning rate η S² up to which the oscillation is one of period two: (√5 - 1)/2.
GOLDEN = (math.sqrt(5) - 1) / 2
#: Rate from which the strong weight can change its sign, and be thrown back to 0 on the way: (1 + 2h)² = 27/4.
SIGN_CHANGE = (math.sqrt(27 / 4) - 1) / 2


def marginal_share(relative_rate: ArrayLike, ratio: ArrayLike) -> Array:
    """Share s²b² at which the minimum is marginally stable: (S² - 1/(2η))/(S² - s²).

    The Hessian's eigenvalue there is 4(S⁴a² + s⁴b²), which must be at most 2/η.
    """
    return jnp.asarray((1 - 1 / (2 * relative_rate)) / (1 - ratio))


def slow_manifold_share(relative_rate: ArrayLike, ratio: ArrayLike, constant: float = 4.0) -> Array:
    """Share at which the oscillation dies: past marginal stability, since it takes time to die.

    With B the share, B* the marginal one, g = 2h B* and α = 1 - g r(1 - r): along the minima let Q = B/A^r, which a
    step changes by r(1 - r) x² only. At fixed Q the map of x flips, x -> -(1 + 2ε) x + α x² + α² x³, so that y = x² has
    dy/dt = 4(ε - α² y) y, while d log Q/dt = r(1 - r) y. Hence y is linear in ε plus a transient that dies on the way,
    and it ends at

        B = B* (1 + r(1 - r)(1 - r g)/(4 α²)),   to leading order in r  B* (1 + r(1 - r)/4).
    """
    marginal = marginal_share(relative_rate, ratio)
    g, spread = 2 * relative_rate * marginal, ratio * (1 - ratio)
    return marginal * (1 + spread * (1 - ratio * g) / (constant * (1 - g * spread) ** 2))


def flow_growth(
    relative_rate: ArrayLike, ratio: ArrayLike, initial_strong: ArrayLike, *, discrete: bool = True
) -> Array:
    """Growth log(b/b_0) of the weak feature below the oscillation, where the strong one fits the label.

    Gradient flow has (r/2) log(A/A_0), A the share of the strong feature. A finite step has d log b/d log a = q(x),
    q = log(1 + r x)/log(1 + x), along x = 2h(1 - A), which is exact while A is small; what a sum of steps has beyond
    its integral is (1/2) int_0^2h log(1 + x) dq. A ends at 1 - r A_0 exp(2 growth), what the weak feature leaves.
    """
    h, r, first = (jnp.asarray(value, float) for value in (relative_rate, ratio, initial_strong))
    nodes, weights = (jnp.asarray(part, h.dtype) for part in np.polynomial.legendre.leggauss(32))

    def quotient(x: Array) -> Array:
        return jnp.log1p(r * x) / jnp.log1p(x)

    x = h * (1 - first) * (1 + nodes)
    beyond = h * (1 - first) * jnp.sum(weights * (r / (1 + r * x) - quotient(x) / (1 + x))) / 2
    growth = jnp.zeros_like(h * r * first)
    for _ in range(10):
        half = jnp.log(jnp.maximum(1 - r * first * jnp.exp(2 * growth), first) / first) / 2
        if discrete:
            shares = first * jnp.exp(half * (1 + nodes))
            along = quotient(jnp.maximum(2 * h * (1 - shares), 1e-6))
            growth = half * jnp.sum(weights * along) / 2 + beyond
        else:
            growth = r * half
    return growth


def cycle_rate(relative_rate: ArrayLike, ratio: ArrayLike, weak_share: ArrayLike = 0.0) -> Array:
    """Growth of log b per step on the cycle of period two, exact: (1/2) log(1 + r(1 - r)(2h(1 - B) - 1)).

    With p = 1 + x the cycle is p, 1/p with p + 1/p = 1 + 2h(1 - B) = M; the product of (1 + r x) over it is
    1 + r(1 - r)(M - 2). It is stable for 4 < M² < 5 (its multiplier is 9 - 2M²): up to h = (√5 - 1)/2 at B = 0.
    """
    return jnp.log1p(ratio * (1 - ratio) * (2 * relative_rate * (1 - weak_share) - 1)) / 2
