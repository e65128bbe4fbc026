"""Presets of the scaling laws, and the sweeps behind the figures."""

from __future__ import annotations

import dataclasses
from typing import Any

from theorylab.contract import Case
from theorylab.settings.kernels.scaling_laws.config import Config

#: Few, many and most features; each with as many steps as show the floor of its widths.
SMALL = Config(num_features=512, num_steps=300)
MIDDLE = Config(num_features=1024, num_steps=3000)
LARGE = Config(num_features=100_000, num_steps=30_000)


def _offline(config: Config, **fields: Any) -> Config:
    return dataclasses.replace(config, regime="offline", **fields)


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("slow target", SMALL, {"batch_size": (1, 4)}, seeds=64),
        Case(
            "fast spectrum",
            dataclasses.replace(SMALL, spectrum_exponent=2.0, target_exponent=2.5, learning_rate=0.1),
            {"batch_size": (1, 4)},
            seeds=160,
        ),
        Case("samples", _offline(SMALL), {"noise_variance": (0.0, 0.4)}, seeds=64),
    ),
    "default": (
        Case("slow target", MIDDLE, {"width": (16, 64), "batch_size": (1, 8)}, seeds=112),
        Case(
            "fast target",
            dataclasses.replace(MIDDLE, num_features=512, spectrum_exponent=2.0, target_exponent=3.4, num_replicas=4),
            {"batch_size": (1, 8)},
            seeds=256,
        ),
        Case("samples", _offline(MIDDLE), {"num_samples": (25, 100, 400), "noise_variance": (0.0, 0.2)}, seeds=112),
        Case(
            "more samples than features",
            _offline(MIDDLE, num_features=64, num_steps=10_000),
            {"num_samples": (40, 96, 200), "noise_variance": (0.0, 0.2)},
            seeds=160,
        ),
    ),
    "paper": (
        Case("slow target", LARGE, {"width": (64, 256, 1024), "batch_size": (1, 8, 64)}, seeds=32),
        Case("samples", _offline(LARGE), {"num_samples": (100, 1000), "noise_variance": (0.0, 0.2)}, seeds=32),
    ),
}

#: Exponents and learning rate of a point in each phase of the compute-optimal frontier.
PHASES = {"I": (1.5, 1.8, 0.2), "II": (2.0, 3.4, 0.1), "III": (1.5, 4.0, 0.1)}


def _sweeps(
    config: Config, widths: tuple[int, ...], counts: tuple[int, ...], seeds: int, long: int
) -> tuple[Case, ...]:
    """Widths in every phase; samples without and with label noise, for ``long`` steps."""
    phases = tuple(
        Case(
            f"phase {name}",
            dataclasses.replace(config, spectrum_exponent=a, target_exponent=b, learning_rate=rate),
            {"width": widths},
            seeds=seeds,
        )
        for name, (a, b, rate) in PHASES.items()
    )
    stopping = dataclasses.replace(_offline(config), num_steps=long)
    return (*phases, Case("stopping", stopping, {"num_samples": counts, "noise_variance": (0.0, 0.1)}, seeds=seeds))


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps(
        Config(num_features=128, num_steps=1000, num_replicas=2), (8, 16), (10, 40), seeds=8, long=3000
    ),
    "default": _sweeps(
        Config(num_features=1000, num_steps=10_000, num_replicas=2), (16, 32, 64, 128, 256), (25, 100, 400), 24, 100_000
    ),
    "paper": _sweeps(
        Config(num_features=20_000, num_steps=100_000, num_replicas=8), (64, 128, 256, 512, 1024), (100, 400, 1600), 32,
        1_000_000,
    ),
}  # fmt: skip
