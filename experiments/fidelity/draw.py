"""One point of a Latin hypercube."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np


class Draw:
    """One point of a Latin hypercube: each name is an axis, cut into as many strata as there are points."""

    def __init__(self, index: int, count: int, seed: int, setting: str):
        self.index, self.count, self.seed, self.setting = index, count, seed, setting

    def unit(self, name: str) -> float:
        """Coordinate in [0, 1) along an axis."""
        random = np.random.default_rng([self.seed, zlib.crc32(f"{self.setting}.{name}".encode())])
        return float((random.permutation(self.count)[self.index] + random.random(self.count)[self.index]) / self.count)

    def log(self, name: str, low: float, high: float) -> float:
        """Draw from a range, uniformly in the logarithm."""
        return float(f"{low * (high / low) ** self.unit(name):.4g}")

    def between(self, name: str, low: float, high: float) -> float:
        """Draw from a range, uniformly."""
        return float(f"{low + (high - low) * self.unit(name):.4g}")

    def one_of(self, name: str, options: Sequence[Any]) -> Any:
        """Draw one of a few, each as often as the others."""
        return options[int(self.unit(name) * len(options))]
