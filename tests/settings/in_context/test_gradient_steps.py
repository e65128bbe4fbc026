"""Optimal steps of gradient descent: Wishart moments, limits, Monte Carlo in NumPy; wrong ones are rejected."""

import math

import numpy as np
import pytest

from theorylab.settings.in_context import gradient_steps
from theorylab.settings.in_context.linear_attention.theory import isotropic


def test_wishart_moments():
    assert gradient_steps.wishart_moments(6, 3) == (18, 180, 2340, 36000)
    # chi-square moments n(n+2)(n+4)..., and the symmetry tr (XᵀX)^j = tr (XXᵀ)^j.
    assert gradient_steps.wishart_moments(7, 1, 6) == tuple(math.prod(range(7, 7 + 2 * j, 2)) for j in range(1, 7))
    assert gradient_steps.wishart_moments(20, 5, 8) == gradient_steps.wishart_moments(5, 20, 8)


def sampled_excess(spectra, noise, steps):
    """Mean excess, and its standard error, of the polynomial best for half of the spectra, on the other half."""
    fitted, fresh = np.split(spectra, 2)
    s = fitted.ravel()
    powers = (s[:, None] / s.max()) ** np.arange(steps)
    rows = np.concatenate([powers * s[:, None], np.sqrt(noise * s)[:, None] * powers])
    target = np.concatenate([np.ones_like(s), np.zeros_like(s)])
    c = np.linalg.lstsq(rows, target, rcond=None)[0]
    r = ((fresh[..., None] / s.max()) ** np.arange(steps)) @ c
    excess = np.sum((1 - fresh * r) ** 2 + noise * fresh * r**2, axis=1)
    return excess.mean(), excess.std(ddof=1) / math.sqrt(len(excess))


@pytest.mark.slow
def test_optimal_steps_of_gradient_descent():
    exact = [float(gradient_steps.gradient_steps_excess(20, 5, 0.25, k)) for k in (1, 2, 3, 4, 6)]
    np.testing.assert_allclose(exact[0] + 0.25, isotropic.isotropic_minimum_loss(20, 5, 0.25), atol=1e-12)
    np.testing.assert_allclose(exact[1:], [0.42244, 0.207413, 0.135057, 0.096918], atol=6e-6)
    np.testing.assert_allclose(20 * gradient_steps.gradient_step_sizes(20, 5, 0.25, 2), [0.5178, 1.2168], atol=1e-4)
    for function, steps in ((gradient_steps.gradient_step_sizes, 3), (gradient_steps.gradient_steps_excess, 0)):
        with pytest.raises(ValueError, match=f"num_steps = {steps}"):
            function(20, 5, 0.25, steps)
    # Few noisy samples: the best polynomial of degree one in S has two complex steps.
    assert np.isnan(gradient_steps.gradient_step_sizes(4, 3, 2.21, 2)).any()
    c = np.asarray(gradient_steps.best_steps(4, 3, 2.21, 2))
    few = gradient_steps.wishart_spectra(np.random.default_rng(7), 200_000, 4, 3)
    r = c[0] + c[1] * few
    sampled = np.sum((1 - few * r) ** 2 + 2.21 * few * r**2, axis=1)
    error = 4 * sampled.std() / math.sqrt(len(sampled))
    assert abs(sampled.mean() - float(gradient_steps.gradient_steps_excess(4, 3, 2.21, 2))) < error
    # The polynomial that is best for one sample of spectra, on another: above the optimum by its own sampling error.
    spectra = gradient_steps.wishart_spectra(np.random.default_rng(8), 80_000, 20, 5)
    for k, right in ((1, exact[0]), (2, exact[1]), (3, exact[2])):
        mean, error = sampled_excess(spectra, 0.25, k)
        assert abs(mean - right) <= 4 * error + 0.002 * right
        # Negative control: labels whose noise is forgotten.
        assert abs(mean - float(gradient_steps.gradient_steps_excess(20, 5, 0.0, k))) > 4 * error + 0.002 * right
    bayes = np.mean(np.sum(0.25 / (spectra + 0.25), axis=1))
    assert bayes < exact[-1]


@pytest.mark.parametrize(
    ("ratio", "values"), [(0.5, (0.3333, 0.1429, 0.0667, 0.0159)), (1.0, (0.5, 1 / 3, 0.25, 1 / 6))]
)
def test_asymptotic_steps(ratio, values):
    theory = [gradient_steps.asymptotic_gradient_steps_excess(ratio, k) for k in (1, 2, 3, 5)]
    np.testing.assert_allclose(theory, values, atol=5e-5)
    # At finite size the excess is exact, and its distance from the limit halves when the dimension doubles.
    finite = [
        [float(gradient_steps.gradient_steps_excess(n, round(n * ratio), 0.0, k)) / round(n * ratio) for k in (1, 2, 3)]
        for n in (200, 400)
    ]
    distance = np.array(finite) - theory[:3]
    np.testing.assert_allclose(distance[0] / distance[1], 2, rtol=0.05)
