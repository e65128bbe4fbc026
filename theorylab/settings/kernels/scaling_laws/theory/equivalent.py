"""Losses of the ensemble by a contour: one-pass SGD at finite width, full-batch descent at finite samples.

Both are functions of a sample covariance of a power law, see :mod:`theorylab.numerics.contours`. In double precision on
the host; exact in time, learning rate and batch size, with a relative error of 1/M or 1/n.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from theorylab.numerics.contours import (
    Contour,
    around_spectrum,
    outer_radius,
    quadratic_masses,
    ridge_at_zero,
    trace_masses,
)

#: Steps of the recursion that are taken at once.
BLOCK = 64


class Modes(NamedTuple):
    """Eigenvalues of the Hessian with the target's energies, and the SGD noise that each takes from the loss.

    Real numbers for an instance; complex nodes and masses for the ensemble, whose real parts count. ``noise`` is h² or
    its mass. ``irreducible`` is what no mode holds; on a contour the atom at 0 holds it.
    """

    eigenvalues: np.ndarray
    energies: np.ndarray
    noise: np.ndarray
    irreducible: float = 0.0


def sgd_losses(
    modes: Modes,
    learning_rate: float,
    batch_size: float,
    steps: Sequence[int],
    *,
    noise: bool = True,
) -> np.ndarray:
    """Mean losses of one-pass SGD at some steps: L_t = Σ q + s, and for every mode

        q <- [(1 - ηh)² + η²h²/B] q + (η²/B) h² L_t.

    Exact for Gaussian features, at any learning rate and batch size: the fourth moments of φ ~ N(0, h) are 2HqH +
    tr(Hq) H, and what the features cannot fit is label noise. Without ``noise`` it is gradient descent.
    """
    scaled = learning_rate * modes.eigenvalues
    share = 1 / batch_size if noise else 0.0
    factor, source = (1 - scaled) ** 2 + share * scaled**2, share * learning_rate**2 * modes.noise
    # Within a block of steps losses answer to earlier ones alone: a triangular system, the same for every block.
    powers = factor ** np.arange(BLOCK)[:, None]
    answers = np.append(0.0, (powers[:-1] @ source).real)
    lag = np.subtract.outer(np.arange(BLOCK), np.arange(BLOCK))
    solve = np.linalg.inv(np.eye(BLOCK) - answers[np.maximum(lag, 0)])
    energies, losses = modes.energies, np.empty(BLOCK * (steps[-1] // BLOCK + 1))
    for start in range(0, len(losses), BLOCK):
        here = solve @ ((powers @ energies).real + modes.irreducible)
        losses[start : start + BLOCK] = here
        energies = factor**BLOCK * energies + source * (here[::-1] @ powers)
    return losses[np.asarray(steps)]


def noise_share(modes: Modes, learning_rate: float, batch_size: float) -> float:
    """K = Σ (η²/B) h²/(1 - (1 - ηh)² - η²h²/B): losses converge for K < 1, to the irreducible loss over 1 - K."""
    scaled = learning_rate * modes.eigenvalues
    terms = learning_rate**2 / batch_size * modes.noise / (2 * scaled - (1 + 1 / batch_size) * scaled**2)
    return float(terms.sum().real)


def width_modes(variances: np.ndarray, energies: np.ndarray, width: float, horizon: float) -> Modes:
    """Modes of the ensemble of sketches, for learning rate times steps up to ``horizon``.

    Raises
    ------
    ArithmeticError
        Where the masses do not sum up to the target's energy.
    """
    contour = around_spectrum(variances, width, horizon)
    masses = quadratic_masses(contour, variances, energies)
    if not math.isclose(masses.sum().real, energies.sum(), rel_tol=1e-9):
        raise ArithmeticError(f"the target's energy on the contour is {masses.sum().real}, not {energies.sum()}")
    return Modes(contour.nodes, masses, trace_masses(contour, variances))


def why_no_contour(variances: np.ndarray, size: float, learning_rate: float) -> str | None:
    """Say that steps are so large that (1 - ηz)^t grows on the contour; None elsewhere."""
    if learning_rate * (radius := outer_radius(variances, size)) >= 1:
        return f"learning_rate = {learning_rate:g} is too large for the contour: must be below {1 / radius:.4g}"
    return None


def width_irreducible_loss(variances: np.ndarray, energies: np.ndarray, width: float) -> float:
    """Loss of the best weights on a sketch: κ Σ c/(λ + κ), Σ λ/(λ + κ) = M."""
    ridge = ridge_at_zero(variances, width)
    return float(ridge * np.sum(energies / (variances + ridge)))


# --- full-batch descent on samples ------------------------------------------------------------------------------------


def sample_irreducible_loss(
    variances: np.ndarray, energies: np.ndarray, num_samples: float, *, fluctuations: bool = True
) -> float:
    """Loss of interpolation without noise: κ² Σ c/(λ + κ)² / (1 - (1/n) Σ λ²/(λ + κ)²), Σ λ/(λ + κ) = n."""
    ridge = ridge_at_zero(variances, num_samples)
    share = np.sum((variances / (variances + ridge)) ** 2) / num_samples if fluctuations else 0.0
    return float(ridge**2 * np.sum(energies / (variances + ridge) ** 2) / (1 - share)) if ridge else 0.0


def descent_losses(
    contour: Contour,
    variances: np.ndarray,
    energies: np.ndarray,
    num_samples: float,
    noise_variance: float,
    learning_rate: float,
    steps: Sequence[int],
    *,
    fluctuations: bool = True,
) -> np.ndarray:
    """Mean excess test losses of full-batch descent on n samples, by a double contour.

    E_t = ∮∮ f(z₁) f(z₂) Q(z₁, z₂) + (σ²/n) ∮ (1 - f)²/z (1/m) Σ λ/(λ + κ),    f = (1 - ηz)^t,

    Q = (κ₁κ₂/(z₁z₂)) Σ c/((λ + κ₁)(λ + κ₂)) / (1 - (1/n) Σ λ²/((λ + κ₁)(λ + κ₂))).

    Two resolvents of one sample are correlated: this is the denominator, which ``fluctuations=False`` leaves out.
    """
    times = np.asarray(steps)
    inverse = 1 / (variances[None] + contour.ridges[:, None])
    decays = (1 - learning_rate * contour.nodes[:, None]) ** times[None]
    factors = (contour.weights / 2 * contour.ridges / contour.nodes)[:, None] * decays
    losses = np.zeros(len(times))
    # The upper half with itself and with its conjugate; the other two pairs are the conjugates of these.
    for other, right in ((inverse, factors), (inverse.conj(), factors.conj())):
        pairs = (inverse * energies) @ other.T
        if fluctuations:
            pairs = pairs / (1 - (inverse * variances**2) @ other.T / num_samples)
        losses += 2 * np.einsum("kt,kt->t", factors, pairs @ right).real
    if noise_variance:
        traces = contour.weights * contour.inverse_companion / contour.nodes * (inverse @ variances)
        losses += noise_variance / num_samples * (traces @ (1 - decays) ** 2).real
    return losses
