"""Sample covariances far from their limit: deterministic equivalents, and spectral sums along a contour.

Let Ĥ be the sample covariance of M Gaussian samples of covariance Λ = diag λ. Its resolvent is equivalent to that of Λ
at an effective ridge κ, in the sense of quadratic forms and traces, up to a relative 1/M:

    (Ĥ - z)⁻¹ ≈ (1/m) (Λ + κ)⁻¹,    m(κ) = 1 - (1/M) Σ λ/(λ + κ),    z = -κ m(κ).                              (1)

The same holds for A Aᵀ, A = Λ^½ W with a D x M sketch W of entries N(0, 1/M). A function of Ĥ is an integral over z on
a contour around the spectrum, f(Ĥ) = -(1/2πi) ∮ f(z) (Ĥ - z)⁻¹ dz. On quadrature nodes it is a sum: nodes are complex
eigenvalues with complex masses, and whatever is computed from eigenvalues and masses can be computed from them. No
density has to be found, and isolated eigenvalues, the bulk and the atom at 0 are all inside.

NumPy in double precision, whatever the precision of JAX.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

#: The ray into the origin leaves the real axis at this angle. |1 - 2u + 2u²| <= 1 there for |u| <= 1, at none wider.
ANGLE = math.pi / 3
#: Room between the largest eigenvalue and the contour, relative.
MARGIN = 1 / 3
#: Gauss-Legendre nodes of a panel, and the width of one in the logarithm of the radius.
NODES, PANEL = 16, 0.6


class Contour(NamedTuple):
    """Upper half of a contour around the spectrum of a sample covariance; the lower half is its conjugate.

    Attributes
    ----------
    nodes, weights
        z and -dz/(πi): the real part of Σ weights f(z) tr (Ĥ - z)⁻¹ is tr f(Ĥ), for f that is real on the real axis.
    ridges
        κ(z) of equation (1).
    """

    nodes: np.ndarray
    weights: np.ndarray
    ridges: np.ndarray

    @property
    def inverse_companion(self) -> np.ndarray:
        """1/m = -κ/z at the nodes."""
        return -self.ridges / self.nodes


def check_arguments(eigenvalues: ArrayLike, num_samples: float) -> np.ndarray:
    """Refuse what is no spectrum, or no number of samples; returns the eigenvalues in double precision.

    Raises
    ------
    ValueError
        Naming the argument, its value and the allowed range.
    """
    found = np.asarray(eigenvalues, float)
    if found.ndim != 1 or found.size == 0 or not np.all(np.isfinite(found)) or found.min() <= 0:
        raise ValueError(f"eigenvalues of shape {found.shape} are not allowed: must be a finite array, all positive")
    if not num_samples >= 1:
        raise ValueError(f"num_samples = {num_samples} is not allowed: must be >= 1")
    return found


def upper_edge(eigenvalues: ArrayLike, num_samples: float) -> float:
    """Largest point of the limiting spectrum: min over x > λ_max of x (1 + (1/M) Σ λ/(x - λ)), to six digits.

    Examples
    --------
    >>> import numpy as np
    >>> print(f"{upper_edge(np.ones(100), 400):.4f}")  # (1 + 1/2)²
    2.2500
    """
    from scipy.optimize import minimize_scalar

    lam = check_arguments(eigenvalues, num_samples)
    top = lam.max()

    def image(log_excess: float) -> float:
        gap = top * math.exp(log_excess)
        return float((top + gap) * (1 + np.sum(lam / (gap + (top - lam))) / num_samples))

    # The minimum lies between a part 1/M of the top alone, and a few times the whole trace.
    high = math.log(4 + 4 * lam.sum() / (top * num_samples)) + math.log(4)
    found = minimize_scalar(image, bounds=(-0.5 * math.log(num_samples) - 3, high), method="bounded")
    return float(found.fun)


def ridge_at_zero(eigenvalues: ArrayLike, num_samples: float) -> float:
    """κ at z = 0: Σ λ/(λ + κ) = M, and 0 where M is at least the number of eigenvalues."""
    from scipy.optimize import brentq

    lam = check_arguments(eigenvalues, num_samples)
    if num_samples >= lam.size:
        return 0.0

    def excess(log_ridge: float) -> float:
        return float(np.sum(lam / (lam + math.exp(log_ridge)))) - num_samples

    # Σ λ/(λ + κ) is between D λ_min/(λ_min + κ) and Σ λ/κ.
    low = math.log(lam.min() * (lam.size / num_samples - 1)) - 1e-9
    return math.exp(brentq(excess, low, math.log(lam.sum() / num_samples) + 1e-9, xtol=1e-15, rtol=1e-14))


def _newton(node: complex, ridge: complex, lam: np.ndarray, num_samples: float) -> tuple[complex, complex]:
    """κ with -κ m(κ) = z from a start near it, and dκ/dz."""
    for _ in range(60):
        # Σ λ/(λ + κ) and Σ λ²/(λ + κ)² in real arithmetic, a third of the time of complex division.
        real, imaginary = lam + ridge.real, ridge.imag
        share = lam / (real * real + imaginary**2)
        part, square = share * real, np.dot(share, share)
        total = complex(part.sum(), -imaginary * share.sum()) / num_samples
        second = complex(np.dot(part, part) - imaginary**2 * square, -2 * imaginary * np.dot(part, share))
        slope = second / num_samples - 1
        step = (ridge * (total - 1) - node) / slope
        ridge = complex(ridge - step)
        if abs(step) <= 1e-9 * abs(ridge):  # the next step would be of the square of this
            return ridge, complex(1 / slope)
    raise ArithmeticError(f"no effective ridge found at z = {node:.4g}: the contour may cut the spectrum")


def effective_ridges(nodes: np.ndarray, eigenvalues: ArrayLike, num_samples: float) -> np.ndarray:
    """κ(z) of equation (1) at points that follow each other, followed from κ = -z far out.

    Raises
    ------
    ArithmeticError
        Where Newton's iteration does not converge, as inside the spectrum.
    """
    lam = check_arguments(eigenvalues, num_samples)
    ridge, slope, before = complex(-100 * nodes[0]), -1.0 + 0j, complex(100 * nodes[0])
    found = np.empty(len(nodes), complex)
    inwards = nodes[0] * np.geomspace(100, 1, 30)[:-1]
    for number, node in enumerate([*inwards, *nodes], start=-len(inwards)):
        ridge, slope = _newton(node, ridge + slope * (node - before), lam, num_samples)
        before = node
        if number >= 0:
            found[number] = ridge
    return found


def outer_radius(eigenvalues: ArrayLike, num_samples: float) -> float:
    """Where the contour crosses the real axis, a third above the largest eigenvalue."""
    return (1 + MARGIN) * upper_edge(eigenvalues, num_samples)


def _panels(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on consecutive intervals."""
    points, weights = np.polynomial.legendre.leggauss(NODES)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    return (middle + half * points).ravel(), (half * weights).ravel()


