"""Closed forms of the power law against direct sums and against the exact solver on the infinite spectrum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from theorylab.numerics.spectra import power_law_infinite
from theorylab.settings.kernels.theory import (
    beyond_regime,
    continuum_errors,
    corrected_errors,
    fitting_ratio_test_error,
    interpolation_threshold,
    kernel_optimal_ridge,
    optimal_fitting_ratio,
    optimal_ridge,
    population_test_error,
    predict_errors,
    scaling_exponents,
)
from theorylab.settings.kernels.theory.power_law import (
    continuum_problem,
    continuum_sums,
    corrected_problem,
    corrected_sums,
    riemann_zeta,
)


def direct_sums(gamma, alpha, beta, terms=4_000_000):
    """Sums over the first terms, plus integral tails beyond them to next order in λ/γ."""
    index = np.arange(1, terms + 1, dtype=float)
    eigenvalues, power = index**-alpha, index**-beta
    learned, unlearned = eigenvalues / (eigenvalues + gamma), gamma / (eigenvalues + gamma)
    edge = terms + 0.5

    def tail(exponent):
        return edge ** (1 - exponent) / (exponent - 1)

    return {
        "z": learned.sum() + tail(alpha) / gamma - tail(2 * alpha) / gamma**2,
        "w": (learned * unlearned).sum() + tail(alpha) / gamma - 2 * tail(2 * alpha) / gamma**2,
        "unlearned": (power * unlearned**2).sum() + tail(beta) - 2 * tail(beta + alpha) / gamma,
        "mixed": (power * learned * unlearned).sum()
        + tail(beta + alpha) / gamma
        - 2 * tail(beta + 2 * alpha) / gamma**2,
    }


def test_zeta_function():
    s = np.linspace(-9.7, 12.3, 67)
    s = s[(np.abs(s - 1) > 1e-6) & (np.abs(s / 2 - np.round(s / 2)) > 0.05)]
    np.testing.assert_allclose(jax.vmap(riemann_zeta)(jnp.asarray(s)), special.zeta(s), rtol=1e-11)


@pytest.mark.parametrize(
    ("alpha", "beta", "gamma", "tolerance"),
    [
        (1.5, 1.5, 1e-2, 1e-5),
        (1.2, 1.6, 1e-2, 1e-5),
        (2.0, 2.8, 1e-2, 1e-5),
        (1.5, 3.5, 1e-2, 5e-4),
        (1.5, 3.5, 1e-3, 2e-5),
    ],
)
def test_corrected_sums_against_direct_sums(alpha, beta, gamma, tolerance):
    found, plain = corrected_sums(gamma, alpha, beta), continuum_sums(gamma, alpha, beta)
    expected = direct_sums(gamma, alpha, beta)
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=tolerance, err_msg=name)
    # The control: without the zeta terms.
    worst = max(abs(float(getattr(plain, name)) / value - 1) for name, value in expected.items())
    assert worst > 100 * tolerance


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 1.8), (1.3, 2.2)])
def test_corrected_errors_against_the_exact_solver(alpha, beta):
    spectrum = power_law_infinite(alpha, beta)
    ridges = jnp.array([0.0, 1e-3, 0.1, 1.0])
    for n, k in ((1000, 700), (1000, 2000), (1000, np.inf), (200, 300)):
        closed = jax.vmap(lambda r, n=n, k=k: corrected_errors(n, k, r, 0.1, alpha, beta))(ridges)
        exact = jax.vmap(lambda r, n=n, k=k: predict_errors(spectrum, n, k, r, 0.1))(ridges)
        for name in exact:
            np.testing.assert_allclose(closed[name], exact[name], rtol=2e-5, atol=1e-20)
    for ridge in (1e6, 0.1):
        outside = beyond_regime(100, 200, ridge, alpha)
        assert outside == np.isnan(corrected_errors(100, 200, ridge, 0.1, alpha, beta)["test_error"])
        assert outside == (ridge > 1)


def test_corrected_errors_are_differentiable_in_the_exponents():
    slope = jax.jit(jax.grad(lambda a: corrected_errors(1000, 2000, 0.1, 0.1, a, 1.8)["test_error"]))
    closed = slope(1.5)

    def exact(alpha):
        return predict_errors(power_law_infinite(alpha, 1.8), 1000, 2000, 0.1, 0.1)["test_error"]

    np.testing.assert_allclose(closed, (exact(1.5 + 1e-4) - exact(1.5 - 1e-4)) / 2e-4, rtol=1e-5)


def test_continuum_errors_converge():
    spectrum, gaps = power_law_infinite(1.5, 1.5), []
    for n in (100, 1000, 10_000):
        closed = continuum_errors(n, 2 * n, 0.6 * n, 0.0, 1.5, 1.5)
        exact = predict_errors(spectrum, n, 2 * n, closed["ridge"], 0.0)["test_error"]
        gaps.append(abs(float(closed["test_error"] / exact) - 1))
    assert gaps[0] <= 0.022
    assert gaps[1] <= 3e-3
    assert gaps[2] <= 4e-4


def test_closed_forms_say_where_they_end():
    with pytest.raises(ValueError, match=r"use corrected_errors or predict_errors"):
        continuum_errors(100, 200, 50.0, 0.1, 1.5, 2.8)
    assert continuum_problem(np.inf, 1.5, 2.8) is None
    assert "first modes decide" in continuum_problem(np.inf, 1.5, 4.5)
    assert "not summable" in continuum_problem(100, 1.0, 1.5)
    assert "poles cancel" in corrected_problem(1.5, 2.5)
    assert corrected_problem(1.5, 2.8) is None
    with pytest.raises(ValueError, match="converges for β > 1"):
        scaling_exponents(1.5, 1.0)


# --- kernel regression ---------------------------------------------------------------------------------

CASES = [
    (1.5, 1.2, 0.0, 1e4, 0.5000),
    (1.17, 1.14, 1.0, 1e4, 0.5587),
    (2.0, 1.5, 0.0, 1e4, 0.3333),
    (1.5, 1.8, 0.5, 1e4, 0.0480),
    (1.5, 1.8, 0.3, 1e4, 0.0),
    (1.12, 1.36, 5.0, 1e4, 0.4330),
    (2.0, 1.2, 10.0, 300.0, 0.9650),
]


@pytest.mark.parametrize(("alpha", "beta", "relative_noise", "n", "expected"), CASES)
def test_optimal_fitting_ratio_against_brute_force(alpha, beta, relative_noise, n, expected):
    closed = float(optimal_fitting_ratio(relative_noise, alpha, beta))
    np.testing.assert_allclose(closed, expected, atol=6e-5)
    spectrum = power_law_infinite(alpha, beta)
    noiseless = predict_errors(spectrum, n, jnp.inf, 0.0, 0.0)["test_error"]
    best = optimal_ridge(spectrum, n, jnp.inf, relative_noise * noiseless)
    assert abs(best.fitting_ratio - closed) <= 0.002
    closed_ridge = float(kernel_optimal_ridge(n, relative_noise, alpha, beta))
    np.testing.assert_allclose(closed_ridge, best.ridge, rtol=2e-3 if n > 1e3 else 1e-2)
    if relative_noise > 0 and closed > 0:  # the control: the noise left out
        assert abs(best.fitting_ratio - optimal_fitting_ratio(0.0, alpha, beta)) > 0.02
    assert (closed == 0) == (relative_noise <= interpolation_threshold(alpha, beta))


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 1.2), (1.5, 1.8), (2.0, 1.5)])
def test_fitting_ratio_curve_against_the_exact_solver(alpha, beta):
    spectrum, n = power_law_infinite(alpha, beta), 1e4
    noiseless = predict_errors(spectrum, n, jnp.inf, 0.0, 0.0)["test_error"]
    unit = jnp.pi / alpha
    for relative_noise in (0.0, 1.0):
        for r in (0.0, 0.1, 0.3, 0.6):
            kappa = (unit / jnp.sin(unit) / (n * (1 - r) + 0.5)) ** alpha
            exact = predict_errors(spectrum, n, jnp.inf, r * n * kappa, relative_noise * noiseless)
            ratio = np.sqrt(exact["train_error"] / exact["test_error"])
            closed = fitting_ratio_test_error(ratio, n, relative_noise, alpha, beta)
            np.testing.assert_allclose(closed, exact["test_error"], rtol=3e-4)


@pytest.mark.parametrize(
    ("beta", "tolerances"), [(1.8, (0.01, 0.01, 0.01)), (2.8, (0.01, 0.05, 0.05)), (5.0, (0.01, 0.01, 0.01))]
)
def test_scaling_exponents(beta, tolerances):
    spectrum, expected = power_law_infinite(1.5, beta), scaling_exponents(1.5, beta)
    measured = {
        "data_limited": lambda n: predict_errors(spectrum, n, jnp.inf, 0.0, 0.0)["test_error"],
        "feature_limited": lambda k: population_test_error(spectrum, k),
        "joint": lambda n: predict_errors(spectrum, n, 2 * n, 0.0, 0.0)["test_error"],
    }
    for (name, error), tolerance in zip(measured.items(), tolerances, strict=True):
        slope = np.log(error(4e3) / error(1e3)) / np.log(4)
        assert abs(slope + getattr(expected, name)) <= tolerance, (name, slope)
    if beta == 5.0:  # the control: data-limited and feature-limited exponents exchanged
        assert expected.data_limited - expected.feature_limited > 1


def test_fixed_noise_scaling():
    spectrum = power_law_infinite(1.5, 1.8)
    excess = [float(optimal_ridge(spectrum, n, jnp.inf, 0.1).test_error) - 0.1 for n in (100.0, 400.0, 1600.0)]
    np.testing.assert_allclose(excess, [0.1158, 0.0542, 0.0269], atol=1e-4)
    ridgeless = predict_errors(spectrum, 1e6, jnp.inf, 0.0, 0.1)["test_error"]
    np.testing.assert_allclose(ridgeless, scaling_exponents(1.5, 1.8).tempered_ratio * 0.1, rtol=1e-3)
