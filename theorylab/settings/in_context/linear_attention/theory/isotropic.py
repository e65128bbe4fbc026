"""Isotropic problems, where everything is in one learning rate: optimum, context length, law of the coordinates."""

from __future__ import annotations

from jax.typing import ArrayLike


def isotropic_learning_rate(context_length: ArrayLike, dim: ArrayLike, noise_to_signal: ArrayLike) -> ArrayLike:
    """η* = 1/(n + d + 1 + σ²/σ_w²) for x ~ N(0, I), w ~ N(0, σ_w² I) (Mahankali et al. 2023); P* = η* I."""
    return 1 / (context_length + dim + 1 + noise_to_signal)


def isotropic_minimum_loss(context_length: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike) -> ArrayLike:
    """L_min = d (d + 1 + σ²)/(n + d + 1 + σ²) + σ² for x ~ N(0, I), w ~ N(0, I)."""
    rest = dim + 1 + noise_variance
    return dim * rest / (context_length + rest) + noise_variance


def isotropic_context_length_risk(
    test_length: ArrayLike, context_length: ArrayLike, dim: ArrayLike, noise_variance: ArrayLike, *, mean: bool = True
) -> ArrayLike:
    """Risk at m context tokens of the layer that is optimal at n, for x, w ~ N(0, I).

    Averaging layer: R(m) = d [1 - 2nη + n²η² (m+d+1+σ²)/m] + σ² -> d (1-nη)² + σ² as m -> ∞: it stays biased.
    Summing layer: R(m) = d [1 - 2mη + η² m (m+d+1+σ²)] + σ², a parabola with minimum at m = n + (d+1+σ²)/2.
    """
    m, rate = test_length, isotropic_learning_rate(context_length, dim, noise_variance)
    gain = rate * (context_length if mean else m)
    return dim * (1 - 2 * gain + gain**2 * (m + dim + 1 + noise_variance) / m) + noise_variance


def independent_coordinates_learning_rate(
    context_length: ArrayLike,
    dim: ArrayLike,
    noise_variance: ArrayLike,
    variance: ArrayLike = 1.0,
    kurtosis: ArrayLike = 3.0,
) -> ArrayLike:
    """η* = 1/((n + d - 2 + κ₄) v + σ²) for independent, symmetric coordinates of x and w ~ N(0, I).

    v = E x², κ₄ = E x⁴/v²: 3 for Gaussian covariates, 9/5 for uniform ones (von Oswald et al. 2022,
    arXiv 2212.07677, use U(-1/2, 1/2): v = 1/12).
    """
    return 1 / ((context_length + dim - 2 + kurtosis) * variance + noise_variance)


def independent_coordinates_minimum_loss(
    context_length: ArrayLike,
    dim: ArrayLike,
    noise_variance: ArrayLike,
    variance: ArrayLike = 1.0,
    kurtosis: ArrayLike = 3.0,
) -> ArrayLike:
    """L_min = d v (1 - n v η*) + σ²; arguments of :func:`independent_coordinates_learning_rate`."""
    rate = independent_coordinates_learning_rate(context_length, dim, noise_variance, variance, kurtosis)
    return dim * variance * (1 - context_length * variance * rate) + noise_variance