def around_spectrum(eigenvalues: ArrayLike, num_samples: float, horizon: float) -> Contour:
    """A contour on which (1 - ηz)^t is at most about 1 in size for ηt up to ``horizon`` and η < 1/outer radius.

    It encloses 0 and the spectrum, a centre -1/(2 horizon) seen from which it is: an arc from the real axis to 60
    degrees, a ray inwards, evenly in the logarithm of the radius, and a small arc to the negative axis.

    Parameters
    ----------
    eigenvalues
        Of Λ, all positive.
    num_samples
        M, samples or columns of the sketch; a real number > 0.
    horizon
        Largest learning rate times number of steps for which it serves. Beyond, functions grow on the small arc.

    Raises
    ------
    ValueError
        For a spectrum, number of samples or horizon that is none.
    ArithmeticError
        Where the sums over nodes do not return Σ λ and Σ λ² + (Σ λ)²/M, which they do for every right contour.

    Examples
    --------
    The trace of the square of a sample covariance, from its nodes:

    >>> import numpy as np
    >>> eigenvalues = 1 / np.arange(1, 201) ** 1.5
    >>> contour = around_spectrum(eigenvalues, 50, horizon=100.0)
    >>> print(f"{trace_masses(contour, eigenvalues).sum().real:.6f}")
    1.324174
    >>> print(f"{np.sum(eigenvalues**2) + eigenvalues.sum() ** 2 / 50:.6f}")
    1.324174
    """
    lam = check_arguments(eigenvalues, num_samples)
    if not (horizon > 0 and math.isfinite(horizon)):
        raise ValueError(f"horizon = {horizon} is not allowed: must be > 0 and finite")
    radius = outer_radius(lam, num_samples)
    centre = min(1 / (2 * horizon), radius / 2)
    outer, inner = radius + centre, centre / 2
    pieces = []
    for start, end, panels, radius in ((0.0, ANGLE, 2, outer), (ANGLE, math.pi, 2, inner)):
        angles, weights = _panels(np.linspace(start, end, panels + 1))
        turn = radius * np.exp(1j * angles)
        pieces.append((turn, 1j * turn * weights))
    panels = max(4, math.ceil(math.log(outer / inner) / PANEL))
    logs, weights = _panels(np.linspace(math.log(outer), math.log(inner), panels + 1))
    ray = np.exp(logs + 1j * ANGLE)
    pieces.insert(1, (ray, ray * weights))
    nodes, steps = (np.concatenate(part) for part in zip(*pieces, strict=True))
    nodes = nodes - centre
    contour = Contour(nodes, steps * (1j / math.pi), effective_ridges(nodes, lam, num_samples))
    # Branch, edge and weights at once: the first two moments are known.
    masses = trace_masses(contour, lam)
    moments = np.array([(masses / nodes).sum().real, masses.sum().real])
    known = np.array([lam.sum(), np.sum(lam**2) + lam.sum() ** 2 / num_samples])
    if not np.allclose(moments, known, rtol=1e-8):
        raise ArithmeticError(f"the contour does not enclose the spectrum: moments {moments} instead of {known}")
    return contour


