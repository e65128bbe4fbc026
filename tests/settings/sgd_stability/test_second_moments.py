"""Second moments of SGD at a minimum: quadrature, enumeration, thresholds, bounds."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics import second_moments as sm

HARMONIC = 1 / np.arange(1, 21)
SPIKED = np.r_[25.0, np.ones(199)]
CRITICAL = {1: 0.42982483, 4: 1.16518935, 16: 1.75506221}


@pytest.mark.parametrize("batch", [1, 2])
def test_a_step_has_the_second_moments_of_exact_quadrature(batch):
    """Five Gauss-Hermite nodes for each of the two coordinates of each sample integrate w'² exactly."""
    lam, rate, weights = np.array([2.0, 0.5]), 0.3, np.ones(2)
    nodes, masses = np.polynomial.hermite_e.hermegauss(5)
    total = np.zeros(2)
    for places in itertools.product(range(5), repeat=2 * batch):
        x = nodes[list(places)].reshape(batch, 2) * np.sqrt(lam)
        mass = np.prod(masses[list(places)] / math.sqrt(2 * math.pi))
        total += mass * (weights - rate / batch * x.T @ (x @ weights)) ** 2
    start = jnp.asarray(weights**2)
    step = lambda **terms: np.asarray(sm.next_second_moments(start, jnp.asarray(lam), rate, batch, **terms))  # noqa: E731
    np.testing.assert_allclose(step(), total, atol=1e-12)
    np.testing.assert_allclose(np.abs(step(own=False) - total).max(), rate**2 * 4 / batch, rtol=1e-9)
    assert np.abs(step(own=False) - total).max() > 0.1
    assert np.abs(step(cross=False) - total).max() > 0.1


@pytest.mark.parametrize(("replacement", "kappa"), [(True, 1 / 2), (False, 4 / 10)])
def test_batches_of_given_points_have_the_second_moments_of_enumeration(replacement, kappa):
    """All batches of 2 of 6 points in 3 dimensions."""
    rng = np.random.default_rng(0)
    x, start = rng.standard_normal((6, 3)), rng.standard_normal((3, 3))
    start = start @ start.T
    batches = list(itertools.product(range(6), repeat=2) if replacement else itertools.combinations(range(6), 2))
    expected = np.zeros((3, 3))
    for batch in batches:
        step = np.eye(3) - 0.2 / 2 * x[list(batch)].T @ x[list(batch)]
        expected += step @ start @ step / len(batches)
    noise = sm.batch_noise(6, 2, replacement=replacement)
    np.testing.assert_allclose(noise, kappa)
    found = sm.next_sample_moments(jnp.asarray(start), jnp.asarray(x), 0.2, noise)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    other = sm.next_sample_moments(
        jnp.asarray(start), jnp.asarray(x), 0.2, sm.batch_noise(6, 2, replacement=not replacement)
    )
    assert np.abs(other - expected).max() > 0.01


def test_critical_rates_are_those_of_a_dense_operator():
    """Published values, the root's residual, and the spectral radius of the whole recursion."""
    lam = jnp.asarray(HARMONIC)
    for batch, value in CRITICAL.items():
        rate = float(sm.critical_learning_rate(lam, batch))
        assert rate == pytest.approx(value, abs=1e-8)
        assert abs(sm.instability(rate, lam, batch) - 1) < 1e-10
        for relative in (0.9, 1.0, 1.1):
            step = relative * rate
            dense = np.diag((1 - step * HARMONIC) ** 2 + step**2 * HARMONIC**2 / batch)
            dense += step**2 / batch * np.outer(HARMONIC, HARMONIC)
            radius = np.abs(np.linalg.eigvals(dense)).max()
            assert float(sm.growth(lam, step, batch).rate) == pytest.approx(radius, abs=1e-12)
            if relative == 1:
                assert abs(radius - 1) < 1e-10
    wrong = [
        [2 / float(sm.effective_sharpness(lam, b, **k)) for b in CRITICAL] for k in ({"cross": False}, {"own": False})
    ]
    np.testing.assert_allclose(wrong, [[1.0, 1.6, 1.8823529], [0.4899908, 1.3207278, 1.8551847]], atol=1e-6)
    np.testing.assert_allclose(
        [float(sm.critical_learning_rate(SPIKED, b)) for b in (1, 4, 16, 64, 256, 1024)],
        [0.0085995, 0.0316801, 0.0681407, 0.0774078, 0.0793696, 0.0798434],
        atol=1e-7,
    )


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_one_eigenvalue_has_a_closed_form(batch):
    rate = float(sm.critical_learning_rate(np.array([0.7]), batch))
    assert rate == pytest.approx(2 * batch / ((batch + 2) * 0.7), rel=1e-12)


