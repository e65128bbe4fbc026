"""Configuration of the kernel sums."""

from __future__ import annotations

import math
from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.settings.statistics import limits, nearest

#: Most points that are drawn one by one.
MOST = 10**8


@config
class Config:
    """A query among n Gaussian points in dimension d."""

    dim: int = size(default=20, help="dimension", symbol="d", at_least=2, source="our choice")
    num_samples: float = size(
        default=2981, help="data points; any real number with sampler nearest", symbol="n", at_least=1, whole=False
    )
    bandwidth: float = scalar(default=0.7, help="bandwidth of the kernel", symbol="h", above=0)
    query: Literal["typical", "gaussian"] = size(default="typical", help="|x|² = d, or x ~ N(0, I) in each draw")
    sampler: Literal["radial", "vectors", "nearest"] = size(
        default="radial", help="distances alone, whole vectors, or the nearest points of any number"
    )
    num_draws: int = size(default=100, help="data sets in a seed", at_least=1)

    @property
    def load(self) -> float:
        """α = (log n)/d."""
        return math.log(self.num_samples) / self.dim


def check_config(config: Config) -> None:
    """Refuse what a sampler cannot draw.

    Raises
    ------
    ConfigError
        Naming the field, its value and what is allowed.
    """
    num = config.num_samples
    if config.sampler != "nearest" and (num != round(num) or num > MOST):
        raise ConfigError(
            f"num_samples = {num:g} is not allowed: sampler = {config.sampler} needs a whole number <= {MOST:g}; "
            "sampler = nearest takes any"
        )
    if config.sampler == "radial" and config.dim < 6:
        raise ConfigError(f"dim = {config.dim} is not allowed: sampler = radial needs dim >= 6; sampler = vectors any")
    if config.sampler == "nearest":
        if num < 10 * nearest.COUNT:
            raise ConfigError(
                f"num_samples = {num:g} is not allowed: sampler = nearest needs >= {10 * nearest.COUNT}; radial any"
            )
        if config.query != "typical":
            raise ConfigError(f"query = {config.query} is not allowed: sampler = nearest needs query = typical")


def relative_bandwidth(config: Config) -> float:
    """h over h_G; infinite for one point."""
    if config.num_samples <= 1:
        return math.inf
    return float(config.bandwidth) / limits.condensation_bandwidth(config.load)
