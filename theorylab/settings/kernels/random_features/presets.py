"""Presets of random-feature ridge regression: what a check runs, and the sweeps behind the figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from theorylab.contract import Case
from theorylab.settings.kernels.random_features.config import Config

#: Errors are averaged over so many draws of labels: what scatters is the inputs and features, not the noise.
DRAWS = 8
GAUSSIAN = Config(label_draws=DRAWS)
#: Noiseless with a steep target: the cell in which a wrong factor of the theory shows.
STEEP = replace(
    GAUSSIAN,
    num_samples=200, num_features=300, eigenvalue_exponent=2.0, target_exponent=2.5, noise_variance=0.0, ridge=0.1,
)  # fmt: skip
LIFTED = replace(GAUSSIAN, num_samples=200, num_features=400, noise_variance=0.05)
SPHERE = replace(LIFTED, model="relu_sphere")
HYPERCUBE = replace(LIFTED, model="erf_hypercube", input_dim=20)
FOURIER = replace(LIFTED, model="fourier", input_dim=2, bandwidth=0.5, num_samples=50, num_features=100, ridge=1e-3)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case(
            "gaussian",
            replace(GAUSSIAN, num_samples=100, num_features=150, num_modes=400),
            {"num_features": (50, 100, 200, math.inf), "ridge": (0.01, 0.1, 1.0, 10.0)},
            seeds=40,
        ),
        Case(
            "gaussian, steep target",
            replace(STEEP, num_samples=100, num_features=110, num_modes=400),
            {"ridge": (0.1, 1.0)},
            seeds=40,
        ),
        Case(
            "gaussian, power law",
            replace(STEEP, num_samples=100, num_features=110, num_modes=400, target_exponent=2.8),
            {"ridge": (0.3, 1.0)},
            seeds=40,
            note="t = (β − 1)/α = 0.9, where the zeta terms of the closed form are no small correction",
        ),
        Case("relu_sphere", replace(SPHERE, num_samples=100, num_features=150), {"ridge": (0.003, 0.1, 1.0)}, seeds=48),
    ),
    "default": (
        Case(
            "gaussian",
            GAUSSIAN,
            {
                "num_features": (16, 32, 64, 128, 256, 512, math.inf),
                "ridge": (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
            },
            seeds=72,
        ),
        Case("gaussian, steep target", STEEP, {"ridge": (0.01, 0.1, 1.0)}, seeds=100),
        Case("relu_sphere", SPHERE, {"num_features": (100, 400), "ridge": (0.01, 0.1, 1.0)}, seeds=20),
        Case("erf_hypercube", HYPERCUBE, {"num_features": (100, 400, math.inf), "ridge": (0.01, 0.1, 1.0)}, seeds=20),
        Case("fourier (universality fails)", FOURIER, {"ridge": (1e-3, 1e-2, 1e-1, 1.0)}, seeds=40),
    ),
    "paper": (
        Case(
            "gaussian, width",
            Config(num_modes=10_000, num_samples=256, noise_variance=0.5),
            {
                "num_features": (10, 32, 64, 128, 181, 256, 362, 512, 1024, 2048, 4096, 10_000),
                "ridge": tuple(10 ** (-3 + i / 6) for i in range(31)),
            },
            seeds=45,
            note="scripts/rf-gaussian.py of the authors' code: M = 1e4, alpha = beta = 1.5, noise 0.5, 45 trials",
        ),
        Case(
            "gaussian, samples",
            Config(num_modes=10_000, num_features=256, noise_variance=0.5),
            {
                "num_samples": (10, 32, 64, 128, 181, 256, 362, 512, 1024, 2048, 4096, 10_000),
                "ridge": tuple(10 ** (-3 + i / 6) for i in range(31)),
            },
            seeds=45,
        ),
    ),
}

# --- the sweeps behind the figures --------------------------------------------------------------------------

#: Ridges of the paper's Figure 1.
FIVE_RIDGES = (4.64e-3, 2.15e-2, 0.1, 2.15, 21.5)
#: Label noise relative to the noiseless, ridgeless test error, as in the paper's Figure 2.
RELATIVE_NOISE = (0.0, 1.0, 5.0, 50.0)
#: The model of the paper's Figures 1 and 2, left.
NOISY = Config(noise_variance=0.5)


def kernel_regression(num_modes: int, target_exponent: float, num_samples: int = 128) -> Config:
    """Noiseless, ridgeless kernel regression on the power law of the paper's Figures 2 and 4."""
    return Config(
        num_samples=num_samples,
        num_features=math.inf,
        num_modes=num_modes,
        eigenvalue_exponent=2.0,
        target_exponent=target_exponent,
        noise_variance=0.0,
        ridge=0.0,
    )


