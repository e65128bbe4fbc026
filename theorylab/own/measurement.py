"""What theory is compared with: ridge regression on random training sets of one's own data, by NumPy."""

from __future__ import annotations

import jax
import numpy as np

from theorylab.own.kernels import Features, drawn_features


def measure(
    matrix: np.ndarray,
    points: np.ndarray | None,
    targets: np.ndarray,
    numbers: np.ndarray,
    ridges: np.ndarray,
    widths: np.ndarray | None,
    features: Features | None,
    noise: float,
    trials: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Fit random training sets: arrays over [seed, num_features, num_samples, ridge]."""
    (size, outputs), names = targets.shape, ("test_error", "train_error", "degrees_of_freedom")
    found = np.empty((3, trials, 1 if widths is None else len(widths), len(numbers), len(ridges)))
    for trial in range(trials):
        random = np.random.default_rng((seed, trial))
        order = random.permutation(size)
        labels = targets[order] + np.sqrt(noise / outputs) * random.normal(size=targets.shape)
        for column, width in enumerate([None] if widths is None else widths):
            if width is None or features is None or points is None:
                # Whole rows, and once: parts of the matrix, gathered for each size, took longer than the fits.
                rows = matrix[order[: numbers[-1]]]
                parts = [(rows[:n, order[:n]], rows[:n].T) for n in numbers]
            else:
                key = jax.random.fold_in(jax.random.key(seed), trial)
                drawn = drawn_features(features, key, points, int(width))
                parts = [(drawn[order[:n]], drawn) for n in numbers]
            for row, (n, (inner, outer)) in enumerate(zip(numbers, parts, strict=True)):
                errors = fit(inner, outer, labels[:n], targets, order[n:], ridges, kernel=width is None)
                found[:, trial, column, row] = errors
                found[0, trial, column, row] += noise
    return dict(zip(names, found, strict=True))


def fit(
    train: np.ndarray,
    every: np.ndarray,
    labels: np.ndarray,
    targets: np.ndarray,
    held_out: np.ndarray,
    ridges: np.ndarray,
    *,
    kernel: bool,
) -> np.ndarray:
    """Test error, train error and degrees of freedom of one fit at every ridge, ``[3, ridges]``.

    ``train`` and ``every`` are features of the training points and of all, or with ``kernel`` their kernel with the
    training points. The test error is that on the points ``held_out``. At ridge 0 the solution of least norm; values
    that are rounding beside the largest count as 0.
    """
    n, outputs = labels.shape
    if kernel:
        eigenvalues, left = np.linalg.eigh(train)
        eigenvalues = np.where(eigenvalues > n * np.finfo(float).eps * eigenvalues[-1], eigenvalues, 0.0)
        right, root = left, np.ones_like(eigenvalues)
    else:
        left, root, transposed = np.linalg.svd(train, full_matrices=False)
        root = np.where(root > max(train.shape) * np.finfo(float).eps * root[0], root, 0.0)
        eigenvalues, right = root**2, transposed.T
    fitted = eigenvalues[:, None] > 0
    total = np.where(eigenvalues[:, None] + ridges > 0, eigenvalues[:, None] + ridges, 1.0)  # [values, ridges]
    coefficients = left.T @ labels
    outside = np.sum((labels - left @ coefficients) ** 2)
    # All ridges in one product with every point's row, which is as long to read as to multiply.
    scaled = np.where(fitted, root[:, None] / total, 0.0)[:, :, None] * coefficients[:, None]
    guesses = (every @ (right @ scaled.reshape(len(scaled), -1)))[held_out].reshape(-1, len(ridges), outputs)
    test_error = np.sum((targets[held_out][:, None] - guesses) ** 2, axis=(0, 2)) / len(held_out)
    unlearned = np.where(fitted, ridges / total, 1.0)[:, :, None] * coefficients[:, None]
    train_error = (outside + np.sum(unlearned**2, axis=(0, 2))) / n
    return np.stack([test_error, train_error, np.sum(eigenvalues[:, None] / total, axis=0)])
