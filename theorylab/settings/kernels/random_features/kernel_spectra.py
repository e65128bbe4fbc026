"""Eigenvalues, multiplicities and target power of the kernels behind the random features."""

from __future__ import annotations

import functools
import math

import numpy as np

from theorylab.numerics import spectra
from theorylab.numerics.chi_square import gauss_nodes
from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.random_features import feature_maps
from theorylab.settings.kernels.random_features.config import Config

#: Highest degree of the ReLU kernel's spectrum; the trace beyond it is put on one more entry.
SPHERE_DEGREES = 80
#: Nodes of the law of the features' squared norms: E[1/(1 + s²c)] at c = 100 to 1e-6 in ten dimensions, 1e-3 in five.
NORM_NODES = 48
FOURIER_POINTS = 2000
FOURIER_TARGET_MODES = 10
#: Eigenmodes (counted from 1) whose learned coefficients are measured, as far as the model's target has them.
MODES = (1, 2, 5, 10, 20, 50)


def measured_modes(config: Config) -> tuple[int, ...]:
    """Eigenmodes whose learned coefficients are measured: numbers of modes, or degrees of zonal models.

    On the sphere and the hypercube all modes of a degree count as one, as they share an eigenvalue.
    """
    if config.model in feature_maps.GEOMETRIES:
        return tuple(sorted(feature_maps.GEOMETRIES[config.model].target_power(config.input_dim)))
    last = config.num_modes if config.model == "gaussian" else FOURIER_TARGET_MODES
    return tuple(mode for mode in MODES if mode <= last)


def measured_levels(config: Config) -> np.ndarray:
    """Positions of :func:`measured_modes` among the levels of :func:`spectrum`; degrees are counted from 0."""
    return np.array(measured_modes(config)) - (config.model not in feature_maps.GEOMETRIES)


def spectrum(config: Config) -> Spectrum:
    """Eigenvalues, multiplicities and target power (summed over the multiplicity) of a model's kernel.

    Power on modes of eigenvalue zero is kept: it acts as label noise. The Gaussian model's spectrum is
    traceable, the others are computed on the host in float64, once per configuration.
    """
    if config.model == "gaussian":
        return spectra.power_law(config.num_modes, config.eigenvalue_exponent, config.target_exponent)
    if config.model == "relu_sphere":
        return Spectrum(*relu_sphere(config.input_dim))
    if config.model == "erf_hypercube":
        return Spectrum(*erf_hypercube(config.input_dim))
    eigenvalues, _, _ = fourier_eigensystem(config.input_dim, config.bandwidth)
    power = np.zeros(FOURIER_POINTS)
    power[:FOURIER_TARGET_MODES] = 1 / FOURIER_TARGET_MODES
    return Spectrum(eigenvalues, np.ones(FOURIER_POINTS), power)


def square_norms(config: Config) -> tuple[np.ndarray, np.ndarray] | None:
    """Nodes and weights of |g(w, ·)|² over its mean, where it is one factor of all of a feature's modes and varies.

    ReLU features have |w|²/d, w ~ N(0, I_d). Features of the Gaussian model have one for each mode instead, as the
    theory wants it, and a kernel has no features. None for these, and for features that are not homogeneous in w.
    """
    if config.model != "relu_sphere" or math.isinf(config.num_features):
        return None
    nodes, weights = gauss_nodes(config.input_dim, NORM_NODES)
    return nodes / config.input_dim, weights


def _power_per_degree(model: str, dim: int, degrees: int) -> np.ndarray:
    power = np.zeros(degrees + 1)
    for degree, value in feature_maps.GEOMETRIES[model].target_power(dim).items():
        power[degree] = value
    return power


