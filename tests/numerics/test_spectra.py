"""Spectra: sums of the binned infinite power law, tracing, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import zeta

from theorylab.numerics.spectra import (
    Spectrum,
    asymmetry,
    power_law,
    power_law_infinite,
    validate_exponents,
    validate_spectrum,
)


def test_power_law():
    spectrum = power_law(4, 1.5, 2.0)
    np.testing.assert_allclose(spectrum.eigenvalues, [1, 2**-1.5, 3**-1.5, 1 / 8])
    np.testing.assert_allclose(spectrum.target_power, [1, 1 / 4, 1 / 9, 1 / 16])
    np.testing.assert_array_equal(spectrum.multiplicities, 1)


@pytest.mark.parametrize(("alpha", "beta"), [(1.05, 1.2), (1.5, 1.5), (3.0, 4.0)])
def test_infinite_power_law_has_the_sums_of_the_zeta_function(alpha, beta):
    spectrum = power_law_infinite(alpha, beta)
    trace = np.sum(spectrum.multiplicities * spectrum.eigenvalues)
    np.testing.assert_allclose(trace, zeta(alpha), rtol=1e-7)
    np.testing.assert_allclose(np.sum(spectrum.target_power), zeta(beta), rtol=1e-7)
    assert np.all(np.diff(spectrum.eigenvalues) <= 0)
    assert 5000 < spectrum.eigenvalues.size < 5200
    if alpha < 1.1:  # a spectrum that merely stops misses most of the trace
        assert np.sum(power_law(10**5, alpha, beta).eigenvalues) < 0.6 * zeta(alpha)


def test_bins_agree_with_single_modes():
    binned, single = power_law_infinite(1.5, 1.5, last_mode=1e5), power_law(100_000, 1.5, 1.5)
    for gamma in (1e-2, 1e-5):
        sums = [np.sum(s.multiplicities * s.eigenvalues / (s.eigenvalues + gamma)) for s in (binned, single)]
        beyond = 2 * 1e5**-0.5 / gamma  # ∫ x^-1.5 beyond the last mode, while λ << γ
        assert abs(sums[0] - sums[1]) <= beyond * 1.001 + 1e-4 * sums[1]
    without_tail = Spectrum(*(entry[:-1] for entry in binned))
    sums = [np.sum(s.multiplicities * s.eigenvalues / (s.eigenvalues + 1e-3)) for s in (without_tail, single)]
    np.testing.assert_allclose(sums[0], sums[1], rtol=1e-3)


def test_exponents_can_be_traced():
    spectra = jax.vmap(lambda a: power_law_infinite(a, 1.5))(jnp.array([1.2, 1.5]))
    np.testing.assert_allclose(spectra.eigenvalues[1], power_law_infinite(1.5, 1.5).eigenvalues, rtol=1e-14)
    slope = jax.grad(lambda a: jnp.sum(power_law(50, a, 1.5).eigenvalues))(1.5)
    index = np.arange(1, 51)
    np.testing.assert_allclose(slope, -np.sum(np.log(index) * index**-1.5), rtol=1e-12)


def test_clips_rounding_and_keeps_the_rest():
    clipped = validate_spectrum(Spectrum([1.0, 0.5, -1e-14], [1, 2, 1], [0.0, 1.0, 2.0]))
    np.testing.assert_array_equal(clipped.eigenvalues, [1, 0.5, 0])


@pytest.mark.parametrize(
    ("spectrum", "message"),
    [
        (([1.0, -1e-6], [1, 1], [1, 1]), "not positive semi-definite"),
        (([1.0, np.nan], [1, 1], [1, 1]), "eigenvalues holds 1 non-finite"),
        (([1.0, 0.5], [1, 1], [1, np.inf]), "target_power holds 1 non-finite"),
        (([1.0, 0.5], [1, 1], [1]), "equal length"),
        (([[1.0, 0.5]], [[1, 1]], [[1, 1]]), "1-D"),
        (([], [], []), "at least one"),
        (([1.0, 0.5], [1, 0], [1, 1]), "multiplicities must be positive"),
        (([1.0, 0.5], [1, 1], [1, -1]), "target_power must be >= 0"),
        (([1e300, 1e300], [1e300, 1], [1, 1]), "not summable"),
    ],
)
def test_refuses(spectrum, message):
    with pytest.raises(ValueError, match=message):
        validate_spectrum(Spectrum(*(np.array(entry, float) for entry in spectrum)))


def test_divergent_exponents_are_refused_or_warned_about():
    with pytest.raises(ValueError, match=r"Σ i\^-α converges for α > 1"):
        validate_exponents(1.0, 1.5)
    with pytest.raises(ValueError, match=r"Σ i\^-β"):
        validate_exponents(1.5, 0.9)
    with pytest.warns(UserWarning, match="does not look summable"):
        validate_spectrum(power_law(1000, 0.9, 1.5), infinite=True)
    validate_spectrum(power_law(1000, 1.5, 1.5), infinite=True)


def test_asymmetry_is_the_largest_entry_of_the_difference_across_blocks():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(1030, 1030))
    assert asymmetry(matrix) == np.abs(matrix - matrix.T).max()
    assert asymmetry(matrix + matrix.T) == 0
