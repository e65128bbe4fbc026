"""Symmetric model in the population: the whole flow in closed form, its 1/t tail, and the exact-rank rate.

X' = (M − X Xᵀ) X with M = U diag(s) Uᵀ of rank r, X of k >= r columns; Y = Uᵀ X_0 and Z = U_⊥ᵀ X_0. In this
library U is the first r unit vectors.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.training.iterate import iterate


def riccati_flow(
    init: Float[Array, "n k"], spectrum: Float[Array, " rank"], time: ArrayLike
) -> Float[Array, "n n"]:
    """X(t) X(t)ᵀ of the flow, in closed form (matrix Riccati equation), stable at any time.

    With e = exp(−s t), D' = (1 − e²)/s, B = 1 + 2 t Zᵀ Z and S = Y B⁻¹ Yᵀ, the blocks are

    SS = [diag(e) S⁻¹ diag(e) + diag(D')]⁻¹,   SZ = SS diag(e) S⁻¹ Y B⁻¹ Zᵀ,
    ZZ = Z B⁻¹ Zᵀ − Z B⁻¹ Yᵀ (S + diag(e²/D'))⁻¹ Y B⁻¹ Zᵀ.

    The textbook form e^{Mt} X_0 [...]⁻¹ X_0ᵀ e^{Mt} overflows at s_1 t > 350; this one does not. Time of gradient
    descent: effective rate x steps, up to O(rate).

    Raises
    ------
    ValueError
        If k < r: S is singular, and the form does not apply.
    """
    r, k = spectrum.shape[0], init.shape[1]
    if k < r:
        raise ValueError(f"the closed form needs at least as many columns as the target's rank: {k} < {r}")
    y, z = init[:r], init[r:]
    t = jnp.asarray(time, init.dtype)
    e = jnp.exp(-spectrum * t)
    gain = -jnp.expm1(-2 * spectrum * t) / spectrum
    b = jnp.eye(k, dtype=init.dtype) + 2 * t * (z.T @ z)
    by, bz = jnp.linalg.solve(b, y.T), jnp.linalg.solve(b, z.T)
    s = y @ by
    inverse = jnp.linalg.inv(s)
    ss = jnp.linalg.inv(e[:, None] * inverse * e[None, :] + jnp.diag(gain))
    cross = y @ bz
    sz = ss @ (e[:, None] * (inverse @ cross))
    safe = jnp.where(gain > 0, gain, 1.0)
    zz = z @ bz - cross.T @ jnp.linalg.solve(s + jnp.diag(e**2 / safe), cross)
    grown = jnp.concatenate([jnp.concatenate([ss, sz], 1), jnp.concatenate([sz.T, zz], 1)])
    return jnp.where(t > 0, grown, init @ init.T)


def tail_scales(init: Float[Array, "n k"], rank: int) -> Float[Array, " extra"]:
    """ζ_i, the k − r scales of the initialisation that the signal does not absorb, increasing.

    ζ_i² are the largest k − r eigenvalues of P X_0ᵀ X_0 P, with P the projector off the rows of Y.
    """
    y = init[:rank]
    projector = jnp.eye(init.shape[1], dtype=init.dtype) - y.T @ jnp.linalg.solve(y @ y.T, y)
    left_over = init @ projector
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(left_over.T @ left_over)[rank:], 0.0))


def flow_tail(scales: Float[Array, " extra"], time: ArrayLike) -> Float[Array, ""]:
    """|E|_F of the flow once the signal has converged: sqrt(Σ (ζ²/(1 + 2 t ζ²))²), time = rate x steps.

    Hence t²|E|² → (k − r)/4, whatever the scale, the target and the dimension; before t ~ 1/(2ζ²), a plateau ~ α².
    """
    squared = scales**2
    return jnp.sqrt(jnp.sum((squared / (1 + 2 * jnp.asarray(time) * squared)) ** 2))


def descent_tail(
    scales: Float[Array, " extra"], rate: ArrayLike, record_at: tuple[int, ...]
) -> Float[Array, " steps"]:
    """|E|_F of gradient descent: x ← x − rate · x³ from each ζ, |E|² = Σ x⁴ (exact up to exponentially small terms)."""

    def record(x: Array) -> dict[str, Array]:
        return {"error": jnp.sqrt(jnp.sum(x**4))}

    orbit = iterate(lambda x, t: x - rate * x**3, scales, num_steps=record_at[-1], record=record, record_at=record_at)
    return orbit.observables["error"]


def descent_tail_expansion(scales: Float[Array, " extra"], rate: ArrayLike, steps: ArrayLike) -> Float[Array, ""]:
    """:func:`descent_tail` without iterating: 1/x² = 1/ζ² + 2 rate t + (3/2) rate ln(1 + 2 rate ζ² t) + O(rate²)."""
    t, eta, squared = jnp.asarray(steps), jnp.asarray(rate), scales**2
    inverse = 1 + squared * (2 * eta * t + 1.5 * eta * jnp.log1p(2 * eta * squared * t))
    return jnp.sqrt(jnp.sum((squared / inverse) ** 2))


def tail_start(smallest_value: ArrayLike, init_scale: ArrayLike, rate: ArrayLike) -> Array:
    """Step after which the tail is all there is: max(20, 7 + 3 ln(1/α)) / (rate s_r)."""
    wait = jnp.maximum(20.0, 7 + 3 * jnp.log(1 / jnp.asarray(init_scale)))
    return wait / (jnp.asarray(rate) * smallest_value)


def exact_rank_slope(smallest_value: ArrayLike, rate: ArrayLike) -> Array:
    """Slope of ln|E| per step at k = r: ln(1 − rate s_r), the decay of the block U_⊥ᵀ X."""
    return jnp.log1p(-jnp.asarray(rate) * smallest_value)


def flow_error(init: Float[Array, "n k"], spectrum: Float[Array, " rank"], time: ArrayLike) -> Float[Array, ""]:
    """|E|_F of :func:`riccati_flow`."""
    n, r = init.shape[0], spectrum.shape[0]
    target = jnp.zeros((n, n), init.dtype).at[jnp.arange(r), jnp.arange(r)].set(spectrum)
    return jnp.sqrt(jnp.sum((riccati_flow(init, spectrum, time) - target) ** 2))
