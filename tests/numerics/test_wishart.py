"""Exact mean spectra of Wishart matrices against their moments, which are known in closed form."""

import numpy as np
import pytest
from scipy import integrate, stats

from theorylab.numerics.wishart import mean_spectrum


@pytest.mark.parametrize(
    ("dim", "count"), [(1, 1), (2, 2), (2, 3), (3, 5), (5, 5), (7, 3), (12, 20), (64, 64), (100, 150)]
)
def test_moments(dim, count):
    x, weights = mean_spectrum(dim, count)
    np.testing.assert_allclose(weights.sum(), min(dim, count), rtol=1e-12)
    np.testing.assert_allclose(weights @ x, dim * count, rtol=1e-12)
    np.testing.assert_allclose(weights @ x**2, dim * count * (dim + count + 1), rtol=1e-12)
    if (gap := abs(count - dim)) > 1:
        np.testing.assert_allclose(weights @ (1 / x), min(dim, count) / (gap - 1), rtol=1e-11)
    assert (weights > -1e-12).all()


def test_one_eigenvalue_is_a_chi_square():
    x, weights = mean_spectrum(1, 4)
    expected, _ = integrate.quad(lambda t: np.exp(-t) * stats.chi2(4).pdf(t), 0, np.inf)
    np.testing.assert_allclose(weights @ np.exp(-x), expected, rtol=1e-12)


def test_two_eigenvalues_by_their_joint_density():
    """λ_1, λ_2 of a 2 x 2 matrix of 3 samples: exp(−(λ_1 + λ_2)/2) |λ_1 − λ_2|."""
    nodes, gauss = np.polynomial.laguerre.laggauss(60)
    low, gap = 1.0 * nodes[:, None], 2.0 * nodes[None]  # λ_1 = low, λ_2 = low + gap
    density = gauss[:, None] * gauss[None] * gap
    trace = 1 / (1 + low) + 1 / (1 + low + gap)
    x, weights = mean_spectrum(2, 3)
    np.testing.assert_allclose(weights @ (1 / (1 + x)), (density * trace).sum() / density.sum(), rtol=1e-6)


def test_too_many_eigenvalues_are_refused():
    with pytest.raises(ValueError, match="at most 200"):
        mean_spectrum(201, 300)
