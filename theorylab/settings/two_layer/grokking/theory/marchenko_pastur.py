"""The lazy network in many dimensions, P = νD: it memorises through its linear part, and never learns the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


class Quadrature(NamedTuple):
    """Nodes and weights for averages over the Marchenko–Pastur bulk; the weights sum to min(1, ν)."""

    nodes: Float[np.ndarray, " nodes"]
    weights: Float[np.ndarray, " nodes"]


def bulk(sample_ratio: float, count: int = 4000) -> Quadrature:
    """Eigenvalues of XᵀX for P = νD rows N(0, I/D): density sqrt((l − l_-)(l_+ − l))/(2π l), l_± = (1 ± √ν)².

    Midpoints in θ, l = (l_+ + l_-)/2 + (l_+ − l_-)/2 cos θ. For ν < 1 an atom of mass 1 − ν at zero is left out.
    """
    low, high = (1 - np.sqrt(sample_ratio)) ** 2, (1 + np.sqrt(sample_ratio)) ** 2
    angle = (np.arange(count) + 0.5) * np.pi / count
    middle, half = (high + low) / 2, (high - low) / 2
    nodes = middle + half * np.cos(angle)
    return Quadrature(nodes, (half * np.sin(angle)) ** 2 / (2 * np.pi * nodes) * np.pi / count)


class Memorisation(NamedTuple):
    """Train loss and the power of the linear output, for a residual of variance 1/2 and mean zero at the start.

    The test loss is 1/2 + ``linear_power`` (and A, the error of the mean): never below the plateau of 1/2.
    """

    train_loss: Float[Array, " records"]
    linear_power: Float[Array, " records"]


def memorisation(
    steps: Sequence[int] | np.ndarray,
    *,
    sample_ratio: float,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
    init_scale: ArrayLike = 1.0,
) -> Memorisation:
    """Average the lazy curves over the spectrum: K_0 → X Xᵀ + e I, e = ε²σ², and a residual independent of it.

        L_train(t) = ½ [(1/ν) <(1 − γ(l + e))^2t> + (1 − 1/ν)_+ (1 − γe)^2t],
        C(t) = ½ <l [(1 − (1 − γ(l + e))^t)/(l + e)]²>,

    averages over the D eigenvalues l of XᵀX. D → ∞ at P = νD; the off-diagonal (x·x')² is invisible but for the
    constant mode, which a residual of mean zero does not feel (κσ² = α ε σ² = 1, or the mean subtracted).
    """
    nodes, weights = (jnp.asarray(part)[None, :] for part in bulk(sample_ratio))
    powers = jnp.asarray(np.asarray(steps))[:, None]
    strength = (jnp.asarray(quadratic_coeff) * init_scale) ** 2
    decay = (1 - scaled_learning_rate * (nodes + strength)) ** powers
    slow = (1 - scaled_learning_rate * strength) ** (2 * powers[:, 0])
    train = jnp.sum(weights * decay**2, axis=1) / sample_ratio + max(1 - 1 / sample_ratio, 0.0) * slow
    power = jnp.sum(weights * nodes * ((1 - decay) / (nodes + strength)) ** 2, axis=1)
    return Memorisation(train / 2, power / 2)
