"""Points drawn without replacement: Haar eigenvectors in NumPy, the two risks apart, limits, the best ridge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from theorylab.numerics.spectra import Spectrum, power_law
from theorylab.settings.kernels.theory import effective_ridges, optimal_ridge, predict_errors

INDEX = np.arange(1, 97)
EIGENVALUES, POWER = INDEX**-1.3, INDEX**-1.2 / np.sum(INDEX**-1.2)
POPULATION = INDEX.size
SPECTRUM = Spectrum(jnp.asarray(EIGENVALUES), jnp.ones(POPULATION), jnp.asarray(POWER))


def measured(n, k, ridge, noise, draws):
    """Means and standard errors of test error on the M - n points held out, train error and 1/tr, by NumPy.

    The noise of the labels is averaged over exactly; the eigenvectors of the population are Haar.
    """
    random, M, found = np.random.default_rng(0), POPULATION, []
    for _ in range(draws):
        rotation, triangle = np.linalg.qr(random.normal(size=(M, M)))
        rotation *= np.sign(np.diag(triangle))
        targets, features = rotation @ np.sqrt(M * POWER), rotation * np.sqrt(M * EIGENVALUES)
        if np.isfinite(k):
            features = features @ random.normal(size=(M, k)) / np.sqrt(k)
        kernel = features @ features.T
        inverse = np.linalg.pinv(kernel[:n, :n] + ridge * np.eye(n), rcond=1e-12, hermitian=True)
        held_out, trained = kernel[n:, :n] @ inverse, np.eye(n) - kernel[:n, :n] @ inverse
        found.append(
            (
                np.mean((targets[n:] - held_out @ targets[:n]) ** 2) + noise * (1 + np.sum(held_out**2) / (M - n)),
                np.mean((trained @ targets[:n]) ** 2) + noise * np.sum(trained**2) / n,
                1 / np.trace(inverse),
            )
        )
    return np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(draws)


def predicted(n, k, ridge, noise, population):
    errors = predict_errors(SPECTRUM, n, k, ridge, noise, population)
    kappa = effective_ridges(SPECTRUM, n, k, ridge, population).kappa
    return np.array([errors["test_error"], errors["train_error"], kappa])


@pytest.mark.parametrize(("n", "k", "ridge"), [(48, np.inf, 0.3), (64, 40, 0.3), (32, np.inf, 0.0), (72, 120, 0.05)])
def test_a_population_with_haar_eigenvectors(n, k, ridge):
    mean, error = measured(n, k, ridge, 0.5, draws=80)
    seen = mean > 1e-9  # without a ridge the train error is rounding
    within = 4 * error + 0.01 * mean  # 1/M
    theory = predicted(n, k, ridge, 0.5, POPULATION)
    assert np.all(np.abs(theory - mean)[seen] < within[seen]), (theory, mean, error)
    # Controls: new points of a distribution; and of its risk that over all M points, corrected for those trained on.
    wrong = predicted(n, k, ridge, 0.5, np.inf)
    spare = effective_ridges(SPECTRUM, n, k, ridge).spare_samples
    corrected = (POPULATION * wrong[0] - n * (wrong[1] + 2 * 0.5 * (1 - spare / n))) / (POPULATION - n)
    for test_error in (wrong[0], corrected):
        assert abs(test_error - mean[0]) > within[0], (test_error, mean, error)


@pytest.mark.parametrize("k", [np.inf, 130.0, 40.0])
@pytest.mark.parametrize("ridge", [1e-6, 0.2, 20.0])
def test_held_out_risk_is_the_whole_less_what_was_trained_on(k, ridge):
    """The route of the derivation, by NumPy and SciPy: risk over all M points, train error, and their difference."""
    n, M, noise = 60, POPULATION, 0.7

    def effective(gamma):
        learned = EIGENVALUES / (EIGENVALUES + gamma)
        return learned, learned.sum(), 1 - learned.sum() / k

    def equation(log_gamma):
        _, z, fraction = effective(np.exp(log_gamma))
        # g = M γ b/k, the effective ridge of the features' kernel matrix.
        return z + ridge * (M - z) / (M * np.exp(log_gamma) * max(fraction, 1e-300)) - n

    # Above γ with z = k, where features are left over.
    least = -60.0 if k > M else brentq(lambda u: effective(np.exp(u))[1] - k, -60, 10) + 1e-12
    gamma = np.exp(brentq(equation, least, 10, xtol=1e-14))
    learned, z, fraction = effective(gamma)
    q = np.sum(learned**2)
    slope = 1.0 if np.isinf(k) else (k - z) / (k - q)  # d log γ/d log g
    q, second = z - slope * (z - q), (1 - learned) * (1 - slope * learned)
    bias, share, volume = M * np.sum(POWER * second), ridge / (M * gamma * fraction), M - 2 * z + q
    left = n - q - share * (z - q)
    fitted = (1 - share) * q / left
    whole = (1 + fitted) * bias + noise * (q + fitted * volume)
    train = share**2 * (M - z) / (n * left) * (bias + noise * volume)
    test = noise + (whole - n * train - noise * (2 * z - n)) / (M - n)
    found = predicted(n, k, ridge, noise, M)
    np.testing.assert_allclose(found, [test, train, ridge / (n - z)], rtol=1e-7)
    # As for new points of a distribution, generalised cross-validation is right.
    np.testing.assert_allclose(found[1], ((n - z) / n) ** 2 * found[0], rtol=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("k", [30.0, 60.0, 90.0, np.inf])
def test_limits(k, ridge):
    # Of infinitely many points: the formulas of a distribution.
    large = predicted(60.0, k, ridge, 0.5, 1e12)
    np.testing.assert_allclose(large, predicted(60.0, k, ridge, 0.5, np.inf), rtol=1e-9)
    # A ridge that vanishes.
    if not (ridge or k == 60):
        nearly = predicted(60.0, k, 1e-12, 0.5, POPULATION)
        np.testing.assert_allclose(predicted(60.0, k, 0.0, 0.5, POPULATION), nearly, rtol=1e-5, atol=1e-9)
    if k == 60 and not ridge:
        assert predicted(60.0, k, ridge, 0.5, POPULATION)[0] == np.inf
    # Single precision.
    single = Spectrum(*(jnp.asarray(array, jnp.float32) for array in SPECTRUM))
    errors = predict_errors(single, 60.0, k, ridge, 0.5, POPULATION)
    assert errors["test_error"].dtype == jnp.float32
    np.testing.assert_allclose(errors["test_error"], predicted(60.0, k, ridge, 0.5, POPULATION)[0], rtol=1e-4)


def test_fewer_modes_than_samples():
    """Ridge 0, rank 30 < n = 60 < M: least squares leaves (null power of M points + σ²)/(1 - rank/n)."""
    spectrum = Spectrum(jnp.where(INDEX <= 30, EIGENVALUES, 0.0), jnp.ones(POPULATION), jnp.asarray(POWER))
    null = POWER[30:].sum() * POPULATION / (POPULATION - 30)
    errors = predict_errors(spectrum, 60.0, np.inf, 0.0, 0.5, POPULATION)
    np.testing.assert_allclose(errors["test_error"], (null + 0.5) / (1 - 30 / 60), rtol=1e-10)
    nearly = predict_errors(spectrum, 60.0, np.inf, 1e-10, 0.5, POPULATION)
    np.testing.assert_allclose(errors["train_error"], nearly["train_error"], rtol=1e-6)


@pytest.mark.parametrize("k", [pytest.param(np.inf, marks=pytest.mark.slow), 80.0])
def test_best_ridge_is_that_of_the_points_held_out(k):
    spectrum, ridges = power_law(120, 1.3, 1.2), jnp.geomspace(1e-3, 1e2, 400)
    curve = jax.vmap(lambda ridge: predict_errors(spectrum, 60.0, k, ridge, 0.5, 120.0)["test_error"])(ridges)
    best = optimal_ridge(spectrum, 60.0, k, 0.5, 120.0)
    np.testing.assert_allclose(best.test_error, curve.min(), rtol=1e-4)
    at_best = predict_errors(spectrum, 60.0, k, best.ridge, 0.5, 120.0)
    np.testing.assert_allclose([best.test_error, best.train_error], [*at_best.values()], rtol=1e-8)
    # Control: the best ridge of a distribution is another.
    other = optimal_ridge(spectrum, 60.0, k, 0.5)
    assert abs(other.ridge / best.ridge - 1) > 0.05