def test_directions_are_multiplied_by_the_growth():
    lam, batch = jnp.asarray(SPIKED), 8.0
    critical = sm.critical(lam, batch)
    for rate, found, radius in (
        (critical.learning_rate, critical.direction, 1.0),
        (0.05, *reversed(sm.growth(lam, 0.05, batch))),
    ):
        after = sm.next_second_moments(found, lam, rate, batch)
        np.testing.assert_allclose(after, radius * found, rtol=1e-12)


def test_random_spectra_keep_the_two_sided_bound():
    """No violation among 2000; the sides differ by at most 2."""
    rng = np.random.default_rng(1)
    spectra = rng.gamma(0.5, size=(2000, 12)) + 1e-6
    sizes = np.exp(rng.uniform(0, 6, 2000))
    rates = np.asarray(sm.critical_learning_rates(spectra, sizes))
    trace, top = spectra.sum(1), spectra.max(1)
    lower = 2 * sizes / (trace + (sizes + 1) * top)
    upper = np.minimum(2 * sizes / trace, 2 * sizes / ((sizes + 1) * top))
    assert np.all(rates >= lower * (1 - 1e-12))
    assert np.all(rates <= upper * (1 + 1e-12))
    assert np.max(upper / lower) <= 2
    np.testing.assert_allclose(sm.learning_rate_bounds(spectra[0], sizes[0]), (lower[0], upper[0]))


def test_given_points_have_the_critical_rates_of_a_bisection():
    """Of the dense d² x d² recursion; values of three samples at n = 20, d = 5, B = 4."""

    def radius(x, rate, kappa):
        h, d = x.T @ x / len(x), x.shape[1]
        fourth = np.einsum("ni,nj,nk,nl->ijkl", x, x, x, x).reshape(d * d, d * d) / len(x)
        one = np.kron(np.eye(d) - rate * h, np.eye(d) - rate * h)
        return np.abs(np.linalg.eigvals(one + kappa * rate**2 * (fourth - np.kron(h, h)))).max()

    for seed, value in enumerate((1.95, 1.12, 1.48)):
        x = np.random.default_rng(seed).standard_normal((20, 5)) / np.sqrt(np.arange(1, 6))
        terms = sm.sample_terms(jnp.asarray(x), sm.batch_noise(20, 4, replacement=True))
        rate = 2 / float(sm.sample_sharpness(terms).rate)
        assert rate == pytest.approx(value, abs=0.005)
        assert radius(x, rate, 1 / 4) == pytest.approx(1, abs=1e-10)
        assert radius(x, 1.01 * rate, 1 / 4) > 1
        assert float(sm.sample_growth(terms, 0.7 * rate).rate) == pytest.approx(radius(x, 0.7 * rate, 1 / 4), abs=1e-10)


def test_fewer_points_than_weights_leave_directions_out():
    x = np.random.default_rng(0).standard_normal((3, 5))
    terms = sm.sample_terms(jnp.asarray(x), sm.batch_noise(3, 3, replacement=False))
    top = np.linalg.eigvalsh(x.T @ x / 3)[-1]
    assert float(sm.sample_sharpness(terms).rate) == pytest.approx(top, rel=1e-9)  # the whole sample: plain descent


def test_critical_rates_can_be_differentiated():
    gradient = jax.grad(lambda lam: sm.critical_learning_rate(lam, 4.0))(jnp.asarray(HARMONIC))
    step = 1e-5 * (np.arange(20) == 3)
    near = [float(sm.critical_learning_rate(HARMONIC + sign * step, 4.0)) for sign in (1, -1)]
    assert float(gradient[3]) == pytest.approx((near[0] - near[1]) / 2e-5, rel=1e-6)


def test_formulas_refuse_what_they_cannot_answer():
    with pytest.raises(ValueError, match=r"learning_rate = 1.7 .* below"):
        sm.instability(1.7, HARMONIC, 4)
    with pytest.raises(ValueError, match="batch_size = 0"):
        sm.critical_learning_rate(HARMONIC, 0)
    for spectrum in ([-1.0, 1.0], [0.0, 0.0], [np.nan]):
        with pytest.raises(ValueError, match="eigenvalues"):
            sm.critical_learning_rate(np.array(spectrum), 1)
