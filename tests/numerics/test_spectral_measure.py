"""Eigenvalues and weights without eigenvectors, against whole decompositions."""

import sys
import threading
import time

import numpy as np
import pytest
from scipy.linalg import eigh, lapack

from theorylab.numerics import spectral_measure as module
from theorylab.numerics.spectral_measure import spectral_measure

RANDOM = np.random.default_rng(3)


def symmetric(kind, size):
    """A matrix of some kind: full, of rank 2, with levels, without any coupling, or nothing at all."""
    full = RANDOM.normal(size=(size, size))
    few = RANDOM.normal(size=(size, 2))
    points = RANDOM.normal(size=(size, 3))
    distances = np.sum((points[:, None] - points) ** 2, axis=2)
    return {
        "indefinite": full + full.T,
        "kernel": np.exp(-distances / 4),
        "low rank": few @ few.T,
        "identity": np.eye(size),
        "diagonal": np.diag(np.arange(size) % 3.0),
        "zero": np.zeros((size, size)),
    }[kind]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [2, 3, 47, 48, 49, 50, 96, 97, 98, 99, 145, 300])
@pytest.mark.parametrize("kind", ["indefinite", "kernel", "low rank", "identity", "diagonal", "zero"])
def test_eigenvalues_and_the_resolvent(kind, size, count):
    """Levels may share their weight among themselves: what is compared is y·(K - z)⁻¹y away from the spectrum."""
    matrix, vectors = symmetric(kind, size), RANDOM.normal(size=(size, count))
    exact = eigh(matrix, eigvals_only=True)
    scale = max(np.abs(exact).max(), 1e-300)
    eigenvalues, weights = spectral_measure(matrix.copy(), vectors)
    np.testing.assert_allclose(eigenvalues, exact, atol=1e-13 * scale)
    assert np.all(weights >= 0)
    for z in scale * np.array([-0.1 + 0.01j, 0.3 + 0.1j, 1.0 + 0.1j]):
        resolvent = np.sum(vectors * np.linalg.solve(matrix - z * np.eye(size), vectors))
        np.testing.assert_allclose(np.sum(weights / (eigenvalues - z)), resolvent, rtol=1e-11)


def test_weights_of_separate_eigenvalues():
    matrix, vector = symmetric("indefinite", 120), RANDOM.normal(size=(120, 1))
    _, eigenvectors = eigh(matrix)
    for vectors in (vector, np.concatenate([vector, 0 * vector], axis=1)):
        np.testing.assert_allclose(
            spectral_measure(matrix.copy(), vectors)[1], (eigenvectors.T @ vector)[:, 0] ** 2, atol=1e-11
        )


def test_sizes_beyond_divide_and_conquer(monkeypatch):
    matrix, vectors = symmetric("indefinite", 90), RANDOM.normal(size=(90, 2))
    divided = spectral_measure(matrix.copy(), vectors)
    monkeypatch.setattr(module, "LARGEST", 50)
    for one, other in zip(spectral_measure(matrix.copy(), vectors), divided, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_a_vector_on_an_axis_and_no_vector():
    matrix = symmetric("indefinite", 60)
    axis, weights_of = np.eye(60)[:, :1], lambda v: spectral_measure(matrix.copy(), v)[1]
    np.testing.assert_allclose(weights_of(axis), weights_of(-axis), atol=1e-14)
    np.testing.assert_allclose(weights_of(axis), eigh(matrix)[1][0] ** 2, atol=1e-12)
    np.testing.assert_array_equal(weights_of(0 * axis), 0)


def test_the_matrix_is_overwritten_only_where_that_is_said():
    matrix, vectors = symmetric("indefinite", 60), RANDOM.normal(size=(60, 1))
    kept = matrix.copy()
    spectral_measure(np.ascontiguousarray(matrix), vectors)
    np.testing.assert_array_equal(matrix, kept)
    spectral_measure(matrix.T, vectors)
    assert np.any(matrix != kept)


@pytest.mark.parametrize("wrong", ["_to_first_axis", "BANDWIDTH"])
def test_controls(monkeypatch, wrong):
    """Without the reflection the weights are another vector's; what is cut off the band changes the eigenvalues."""
    matrix, vectors = symmetric("indefinite", 120), RANDOM.normal(size=(120, 1))
    if wrong == "_to_first_axis":
        monkeypatch.setattr(module, wrong, lambda matrix, vector: np.linalg.norm(vector))
    else:
        monkeypatch.setattr(module.np, "diagonal", lambda m, k: np.zeros(len(m) + k) if k < -40 else m.diagonal(k))
    eigenvalues, weights = spectral_measure(matrix.copy(), vectors)
    exact, eigenvectors = eigh(matrix)
    power = (eigenvectors.T @ vectors)[:, 0] ** 2
    assert max(np.abs(eigenvalues - exact).max(), np.abs(weights - power).max()) > 0.01


def test_what_lapack_says_is_an_error():
    with pytest.raises(np.linalg.LinAlgError, match="LAPACK's dpttrf says 1"):
        module._lapack("dpttrf", 2, np.array([-1.0, 1.0]), np.zeros(1))


def longest_wait(work):
    """Longest time that this thread stood still while another one worked, as a share of that work."""
    thread, ended = threading.Thread(target=lambda: (work(), ended.append(time.perf_counter()))), []
    start = last = time.perf_counter()
    longest = 0.0
    thread.start()
    while thread.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    thread.join()
    return longest / (ended[0] - start)


@pytest.mark.slow
@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="there is no lock")
def test_other_threads_go_on():
    """While SciPy's own wrapper works they stand still, which is why LAPACK is not called by it."""
    matrix = np.asfortranarray(symmetric("indefinite", 1500))
    vectors = RANDOM.normal(size=(1500, 1))
    assert longest_wait(lambda: lapack.dsytrd(matrix, lower=1, lwork=64 * 1500)) > 0.5
    assert longest_wait(lambda: spectral_measure(matrix.copy(order="F"), vectors)) < 0.5
