"""Theory on arrays as figures draw it, and exponents measured without a spectrum."""

import jax.numpy as jnp
import numpy as np
import pytest
from shared import TABLE, TABLE_RIDGES

from theorylab.numerics.spectra import power_law
from theorylab.settings.kernels.exponents import measured_exponents
from theorylab.settings.kernels.theory import (
    best_errors,
    effective_kappas,
    effective_ridges,
    error_curves,
    optimal_ridge,
    predict_errors,
)


def test_curves_have_the_published_values():
    spectrum, widths, ridges = power_law(10_000, 1.5, 1.5), np.array(list(TABLE))[:, None], np.array(TABLE_RIDGES)
    table = np.array(list(TABLE.values()))
    np.testing.assert_allclose(error_curves(spectrum, 256, widths, ridges, 0.5)["test_error"], table, rtol=2e-4)
    wrong = error_curves(spectrum, 256, widths, 256 * ridges, 0.5)["test_error"]
    assert np.all(abs(wrong / table - 1) > 2e-4)


@pytest.mark.parametrize("count", [1, 64, 65])
def test_any_number_of_points_is_solved_in_whole_batches(count):
    spectrum, ridges = power_law(200, 1.5, 1.5), np.geomspace(1e-3, 1, count)
    curves = error_curves(spectrum, 40, np.inf, ridges, 0.1)
    assert curves["test_error"].shape == (count,)
    last = predict_errors(spectrum, 40, np.inf, ridges[-1], 0.1)
    for name, value in last.items():
        np.testing.assert_allclose(curves[name][-1], value, rtol=1e-12)
    solution = effective_ridges(spectrum, 40, jnp.inf, ridges[-1])
    np.testing.assert_allclose(
        [curves["degrees_of_freedom"][-1], curves["effective_ridge"][-1]], [solution.z, solution.gamma], rtol=1e-12
    )


def test_envelope_and_kappas_are_those_of_single_points():
    spectrum, n = power_law(200, 1.5, 1.5), np.array([20.0, 40.0])
    best = best_errors(spectrum, n, 60, 0.1)
    np.testing.assert_allclose(best["test_error"][1], optimal_ridge(spectrum, 40, 60, 0.1).test_error, rtol=1e-10)
    kappa = effective_ridges(spectrum, 40, jnp.inf, 0.0).kappa
    np.testing.assert_allclose(effective_kappas(spectrum, n)[1], kappa, rtol=1e-12)


def test_exponents_are_read_off_power_laws():
    n = np.array([10.0, 100.0, 1000.0])
    np.testing.assert_allclose(measured_exponents(n, 3 * n**-1.7, 2 * n**-0.4, 10), (1.7, 1.4))
    # Sizes below the smallest do not count.
    bent = np.where(n < 50, 1.0, 3 * n**-1.7)
    np.testing.assert_allclose(measured_exponents(n, bent, 2 * n**-0.4, 100), (1.7, 1.4))
