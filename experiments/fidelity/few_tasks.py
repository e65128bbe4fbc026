"""How far the errors of layers fitted to few tasks are from their limit and from its first correction in 1/d.

    python -m experiments.fidelity.few_tasks [POINTS] [SEEDS] [SEED]

Points are drawn over ratios: 1/4 to 8 prompts per weight off the threshold, 1/4 to 10 tokens per dimension, 1/4 to 8
tasks per dimension, noise 0 to 1, d = 10 to 30; contexts at test a quarter to 8 times as long as in training. Layers
are fitted in NumPy; both errors of a fitted layer are exact.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

import jax
import numpy as np

from theorylab.settings.in_context.task_diversity import (
    Config,
    correction_is_small,
    pool_regression,
    pretraining_errors,
)


def fitted_errors(
    rng: np.random.Generator, d: int, n: int, count: int, prompts: int, noise: float, lengths: Sequence[float] = ()
) -> np.ndarray:
    """Errors on fresh tasks and on the pool of least squares on ``prompts`` prompts, [2].

    [lengths, 2] with contexts of other lengths, which cost nothing.
    """
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
    laws = (np.eye(d), np.zeros(d)), (pool.T @ pool / count, pool.mean(axis=0))

    def error(second: np.ndarray, mean: np.ndarray, m: float) -> float:
        """By the moments of (b, mean y²) of m tokens, of Isserlis' theorem, |w|² = d."""
        moment = np.zeros((d + 1, d + 1))
        moment[:d, :d] = (1 + 1 / m) * second + power * d / m * np.eye(d)
        moment[:d, d] = moment[d, :d] = power * (1 + 2 / m) * mean
        moment[d, d] = power**2 * (1 + 2 / m)
        cross = np.concatenate([second, power * mean[:, None]], axis=1)
        return float((d - 2 * np.sum(matrix * cross) + np.sum((matrix @ moment) * matrix)) / d + noise)

    found = np.array([[error(*law, m) for law in laws] for m in (lengths or [n])])
    return found if len(lengths) else found[0]


def main(points: int = 60, seeds: int = 64, first: int = 0) -> None:
    """Print relative deviations of the limit and of its correction, and the latter as a part of what is declared."""
    rng = np.random.default_rng(first)
    for _ in range(points):
        d = int(rng.choice([10, 14, 20, 30]))
        n, count = (max(1, round(d * np.exp(rng.uniform(*np.log(ends))))) for ends in ((0.25, 10), (0.25, 8)))
        ratio = float(np.exp(rng.uniform(np.log(0.25), np.log(8))))
        noise, prompts = float(rng.choice([0.0, 0.01, 0.1, 1.0])), round(ratio * d * (d + 1))
        config = Config(dim=d, context_length=n, num_tasks=count, prompt_ratio=prompts / d**2, noise_variance=noise)
        if correction_is_small(config) is not None:
            continue
        lengths = [n, *(max(1, round(n * factor)) for factor in (0.25, 0.5, 2, 8))]
        runs = np.array([fitted_errors(rng, d, n, count, prompts, noise, lengths) for _ in range(seeds)])
        mean, scatter = runs.mean(0), runs.std(0, ddof=1) / np.sqrt(seeds) / runs.mean(0)
        for m, measured, error in zip(lengths, mean, scatter, strict=True):
            there = dataclasses.replace(config, test_length=m)
            limit = pretraining_errors(n / d, count / d, ratio, noise, m / d)
            first_order = np.array([*pool_regression(jax.random.key(0), there).values()])
            declared = pool_regression.relative_error(there, "fresh_task_error")
            off = first_order / measured - 1
            print(
                f"d {d} n/d {n / d:.2f} m/n {m / n:.2f} K/d {count / d:.2f} r {ratio:.2f} noise {noise:g}",
                f"limit {np.array(limit) / measured - 1} first {off} +- {error} of declared {off / declared}",
                f"certain {(np.abs(off) - 2 * error) / declared}",
                flush=True,
            )


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(*(int(argument) for argument in sys.argv[1:]))
