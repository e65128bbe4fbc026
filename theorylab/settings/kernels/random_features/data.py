"""Instances of random-feature regression: training features, noisy labels, and what is measured on them.

Every model draws inputs, random features and label noise from one key. Inputs and features are drawn in
an order that makes them nested: with the same key, the first rows (samples) and the first columns
(features) of a larger instance are those of a smaller one.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.numerics.kernels import rbf
from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.random_features import feature_maps, kernel_spectra
from theorylab.settings.kernels.random_features.config import Config

#: Test points drawn with each instance of relu_sphere and erf_hypercube. The estimate of the risk is
#: unbiased for any number; 2000 add a standard error of about 3% per seed, a tenth to a third of its spread over seeds.
TEST_POINTS = 2000
#: Axes on which the random target of a degree is spanned.
TARGET_AXES = 256


class Instance(NamedTuple):
    """A regression problem, and the eigenmodes whose learned part is measured.

    Attributes
    ----------
    problem
        What is fitted.
    modes
        The eigenmodes that :func:`~theorylab.settings.kernels.random_features.kernel_spectra.measured_modes` names, at
        the training points.
    projections
        ``projections[:, i] @ prediction`` is the part of mode i in a prediction: 1 for the mode itself.
    """

    problem: Problem
    modes: Float[Array, "samples modes"]
    projections: Float[Array, "points modes"]


def sample(key: jax.Array, config: Config) -> Problem:
    """Draw the regression problem of one instance of the model that ``config.model`` names."""
    return instance(key, config).problem


def instance(key: jax.Array, config: Config) -> Instance:
    """Draw one instance of the model that ``config.model`` names."""
    sampler: Any = {
        "gaussian": gaussian,
        "relu_sphere": zonal,
        "erf_hypercube": zonal,
        "fourier": fourier,
    }[config.model]
    return sampler(key, config)


def gaussian(key: jax.Array, config: Config) -> Instance:
    """Draw the Gaussian model, whose population risk is known exactly for every fitted predictor.

    Features are Φ = X diag(√λ) W / √k with X ``[n, M]`` and W ``[M, k]`` standard normal, λ_i = i^-α; labels
    are y = X v + ε with v_i = i^(-β/2). A coefficient vector θ predicts v̂ = diag(√λ) W θ / √k, and its risk
    |v - v̂|² + σ² has the form of :class:`Problem` with the M modes as "test points" of weight 1. With
    infinitely many features the kernel is X diag(λ) Xᵀ and v̂ = diag(λ) Xᵀ (K + δI)⁻¹ y.

    Source: Simon, Karkada, Ghosh and Belkin, "More is better", arXiv:2311.14646: Assumption A, literally.
    """
    inputs_key, features_key, noise_key = random.split(key, 3)
    num_samples, num_modes = config.num_samples, config.num_modes
    spectrum = kernel_spectra.spectrum(config)
    eigenvalues, target = jnp.asarray(spectrum.eigenvalues), jnp.sqrt(spectrum.target_power)
    inputs = random.normal(inputs_key, num_samples, num_modes)
    if math.isinf(config.num_features):
        test = (inputs * eigenvalues[None, :]).T
        train = inputs @ test
    else:
        num_features = int(config.num_features)
        weights = random.normal(features_key, num_features, num_modes).T
        test = jnp.sqrt(eigenvalues / num_features)[:, None] * weights
        train = inputs @ test
    targets = target[:, None] * signs(noise_key, num_modes, config)
    labels = inputs @ targets + label_noise(noise_key, config)
    weight = jnp.ones((), train.dtype)
    problem = averaged(Problem(train, labels, test, targets, weight, as_float(config.noise_variance)))
    rows = np.array(kernel_spectra.measured_modes(config)) - 1
    projections = jnp.zeros((num_modes, rows.size), train.dtype).at[rows, np.arange(rows.size)].set(1)
    return Instance(problem, inputs[:, rows], projections)


def zonal(key: jax.Array, config: Config) -> Instance:
    """Draw ReLU features on the unit sphere or erf features on the hypercube, with a known spectrum.

    Inputs are uniform on the sphere (|x| = 1) or on {-1, 1}^d. The target is a random combination of
    polynomials of each degree, Σ_l Σ_j c_lj P_l(a_j·x), with powers fixed exactly, see
    :func:`random_polynomials`. The risk is estimated on :data:`TEST_POINTS` fresh points, and so is the learned part
    of a degree, <f̂, f_l>/<f_l, f_l> with the target's part f_l: both products on the same points, whose scatter cancels
    where f̂ is nearly a multiple of f_l.
    """
    inputs_key, features_key, noise_key, target_key, test_key = random.split(key, 5)
    geometry = feature_maps.GEOMETRIES[config.model]
    train_inputs = geometry.inputs(inputs_key, config.num_samples, config.input_dim)
    test_inputs = geometry.inputs(test_key, TEST_POINTS, config.input_dim)
    if math.isinf(config.num_features):
        train = geometry.kernel(train_inputs, train_inputs)
        test = geometry.kernel(test_inputs, train_inputs)
    else:
        weights = geometry.weights(features_key, int(config.num_features), config.input_dim)
        train = geometry.features(train_inputs, weights)
        test = geometry.features(test_inputs, weights)
    parts = random_polynomials(target_key, jnp.concatenate([train_inputs, test_inputs]), config)
    targets = sum(parts.values(), jnp.zeros((), train.dtype))
    problem = Problem(
        train,
        targets[: config.num_samples] + label_noise(noise_key, config),
        test,
        targets[config.num_samples :],
        jnp.full((), 1 / TEST_POINTS, train.dtype),
        as_float(config.noise_variance),
    )
    modes = jnp.stack([parts[degree][:, 0] for degree in sorted(parts)], axis=1)
    at_test = modes[config.num_samples :]
    return Instance(
        averaged(problem), modes[: config.num_samples], at_test / jnp.sum(at_test**2, axis=0, keepdims=True)
    )


def random_polynomials(
    key: jax.Array, inputs: Float[Array, "points dim"], config: Config
) -> dict[int, Float[Array, "points draws"]]:
    """Evaluate a random target whose power in every degree is exact: its part f_l of each degree l.

    There are as many of them as ``label_draws``, on the same axes.

    f(x) = Σ_l f_l(x), f_l(x) = s_l Σ_j c_lj P_l(a_j·x) with standard normal c, random axes a_j from the input
    distribution, and P_l the zonal polynomial of degree l with P_l(1) = 1 (Legendre in d dimensions on the sphere,
    Krawtchouk on the hypercube; a·x divided by d there). Since E[P_l(a·x) P_l(b·x)] = P_l(a·b) / m_l with
    the multiplicity m_l, and different degrees are orthogonal, s_l = sqrt(p_l m_l / cᵀP_l(a·a)c) fixes the
    population power of degree l to p_l in every draw. With many axes the target is far from zonal.
    """
    axes_key, coefficients_key = random.split(key)
    geometry = feature_maps.GEOMETRIES[config.model]
    powers = geometry.target_power(config.input_dim)
    degrees = max(powers)
    axes = geometry.inputs(axes_key, TARGET_AXES, config.input_dim)
    at_inputs = geometry.polynomials(geometry.overlap(inputs, axes), degrees, config.input_dim)
    at_axes = geometry.polynomials(geometry.overlap(axes, axes), degrees, config.input_dim)
    coefficients = random.normal(coefficients_key, config.label_draws, degrees, TARGET_AXES)
    parts = {}
    for degree, power in powers.items():
        c = coefficients[:, degree - 1].T
        norm = jnp.sum(c * (at_axes[degree] @ c), axis=0, keepdims=True)
        norm = norm / geometry.multiplicity(degree, config.input_dim)
        parts[degree] = jnp.sqrt(power / norm) * (at_inputs[degree] @ c)
    return parts


def fourier(key: jax.Array, config: Config) -> Instance:
    """Draw random Fourier features on Gaussian inputs, for which Gaussian universality fails.

    The population is a fixed set of points x ~ N(0, I_d), and training inputs are drawn from it
    independently, with replacement: the eigensystem of the population's RBF kernel matrix is then exactly
    that of the input distribution, and the risk is an exact mean over the population. Features are
    √2 cos(w·x + b), w ~ N(0, I/ℓ²), b uniform on (0, 2π); the target is an equal mix, of unit total power,
    of the leading eigenmodes (:data:`kernel_spectra.FOURIER_TARGET_MODES` of them).

    The eigensystem is computed on the host once per bandwidth and kept.
    """
    inputs_key, features_key, noise_key = random.split(key, 3)
    population = jnp.asarray(kernel_spectra.fourier_population(config.input_dim), jnp.result_type(float))
    eigenmodes = jnp.asarray(
        kernel_spectra.fourier_eigensystem(config.input_dim, config.bandwidth)[1], population.dtype
    )
    count = kernel_spectra.FOURIER_TARGET_MODES
    target = eigenmodes @ signs(noise_key, count, config) / math.sqrt(count)
    drawn = jax.random.randint(inputs_key, (config.num_samples,), 0, population.shape[0])
    if math.isinf(config.num_features):
        test = rbf(population, population[drawn], bandwidth=config.bandwidth)
    else:
        frequencies, phases = feature_maps.fourier_weights(features_key, int(config.num_features), config.input_dim)
        test = feature_maps.fourier_features(population, frequencies / config.bandwidth, phases)
    problem = Problem(
        test[drawn],
        target[drawn] + label_noise(noise_key, config),
        test,
        target,
        jnp.full((), 1 / population.shape[0], test.dtype),
        as_float(config.noise_variance),
    )
    chosen = np.array(kernel_spectra.measured_modes(config)) - 1
    modes = eigenmodes[:, chosen].astype(test.dtype)
    # Of unit mean square over the population.
    return Instance(averaged(problem), modes[drawn], modes / population.shape[0])


def as_float(value: Any) -> Float[Array, ""]:
    """Turn a scalar of the configuration into an array of the default float type."""
    return jnp.asarray(value, jnp.result_type(float))


def label_noise(key: jax.Array, config: Config) -> Float[Array, "samples draws"]:
    """Draw the label noise; the same key gives the same noise up to its scale."""
    return jnp.sqrt(as_float(config.noise_variance)) * random.normal(key, config.label_draws, config.num_samples).T


def signs(key: jax.Array, count: int, config: Config) -> Float[Array, "modes draws"]:
    """Draw the signs of a target's coefficients; those of the first draw are +1."""
    if (more := config.label_draws - 1) == 0:
        return jnp.ones((count, 1))
    drawn = random.bits(random.fold_in(key, 1), count * more).reshape(count, more) & jnp.uint32(1)
    return jnp.concatenate([jnp.ones((count, 1)), jnp.where(drawn, 1.0, -1.0)], axis=1)


def averaged(problem: Problem) -> Problem:
    """Scale the outputs so that errors, which add over them, are means over the draws of labels."""
    share = 1 / math.sqrt(problem.labels.shape[1])
    return problem._replace(labels=share * problem.labels, test_targets=share * problem.test_targets)
