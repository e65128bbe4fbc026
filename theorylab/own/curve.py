"""From one's own data and a kernel to a learning curve: predicted, and measured beside it.

Ridge regression f(x) = K(x, X) (K(X, X) + ridge I)⁻¹ y on n of the M points of a data set, tested on the others. The
prediction needs the kernel matrix of all M and their targets: its eigenvalues over M, and the targets' power on the
eigenvectors. It is the omniscient risk estimate for n points that are drawn without replacement, equations (16) and
(17) of :mod:`~theorylab.settings.kernels.theory.without_replacement`.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
import xarray

from theorylab.contract import ConfigError
from theorylab.contract.fields import SIZES_BELOW, whole_number
from theorylab.jax_version import double_precision
from theorylab.numerics.activations import Activation
from theorylab.numerics.kernels import blocked
from theorylab.numerics.spectra import NotAKernel, Spectrum
from theorylab.numerics.xla import blas_threads
from theorylab.own import inputs
from theorylab.own.kernels import Features, Kernel, limit_kernel, named
from theorylab.own.measurement import measure
from theorylab.runtime import cores
from theorylab.settings.kernels.finite_population.eigensystem import eigensystem
from theorylab.settings.kernels.theory.curves import best_errors, error_curves
from theorylab.version import __version__

#: Features that stand for infinitely many, for each of the samples or features that are fitted, whichever are fewer.
LIMIT = 40
DESCRIPTIONS = {
    "test_error": "mean squared error on new points, predicted",
    "train_error": "mean squared error on the training points, predicted",
    "degrees_of_freedom": "trace of K (K + ridge)⁻¹ of the training points, predicted",
    "fitting_ratio": "root of train_error / test_error: the share of the samples that is not fitted, predicted",
    "effective_ridge": "what the eigenvalues see: effective_ridge / (eigenvalue + effective_ridge) is not learned",
    "optimal_ridge": "the ridge with the least test error, which may be negative, predicted",
    "optimal_test_error": "mean squared error on new points at optimal_ridge, predicted",
    "measured_test_error": "mean squared error on the points held out",
    "measured_train_error": "mean squared error on the training points",
    "measured_degrees_of_freedom": "trace of K (K + ridge)⁻¹ of the training points",
    "eigenvalues": "of the kernel matrix of all points, over their number",
    "target_power": "squared coefficients of the targets on the eigenvectors, summed over outputs",
}


def learning_curve(
    X: Any = None,
    y: Any = None,
    *,
    sizes: Any,
    ridge: Any,
    kernel: str | Kernel | Any = None,
    features: Features | None = None,
    num_features: Any = None,
    eigenvalues: Any = None,
    target_power: Any = None,
    population: float = np.inf,
    noise_variance: float = 0.0,
    trials: int = 10,
    seed: int = 0,
    standardise: bool = True,
    bandwidth: float | None = None,
    depth: int = 1,
    activation: Activation = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
    memory_budget: float = 4 * 2**30,
) -> xarray.Dataset:
    """Predict and measure the learning curve of ridge regression on one's own data.

    Parameters
    ----------
    X, y
        Points ``[M, dim]`` and targets ``[M]`` or ``[M, outputs]``. Or a kernel matrix and ``y``; or ``eigenvalues``
        and ``target_power`` alone, of which nothing is measured.
    sizes
        Numbers of training points n, below M. Up to M/5 the prediction is right to 1 or 2 % on most data; above M/2 a
        warning says that it may be far off.
    ridge
        One or several, >= 0, added to the kernel matrix of the training points, without a factor n.
    kernel
        "linear" (x·x'/dim), "rbf" (the default, exp(-|x - x'|²/2 bandwidth²)), "laplace" (exp(-|x - x'|/bandwidth)),
        "nngp" or "ntk" (of the infinitely wide net of ``depth`` hidden layers, see :mod:`theorylab.numerics.kernels`);
        a matrix ``[M, M]``; or a function ``kernel(x1, x2)`` of two arrays of points, as
        :func:`~theorylab.own.kernels.tangent_kernel` returns.
    features, num_features
        A function ``features(key, X, k)`` that draws k random features of each point, ``[M, k]``, independent and of
        order one (they are divided by the root of k here), of X as ``standardise`` leaves it; and the numbers k.
        ``kernel`` is then that of infinitely many; if it is not given it is estimated from 40 times as many as there
        are samples or features, whichever are fewer.
    eigenvalues, target_power, population
        Of the kernel's operator (of a Gram matrix: over M), and the target's squared coefficients; the number of points
        M that they belong to, infinity for a distribution.
    noise_variance
        Of Gaussian noise added to the labels of the training points, in all outputs together; errors include it.
    trials, seed
        Random training sets that are fitted, none at 0, and what draws them. Smaller sets are parts of larger ones.
    standardise
        Whether columns of X get mean 0 and variance 1 and columns of y mean 0, over all points. Errors are in the units
        of y squared, summed over its columns.
    bandwidth, depth, activation, weight_variance, bias_variance
        Of the kernels with a name; ``bandwidth`` is the root of dim unless given. An activation is a name, a function,
        or :class:`~theorylab.numerics.activations.Kinked`.
    memory_budget
        Bytes that may be used: about 32 M² are.

    Returns
    -------
    xarray.Dataset
        Over ``num_samples`` and ``ridge`` (``num_features`` before them): ``test_error``, ``train_error``,
        ``degrees_of_freedom``, ``fitting_ratio``; over ``num_samples`` ``optimal_ridge`` and ``optimal_test_error``; of
        ``trials`` > 0 also over ``seed``: ``measured_test_error``, ``measured_train_error``,
        ``measured_degrees_of_freedom``; and ``eigenvalues``, ``target_power`` over ``mode``.

    Raises
    ------
    ConfigError
        Naming what is wrong with the data or an argument.
    """
    ridges, noise = inputs.ridges(ridge), inputs.noise(noise_variance)
    trials, seed = whole_number(trials, "trials", 0, SIZES_BELOW), whole_number(seed, "seed", 0, SIZES_BELOW)
    if (features is None) != (num_features is None):
        raise ConfigError("features and num_features go together: a function features(key, X, k), and the numbers k")
    widths = None if num_features is None else inputs.counts(num_features, "num_features")
    if eigenvalues is not None or target_power is not None:
        if any(given is not None for given in (X, y, features)):
            raise ConfigError("eigenvalues and target_power stand for the data: give no X, y and features with them")
        system, called = inputs.spectrum(eigenvalues, target_power), "given spectrum"
        below = SIZES_BELOW if np.isinf(population) else whole_number(population, "population", 2, SIZES_BELOW)
        numbers = inputs.counts(sizes, "sizes", below=below)
        return _dataset(system, numbers, ridges, widths, noise, float(population), {}, called)
    points, targets = inputs.data(X, y, standardise=standardise)
    size = len(targets)
    numbers = inputs.counts(sizes, "sizes", below=size)
    if numbers[-1] > size / 2:
        warnings.warn(
            f"sizes of {numbers[-1]} are above half of the {size} points: the prediction may be up to 50% off there",
            stacklevel=2,
        )
    inputs.check_memory(32 * size**2, memory_budget, f"{size:,} points")
    with double_precision(True):
        matrix, called = _matrix(
            points, size, kernel, features, seed, bandwidth=bandwidth, depth=depth, activation=activation,
            weight_variance=weight_variance, bias_variance=bias_variance,
            count=max(4 * size, LIMIT * min(numbers[-1], numbers[-1] if widths is None else widths[-1])),
        )  # fmt: skip
        # LAPACK in one thread, training sets and the compiler in the other, each with half of the cores.
        with ThreadPoolExecutor(1, thread_name_prefix="theorylab-lapack") as worker, blas_threads(len(cores()) // 2):
            decomposed = worker.submit(eigensystem, matrix, targets, repair=inputs.REPAIRED)
            measured = (
                measure(matrix, points, targets, numbers, ridges, widths, features, noise, trials, seed)
                if trials
                else {}
            )
            if not decomposed.done():  # as one that was kept is
                _compile(size, numbers, widths)
            try:
                system = decomposed.result()
            except NotAKernel as error:
                raise ConfigError(f"kernel: {error}") from error
        # What is rounding beside the largest is no rank: at ridge 0 it would count as a mode that can be fitted.
        resolved = system.eigenvalues > size * np.finfo(float).eps * np.max(system.eigenvalues)
        system = system._replace(eigenvalues=np.where(resolved, system.eigenvalues, 0.0))
    return _dataset(system, numbers, ridges, widths, noise, float(size), measured, called)


def _matrix(
    points: np.ndarray | None, size: int, kernel: Any, features: Any, seed: int, *, count: int, **of_name: Any
) -> tuple[np.ndarray, str]:
    """Kernel matrix of all points, and what to call the kernel."""
    given = kernel is not None and not isinstance(kernel, str) and not callable(kernel)
    if given and points is not None and features is None:
        raise ConfigError("kernel is a matrix, which stands for the points: give no X with it")
    if given and (points is not None or features is None):
        return inputs.kernel_matrix(kernel, size), "given matrix"
    if points is None:
        raise ConfigError("X is missing: the points, one a row (or kernel, a matrix)")
    if kernel is None and features is not None:
        key = jax.random.fold_in(jax.random.key(seed), 2**31 - 1)
        return limit_kernel(features, key, points, int(count)), getattr(features, "__name__", "random features")
    function, called = (
        (kernel, getattr(kernel, "__name__", "kernel"))
        if callable(kernel)
        else named(kernel or "rbf", points, **of_name)
    )
    # Beside the result, three times its size for one block of it.
    matrix = blocked(function, points, budget_bytes=8 * size**2 + max(24 * size**2, 2**28))
    return inputs.kernel_matrix(matrix, size), called


# --- prediction -------------------------------------------------------------------------------------------------------


def predicted(
    system: Spectrum, numbers: Any, ridges: Any, widths: Any, noise: float, population: float
) -> dict[str, np.ndarray]:
    """Predictions over [num_features, num_samples, ridge]; without ``widths`` the first axis has one entry."""
    k = np.atleast_1d(np.inf if widths is None else np.asarray(widths, float))[:, None, None]
    n, ridge = np.asarray(numbers, float)[None, :, None], np.asarray(ridges, float)[None, None, :]
    with double_precision(True):
        return error_curves(_padded(system), n, k, ridge, noise, population)


def _best(system: Spectrum, numbers: Any, widths: Any, noise: float, population: float) -> dict[str, np.ndarray]:
    """Optimal ridges, and errors there, over [num_features, num_samples]."""
    k = np.atleast_1d(np.inf if widths is None else np.asarray(widths, float))[:, None]
    n, k = np.broadcast_arrays(np.asarray(numbers, float)[None, :], k)
    rows = -(-n.size // 4) * 4  # a few numbers of rows, not any, so that programs are used again
    with double_precision(True):
        found = best_errors(
            _padded(system), np.resize(n, rows), np.resize(k, rows), noise, population, allow_negative=True
        )
    return {name: values[: n.size].reshape(n.shape) for name, values in found.items()}


def _compile(size: int, numbers: Any, widths: Any) -> None:
    """Compile what predicts, before there is a spectrum to predict from: one of as many levels stands for it."""
    some = Spectrum(np.ones(size), np.ones(size), np.ones(size))
    predicted(some, numbers[:1], [1.0], None if widths is None else widths[:1], 0.0, float(size))
    _best(some, numbers, widths, 0.0, float(size))


def _padded(system: Spectrum) -> Spectrum:
    """The same with a few numbers of levels, not any, so that programs are used again: others are of multiplicity 0."""
    size = len(system.eigenvalues)
    more = (256 if size <= 256 else -(-size // 1024) * 1024) - size
    return Spectrum(*(np.pad(np.asarray(each), (0, more)) for each in system))


def _dataset(
    system: Spectrum,
    numbers: np.ndarray,
    ridges: np.ndarray,
    widths: np.ndarray | None,
    noise: float,
    population: float,
    measured: dict[str, np.ndarray],
    called: str,
) -> xarray.Dataset:
    found = predicted(system, numbers, ridges, widths, noise, population)
    best = _best(system, numbers, widths, noise, population)
    found["fitting_ratio"] = 1 - found["degrees_of_freedom"] / numbers[None, :, None]
    outer = ("num_features", "num_samples")
    variables: dict[str, Any] = {name: ((*outer, "ridge"), found[name]) for name in DESCRIPTIONS if name in found}
    variables["optimal_ridge"] = (outer, best["ridge"])
    variables["optimal_test_error"] = (outer, best["test_error"])
    variables |= {f"measured_{name}": (("seed", *outer, "ridge"), values) for name, values in measured.items()}
    variables |= {name: ("mode", np.asarray(getattr(system, name))) for name in ("eigenvalues", "target_power")}
    coords: dict[str, Any] = {
        "num_samples": numbers,
        "ridge": ridges,
        "mode": np.arange(1, len(system.eigenvalues) + 1),
    }
    coords["num_features"] = [np.inf] if widths is None else widths
    if measured:
        coords["seed"] = np.arange(len(next(iter(measured.values()))))
    data = xarray.Dataset(
        variables,
        coords,
        {"kernel": called, "population": population, "noise_variance": noise, "theorylab": __version__},
    )
    for name, text in DESCRIPTIONS.items():
        if name in data:
            data[name].attrs["description"] = text
    return data.isel(num_features=0, drop=True) if widths is None else data
