"""The implicit equations: residuals, symmetries, limits, derivatives, refused arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.numerics.roots import ResidualError
from theorylab.numerics.spectra import Spectrum, power_law
from theorylab.settings.kernels.theory import (
    check_arguments,
    effective_ridges,
    predict_errors,
    solve_effective_ridges,
)
from theorylab.settings.kernels.theory.implicit import implicit_equation_residuals

SPECTRUM = power_law(1500, 1.5, 1.5)
SHORT = power_law(400, 1.5, 1.5)
RIDGES = (0.0, 1e-20, 1e-8, 1.0, 1e6)


@pytest.mark.parametrize("n", [1, 5, 100, 1000])
def test_residuals_of_both_equations(n):
    for k in sorted({1, max(n - 1, 1), n, n + 1, 10 * n}) + [np.inf]:
        for ridge in RIDGES:
            solution = effective_ridges(SPECTRUM, n, k, ridge)
            residuals = implicit_equation_residuals(SPECTRUM, n, k, ridge, solution)
            assert max(map(abs, residuals)) <= 1e-10, (n, k, ridge, residuals)
            assert solution.gamma >= solution.kappa >= ridge / n * (1 - 1e-12)
            assert solution.iterations <= 60


def test_spare_counts_keep_their_digits():
    # δ -> 0 at n < k: a = kδ/(γ b), to first order; the difference n − z has no digits left.
    ridge = 1e-15
    solution = effective_ridges(SPECTRUM, 100, 150, ridge)
    limit = effective_ridges(SPECTRUM, 100, 150, 0.0)
    expected = 150 * ridge / (limit.gamma * 50)
    np.testing.assert_allclose(solution.spare_samples, expected, rtol=1e-12)
    assert abs((100 - solution.z) / expected - 1) > 1e-4  # the control: the subtraction


@pytest.mark.parametrize("ridge", [1e-8, 0.1, 10.0])
def test_samples_and_features_are_interchangeable(ridge):
    for n, k in ((100, 150), (20, 1000), (77, 77)):
        gamma = effective_ridges(SPECTRUM, n, k, ridge).gamma
        mirrored = effective_ridges(SPECTRUM, k, n, ridge * k / n).gamma
        np.testing.assert_allclose(gamma, mirrored, rtol=1e-12)


def test_many_features_are_kernel_regression():
    for ridge in (0.0, 1e-3, 1.0):
        many = predict_errors(SPECTRUM, 100, 1e9, ridge, 0.1)
        kernel = predict_errors(SPECTRUM, 100, jnp.inf, ridge, 0.1)
        for name in kernel:
            np.testing.assert_allclose(many[name], kernel[name], rtol=1e-6, atol=1e-15)


def test_widths_with_infinity_in_one_batch():
    widths = jnp.array([10.0, 100.0, 1000.0, jnp.inf])
    batch = jax.vmap(lambda k: predict_errors(SPECTRUM, 100, k, 0.1, 0.1)["test_error"])(widths)
    single = [predict_errors(SPECTRUM, 100, k, 0.1, 0.1)["test_error"] for k in widths]
    np.testing.assert_allclose(batch, single, rtol=1e-13)


def test_a_million_modes():
    spectrum = power_law(10**6, 1.2, 1.5)
    solution = effective_ridges(spectrum, 1000, 2000, 1e-3)
    assert max(map(abs, implicit_equation_residuals(spectrum, 1000, 2000, 1e-3, solution))) <= 1e-10


# --- derivatives ---------------------------------------------------------------------------------------


def log_error(point):
    """Log test error at (log ridge, log n, log k), for a spectrum short enough to differentiate often."""
    ridge, samples, features = jnp.exp(point)
    return jnp.log(predict_errors(SHORT, samples, features, ridge, 0.1)["test_error"])


@pytest.mark.parametrize(("n", "k"), [(100, 60), (100, 150), (100, 100)])
def test_first_and_second_derivatives(n, k):
    first, second = DERIVATIVES(jnp.log(jnp.array([0.1, n, k])), jnp.eye(3))
    moves = jnp.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    for i in range(3):
        values = VALUES(jnp.log(jnp.array([[0.1, n, k]])) + 1e-3 * jnp.outer(moves, jnp.eye(3)[i]))
        np.testing.assert_allclose(first[i], np.dot([1, -8, 0, 8, -1], values) / 12e-3, rtol=1e-6)
        values = VALUES(jnp.log(jnp.array([[0.1, n, k]])) + 5e-3 * jnp.outer(moves, jnp.eye(3)[i]))
        numeric = np.dot([-1, 16, -30, 16, -1], values) / (12 * 5e-3**2)
        np.testing.assert_allclose(second[i], numeric, rtol=2e-5)


def directional(point, direction):
    """First and second derivative of the log error along a direction."""
    first = lambda t: jax.jvp(lambda s: log_error(point + s * direction), (t,), (1.0,))[1]  # noqa: E731
    return jax.jvp(first, (0.0,), (1.0,))


VALUES = jax.jit(jax.vmap(log_error))
DERIVATIVES = jax.jit(jax.vmap(directional, (None, 0)))


def short_error(ridge, num_features, eigenvalue=SHORT.eigenvalues[3]):
    spectrum = SHORT._replace(eigenvalues=SHORT.eigenvalues.at[3].set(eigenvalue))
    return predict_errors(spectrum, 100.0, num_features, ridge, 0.1)["test_error"]


@pytest.fixture(scope="module")
def gradients():
    """Derivatives in ridge, k and one eigenvalue, for a batch of points."""
    return jax.jit(jax.vmap(jax.grad(short_error, (0, 1, 2)), (0, 0, None)))


def test_derivative_at_zero_ridge(gradients):
    widths = jnp.array([60.0, 150.0, jnp.inf])
    slopes = gradients(jnp.zeros(3), widths, SHORT.eigenvalues[3])[0]
    h = 1e-5
    for slope, k in zip(slopes, widths, strict=True):
        zero, one, two = (short_error(ridge, k) for ridge in (0.0, h, 2 * h))
        np.testing.assert_allclose(slope, (-3 * zero + 4 * one - two) / (2 * h), rtol=1e-5)


def test_derivatives_stay_finite_at_the_corners(gradients):
    ridges, widths = jnp.repeat(jnp.array([0.0, 0.1]), 4), jnp.tile(jnp.array([1.0, 60.0, 101.0, jnp.inf]), 2)
    by_ridge, by_width, by_eigenvalue = gradients(ridges, widths, SHORT.eigenvalues[3])
    assert np.all(np.isfinite(by_ridge))
    assert np.all(np.isfinite(by_width))
    assert np.all(np.isfinite(by_eigenvalue))
    np.testing.assert_array_equal(by_width[widths == jnp.inf], 0)


def test_derivative_with_respect_to_an_eigenvalue(gradients):
    x, h = SHORT.eigenvalues[3], 1e-4
    slope = gradients(jnp.array([0.1]), jnp.array([150.0]), x)[2][0]
    numeric = (short_error(0.1, 150.0, x + h) - short_error(0.1, 150.0, x - h)) / (2 * h)
    np.testing.assert_allclose(slope, numeric, rtol=1e-5)


def test_derivative_of_a_low_rank_kernel_at_zero_ridge():
    # γ = 0 there, so the implicit function theorem in log γ does not apply.
    low_rank = SHORT._replace(eigenvalues=jnp.where(jnp.arange(400) < 20, SHORT.eigenvalues, 0.0))

    def error(ridge):
        return predict_errors(low_rank, 100.0, 60.0, ridge, 0.1)["test_error"]

    np.testing.assert_allclose(jax.grad(error)(0.0), (error(1e-6) - error(0.0)) / 1e-6, rtol=1e-3)


# --- properties ----------------------------------------------------------------------------------------

SIZE = st.floats(1, 1e4)
RIDGE = st.one_of(st.just(0.0), st.floats(1e-12, 1e3))


@st.composite
def spectra(draw):
    """Lognormal eigenvalues with random multiplicities and target; always 24 levels, one compilation."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Spectrum(
        jnp.asarray(np.exp(draw(st.floats(0.1, 5)) * random.normal(size=24))),
        jnp.asarray(random.integers(1, 2000, size=24).astype(float)),
        jnp.asarray(random.exponential(size=24)),
    )


