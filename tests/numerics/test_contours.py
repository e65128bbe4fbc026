"""Contours: the Marchenko-Pastur law, moments of Wishart matrices, sampled matrices, refusals."""

import numpy as np
import pytest

from theorylab.numerics import contours

POWER = np.arange(1, 301.0) ** -1.5


@pytest.mark.parametrize("num_samples", [25, 100, 900])
def test_equal_eigenvalues_have_the_law_of_marchenko_and_pastur(num_samples):
    ratio = 100 / num_samples
    lam = np.ones(100)
    assert contours.upper_edge(lam, num_samples) == pytest.approx((1 + np.sqrt(ratio)) ** 2, rel=1e-6)
    contour = contours.around_spectrum(lam, num_samples, horizon=20.0)
    z, ridge = contour.nodes, contour.ridges
    # κ² + κ (1 - γ + z) + z = 0, on the branch whose resolvent has a positive imaginary part above the axis.
    np.testing.assert_allclose(ridge**2 + ridge * (1 - ratio + z) + z, 0, atol=1e-12)
    assert np.all((contour.inverse_companion / (1 + ridge)).imag > 0)


@pytest.mark.parametrize("num_samples", [12, 40, 300, 1000])
def test_moments_are_those_of_sample_covariances(num_samples):
    """tr Ĥ³ = Σλ³ + 3 Σλ Σλ²/M + (Σλ)³/M² in the limit; quadratic forms of 1 and Ĥ are exact."""
    contour = contours.around_spectrum(POWER, num_samples, horizon=100.0)
    one, two, three = (np.sum(POWER**k) for k in (1, 2, 3))
    masses = contours.trace_masses(contour, POWER)
    third = three + 3 * one * two / num_samples + one**3 / num_samples**2
    np.testing.assert_allclose((masses * contour.nodes).sum().real, third, rtol=1e-11)
    energies = np.arange(1, 301.0) ** -1.8
    own = contours.quadratic_masses(contour, POWER, energies)
    np.testing.assert_allclose(own.sum().real, energies.sum(), rtol=1e-12)
    np.testing.assert_allclose((own * contour.nodes).sum().real, np.sum(POWER * energies), rtol=1e-11)
    # The atom at 0 is inside: what is left of a function that vanishes on all other eigenvalues after long.
    ridge = contours.ridge_at_zero(POWER, num_samples)
    assert (ridge == 0) == (num_samples >= 300)
    if ridge:
        assert np.sum(POWER / (POWER + ridge)) == pytest.approx(num_samples, rel=1e-12)


def test_functions_of_sampled_matrices():
    """(1 - ηĤ)^t of 300 sample covariances, against the contour that serves 100 steps: within 1/M and 4 errors."""
    rng, size, rate = np.random.default_rng(0), 20, 0.3
    lam, energies = POWER[:40], np.arange(1, 41.0) ** -1.8
    contour = contours.around_spectrum(lam, size, horizon=100 * rate)
    masses = contours.quadratic_masses(contour, lam, energies)
    steps = np.array([1, 10, 100])
    x = rng.standard_normal((300, 40, size)) * np.sqrt(lam / size)[:, None]
    values, bases = np.linalg.eigh(x @ x.swapaxes(1, 2))
    weights = np.einsum("nij,i->nj", bases, np.sqrt(energies)) ** 2
    drawn = np.stack([np.sum(weights * (1 - rate * values) ** t, axis=1) for t in steps], axis=1)
    told = [(masses * (1 - rate * contour.nodes) ** t).sum().real for t in steps]
    error = 4 * np.std(drawn, axis=0) / np.sqrt(300) + np.array(told) / size
    assert np.all(np.abs(np.mean(drawn, axis=0) - told) < error)
    infinite = [np.sum(energies * (1 - rate * lam) ** t) for t in steps]
    assert np.abs(np.mean(drawn, axis=0) - infinite)[2] > error[2]


def test_powers_stay_bounded_on_the_contour_that_is_built_for_them():
    rate, steps = 0.3, 1000
    contour = contours.around_spectrum(POWER, 40, horizon=rate * steps)
    assert rate * contours.outer_radius(POWER, 40) < 1
    assert np.abs(1 - rate * contour.nodes).max() <= 1 + 1 / steps
    scaled = rate * contour.nodes
    assert np.abs(1 - 2 * scaled + 2 * scaled**2).max() <= 1 + 2 / steps


def test_bad_arguments_are_refused():
    for eigenvalues, size, horizon, named in (
        (np.ones((2, 2)), 3, 1.0, "eigenvalues"),
        (np.array([1.0, 0.0]), 3, 1.0, "eigenvalues"),
        (np.ones(1), 0.5, 1.0, "num_samples"),
        (np.ones(2), 3, 0.0, "horizon"),
    ):
        with pytest.raises(ValueError, match=named):
            contours.around_spectrum(eigenvalues, size, horizon)
    inside = np.array([0.5 + 0j])
    with pytest.raises(ArithmeticError, match="cut the spectrum"):
        contours._newton(inside[0], -0.5 + 0j, np.ones(100), 100.0)


def test_any_spectrum_is_enclosed():
    """One eigenvalue, a spike, huge and tiny ones, short horizons: the moments that are asserted inside."""
    rng = np.random.default_rng(0)
    cases = [(np.ones(1), 1, 10.0), (np.r_[25.0, np.ones(199)], 16, 50.0), (np.r_[1e3, np.ones(50)], 1e4, 1.0)]
    cases += [(np.full(50, 1e-6), 10, 1e8), (np.r_[1.0, np.full(5, 1e-12)], 3, 1e3)]
    cases += [(rng.gamma(0.3, size=50) + 1e-8, int(size), h) for size in (2, 91) for h in (0.01, 0.03, 1.0, 1e5)]
    for lam, size, horizon in cases:
        contour = contours.around_spectrum(lam, size, horizon)
        masses = contours.quadratic_masses(contour, lam, np.sqrt(lam))
        np.testing.assert_allclose(masses.sum().real, np.sqrt(lam).sum(), rtol=1e-8)
