"""A person's data as the theories want them, or one sentence on what is wrong with them."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from theorylab.contract import ConfigError
from theorylab.contract.fields import SIZES_BELOW, shown, whole_number
from theorylab.numerics.spectra import Spectrum, asymmetry, clip_negative, validate_spectrum

#: Negative eigenvalues of single precision, over the largest, and asymmetry over the largest entry: repaired, and said.
REPAIRED = 1e-5


def numbers(value: Any, name: str) -> np.ndarray:
    """Return an array of finite real numbers, float64; raises ``ConfigError`` naming the first that is none."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        text = "labels that are words need one column of 0 and 1 each" if array.dtype.kind in "OUS" else array.dtype
        raise ConfigError(f"{name} must hold real numbers ({text})")
    array = array.astype(np.float64, copy=False)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise ConfigError(
            f"{name} holds NaN or infinity in {len(bad)} places, the first at {tuple(map(int, bad[0]))}: drop such rows"
        )
    return array


def columns(value: Any, name: str) -> np.ndarray:
    """Return points or targets as ``[points, columns]``; one-dimensional arrays are one column."""
    array = numbers(value, name)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[0] < 4 or array.shape[1] < 1:
        raise ConfigError(
            f"{name} has the shape {array.shape}: must be [points] or [points, columns], 4 points or more"
        )
    return array


def data(X: Any, y: Any, *, standardise: bool) -> tuple[np.ndarray | None, np.ndarray]:
    """Return points and targets: columns of X with mean 0 and variance 1, columns of y with mean 0, if wanted."""
    if y is None:
        raise ConfigError("y is missing: the targets, one row a point")
    targets, points = columns(y, "y"), None if X is None else columns(X, "X")
    if points is not None and len(points) != len(targets):
        raise ConfigError(f"X has {len(points)} rows, y has {len(targets)}: must be as many")
    if standardise:
        targets = targets - targets.mean(axis=0)
        if points is not None:
            points = points - points.mean(axis=0)
            spread = points.std(axis=0)
            points = points / np.where(spread > 0, spread, 1.0)
    if not np.any(targets):
        raise ConfigError("y is constant: there is nothing to learn")
    return points, targets


def kernel_matrix(kernel: Any, size: int) -> np.ndarray:
    """Return a symmetric kernel matrix; asymmetry up to :data:`REPAIRED` is averaged away, and said."""
    matrix = numbers(kernel, "kernel")
    if matrix.shape != (size, size):
        raise ConfigError(f"kernel has the shape {matrix.shape}, y has {size} rows: must be {(size, size)}")
    largest = max(matrix.max(), -matrix.min())
    differ = asymmetry(matrix)
    if differ > REPAIRED * largest:
        raise ConfigError(
            f"kernel is not symmetric: K and its transpose differ by up to {differ:.3g}, the largest entry is "
            f"{largest:.3g}"
        )
    if differ > 1e-12 * largest:
        warnings.warn(
            f"kernel and its transpose differ by up to {differ:.1e} (the largest entry is {largest:.3g}): their "
            "mean is used",
            stacklevel=3,
        )
    return matrix if differ == 0 else (matrix + matrix.T) / 2


def spectrum(eigenvalues: Any, target_power: Any) -> Spectrum:
    """Return the spectrum of given eigenvalues and squared coefficients; negative eigenvalues are repaired as above."""
    if target_power is None:
        raise ConfigError("target_power is missing: the target's squared coefficients, one an eigenvalue")
    values, power = numbers(eigenvalues, "eigenvalues"), numbers(target_power, "target_power")
    if values.ndim != 1 or values.shape != power.shape or not values.size:
        raise ConfigError(
            f"eigenvalues has the shape {values.shape}, target_power {power.shape}: must be one-dimensional, as many"
        )
    try:
        values = clip_negative(values, rounding=1e-12, repair=REPAIRED)
        return validate_spectrum(Spectrum(values, np.ones_like(values), power))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def counts(values: Any, name: str, *, below: int = SIZES_BELOW) -> np.ndarray:
    """Return whole numbers >= 1, increasing and distinct, of one or a list."""
    items = values if np.ndim(values) else [values]
    found = np.unique([whole_number(value, name, 1, below) for value in items])
    if not found.size:
        raise ConfigError(f"{name} = [] is not allowed: give at least one")
    return found


def ridges(values: Any) -> np.ndarray:
    """Return ridges >= 0, increasing and distinct."""
    found = np.unique(np.atleast_1d(numbers(values, "ridge")))
    if found.ndim != 1 or not found.size or found[0] < 0:
        raise ConfigError(
            f"ridge = {shown(values)} is not allowed: must be a number >= 0, or a list of such (the best ridge, which "
            "may be negative, is part of the answer)"
        )
    return found


def check_memory(need: float, budget: float, what: str) -> None:
    """Refuse what does not fit, before anything is computed; raises ``ConfigError`` with both sizes."""
    from theorylab.lab.memory import in_words, of_machine

    there = min(budget, of_machine())
    if need > there:
        raise ConfigError(
            f"{what} need {in_words(need)}, more than the {in_words(there)} of memory_budget, or of this machine: use "
            "fewer points, or another budget"
        )


def read(path: str, target: str | None = None) -> dict[str, Any]:
    """Read a file of data into the arguments of :func:`~theorylab.own.curve.learning_curve`.

    A ``.npz`` has arrays of their names: ``X`` and ``y``, or ``kernel`` and ``y``, or ``eigenvalues`` and
    ``target_power``. A ``.csv`` has a line of names and a row a point; the target is the last column, or the one named.

    Raises
    ------
    ConfigError
        If it has something else, naming what.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".csv":
        import pandas

        try:
            table = pandas.read_csv(path)
        except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no table: {error}") from error
        name = table.columns[-1] if target is None else target
        if name not in table.columns or len(table.columns) < 2:
            raise ConfigError(f"{path} has no column {name!r} beside others, but {', '.join(map(str, table.columns))}")
        return {"X": table.drop(columns=name).to_numpy(), "y": table[name].to_numpy()}
    if suffix != ".npz":
        raise ConfigError(f"{path} is neither .npz nor .csv")
    try:
        with np.load(path, allow_pickle=False) as file:
            known = {"X", "y", "kernel", "eigenvalues", "target_power"} & set(file.files)
            found = {name: file[name] for name in known}
            names = ", ".join(file.files) or "nothing"
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not found:
        raise ConfigError(f"{path} has {names}: it needs X and y, or kernel and y")
    return found


def noise(value: Any) -> float:
    """Return a variance; raises ``ConfigError`` unless it is a finite number >= 0."""
    if isinstance(value, bool) or not np.isreal(value) or np.ndim(value) or not 0 <= float(value) < math.inf:
        raise ConfigError(f"noise_variance = {shown(value)} is not allowed: must be a finite number >= 0")
    return float(value)
