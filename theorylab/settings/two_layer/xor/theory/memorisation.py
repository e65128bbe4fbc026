"""Memorisation at small steps in closed form: every sample pulls its own neurons, independently of all others."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float

Moments = tuple[Any, Any]


def rising(t: ArrayLike, s: ArrayLike) -> Moments:
    """First and second moment A₊, B₊ (in kicks) of the active pre-activations |N| s + t of neurons with sgn(a_j) = y.

    Each is active with probability 1/2: A₊ = s/√(2π) + t/2, B₊ = s²/2 + 2 t s/√(2π) + t²/2.
    """
    half = 1 / math.sqrt(2 * math.pi)
    return s * half + t / 2, s**2 / 2 + 2 * t * s * half + t**2 / 2


def falling(t: ArrayLike, s: ArrayLike) -> Moments:
    """The same A₋, B₋ of neurons with sgn(a_j) = −y, (|N| s − t)_+ : they fall until they stick at 0.

    With r = t/s: A₋ = s φ(r) − t Φ(−r), B₋ = (s² + t²) Φ(−r) − s t φ(r).
    """
    r = t / s
    density = jnp.exp(-(r**2) / 2) / math.sqrt(2 * math.pi)
    return s * density - t * ndtr(-r), (s**2 + t**2) * ndtr(-r) - s * t * density


def margin_of(up: Moments, down: Moments, width: int) -> tuple[Array, Array]:
    """Mean and variance of a margin in units of α p/8n, from the moments of rising and falling pre-activations.

    In kicks, mean = (√m/2)(A₊ − A₋) and variance = (B₊ + B₋)/2 − ((A₊ − A₋)/2)².
    """
    mean = math.sqrt(width) / 2 * (up[0] - down[0])
    variance = (up[1] + down[1]) / 2 - ((up[0] - down[0]) / 2) ** 2
    unit = math.sqrt(width) / 4  # α p/8n in kicks
    return mean / unit, variance / unit**2


def margin_moments(
    steps: Any, *, step_init_ratio: ArrayLike, width: int
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """Mean and variance of a training margin y f, in units of α p/8n.

    A pre-activation starts at s N(0, 1), s = ω√p = δ/κ. Of neurons with sgn(a_j) = y the active ones grow by δ per
    step; of the others they fall by δ until they stick at 0: :func:`rising` and :func:`falling`.

    Derived here. Regime: κ ≪ 1 (continuous time), λ/n ≪ 1 (nearly orthogonal samples), κ t up to about 2: before the
    clusters are learned.
    """
    t = jnp.asarray(steps, float)
    s = 1 / jnp.asarray(step_init_ratio, float)
    return margin_of(rising(t, s), falling(t, s), width)


def training_accuracy(steps: Any, *, step_init_ratio: ArrayLike, width: int) -> Float[Array, " steps"]:
    """Training accuracy Φ(mean/sd) of :func:`margin_moments`: the same on clean and on flipped labels."""
    mean, variance = margin_moments(steps, step_init_ratio=step_init_ratio, width=width)
    return ndtr(mean / jnp.sqrt(variance))


def memorisation_time(width: int, accuracy: float = 0.99) -> float:
    """Rescaled time τ = κ t of a training accuracy above 1/2, z √(2/m) with z = Φ⁻¹(accuracy): 3.29/√m at 99%.

    To leading order in κ t: then the mean margin is (√m/2) δt and its deviation s/√2.
    """
    from scipy.special import ndtri

    return float(ndtri(accuracy)) * math.sqrt(2) / math.sqrt(width)