@settings(max_examples=60, deadline=None)
@given(spectra(), SIZE, SIZE, RIDGE)
def test_equations_hold_for_random_problems(spectrum, n, k, ridge):
    solution = effective_ridges(spectrum, n, k, ridge)
    assert max(map(abs, implicit_equation_residuals(spectrum, n, k, ridge, solution))) <= 1e-9
    np.testing.assert_allclose(solution.z, solution.q + solution.w, rtol=1e-10)
    assert solution.spare_samples >= 0
    assert solution.spare_features >= 0


@settings(max_examples=40, deadline=None)
@given(spectra(), SIZE, SIZE, st.floats(1e-6, 1e3), st.floats(1e-3, 1e3))
def test_rescaling_the_kernel_and_the_ridge_changes_nothing(spectrum, n, k, ridge, scale):
    scaled = spectrum._replace(eigenvalues=scale * spectrum.eigenvalues)
    before, after = (predict_errors(s, n, k, r, 0.3) for s, r in ((spectrum, ridge), (scaled, scale * ridge)))
    np.testing.assert_allclose(before["test_error"], after["test_error"], rtol=1e-8)
    np.testing.assert_allclose(before["train_error"], after["train_error"], rtol=1e-8, atol=1e-25)
    wrong = predict_errors(scaled, n, k, ridge, 0.3)["test_error"]
    if scale > 10 and ridge > 1 and n > 10 and k > 10:  # the control: only the kernel rescaled
        assert wrong != before["test_error"]


