"""Benchmark of the width-and-ridge sweep: ours against NumPy eigendecompositions and scikit-learn.

n = 100 samples, 400 latent Gaussian modes, nested features p in {20 … 300}, 9 ridges from 1e-6 to 5, two
instances: 144 fits in float64 with their exact population risk. The contenders take turns (A B C, A B C …);
reported are medians over the rounds, the median of the per-round ratios, and the compile time apart. All
contenders must agree in the same run.

    OMP_NUM_THREADS=1 python experiments/benchmarks/ridge_sweep.py [rounds]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.random_features.config import Config
from theorylab.random_features.data import Problem, sample
from theorylab.random_features.width_sweep import sweep_widths

WIDTHS = (20, 50, 80, 100, 120, 160, 200, 300)
RIDGES = np.geomspace(1e-6, 5, 9)
SEEDS = 2
CONFIG = Config(num_samples=100, num_modes=400, num_features=max(WIDTHS))


def instances() -> list[Problem]:
    keys = jax.random.split(jax.random.key(0), SEEDS)
    return [jax.jit(sample)(key, CONFIG) for key in keys]


def numpy_eigh(problems: list[Problem]) -> np.ndarray:
    """One eigendecomposition of the smaller Gram matrix per width serves all ridges."""
    errors = np.empty((len(problems), len(WIDTHS), len(RIDGES)))
    for row, problem in enumerate(problems):
        y, target = problem.labels[:, 0], problem.test_targets
        for column, width in enumerate(WIDTHS):
            scale = np.sqrt(max(WIDTHS) / width)
            features, modes = scale * problem.train[:, :width], scale * problem.test[:, :width]
            if width < len(y):
                s, vectors = np.linalg.eigh(features.T @ features)
                theta = vectors @ ((vectors.T @ (features.T @ y))[:, None] / (s[:, None] + RIDGES))
            else:
                s, vectors = np.linalg.eigh(features @ features.T)
                theta = features.T @ (vectors @ ((vectors.T @ y)[:, None] / (s[:, None] + RIDGES)))
            errors[row, column] = np.sum((modes @ theta - target) ** 2, axis=0) + problem.noise_variance
    return errors


def scikit_learn(problems: list[Problem]) -> np.ndarray:
    """One estimator per cell, as a user of scikit-learn would write it."""
    from sklearn.linear_model import Ridge

    errors = np.empty((len(problems), len(WIDTHS), len(RIDGES)))
    for row, problem in enumerate(problems):
        y, target = problem.labels[:, 0], problem.test_targets[:, 0]
        for column, width in enumerate(WIDTHS):
            scale = np.sqrt(max(WIDTHS) / width)
            features, modes = scale * problem.train[:, :width], scale * problem.test[:, :width]
            for index, ridge in enumerate(RIDGES):
                theta = Ridge(alpha=ridge, fit_intercept=False).fit(features, y).coef_
                errors[row, column, index] = np.sum((modes @ theta - target) ** 2) + problem.noise_variance
    return errors


def main(rounds: int = 15) -> dict[str, float]:
    jax.config.update("jax_enable_x64", True)
    warnings.filterwarnings("ignore", message="Ill-conditioned")
    problems = instances()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    on_host = [Problem(*(np.asarray(leaf) for leaf in problem)) for problem in problems]
    ridges = jnp.asarray(RIDGES)
    program = jax.jit(jax.vmap(lambda problem: sweep_widths(problem, WIDTHS, ridges)))

    start = time.perf_counter()
    ours = jax.block_until_ready(program(stacked))
    first_call = time.perf_counter() - start
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: jax.block_until_ready(program(stacked)),
        "numpy eigh": lambda: numpy_eigh(on_host),
        "scikit-learn": lambda: scikit_learn(on_host),
    }
    for name in ("numpy eigh", "scikit-learn"):
        difference = np.max(np.abs(np.asarray(contenders[name]()) / np.asarray(ours.test_error) - 1))
        print(f"largest relative difference from {name}: {difference:.1e}")
        if not difference < 1e-7:
            raise SystemExit(f"{name} disagrees")

    seconds = {name: np.empty((rounds, 2)) for name in contenders}
    for index in range(rounds):
        for name, run in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            seconds[name][index] = time.perf_counter() - wall, time.process_time() - cpu
    print(f"first call (compile and run): {first_call:.2f} s; compiled programs: {program._cache_size()}")
    result = {"first_call": first_call}
    for name, values in seconds.items():
        wall_ratio, cpu_ratio = np.median(values / seconds["ours"], axis=0)
        wall_ms, cpu_ms = 1e3 * np.median(values, axis=0)
        print(
            f"{name:13s} {wall_ms:8.2f} ms wall {cpu_ms:8.2f} ms CPU"
            f"   x ours: {wall_ratio:.2f} wall, {cpu_ratio:.2f} CPU"
        )
        result[name] = float(wall_ratio)
    return result


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
