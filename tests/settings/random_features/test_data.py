"""Instances, feature maps and kernel spectra of random-feature regression."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from theorylab.numerics.kernels import rbf
from theorylab.settings.kernels.random_features import feature_maps, kernel_spectra
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import (
    TARGET_AXES,
    TEST_POINTS,
    instance,
    random_polynomials,
    sample,
)

KEY = jax.random.key(0)
MODELS = {
    "gaussian": Config(num_samples=12, num_features=9, num_modes=30),
    "relu_sphere": Config(model="relu_sphere", num_samples=12, num_features=9, input_dim=6),
    "erf_hypercube": Config(model="erf_hypercube", num_samples=12, num_features=9, input_dim=8),
    "fourier": Config(model="fourier", num_samples=12, num_features=9, input_dim=2),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("num_features", [9, math.inf])
def test_sample_has_the_shapes_of_features_or_kernel(model, num_features):
    config = dataclasses.replace(MODELS[model], num_features=num_features)
    problem = sample(KEY, config) if math.isinf(num_features) else jax.eval_shape(sample, KEY, config)
    columns = 12 if math.isinf(num_features) else 9
    assert problem.train.shape == (12, columns)
    assert problem.labels.shape == (12, 1)
    assert problem.test.shape == (problem.test_targets.shape[0], columns)
    if math.isinf(num_features):
        np.testing.assert_allclose(problem.train, problem.train.T, atol=1e-14)


@pytest.mark.parametrize("model", MODELS)
def test_features_and_noise_are_nested(model):
    config = MODELS[model]
    small = sample(KEY, dataclasses.replace(config, num_features=4))
    large = sample(KEY, config)
    np.testing.assert_allclose(small.train * 2, large.train[:, :4] * 3, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(small.labels, large.labels)
    louder = sample(KEY, dataclasses.replace(config, noise_variance=0.4))
    clean = sample(KEY, dataclasses.replace(config, noise_variance=0.0))
    np.testing.assert_allclose(louder.labels - clean.labels, 2 * (large.labels - clean.labels), atol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_features_average_to_the_kernel(model):
    config = dataclasses.replace(MODELS[model], num_samples=6)
    kernel = sample(KEY, dataclasses.replace(config, num_features=math.inf)).train
    features = sample(KEY, dataclasses.replace(config, num_features=10_000)).train
    scale = float(jnp.max(jnp.abs(kernel)))
    assert float(jnp.max(jnp.abs(features @ features.T - kernel))) < 0.06 * scale
    # Features without the factor 2 of their variance are rejected.
    assert float(jnp.max(jnp.abs(features @ features.T / 2 - kernel))) > 0.2 * scale


def test_relu_sphere_spectrum_has_its_known_values_and_trace():
    eigenvalues, multiplicities, power = kernel_spectra.relu_sphere(10)
    np.testing.assert_allclose(eigenvalues[:3], [0.334602, 0.05, 0.00276531], rtol=2e-6)
    assert eigenvalues[3] == 0
    np.testing.assert_allclose(eigenvalues[4], 1.63628e-5, rtol=1e-5)
    np.testing.assert_allclose(eigenvalues @ multiplicities, 1, rtol=1e-12)
    assert np.all(multiplicities > 0)
    np.testing.assert_allclose(power[:5], [0, 0.5, 0.3, 0.1, 0.1])


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_relu_sphere_spectrum_diagonalises_the_kernel(dim):
    """λ_l = E[K(t) P_l(t)], by quadrature of the kernel instead of the feature."""
    nodes, weights = scipy.special.roots_jacobi(3000, (dim - 3) / 2, (dim - 3) / 2)
    weights = weights / weights.sum()
    kernel = (np.sqrt(1 - nodes**2) + nodes * (np.pi - np.arccos(nodes))) / np.pi
    polynomials = feature_maps.legendre(nodes, 6, dim)
    direct = [weights @ (kernel * p) for p in polynomials]
    np.testing.assert_allclose(kernel_spectra.relu_sphere(dim)[0][:7], direct, atol=1e-9)
    # What is put on one more entry is what the known degrees leave.
    eigenvalues, multiplicities, _ = kernel_spectra.relu_sphere(dim)
    assert 0 < eigenvalues[-1] * multiplicities[-1] < 1e-5


@pytest.mark.parametrize("dim", [3, 12, 20])
def test_erf_hypercube_spectrum_diagonalises_the_kernel(dim):
    eigenvalues, multiplicities, power = kernel_spectra.erf_hypercube(dim)
    t = 1 - 2 * np.arange(dim + 1) / dim
    weights = scipy.special.comb(dim, np.arange(dim + 1)) / 2**dim
    kernel = 2 / np.pi * np.arcsin(0.8 * t)
    direct = [weights @ (kernel * p) for p in feature_maps.krawtchouk(t, dim, dim)]
    np.testing.assert_allclose(eigenvalues, direct, atol=1e-15)
    np.testing.assert_allclose(eigenvalues @ multiplicities, 2 / np.pi * np.arcsin(0.8), rtol=1e-13)
    assert np.all(eigenvalues[1::2] > 0)
    assert np.all(eigenvalues[::2] == 0)
    np.testing.assert_allclose(power.sum(), 1)


def test_fourier_eigensystem_reproduces_kernel_trace_and_unit_target():
    eigenvalues, modes, target = kernel_spectra.fourier_eigensystem(2, 0.5)
    np.testing.assert_allclose(eigenvalues.sum(), 1, rtol=1e-10)
    np.testing.assert_allclose(np.mean(target**2), 1, rtol=1e-10)
    x = kernel_spectra.fourier_population(2)
    kernel = rbf(jnp.asarray(x), bandwidth=0.5)
    np.testing.assert_allclose(kernel @ modes / len(x), modes * eigenvalues[:10], atol=1e-10)
    assert kernel_spectra.spectrum(MODELS["fourier"])[2].sum() == pytest.approx(1)


def test_random_polynomial_has_exact_power_in_each_degree():
    """On the whole cube {-1, 1}^8 the projection on each degree is a finite sum."""
    config = MODELS["erf_hypercube"]
    cube = jnp.array(np.array(np.meshgrid(*[[-1.0, 1.0]] * 8)).reshape(8, -1).T)
    drawn = random_polynomials(jax.random.key(3), cube, config)
    parts = {degree: np.asarray(part)[:, 0] for degree, part in drawn.items()}
    target = sum(parts.values())
    zonal = feature_maps.krawtchouk(np.asarray(cube @ cube.T) / 8, 8, 8)
    for degree in range(9):
        expected = feature_maps.cube_target_power(8).get(degree, 0.0)
        projection = math.comb(8, degree) * zonal[degree] @ target / len(cube)
        assert np.mean(projection**2) == pytest.approx(expected, abs=1e-12)
        if expected:
            np.testing.assert_allclose(parts[degree], projection, atol=1e-12)


def test_random_polynomial_on_the_sphere_has_its_power_and_is_not_zonal():
    config = dataclasses.replace(MODELS["relu_sphere"], input_dim=10)
    x = feature_maps.sphere_inputs(jax.random.key(1), 20_000, 10)
    target = jax.jit(lambda k: sum(random_polynomials(k, x, config).values()))(jax.random.key(2))
    assert float(jnp.mean(target**2)) == pytest.approx(1, abs=0.05)
    # Kurtosis near a Gaussian field's 3; all degrees on one axis give more than 6.
    assert float(jnp.mean(target**4) / jnp.mean(target**2) ** 2) < 4.5
    assert TARGET_AXES >= 100


@pytest.mark.parametrize("model", MODELS)
def test_a_perfect_fit_has_learned_all_of_every_mode(model):
    problem, at_samples, projections = (jax.tree.map(np.asarray, part) for part in instance(KEY, MODELS[model]))
    modes = kernel_spectra.measured_modes(MODELS[model])
    assert at_samples.shape == (MODELS[model].num_samples, len(modes))
    assert projections.shape == (len(problem.test_targets), len(modes))
    # A mode at the test points is a multiple of its projection: a part of itself, and next to none of the others.
    at_test = projections / np.sum(projections**2, axis=0)
    parts = projections.T @ at_test
    np.testing.assert_allclose(np.diag(parts), 1, rtol=1e-10)
    # Test points of the sphere and the cube are a sample: parts of powers p and p' overlap by sqrt(p'/p)/sqrt(points).
    tolerance = 4 * math.sqrt(5 / TEST_POINTS) if model in feature_maps.GEOMETRIES else 1e-10
    np.testing.assert_allclose(parts, np.eye(len(modes)), atol=tolerance)


@pytest.mark.parametrize("model", MODELS)
def test_levels_of_measured_modes_are_those_of_the_spectrum(model):
    """The target has power at each measured level, and on all of a zonal model's."""
    config = MODELS[model]
    power = np.asarray(kernel_spectra.spectrum(config).target_power)
    levels = kernel_spectra.measured_levels(config)
    assert np.all(power[levels] > 0)
    if model in feature_maps.GEOMETRIES:
        np.testing.assert_allclose(power[levels].sum(), power.sum())
    assert kernel_spectra.measured_modes(dataclasses.replace(MODELS["gaussian"], num_modes=10)) == (1, 2, 5, 10)