@functools.lru_cache(maxsize=32)
def relu_sphere(dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectrum of K(t) = (√(1-t²) + t (π - arccos t)) / π, the kernel of √2 relu(w·x), on the unit sphere.

    By Funk and Hecke, relu(ŵ·x) = Σ_l μ_l Σ_m Y_lm(ŵ) Y_lm(x) with μ_l = E[relu(t) P_l(t)], so that
    λ_l = 2 E|w|² μ_l² = 2 d μ_l²: squares, which keeps small eigenvalues accurate. relu(t) = (t + |t|)/2
    gives zero for odd l ≥ 3. Even degrees are integrated over the angle, where the integrand is smooth.
    """
    degrees = SPHERE_DEGREES
    nodes, quadrature = np.polynomial.legendre.leggauss(200)
    angle = (nodes + 1) * math.pi / 4
    t, density = np.cos(angle), np.sin(angle) ** (dim - 2) * quadrature
    density = density / density.sum()
    polynomials = feature_maps.GEOMETRIES["relu_sphere"].polynomials(t, degrees, dim)
    mean = np.array([density @ (t * p) for p in polynomials]) / 2
    mean[1::2] = 0
    mean[1] = 1 / (2 * dim)
    eigenvalues = 2 * dim * mean**2
    multiplicities = np.array(
        [feature_maps.GEOMETRIES["relu_sphere"].multiplicity(l, dim) for l in range(degrees + 1)], float
    )
    power = _power_per_degree("relu_sphere", dim, degrees)
    # What the higher degrees leave of the trace K(1) = 1 acts as a ridge: give it the next even eigenvalue.
    rest = 1 - multiplicities @ eigenvalues
    next_eigenvalue = eigenvalues[degrees] * (degrees / (degrees + 2)) ** (dim + 2)
    eigenvalues = np.append(eigenvalues, next_eigenvalue)
    multiplicities = np.append(multiplicities, rest / next_eigenvalue)
    return eigenvalues, multiplicities, np.append(power, 0.0)


@functools.lru_cache(maxsize=32)
def erf_hypercube(dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectrum of K(t) = (2/π) arcsin(2 s t / (1 + 2 s)), s = 2, the kernel of erf(w·x), on the hypercube.

    K = Σ_l a_l P_l with a_l = m_l λ_l, m_l = C(d, l) and the normalised Krawtchouk polynomials, for which
    t P_l = ((d - l) P_{l+1} + l P_{l-1}) / d. The power series of arcsin and this recurrence have no
    negative terms, so every eigenvalue has full relative accuracy however small it is.
    """
    import scipy.special  # a fifth of a second, for spectra of kernels alone

    l = np.arange(dim + 1)
    up, down = (dim - l) / dim, l / dim
    ratio = 2 * feature_maps.ERF_SCALE / (1 + 2 * feature_maps.ERF_SCALE)
    trace = np.zeros(dim + 1)
    walk = np.zeros(dim + 1)
    walk[0] = 1.0
    coefficient, p = ratio, 0
    while coefficient > 1e-25 or p < dim:
        walk = np.append(0.0, (walk * up)[:-1]) + np.append((walk * down)[1:], 0.0)
        p += 1
        if p % 2:
            trace += coefficient * walk
            # arcsin z = Σ c_p z^p over odd p, with c_{p+2} / c_p = p² / ((p + 1)(p + 2)).
            coefficient *= ratio**2 * p**2 / ((p + 1) * (p + 2))
    trace *= 2 / math.pi
    multiplicities = scipy.special.comb(dim, l)
    return trace / multiplicities, multiplicities, _power_per_degree("erf_hypercube", dim, dim)


@functools.lru_cache(maxsize=8)
def fourier_population(dim: int) -> np.ndarray:
    """The fixed population of standard Gaussian points, ``[points, dim]``."""
    return np.random.default_rng(0).standard_normal((FOURIER_POINTS, dim))


@functools.lru_cache(maxsize=8)
def fourier_eigensystem(dim: int, bandwidth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (descending) of the population's RBF kernel matrix over M, leading modes, and the target.

    Modes have unit mean square over the population; the target is the sum of the leading ones over the
    square root of their number. Eigenvalues are clipped at zero, below which they are rounding error.
    """
    x = fourier_population(dim)
    squares = np.sum(x**2, axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * x @ x.T
    kernel = np.exp(-np.maximum(distances, 0) / (2 * bandwidth**2))
    eigenvalues, vectors = np.linalg.eigh(kernel / FOURIER_POINTS)
    modes = vectors[:, ::-1][:, :FOURIER_TARGET_MODES] * math.sqrt(FOURIER_POINTS)
    return np.maximum(eigenvalues[::-1], 0), modes, modes.sum(axis=1) / math.sqrt(FOURIER_TARGET_MODES)
