"""Random features of varying norm: the equations against those of one norm, and against elliptical random matrices."""

import numpy as np
import pytest

from theorylab.numerics.chi_square import gauss_nodes
from theorylab.numerics.spectra import power_law
from theorylab.settings.kernels.theory.feature_norms import scaled_ridges
from theorylab.settings.kernels.theory.implicit import effective_ridges
from theorylab.settings.kernels.theory.risk import errors_at

SPECTRUM = power_law(200, 1.5, 2.0)


@pytest.mark.parametrize(("num_samples", "num_features"), [(60.0, 90.0), (90.0, 60.0), (80.0, 80.0)])
def test_features_of_one_norm_are_the_equations_of_the_eigenframework(num_samples, num_features):
    for ridge in (1e-4, 0.01, 1.0, 100.0):
        one = scaled_ridges(SPECTRUM, num_samples, num_features, ridge, np.array([1.0]), np.array([1.0]))
        same = effective_ridges(SPECTRUM, num_samples, num_features, ridge)
        for name in ("gamma", "kappa", "spare_samples", "spare_features", "spare_feature_fraction", "z", "q", "w"):
            assert float(getattr(one, name)) == pytest.approx(float(getattr(same, name)), rel=1e-8), (name, ridge)


@pytest.mark.parametrize(("num_samples", "num_features"), [(60, 90), (90, 60)])
def test_elliptical_features_have_the_predicted_errors(num_samples, num_features):
    """Norms of chi-square law with three degrees of freedom, of variance 2/3: features of one norm are far off."""
    ridge, noise, seeds, rng = 0.02, 0.1, 100, np.random.default_rng(0)
    eigenvalues, target = np.asarray(SPECTRUM.eigenvalues), np.sqrt(np.asarray(SPECTRUM.target_power))
    measured = np.empty((seeds, 3))
    for seed in range(seeds):
        inputs = rng.standard_normal((num_samples, 200))
        weights = rng.standard_normal((200, num_features)) * np.sqrt(rng.chisquare(3, num_features) / 3)
        test = np.sqrt(eigenvalues / num_features)[:, None] * weights
        train = inputs @ test
        labels = inputs @ target + np.sqrt(noise) * rng.standard_normal(num_samples)
        inverse = np.linalg.inv(train @ train.T + ridge * np.eye(num_samples))
        dual = inverse @ labels
        risk = np.sum((target - test @ (train.T @ dual)) ** 2) + noise
        measured[seed] = risk, np.mean((ridge * dual) ** 2), 1 / np.trace(inverse)
    mean, error = measured.mean(0), measured.std(0, ddof=1) / np.sqrt(seeds)
    nodes, law = gauss_nodes(3, 48)
    arguments = (SPECTRUM, float(num_samples), float(num_features))

    def predicted(solution):
        errors = errors_at(*arguments, solution, noise)
        return np.array([float(errors["test_error"]), float(errors["train_error"]), float(solution.kappa)])

    gap = abs(predicted(scaled_ridges(*arguments, ridge, nodes / 3, law)) / mean - 1)
    allowed = 4 * error / mean + 0.03
    assert np.all(gap < allowed), (gap, allowed)
    gap = abs(predicted(effective_ridges(*arguments, ridge)) / mean - 1)
    assert gap[2] > allowed[2], (gap, allowed)
