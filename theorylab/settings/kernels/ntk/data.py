"""The data sets: points of the unit sphere, with labels that are noise. A number names each of them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from theorylab.settings.kernels.ntk.config import Config


class Data(NamedTuple):
    """All points ``x`` [points, dim], those of training first, and the labels of these before scaling."""

    x: np.ndarray
    unit_labels: np.ndarray


def data_of(config: Config) -> Data:
    """Draw the data set of a configuration; the same for all seeds and widths."""
    return _draw(config.data_seed, config.dim, config.num_train, config.num_test)


@functools.lru_cache(maxsize=64)
def _draw(seed: int, dim: int, num_train: int, num_test: int) -> Data:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((num_train + num_test, dim))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Data(x, generator.standard_normal(num_train))
