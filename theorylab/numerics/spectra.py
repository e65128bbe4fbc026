"""Eigenvalue spectra of kernels together with a target's power on their eigenfunctions."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float


class Spectrum(NamedTuple):
    """Eigensystem of a kernel and a target: three 1-D arrays of equal length, one entry per level.

    A level is one distinct eigenvalue, or a bin of eigenvalues that are close together.

    Attributes
    ----------
    eigenvalues
        λ of each level, λ >= 0, of the kernel's integral operator under the data distribution (those of an
        M x M Gram matrix must be divided by M).
    multiplicities
        Number of eigenfunctions of each level; real values are allowed.
    target_power
        Σ v², the squared coefficients of the target summed over the eigenfunctions of each level (and over
        outputs, if there are several).
    """

    eigenvalues: Float[Array | np.ndarray, " levels"]
    multiplicities: Float[Array | np.ndarray, " levels"]
    target_power: Float[Array | np.ndarray, " levels"]


def power_law(num_modes: int, eigenvalue_exponent: ArrayLike, target_exponent: ArrayLike) -> Spectrum:
    """Build the truncated power law λ_i = i^-α, v_i² = i^-β for i = 1 … num_modes.

    Traceable in the exponents. Truncation drops target power of order num_modes^(1-β) and trace of order
    num_modes^(1-α), which decides the answer for exponents near 1: use :func:`power_law_infinite` there.
    """
    index = jnp.arange(1, num_modes + 1, dtype=float)
    return Spectrum(
        index ** -jnp.asarray(eigenvalue_exponent),
        jnp.ones_like(index),
        index ** -jnp.asarray(target_exponent),
    )


def power_law_infinite(
    eigenvalue_exponent: ArrayLike,
    target_exponent: ArrayLike,
    *,
    exact_modes: int = 2000,
    bin_ratio: float = 1.02,
    last_mode: float = 1e30,
) -> Spectrum:
    """Build the infinite power law λ_i = i^-α, v_i² = i^-β, with its tail gathered in geometric bins.

    The first ``exact_modes`` modes are kept as they are. Beyond, bins with edges at half-integers grow by
    ``bin_ratio``: a bin [l, h) has multiplicity h − l, λ = ∫ x^-α dx/(h − l), v² = ∫ x^-β dx. A closing level
    holds everything beyond ``last_mode``, spread over last_mode^1.2 modes: there λ is far below any effective
    ridge, where a level enters through its trace alone. The defaults give about 5,100 levels.

    Traceable in the exponents, both of which must exceed 1 (see :func:`validate_exponents`).
    """
    edges = [exact_modes + 0.5]
    while edges[-1] < last_mode:
        width = max(1.0, np.round(edges[-1] * (bin_ratio - 1)))
        edges.append(edges[-1] + width)
    left = jnp.asarray(np.array(edges[:-1]), dtype=float)
    log_ratio = jnp.asarray(np.log(np.array(edges[1:]) / np.array(edges[:-1])), dtype=float)
    widths = jnp.asarray(np.diff(edges), dtype=float)

    def integrals(exponent: ArrayLike) -> Array:
        # l^(1-a) (1 - (h/l)^(1-a)) / (a-1), without the cancellation at exponents near 1.
        excess = jnp.asarray(exponent, dtype=float) - 1
        bins = left**-excess * -jnp.expm1(-excess * log_ratio) / excess
        beyond = jnp.asarray(edges[-1], dtype=float) ** -excess / excess
        return jnp.append(bins, beyond)

    multiplicities = jnp.append(widths, jnp.asarray(edges[-1] ** 1.2, dtype=float))
    head = power_law(exact_modes, eigenvalue_exponent, target_exponent)
    return Spectrum(
        jnp.append(head.eigenvalues, integrals(eigenvalue_exponent) / multiplicities),
        jnp.append(head.multiplicities, multiplicities),
        jnp.append(head.target_power, integrals(target_exponent)),
    )


def validate_exponents(eigenvalue_exponent: float | int, target_exponent: float | int) -> None:
    """Check that an infinite power law has a finite trace and a finite target.

    Raises
    ------
    ValueError
        Where α <= 1 or β <= 1 (the sums Σ i^-α, Σ i^-β diverge), or an exponent is not finite.
    """
    for symbol, name, value in (
        ("α", "eigenvalue_exponent", eigenvalue_exponent),
        ("β", "target_exponent", target_exponent),
    ):
        if not np.isfinite(value) or value <= 1:
            raise ValueError(f"{name} = {value} is not allowed: Σ i^-{symbol} converges for {symbol} > 1 only")


def validate_spectrum(spectrum: Spectrum, *, infinite: bool = False) -> Spectrum:
    """Check a concrete spectrum and clip eigenvalues that are negative by rounding alone.

    Eigenvalues down to -1e-12 times the largest (as ``eigh`` returns) become 0. Returns NumPy arrays.

    Parameters
    ----------
    infinite
        Whether the levels stand for an infinite spectrum. Then a trace that still grows at the end of the
        list is warned about: the effective dimension would depend on where the list was cut.

    Raises
    ------
    ValueError
        Arrays that are not 1-D, empty or of different lengths; non-finite entries or sums; negative
        eigenvalues beyond rounding; negative target power; multiplicities that are not positive.
    """
    arrays = {name: np.asarray(array) for name, array in zip(Spectrum._fields, spectrum, strict=True)}
    shapes = {name: array.shape for name, array in arrays.items()}
    if any(len(shape) != 1 for shape in shapes.values()) or len(set(shapes.values())) != 1:
        raise ValueError(f"a spectrum needs three 1-D arrays of equal length, got shapes {shapes}")
    if arrays["eigenvalues"].size == 0:
        raise ValueError("a spectrum needs at least one level, got none")
    for name, array in arrays.items():
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(array))} non-finite entries")
    eigenvalues, multiplicities, target_power = (
        array.astype(np.result_type(array, np.float32)) for array in arrays.values()
    )
    if np.any(multiplicities <= 0):
        raise ValueError(f"multiplicities must be positive, the smallest is {multiplicities.min():g}")
    if np.any(target_power < 0):
        raise ValueError(f"target_power must be >= 0, the smallest is {target_power.min():g}")
    eigenvalues = clip_negative(eigenvalues, rounding=1e-12)
    with np.errstate(over="ignore"):
        trace, power = np.sum(multiplicities * eigenvalues), np.sum(target_power)
    for name, total in (("Σ multiplicity · eigenvalue", trace), ("Σ target_power", power)):
        if not np.isfinite(total):
            raise ValueError(f"{name} is not finite: the spectrum is not summable")
    if infinite and eigenvalues.size >= 100:
        order = np.argsort(-eigenvalues, kind="stable")
        mass, count = (multiplicities * eigenvalues)[order], np.cumsum(multiplicities[order])
        # For λ ~ i^-α with α <= 1 the last factor of two in the index holds at least log 2 / log(count).
        last_half = np.sum(mass[count > count[-1] / 2])
        if last_half > 0.69 / np.log(count[-1]) * trace:
            warnings.warn(
                f"the last half of the modes holds {last_half / trace:.0%} of the trace: the spectrum does "
                "not look summable, and the effective dimension depends on where it is cut",
                stacklevel=2,
            )
    return Spectrum(eigenvalues, multiplicities, target_power)


class NotAKernel(ValueError):
    """A matrix is not finite, symmetric and positive semi-definite."""


def asymmetry(matrix: np.ndarray) -> float:
    """Largest entry of |K - Kᵀ| of a host array [M, M], in blocks that fit the caches. K must be finite."""
    block = 512
    starts = range(0, len(matrix), block)
    return max(
        float(np.abs(matrix[i : i + block, j : j + block] - matrix[j : j + block, i : i + block].T).max())
        for i in starts
        for j in starts
        if j >= i
    )


def clip_negative(eigenvalues: np.ndarray, *, rounding: float, repair: float = 0.0) -> np.ndarray:
    """Set eigenvalues that are negative by rounding to 0, and those that are no larger than the most negative one.

    Down to ``-rounding`` times the largest in silence, down to ``-repair`` times it with a warning that says how much.

    Raises
    ------
    NotAKernel
        For eigenvalues below that.
    """
    smallest, largest = float(eigenvalues.min()), max(float(eigenvalues.max()), 0.0)
    if smallest < -max(rounding, repair) * largest:
        raise NotAKernel(
            f"eigenvalues must be >= 0 up to rounding, got {smallest:.3g} with the largest {largest:.3g}: "
            "the kernel is not positive semi-definite"
        )
    if smallest < -rounding * largest:
        negative = eigenvalues[eigenvalues < 0]
        warnings.warn(
            f"{negative.size} eigenvalues below 0 were set to 0, the smallest {smallest:.2g} with the largest "
            f"{largest:.2g} (together {-negative.sum() / np.abs(eigenvalues).sum():.1g} of the trace); those up to "
            f"{-smallest:.2g} too",
            stacklevel=2,
        )
    return np.where(eigenvalues > -smallest, np.maximum(eigenvalues, 0), 0)
