"""Symmetric model in the population: the whole flow in closed form, its 1/t tail, and the exact-rank rate.

X' = (M − X Xᵀ) X with M = U diag(s) Uᵀ of rank r, X of k >= r columns; Y = Uᵀ X_0 and Z = U_⊥ᵀ X_0. In this
library U is the first r unit vectors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.settings.factorisation.arrays import Numbers, namespace
from theorylab.training.iterate import iterate


def riccati_flow(init: Float[Numbers, "n k"], spectrum: Float[Numbers, " rank"], time: Any) -> Float[Numbers, "n n"]:
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
    xp = namespace(init, time)
    # Blocks are finite but meaningless at t = 0, where the initial value is returned.
    t = xp.where(xp.asarray(time) > 0, time, 1.0)
    e = xp.exp(-spectrum * t)
    gain = -xp.expm1(-2 * spectrum * t) / spectrum
    solved = xp.linalg.solve(xp.eye(k) + 2 * t * (z.T @ z), xp.concatenate([y.T, z.T], 1))
    by, bz = solved[:, :r], solved[:, r:]
    s = y @ by
    inverse, cross = xp.linalg.inv(s), y @ bz
    ss = xp.linalg.inv(e[:, None] * inverse * e[None, :] + xp.diag(gain))
    sz = ss @ (e[:, None] * (inverse @ cross))
    zz = z @ bz - cross.T @ xp.linalg.solve(s + xp.diag(e**2 / gain), cross)
    grown = xp.concatenate([xp.concatenate([ss, sz], 1), xp.concatenate([sz.T, zz], 1)])
    return xp.where(xp.asarray(time) > 0, grown, init @ init.T)


def descent_errors(
    init: Float[np.ndarray, "n k"], spectrum: Float[np.ndarray, " rank"], rate: float, steps: Sequence[int]
) -> Float[np.ndarray, " steps"]:
    """|E|_F of gradient descent at increasing steps from 0 on, to first order in the rate, on the host.

    A step maps A = X Xᵀ to (1 + rate F) A (1 + rate F), F = M − A. It departs from the flow A' = F A + A F by rate² D,
    D = F A F − A''/2, so that A is that of :func:`riccati_flow` plus B, of first order, with B' = U B + B Uᵀ + rate D
    and U = M − 2A. The flow's form gives the propagator of U from t to t + τ,

        G⁻¹ e (A_t + e G⁻¹ e)⁻¹,    e = exp(−M τ),    G = (1 − e²)/M (2τ off the signal).

    Derived here. What is left is of order (rate s_1)² ln²(1/α): gradient descent escapes later than the flow by a part
    rate s/2 of the time ln(1/α)/s, which moves |E| in proportion.
    """
    r = spectrum.shape[0]
    if init.shape[0] - r > init.shape[1]:
        init = np.concatenate([init[:r], np.linalg.qr(init[r:], mode="r")])
    n = init.shape[0]
    target = np.diag(np.concatenate([spectrum, np.zeros(n - r)]))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    grown, shift = init @ init.T, np.zeros((n, n))
    errors = [np.linalg.norm(grown - target)]

    def propagator(grown: Any, time: float) -> np.ndarray:
        e = np.concatenate([np.exp(-spectrum * time), np.ones(n - r)])
        gain = np.concatenate([-np.expm1(-2 * spectrum * time) / spectrum, np.full(n - r, 2 * time)])
        return np.linalg.solve(grown + np.diag(e**2 / gain), np.diag(e / gain)).T

    for begin, end in itertools.pairwise(rate * np.asarray(steps)):
        carried = propagator(grown, end - begin)
        shift = carried @ shift @ carried.T
        for time, weight in zip(begin + (end - begin) * (nodes + 1) / 2, (end - begin) * weights / 2, strict=True):
            at = np.asarray(riccati_flow(init, spectrum, time))
            force = target - at
            change = force @ at + at @ force
            half = force @ change - change @ at
            half_second = (half + half.T) / 2
            carried = propagator(at, end - time)
            shift += rate * weight * carried @ (force @ at @ force - half_second) @ carried.T
        grown = np.asarray(riccati_flow(init, spectrum, end))
        errors.append(np.linalg.norm(grown + shift - target))
    return np.array(errors)


def tail_scales(init: Float[Numbers, "n k"], rank: int) -> Float[Numbers, " extra"]:
    """ζ_i, the k − r scales of the initialisation that the signal does not absorb, increasing.

    ζ_i² are the largest k − r eigenvalues of P X_0ᵀ X_0 P, with P the projector off the rows of Y.
    """
    xp, y = namespace(init), init[:rank]
    projector = xp.eye(init.shape[1]) - y.T @ xp.linalg.solve(y @ y.T, y)
    left_over = init @ projector
    return xp.sqrt(xp.maximum(xp.linalg.eigvalsh(left_over.T @ left_over)[rank:], 0.0))


def descent_scales(
    init: Float[np.ndarray, "n k"], spectrum: Float[np.ndarray, " rank"], rate: float, horizon: float
) -> Float[np.ndarray, " extra"]:
    """ζ_i with the first order of the step size, on the host: gradient descent leaves the flow while the signal grows.

    Let S be the Schur complement of the signal's block in A = X Xᵀ, so that S⁻¹ is the off-signal block of A⁻¹. With
    F = M − A a step maps A to (1 + rate F) A (1 + rate F), and to second order

        S⁻¹ ← S⁻¹ + 2 rate + rate² [3 A_⊥⊥ + W S⁻¹ + S⁻¹ Wᵀ],   W = A_⊥s M A_ss⁻¹ A_s⊥.

    The tail x ← x − rate x³ holds 3 A_⊥⊥ once that is S. What is left of the bracket vanishes with the signal's growth;
    its sum over steps, rate times the integral along :func:`riccati_flow`, is added to 1/ζ² on the range of S. Derived
    here. It is of order rate ln(1/α), as large as 1/2000 of 1/x² after 2000 steps whatever the rate.

    Parameters
    ----------
    horizon
        Time at which the signal has converged.
    """
    r = spectrum.shape[0]
    if init.shape[0] - r > init.shape[1]:
        init = np.concatenate([init[:r], np.linalg.qr(init[r:], mode="r")])
    y, z = init[:r], init[r:]
    left_over = z - z @ y.T @ np.linalg.solve(y @ y.T, y)
    extra = init.shape[1] - r
    squares, vectors = (found[..., -extra:] for found in np.linalg.eigh(left_over @ left_over.T))
    nodes, weights = np.polynomial.legendre.leggauss(120)
    shift = np.zeros((extra, extra))
    for time, weight in zip(horizon * (nodes + 1) / 2, horizon * weights / 2, strict=True):
        grown = riccati_flow(init, spectrum, time)
        cross = vectors.T @ grown[r:, :r]
        learnt = np.linalg.solve(grown[:r, :r], cross.T)
        drag = cross @ (spectrum[:, None] * learnt) * (1 / squares + 2 * time)
        shift += weight * (3 * cross @ learnt + drag + drag.T)
    return 1 / np.sqrt(np.linalg.eigvalsh(np.diag(1 / squares) + rate * shift)[::-1])


def flow_tail(scales: Float[Numbers, " extra"], time: Any) -> Any:
    """|E|_F of the flow once the signal has converged: sqrt(Σ (ζ²/(1 + 2 t ζ²))²), time = rate x steps.

    Hence t²|E|² → (k − r)/4, whatever the scale, the target and the dimension; before t ~ 1/(2ζ²), a plateau ~ α².
    """
    squared = scales**2
    return namespace(scales, time).sqrt(((squared / (1 + 2 * time * squared)) ** 2).sum())


def descent_tail(scales: Float[Numbers, " extra"], rate: Any, record_at: tuple[int, ...]) -> Float[Numbers, " steps"]:
    """|E|_F of gradient descent: x ← x − rate · x³ from each ζ, |E|² = Σ x⁴ (exact up to exponentially small terms)."""

    if namespace(scales, rate) is np:
        x, errors = np.asarray(scales), []
        for step in range(record_at[-1] + 1):
            if step in record_at:
                errors.append(np.sqrt(np.sum(x**4)))
            x = x - rate * x**3
        return np.array(errors)

    def record(x: Array) -> dict[str, Array]:
        return {"error": jnp.sqrt(jnp.sum(x**4))}

    orbit = iterate(lambda x, t: x - rate * x**3, scales, num_steps=record_at[-1], record=record, record_at=record_at)
    return orbit.observables["error"]


def descent_tail_expansion(scales: Float[Numbers, " extra"], rate: Any, steps: Any) -> Any:
    """:func:`descent_tail` without iterating: 1/x² = 1/ζ² + 2 rate t + (3/2) rate ln(1 + 2 rate ζ² t) + O(rate²)."""
    xp, squared = namespace(scales, rate, steps), scales**2
    inverse = 1 + squared * (2 * rate * steps + 1.5 * rate * xp.log1p(2 * rate * squared * steps))
    return xp.sqrt(((squared / inverse) ** 2).sum())


def tail_start(smallest_value: Any, init_scale: Any, rate: Any) -> Any:
    """Step after which the tail is all there is: max(20, 7 + 3 ln(1/α)) / (rate s_r)."""
    xp = namespace(smallest_value, init_scale, rate)
    return xp.maximum(20.0, 7 - 3 * xp.log(init_scale)) / (rate * smallest_value)


def exact_rank_slope(smallest_value: Any, rate: Any) -> Any:
    """Slope of ln|E| per step at k = r: ln(1 − rate s_r), the decay of the block U_⊥ᵀ X."""
    return namespace(rate, smallest_value).log1p(-rate * smallest_value)


def flow_error(init: Float[Numbers, "n k"], spectrum: Float[Numbers, " rank"], time: Any) -> Any:
    """|E|_F of :func:`riccati_flow`."""
    xp, n, r = namespace(init, time), init.shape[0], spectrum.shape[0]
    target = xp.diag(xp.concatenate([xp.asarray(spectrum), xp.zeros(n - r)]))
    return xp.sqrt(((riccati_flow(init, spectrum, time) - target) ** 2).sum())
