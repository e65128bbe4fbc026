"""Configuration of random-feature ridge regression, and its presets."""

from __future__ import annotations

import math
from typing import Literal

from theorylab.lab.setting import Case, ConfigError, config, scalar, size

Model = Literal["gaussian", "relu_sphere", "erf_hypercube", "fourier", "digits", "mnist"]
REAL_DATA: tuple[str, ...] = ("digits", "mnist")


@config
class Config:
    """Ridge regression of ``num_samples`` noisy labels on ``num_features`` random features.

    The predictor is f(x) = K̂(x, X) (K̂(X, X) + ridge · I)⁻¹ y with K̂ = Φ Φᵀ and features that carry
    1/sqrt(num_features). The ridge is absolute: it is added to the un-normalised kernel matrix, with no
    factor num_samples.
    """

    model: Model = size("gaussian", "where inputs and features come from")
    num_samples: int = size(128, "training samples", symbol="n", at_least=1)
    num_features: float = size(
        256, "random features; inf is kernel ridge regression", symbol="k", at_least=1, or_infinite=True
    )
    ridge: float = scalar(0.1, "absolute ridge", symbol=r"\delta", at_least=0)
    noise_variance: float = scalar(0.1, "variance of the label noise", symbol=r"\sigma^2", at_least=0)
    num_modes: int = size(1500, "eigenmodes of the kernel (gaussian)", symbol="M", at_least=1)
    eigenvalue_exponent: float = scalar(
        1.5, "decay of the kernel's eigenvalues, i^-alpha (gaussian)", symbol=r"\alpha", above=1
    )
    target_exponent: float = scalar(1.5, "decay of the target's power, i^-beta (gaussian)", symbol=r"\beta", above=1)
    input_dim: int = size(10, "input dimension (relu_sphere, erf_hypercube, fourier)", symbol="d", at_least=2)
    bandwidth: float = scalar(0.5, "length scale of the RBF kernel (fourier)", symbol=r"\ell", above=0)
    population: int = size(600, "points of the data set in use (digits, mnist)", symbol="M", at_least=4)
    kernel: Literal["nngp", "ntk"] = size("nngp", "kernel of the fully connected ReLU net (digits, mnist)")
    depth: int = size(1, "hidden layers of the kernel (digits, mnist)", symbol="L", at_least=1)


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


PRESETS: dict[str, tuple[Case, ...]] = {}