def _sums(contour: Contour, eigenvalues: np.ndarray, numerators: np.ndarray) -> np.ndarray:
    """Σ_j a_j/(λ_j + κ) at every node for every column a of the numerators."""
    parts = []
    for ridges in np.array_split(contour.ridges, max(1, len(contour.ridges) * eigenvalues.size // 200_000)):
        # In real arithmetic, as in :func:`_newton`, on pieces that stay in a cache.
        real, imaginary = eigenvalues[None] + ridges.real[:, None], ridges.imag[:, None]
        share = 1 / (real * real + imaginary * imaginary)
        parts.append((share * real) @ numerators - 1j * imaginary * (share @ numerators))
    return np.concatenate(parts)


def quadratic_masses(contour: Contour, eigenvalues: ArrayLike, energies: ArrayLike) -> np.ndarray:
    """Masses F with Re Σ F f(z) = tᵀ f(Ĥ) t, for a vector of squares ``energies`` in the eigenbasis of Λ."""
    lam, squares = np.asarray(eigenvalues, float), np.asarray(energies, float)
    return contour.weights * contour.inverse_companion * _sums(contour, lam, squares[:, None])[:, 0]


def trace_masses(contour: Contour, eigenvalues: ArrayLike) -> np.ndarray:
    """Masses G with Re Σ G f(z) = tr Ĥ² f(Ĥ); the square keeps the atom at 0 out."""
    lam = np.asarray(eigenvalues, float)
    total = _sums(contour, lam, np.ones((lam.size, 1)))[:, 0]
    return contour.weights * contour.nodes**2 * contour.inverse_companion * total
