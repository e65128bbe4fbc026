"""Benchmark of the width-and-ridge sweep: ours against eigendecompositions in NumPy and PyTorch, and scikit-learn.

n = 100 samples, 400 latent Gaussian modes, nested features p in {20 … 300}, 9 ridges from 1e-6 to 5, two
instances: 144 fits in float64 with their exact population risk. The loop around jit solves each cell in a jitted
function, compiled once per width. All contenders must agree in the same run, to 1e-7.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.ridge_sweep [--rounds 5]
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import PeerProcess, Row, check_close, compiled, device, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.kernels.problem import Problem
from theorylab.settings.kernels.random_features.config import Config
from theorylab.settings.kernels.random_features.data import sample
from theorylab.settings.kernels.width_sweep import sweep_widths

WIDTHS = (20, 50, 80, 100, 120, 160, 200, 300)
RIDGES = np.geomspace(1e-6, 5, 9)
#: A GPU is filled by more instances.
SEEDS = 64 if device() == "gpu" else 2
CONFIG = Config(num_samples=100, num_modes=400, num_features=max(WIDTHS))


def instances() -> list[Problem]:
    keys = jax.random.split(jax.random.key(0), SEEDS)
    draw = jax.jit(sample)
    return [draw(key, CONFIG) for key in keys]


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


def jit_loop(problems: list[Problem]) -> tuple[Callable[[], np.ndarray], float]:
    """A Python loop over all cells around a jitted solve in the smaller dimension; and the seconds of compilation."""

    def fit(phi: Any, psi: Any, y: Any, target: Any, ridge: Any, noise: Any) -> jax.Array:
        n, width = phi.shape
        scale = (max(WIDTHS) / width) ** 0.5
        features, modes = scale * phi, scale * psi
        if width < n:
            theta = jnp.linalg.solve(features.T @ features + ridge * jnp.eye(width), features.T @ y)
        else:
            theta = features.T @ jnp.linalg.solve(features @ features.T + ridge * jnp.eye(n), y)
        return jnp.sum((modes @ theta - target) ** 2) + noise

    cells: list[list[Any]] = []
    programs, seconds = {}, 0.0
    for p in problems:
        cells.append([])
        for width in WIDTHS:
            parts = (p.train[:, :width], p.test[:, :width], p.labels[:, 0], p.test_targets[:, 0])
            if width not in programs:
                programs[width], more = compiled(jax.jit(fit), *parts, jnp.asarray(1.0), jnp.asarray(p.noise_variance))
                seconds += more
            for ridge in RIDGES:
                cells[-1].append((programs[width], (*parts, jnp.asarray(ridge), jnp.asarray(p.noise_variance))))

    def run() -> np.ndarray:
        errors = [[program(*arguments) for program, arguments in instance] for instance in cells]
        return np.array(jax.device_get(errors)).reshape(len(problems), len(WIDTHS), len(RIDGES))

    return run, seconds


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    warnings.filterwarnings("ignore", message="Ill-conditioned")
    problems = instances()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)
    on_host = [jax.tree.map(np.asarray, problem) for problem in problems]
    ridges = jnp.asarray(RIDGES)
    program, seconds = compiled(jax.jit(jax.vmap(lambda problem: sweep_widths(problem, WIDTHS, ridges))), stacked)
    looped, loop_seconds = jit_loop(problems)
    expected = numpy_eigh(on_host)

    def check(name: str, result: Any) -> None:
        check_close(name, result.test_error if name == "ours" else result, expected, 1e-7)

    data = {
        "train": np.stack([p.train for p in on_host]), "test": np.stack([p.test for p in on_host]),
        "labels": np.stack([p.labels[:, 0] for p in on_host]),
        "targets": np.stack([p.test_targets[:, 0] for p in on_host]),
        "widths": np.array(WIDTHS), "ridges": RIDGES, "noise": np.array(on_host[0].noise_variance),
    }  # fmt: skip
    with PeerProcess("ridge_sweep", data) as torch:
        outcome = race(
            {
                "ours": lambda: program(stacked),
                "loop around jit": looped,
                "PyTorch eigh": lambda: torch.ask("eager()"),
                "PyTorch Cholesky, batched": lambda: torch.ask("cholesky()"),
                "NumPy eigh": lambda: numpy_eigh(on_host),
                "scikit-learn": lambda: scikit_learn(on_host),
            },
            3 * rounds,
            check=check,
        )
    compiling = {"ours": seconds, "loop around jit": loop_seconds}
    fits = SEEDS * len(WIDTHS) * len(RIDGES)
    return rows_of(f"{fits} fits", outcome, compile_seconds=compiling, precision="float64")


if __name__ == "__main__":
    main(measure, __doc__)
