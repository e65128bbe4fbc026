"""Configuration of random-feature ridge regression, and its presets."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from theorylab.contract import Case, ConfigError, config, scalar, size

Model = Literal["gaussian", "relu_sphere", "erf_hypercube", "fourier", "digits", "mnist"]
REAL_DATA: tuple[str, ...] = ("digits", "mnist")


@config
class Config:
    """Ridge regression of ``num_samples`` noisy labels on ``num_features`` random features.

    The predictor is f(x) = K̂(x, X) (K̂(X, X) + ridge · I)⁻¹ y with K̂ = Φ Φᵀ and features that carry
    1/sqrt(num_features). The ridge is absolute: it is added to the un-normalised kernel matrix, with no
    factor num_samples.
    """

    model: Model = size(default="gaussian", help="where inputs and features come from")
    num_samples: int = size(default=128, help="training samples", symbol="n", at_least=1)
    num_features: float = size(
        default=256, help="random features; inf is kernel ridge regression", symbol="k", at_least=1, or_infinite=True
    )
    ridge: float = scalar(default=0.1, help="absolute ridge", symbol=r"\delta", at_least=0)
    noise_variance: float = scalar(default=0.1, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    num_modes: int = size(default=1500, help="eigenmodes of the kernel (gaussian)", symbol="M", at_least=1)
    eigenvalue_exponent: float = scalar(
        default=1.5, help="decay of the kernel's eigenvalues, i^-alpha (gaussian)", symbol=r"\alpha", above=1
    )
    target_exponent: float = scalar(
        default=1.5, help="decay of the target's power, i^-beta (gaussian)", symbol=r"\beta", above=1
    )
    input_dim: int = size(
        default=10, help="input dimension (relu_sphere, erf_hypercube, fourier)", symbol="d", at_least=2
    )
    bandwidth: float = size(
        default=0.5, help="length scale of the RBF kernel (fourier)", symbol=r"\ell", above=0, whole=False
    )
    population: int = size(default=600, help="points of the data set in use (digits, mnist)", symbol="M", at_least=4)
    kernel: Literal["nngp", "ntk"] = size(default="nngp", help="kernel of the fully connected ReLU net (digits, mnist)")
    depth: int = size(default=1, help="hidden layers of the kernel (digits, mnist)", symbol="L", at_least=1)


def check_config(config: Config) -> None:
    """Check what involves several fields.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    if config.model in REAL_DATA:
        if config.num_samples >= config.population:
            raise ConfigError(
                f"num_samples = {config.num_samples} is not allowed: must be below population = "
                f"{config.population}, so that points are left to test on"
            )
        if not math.isinf(config.num_features) and (config.kernel != "nngp" or config.depth != 1):
            raise ConfigError(
                f"num_features = {config.num_features:g} is not allowed: finite features exist for "
                f"kernel = 'nngp' and depth = 1 only (here {config.kernel!r}, {config.depth}); use inf"
            )
        largest = {"digits": 1797, "mnist": 5000}[config.model]
        if config.population > largest:
            raise ConfigError(f"population = {config.population} is not allowed: {config.model} has {largest} points")


GAUSSIAN = Config()
#: Noiseless with a steep target: the cell in which a wrong factor of the theory shows.
STEEP = Config(
    num_samples=200, num_features=300, eigenvalue_exponent=2.0, target_exponent=2.5, noise_variance=0.0, ridge=0.1
)
SPHERE = Config(model="relu_sphere", num_samples=200, num_features=400, noise_variance=0.05)
HYPERCUBE = Config(model="erf_hypercube", input_dim=20, num_samples=200, num_features=400, noise_variance=0.05)
FOURIER = Config(
    model="fourier", input_dim=2, bandwidth=0.5, num_samples=50, num_features=100, noise_variance=0.05, ridge=1e-3
)
DIGITS = Config(model="digits", population=600, num_samples=60, num_features=math.inf, noise_variance=0.0, ridge=1.0)
MNIST = Config(model="mnist", population=1200, num_samples=120, num_features=math.inf, noise_variance=0.0, ridge=1.0)


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case(
            "gaussian",
            dataclasses.replace(GAUSSIAN, num_samples=100, num_features=150, num_modes=400),
            {"num_features": (50, 100, 200, math.inf), "ridge": (0.01, 0.1, 1.0, 10.0)},
            seeds=60,
        ),
        Case(
            "gaussian, steep target",
            dataclasses.replace(STEEP, num_samples=100, num_features=150, num_modes=400),
            {"ridge": (0.1, 1.0)},
            seeds=60,
        ),
        Case("digits", DIGITS, {"num_samples": (50, 120), "ridge": (0.1, 1.0)}, seeds=12),
    ),
    "default": (
        Case(
            "gaussian",
            GAUSSIAN,
            {
                "num_features": (16, 32, 64, 128, 256, 512, math.inf),
                "ridge": (0.0, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
            },
            seeds=60,
        ),
        Case("gaussian, steep target", STEEP, {"ridge": (0.01, 0.1, 1.0)}, seeds=100),
        Case("relu_sphere", SPHERE, {"num_features": (100, 400), "ridge": (0.01, 0.1, 1.0)}, seeds=20),
        Case("erf_hypercube", HYPERCUBE, {"num_features": (100, 400, math.inf), "ridge": (0.01, 0.1, 1.0)}, seeds=20),
        Case("fourier (universality fails)", FOURIER, {"ridge": (1e-3, 1e-2, 1e-1, 1.0)}, seeds=40),
        Case("digits", DIGITS, {"num_samples": (50, 120), "ridge": (0.0, 0.1, 1.0)}, seeds=12),
        Case("digits, random features", DIGITS, {"num_features": (15, 300), "ridge": (0.01, 0.1, 1.0)}, seeds=12),
        Case("mnist", MNIST, {"num_samples": (60, 100, 240), "ridge": (0.0, 0.1, 1.0)}, seeds=6),
        Case(
            "mnist, peak",
            dataclasses.replace(MNIST, population=2000, num_samples=200, ridge=1e-4),
            {"num_features": (20, 100, 200, 400, 1000), "ridge": (1e-4, 1.0)},
            seeds=6,
        ),
        Case(
            "mnist, tangent kernel",
            dataclasses.replace(MNIST, kernel="ntk", depth=4),
            {"num_samples": (60, 120)},
            seeds=6,
        ),
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
        Case(
            "mnist",
            dataclasses.replace(MNIST, population=5000),
            {"num_samples": (50, 100, 200, 500, 1000), "ridge": (0.0, 0.01, 0.1, 1.0, 10.0)},
            seeds=5,
        ),
    ),
}
