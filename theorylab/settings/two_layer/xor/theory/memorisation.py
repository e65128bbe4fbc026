"""Memorisation at small steps in closed form: every sample pulls its own neurons, independently of all others."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from theorylab.settings.two_layer.xor.config import Config, step_init_ratio


def margin_moments(steps: Any, config: Config) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    """Mean and variance of a training margin y f, in units of α p/8n.

    A pre-activation starts at s N(0, 1), s = ω√p = δ/κ. Of neurons with sgn(a_j) = y the active ones grow by δ per
    step; of the others they fall by δ until they stick at 0. With r = κ t and u = δ t + |N| s or (|N| s − δ t)_+:

    A₊ = s/√(2π) + δt/2,             A₋ = s φ(r) − δt Φ(−r),
    B₊ = s²/2 + 2δt s/√(2π) + δ²t²/2,  B₋ = (s² + δ²t²) Φ(−r) − s δt φ(r),
    mean = (√m/2)(A₊ − A₋),          variance = (B₊ + B₋)/2 − ((A₊ − A₋)/2)².

    Derived here. Regime: κ ≪ 1 (continuous time), λ/n ≪ 1 (nearly orthogonal samples), κ t up to about 2: before the
    clusters are learned.
    """
    t = jnp.asarray(steps, float)
    s = 1 / jnp.asarray(step_init_ratio(config), float)
    r = t / s
    density = jnp.exp(-(r**2) / 2) / math.sqrt(2 * math.pi)
    half = 1 / math.sqrt(2 * math.pi)
    up, down = s * half + t / 2, s * density - t * ndtr(-r)
    up2 = s**2 / 2 + 2 * t * s * half + t**2 / 2
    down2 = (s**2 + t**2) * ndtr(-r) - s * t * density
    mean = math.sqrt(config.width) / 2 * (up - down)
    variance = (up2 + down2) / 2 - ((up - down) / 2) ** 2
    unit = math.sqrt(config.width) / 4  # α p/8n in kicks
    return mean / unit, variance / unit**2


def training_accuracy(steps: Any, config: Config) -> Float[Array, " steps"]:
    """Training accuracy Φ(mean/sd) of :func:`margin_moments`: the same on clean and on flipped labels."""
    mean, variance = margin_moments(steps, config)
    return ndtr(mean / jnp.sqrt(variance))


def memorisation_time(width: int, accuracy: float = 0.99) -> float:
    """Rescaled time τ = κ t of a training accuracy above 1/2, z √(2/m) with z = Φ⁻¹(accuracy): 3.29/√m at 99%.

    To leading order in κ t: then the mean margin is (√m/2) δt and its deviation s/√2.
    """
    from scipy.special import ndtri

    return float(ndtri(accuracy)) * math.sqrt(2) / math.sqrt(width)
