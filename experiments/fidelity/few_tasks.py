"""How far the errors of layers fitted to few tasks are from their limit and from its first correction in 1/d.

    python -m experiments.fidelity.few_tasks [POINTS] [SEEDS]

Points are drawn over ratios: 1/4 to 8 prompts per weight off the threshold, 1/2 to 10 tokens per dimension, 1/4 to 8
tasks per dimension, noise 0 to 1, d = 10 to 30. Layers are fitted in NumPy; both errors of a fitted layer are exact.
"""

from __future__ import annotations

import sys

import jax
import numpy as np

from theorylab.settings.in_context import dimension_correction


def fitted_errors(rng: np.random.Generator, d: int, n: int, count: int, prompts: int, noise: float) -> np.ndarray:
    """Errors on fresh tasks and on the pool of least squares on ``prompts`` prompts."""
    pool = rng.standard_normal((count, d))
    pool *= np.sqrt(d) / np.linalg.norm(pool, axis=1, keepdims=True)
    tasks = pool[rng.integers(0, count, prompts)]
    # Given y and its x·w = z, the rest of the context's covariates is Gaussian: their sum is drawn, not they.
    z = rng.standard_normal((prompts, n))
    y = z + np.sqrt(noise) * rng.standard_normal((prompts, n))
    rest = rng.standard_normal((prompts, d)) * np.sqrt(d / n * np.mean(y**2, axis=1))[:, None]
    rest += tasks * (np.mean(z * y, axis=1) - np.sum(rest * tasks, axis=1) / d)[:, None]
    summary = np.concatenate([rest, np.mean(y**2, axis=1, keepdims=True)], axis=1)
    queries = rng.standard_normal((prompts, d)) / np.sqrt(d)
    targets = np.sum(queries * tasks, axis=1) + np.sqrt(noise) * rng.standard_normal(prompts)
    features = np.einsum("bd,be->bde", queries, summary).reshape(prompts, -1)
    if prompts > features.shape[1]:
        weights = np.linalg.solve(features.T @ features, features.T @ targets)
    else:
        weights = features.T @ np.linalg.solve(features @ features.T, targets)
    matrix, power = weights.reshape(d, d + 1), 1 + noise
    found = []
    for second, mean in ((np.eye(d), np.zeros(d)), (pool.T @ pool / count, pool.mean(axis=0))):
        # Moments of (b, mean y²) by Isserlis' theorem, |w|² = d.
        moment = np.zeros((d + 1, d + 1))
        moment[:d, :d] = (1 + 1 / n) * second + power * d / n * np.eye(d)
        moment[:d, d] = moment[d, :d] = power * (1 + 2 / n) * mean
        moment[d, d] = power**2 * (1 + 2 / n)
        cross = np.concatenate([second, power * mean[:, None]], axis=1)
        found.append((d - 2 * np.sum(matrix * cross) + np.sum((matrix @ moment) * matrix)) / d + noise)
    return np.array(found)


def main(points: int = 60, seeds: int = 64) -> None:
    """Print relative deviations of limit and correction."""
    rng = np.random.default_rng(0)
    for _ in range(points):
        d = int(rng.choice([10, 14, 20, 30]))
        n, count = (max(1, round(d * np.exp(rng.uniform(*np.log(ends))))) for ends in ((0.5, 10), (0.25, 8)))
        ratio = float(np.exp(rng.uniform(np.log(0.25), np.log(8))))
        if 0.85 < ratio < 1.15:
            continue
        noise, prompts = float(rng.choice([0.0, 0.01, 0.1, 1.0])), round(ratio * d * (d + 1))
        runs = np.array([fitted_errors(rng, d, n, count, prompts, noise) for _ in range(seeds)])
        limit, slope = dimension_correction.first_correction(n / d, count / d, prompts / (d * (d + 1)), noise)
        mean, deviation = runs.mean(0), runs.std(0, ddof=1) / np.sqrt(seeds)
        first = (np.asarray(limit) + np.asarray(slope) / d) / mean - 1
        print(
            f"d {d} n/d {n / d:.2f} K/d {count / d:.2f} r {prompts / (d * (d + 1)):.2f} noise {noise:g}",
            f"limit {np.asarray(limit) / mean - 1} first {first} +- {deviation / mean} times d^2 {first * d**2}",
            f"correction {np.asarray(slope / limit)}",
            flush=True,
        )


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(*(int(argument) for argument in sys.argv[1:]))
