"""Cases: what a check runs, and what figures draw."""

from __future__ import annotations

import dataclasses
import math

from theorylab.contract import Case
from theorylab.settings.statistics.limits import condensation_bandwidth
from theorylab.settings.statistics.random_energy.config import Config


def _bandwidths(config: Config, ratios: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    """A grid of bandwidths in units of h_G."""
    critical = condensation_bandwidth(config.load)
    return {"bandwidth": tuple(ratio * critical for ratio in ratios)}


RATIOS = (0.4, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
FEW = Config()
MORE = Config(dim=30, num_samples=8103)
MANY = Config(dim=40, num_samples=162755)
#: Loads of figures and of huge samples, (log n)/d.
LOAD = 0.3


def nearest_of(dim: int, num_draws: int) -> Config:
    """Configuration of e^{.3 d} points, of which the nearest are drawn."""
    return Config(dim=dim, num_samples=math.exp(LOAD * dim), sampler="nearest", num_draws=num_draws)


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("condensation", FEW, _bandwidths(FEW, RATIOS), seeds=130),
        Case("very many points", nearest_of(100, 50), _bandwidths(nearest_of(100, 1), (0.5, 0.75, 1.0)), seeds=56),
    ),
    "default": (
        Case("condensation", FEW, _bandwidths(FEW, (0.3, *RATIOS)), seeds=176),
        Case("more points", MORE, _bandwidths(MORE, RATIOS), seeds=240),
        Case("many points", dataclasses.replace(MANY, num_draws=25), _bandwidths(MANY, RATIOS), seeds=200),
        Case(
            "Gaussian queries",
            dataclasses.replace(FEW, query="gaussian"),
            _bandwidths(FEW, RATIOS),
            seeds=112,
        ),
        Case(
            "whole vectors",
            Config(dim=12, num_samples=500, sampler="vectors"),
            _bandwidths(Config(dim=12, num_samples=500), (0.75, 1.0, 1.5)) | {"query": ("typical", "gaussian")},
            seeds=256,
        ),
        *(
            Case(
                f"very many points, d = {dim}", nearest_of(dim, 100), _bandwidths(nearest_of(dim, 1), ratios), seeds=64
            )
            for dim, ratios in ((50, (0.4, 0.75, 1.0, 1.25)), (100, (0.4, 0.75, 1.0, 1.25)), (400, (0.4, 0.75, 1.0)))
        ),
    ),
    "paper": (
        Case(
            "ten million points",
            Config(dim=50, num_samples=10**7, num_draws=10),
            _bandwidths(Config(dim=50, num_samples=10**7), RATIOS),
            seeds=40,
            note="a load of .32, near those of arXiv 2408.05807",
        ),
    ),
}

CURVE = (0.35, 0.5, 0.65, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0, 2.5)


def _sweeps(dims: tuple[int, ...], ratios: tuple[float, ...], seeds: int, num_draws: int) -> tuple[Case, ...]:
    """Participation and divergence against the bandwidth, n = e^{.3 d}."""
    found = []
    for dim in dims:
        num = math.exp(LOAD * dim)
        if num < 1e6:
            config = Config(dim=dim, num_samples=round(num), num_draws=num_draws)
        else:
            config = nearest_of(dim, num_draws)
        found.append(Case(f"dim_{dim}", config, _bandwidths(config, ratios), seeds=seeds))
    return tuple(found)


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps((20, 40), (0.5, 1.0, 1.5), 4, 10),
    "default": _sweeps((20, 40, 100, 400), CURVE, 20, 50),
    "paper": _sweeps((20, 40, 100, 400, 1000), CURVE, 40, 200),
}