def fitting(name: str, config: Config, clean: float, ridges: tuple[float, ...], seeds: int) -> Case:
    """The four relative noises of the paper's Figure 2, in units of ``clean``, the predicted clean test error."""
    noises = tuple(float(f"{noise * clean:.4g}") for noise in RELATIVE_NOISE)
    return Case(name, config, {"ridge": ridges, "noise_variance": noises}, seeds=seeds)


def _tiny() -> tuple[Case, ...]:
    """As many modes as data points, so that one program of the theory serves all."""
    noisy, ridges = replace(NOISY, num_modes=200), (0.0, 0.01, 0.1, 1.0)
    hard, easy = kernel_regression(200, 1.5, 40), kernel_regression(200, 2.6, 40)
    return (
        Case(
            "width",
            replace(noisy, num_samples=40),
            {"num_features": (20, 80), "ridge": (0.01, 1.0)},
            seeds=4,
        ),
        Case(
            "samples",
            replace(noisy, num_features=40),
            {"num_samples": (20, 80), "ridge": (0.01, 1.0)},
            seeds=4,
        ),
        fitting("fitting_hard", hard, 0.378315, ridges, seeds=3),
        fitting("fitting_easy", easy, 0.00527581, ridges, seeds=3),
        Case("sizes", noisy, {"num_samples": (16, 32), "num_features": (16, 32), "ridge": (1e-3, 1.0)}, seeds=3),
        Case("exponents", kernel_regression(200, 1.5), {"num_samples": (16, 32)}, seeds=3),
    )


def _default() -> tuple[Case, ...]:
    """The committed pictures: a smaller population than the paper's."""
    noisy = replace(NOISY, num_modes=2000)
    ridges = (0.0, *np.geomspace(1e-4, 1e2, 13).tolist())
    sizes, squares = (16, 32, 64, 128, 181, 256, 362, 512, 1024), (8, 16, 32, 64, 128, 256)
    hard, easy = kernel_regression(10_000, 1.5, 256), kernel_regression(4_000, 2.6, 256)
    return (
        Case(
            "width",
            replace(noisy, num_samples=256),
            {"num_features": sizes, "ridge": FIVE_RIDGES},
            seeds=20,
        ),
        Case(
            "samples",
            replace(noisy, num_features=256),
            {"num_samples": sizes, "ridge": FIVE_RIDGES},
            seeds=20,
        ),
        fitting("fitting_hard", hard, 0.221314, ridges, seeds=12),
        fitting("fitting_easy", easy, 0.000300226, ridges, seeds=12),
        Case(
            "sizes",
            replace(noisy, num_modes=600),
            {"num_samples": squares, "num_features": squares, "ridge": (1e-3, 1.0)},
            seeds=20,
        ),
        Case("exponents", kernel_regression(10_000, 1.5), {"num_samples": (25, 50, 100, 200, 400)}, seeds=12),
    )


def _paper() -> tuple[Case, ...]:
    """The paper's sizes (the authors' scripts/rf-gaussian.py); for a GPU."""
    noisy = replace(NOISY, num_modes=10_000)
    sizes = (10, 20, 32, 64, 128, 181, 215, 256, 304, 362, 512, 1024, 2048, 4096, 10_000)
    squares, ridges = tuple(2**i for i in range(3, 12)), (0.0, *np.geomspace(1e-4, 1e3, 50).tolist())
    hard, easy = kernel_regression(100_000, 1.5, 1024), kernel_regression(20_000, 2.6, 1024)
    return (
        Case(
            "width",
            replace(noisy, num_samples=256),
            {"num_features": sizes, "ridge": FIVE_RIDGES},
            seeds=45,
        ),
        Case(
            "samples",
            replace(noisy, num_features=256),
            {"num_samples": sizes, "ridge": FIVE_RIDGES},
            seeds=45,
        ),
        fitting("fitting_hard", hard, 0.117991, ridges, seeds=20),
        fitting("fitting_easy", easy, 3.29711e-05, ridges, seeds=20),
        Case(
            "sizes",
            replace(noisy, num_modes=4000),
            {"num_samples": squares, "num_features": squares, "ridge": (1e-3, 1.0)},
            seeds=45,
        ),
        Case(
            "exponents",
            kernel_regression(50_000, 1.5),
            {"num_samples": (25, 50, 100, 200, 400, 800, 1600, 3200)},
            seeds=20,
        ),
    )


SWEEPS: dict[str, tuple[Case, ...]] = {"tiny": _tiny(), "default": _default(), "paper": _paper()}
