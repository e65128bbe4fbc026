"""Presets of SGD's stability, and the sweeps behind its figures."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.step_size.sgd_stability.config import Config

#: Eigenvalues 1/i; one of 25 above a flat bulk; a few weights on a few points.
HARMONIC = Config(dim=20, num_replicas=5000)
SPIKED = Config(dim=200, num_replicas=500, spectrum_exponent=0.0, spike=25.0, noise_scale=10.0)
POINTS = Config(dim=5, batch_size=5, num_samples=10, sampling="replacement", relative_rate=0.5, num_replicas=2000)

#: One program for the mean square and for outliers; a spike of 8.
SMALL = dataclasses.replace(SPIKED, dim=60, num_replicas=300, spike=8.0, noise_scale=4.0)
RATES = {"relative_rate": (0.9, 1.1)}
EITHER_WAY = {"sampling": ("replacement", "no_replacement")}


def _cases(harmonic: Config, spiked: Config, points: Config, batches: tuple[int, ...], seeds: int) -> tuple[Case, ...]:
    outliers = {"batch_size": batches, "spike": (25.0, 1.2)}
    return (
        Case("fresh batches", harmonic, {"batch_size": (1, 4, 16), **RATES}, seeds=seeds),
        Case("outliers", spiked, outliers, seeds=seeds, show="batch_sharpness"),
        Case("given points", points, EITHER_WAY, seeds=seeds),
    )


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("fresh batches", SMALL, {"batch_size": (1, 4, 20, 600), **RATES}, seeds=110),
        Case("given points", POINTS, EITHER_WAY, seeds=40),
    ),
    "default": _cases(
        HARMONIC, SPIKED, dataclasses.replace(POINTS, num_replicas=20_000), (20, 50, 200, 1000), seeds=96
    ),
    "paper": _cases(
        dataclasses.replace(HARMONIC, dim=1000, num_replicas=20_000),
        dataclasses.replace(SPIKED, dim=1000),
        dataclasses.replace(POINTS, dim=20, num_samples=200, num_replicas=20_000),
        (100, 1000, 10_000),
        seeds=100,
    ),
}

#: Step sizes of the figures: one step, since only growth and sharpness are drawn.
FLAT = dataclasses.replace(SPIKED, num_steps=1, num_replicas=200, noise_scale=2.0)
GROWTH = dataclasses.replace(HARMONIC, num_steps=1, num_replicas=2000)
#: Batch sizes of the page on how large a step may be.
SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def _sweeps(
    flat: Config, batches: tuple[int, ...], spikes: tuple[float, ...], counts: tuple[int, ...], seeds: int
) -> tuple[Case, ...]:
    """Every batch size at a spike; learning rates about the critical one; few to many points; spikes in noise."""
    points = dataclasses.replace(POINTS, num_steps=1)
    return (
        Case("batch sizes", flat, {"batch_size": batches}, seeds=seeds),
        Case("rates", GROWTH, {"batch_size": (1, 4, 16), "relative_rate": (0.3, 0.6, 0.9, 1.1, 1.3)}, seeds=8),
        *(
            Case(f"points_{n}", dataclasses.replace(points, num_samples=n), EITHER_WAY, seeds=max(8, seeds // 3))
            for n in counts
        ),
        Case("spikes in noise", flat, {"spike": spikes}, seeds=min(seeds, 40)),
        Case("one spectrum", dataclasses.replace(GROWTH, dim=5), {"batch_size": SHOWN}, seeds=8),
    )


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps(dataclasses.replace(FLAT, dim=20), (1, 20, 400), (1.0, 4.0), (10,), seeds=8),
    "default": _sweeps(
        FLAT, (1, 2, 4, 8, 20, 50, 200, 1000), (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0), (6, 10, 20, 100), seeds=60
    ),
    "paper": _sweeps(
        dataclasses.replace(FLAT, dim=1000), (1, 4, 16, 64, 256, 1024, 4096), (1.0, 2.0, 4.0), (6, 10, 100), seeds=100
    ),
}