@settings(max_examples=40, deadline=None)
@given(spectra(), SIZE, SIZE, st.floats(1e-6, 1e3))
def test_a_level_is_the_sum_of_its_modes(spectrum, n, k, ridge):
    halves = Spectrum(
        jnp.tile(spectrum.eigenvalues, 2),
        jnp.tile(spectrum.multiplicities / 2, 2),
        jnp.tile(spectrum.target_power / 2, 2),
    )
    whole, split = (predict_errors(s, n, k, ridge, 0.3)["test_error"] for s in (spectrum, halves))
    np.testing.assert_allclose(whole, split, rtol=1e-8)


@settings(max_examples=40, deadline=None)
@given(spectra(), SIZE, SIZE, st.floats(1e-6, 1e2), st.floats(1.1, 5))
def test_effective_ridge_grows_with_the_ridge_and_falls_with_the_sizes(spectrum, n, k, ridge, factor):
    gamma = effective_ridges(spectrum, n, k, ridge).gamma
    slack = 1 + 1e-10
    assert effective_ridges(spectrum, n, k, factor * ridge).gamma * slack >= gamma
    assert effective_ridges(spectrum, factor * n, k, ridge).gamma <= gamma * slack
    assert effective_ridges(spectrum, n, factor * k, ridge).gamma <= gamma * slack


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 10, 0.1, 0.1), "num_samples = 0"),
        ((np.inf, 10, 0.1, 0.1), "population_test_error"),
        ((10, -1, 0.1, 0.1), "num_features = -1"),
        ((10, 10, -0.1, 0.1), "ridge = -0.1"),
        ((10, 10, np.nan, 0.1), "ridge = nan"),
        ((10, 10, 0.1, -1), "noise_variance = -1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_arguments(SPECTRUM, *arguments)


def test_the_peak_is_warned_about():
    with pytest.warns(UserWarning, match="interpolation peak"):
        check_arguments(SPECTRUM, 100, 100, 0.0)


def test_float32_raises_with_its_residual_unless_allowed():
    single = Spectrum(*(entry.astype(jnp.float32) for entry in SPECTRUM))
    assert effective_ridges(single, 100, 150, 1e-3).gamma.dtype == jnp.float32
    with pytest.raises(ResidualError, match="Enable float64") as caught:
        solve_effective_ridges(single, 100, 150, 1e-3)
    assert 1e-9 < caught.value.residual < 1e-4
    loose = solve_effective_ridges(single, 100, 150, 1e-3, tolerance=1e-4)
    exact = solve_effective_ridges(SPECTRUM, 100, 150, 1e-3)
    np.testing.assert_allclose(loose.gamma, exact.gamma, rtol=1e-4)
