"""neural-tangents on this JAX: it imports, leaves no trace, and its kernels are the closed forms."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics import _neural_tangents
from theorylab.numerics.convolutional import convolutional, convolutional_memory
from theorylab.numerics.kernels import fully_connected

installed = pytest.mark.skipif(
    importlib.util.find_spec("neural_tangents") is None, reason="neural-tangents is not installed"
)


def images(n, size=5, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size, size, channels))


def names():
    return {module: set(dir(sys.modules[module])) for module in ("jax.core", "jax.interpreters.ad")}


@pytest.fixture
def unloaded():
    """The state of a process that has not imported neural-tangents, put back afterwards."""
    saved = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("neural_tangents")}
    _neural_tangents.load.cache_clear()
    yield
    for name in [name for name in sys.modules if name.startswith("neural_tangents")]:
        del sys.modules[name]
    sys.modules.update(saved)
    _neural_tangents.load.cache_clear()


@pytest.mark.oracle
@installed
def test_names_are_restored_for_the_import_alone():
    import jax.interpreters.ad  # noqa: F401

    before, had_util = names(), "jax.util" in sys.modules
    with _neural_tangents._restored_names():
        import jax.core as core

        for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var"):
            assert hasattr(core, name)
        assert "neural_tangents.experimental" in sys.modules
    module = _neural_tangents.load()
    assert module.__version__.startswith("0.6")
    assert _neural_tangents.load() is module
    assert names() == before
    assert ("jax.util" in sys.modules) == had_util
    assert "neural_tangents.experimental" not in sys.modules


def test_a_missing_package_names_the_remedy(monkeypatch, unloaded):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install --no-deps \"neural-tangents"):
        _neural_tangents.load()


@installed
def test_a_jax_that_cannot_work_names_the_versions(monkeypatch, unloaded):
    def broken():
        yield "jax.core", "Jaxpr", None
        raise AttributeError("no such name")

    monkeypatch.setattr(_neural_tangents, "_replacements", broken)
    with pytest.raises(ImportError, match=f"does not import on JAX {jax.__version__}.*pip install --no-deps"):
        _neural_tangents.load()
    assert not any(name.startswith("neural_tangents") for name in sys.modules)


def by_hand(x1, x2, layers, weight_variance, bias_variance):
    """NNGP and NTK of the convolutional net, pixel by pixel, from the arc-cosine closed forms."""
    size = x1.shape[1]

    def angles(covariance, variance1, variance2):
        norm = np.sqrt(variance1 * variance2)
        return norm, np.arccos(np.clip(covariance / norm, -1, 1))

    def convolve(maps):
        padded = np.pad(maps, [(0, 0), (0, 0), (1, 1), (1, 1)])
        return sum(padded[:, :, i : i + size, j : j + size] for i in range(3) for j in range(3)) / 9

    def affine(maps):
        return weight_variance * convolve(maps) + bias_variance

    def inner(a, b):
        return np.einsum("nijc,mijc->nmij", a, b) / x1.shape[-1]

    covariance = affine(inner(x1, x2))
    tangent = covariance
    v1 = affine(np.einsum("nnij->nij", inner(x1, x1))[:, None])
    v2 = affine(np.einsum("nnij->nij", inner(x2, x2))[None])
    for layer in range(layers):
        norm, theta = angles(covariance, v1, v2)
        covariance = norm * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
        tangent = tangent * (np.pi - theta) / (2 * np.pi)
        if layer < layers - 1:
            covariance, v1, v2 = affine(covariance), affine(v1 / 2), affine(v2 / 2)
            tangent = covariance + weight_variance * convolve(tangent)
    nngp = weight_variance * covariance.mean((2, 3)) + bias_variance
    return nngp, nngp + weight_variance * tangent.mean((2, 3))


@pytest.mark.oracle
@installed
def test_convolutional_kernels_against_closed_forms():
    x, y = images(4), images(3, seed=1)
    expected = by_hand(x, y, 2, 2.0, 0.01)
    kernels = convolutional(x, y)
    np.testing.assert_allclose(kernels.nngp, expected[0], rtol=1e-9)
    np.testing.assert_allclose(kernels.ntk, expected[1], rtol=1e-9)
    # Negative control: half the weight variance.
    assert not np.allclose(kernels.ntk, by_hand(x, y, 2, 1.0, 0.01)[1], rtol=0.1)


@pytest.mark.oracle
@installed
def test_one_pixel_images_are_a_fully_connected_net():
    # SAME padding leaves one of nine taps, hence a ninth of the weight variance below the readout.
    x = images(5, size=1, channels=6)
    kernels = convolutional(x, layers=1, weight_std=3.0, bias_std=0.0)
    expected = fully_connected(jnp.asarray(x.reshape(5, 6)), depth=1, weight_variance=1.0)
    np.testing.assert_allclose(kernels.nngp, 9 * np.asarray(expected.nngp), rtol=1e-6)


@pytest.mark.oracle
@installed
def test_blocks_do_not_change_the_convolutional_kernel():
    x = images(7)
    whole = convolutional(x)
    budget = 60_000
    estimate = convolutional_memory(x, budget_bytes=budget)
    assert estimate.num_blocks > 1
    assert estimate.result_bytes + estimate.working_bytes <= budget
    parts = convolutional(x, budget_bytes=budget)
    np.testing.assert_allclose(parts.nngp, whole.nngp, rtol=1e-12)
    np.testing.assert_allclose(parts.ntk, whole.ntk, rtol=1e-9)
    assert np.linalg.eigvalsh(parts.ntk)[0] > 0


@installed
def test_images_need_four_axes():
    with pytest.raises(ValueError, match="expected \\[n, height, width, channels\\]"):
        convolutional(np.zeros((3, 64)))
    with pytest.raises(ValueError, match="layers = 0"):
        convolutional(images(2), layers=0)
