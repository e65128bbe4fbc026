"""Configuration of ridge regression on real data."""

from __future__ import annotations

import math
from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size

#: Points that each data set has.
LARGEST = {"digits": 1797, "mnist": 5000}


@config
class Config:
    """Ridge regression of ``num_samples`` of the ``population`` points of a data set, tested on the others.

    The predictor is f(x) = K̂(x, X) (K̂(X, X) + ridge · I)⁻¹ y with K̂ the kernel of a fully connected ReLU network, or
    K̂ = Φ Φᵀ of random ReLU features that carry 1/sqrt(num_features). The ridge is absolute: it is added to the
    un-normalised kernel matrix, with no factor num_samples.
    """

    data_set: Literal["digits", "mnist"] = size(default="digits", help="whose images are the population")
    population: int = size(default=600, help="points of the data set in use", symbol="M", at_least=4)
    num_samples: int = size(default=60, help="training samples", symbol="n", at_least=1)
    num_features: float = size(
        default=math.inf,
        help="random features; inf is kernel ridge regression",
        symbol="k",
        at_least=1,
        or_infinite=True,
    )
    ridge: float = scalar(default=1.0, help="absolute ridge", symbol=r"\delta", at_least=0)
    noise_variance: float = scalar(
        default=0.0, help="variance of the label noise, over all outputs", symbol=r"\sigma^2", at_least=0
    )
    num_test: float = size(
        default=math.inf,
        help="held-out points that are tested on; inf is all that are not trained on",
        at_least=1,
        or_infinite=True,
    )
    kernel: Literal["nngp", "ntk"] = size(default="nngp", help="kernel of the fully connected ReLU net")
    depth: int = size(default=1, help="hidden layers of the kernel", symbol="L", at_least=1, at_most=1000)


def check_config(config: Config) -> None:
    """Check what involves several fields.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    if config.num_samples >= config.population:
        raise ConfigError(
            f"num_samples = {config.num_samples} is not allowed: must be below population = "
            f"{config.population}, so that points are left to test on"
        )
    if not math.isinf(config.num_test) and config.num_samples + config.num_test > config.population:
        raise ConfigError(
            f"num_test = {config.num_test:g} is not allowed: num_samples + num_test must be at most population = "
            f"{config.population} (here num_samples = {config.num_samples})"
        )
    if not math.isinf(config.num_features) and (config.kernel != "nngp" or config.depth != 1):
        raise ConfigError(
            f"num_features = {config.num_features:g} is not allowed: finite features exist for "
            f"kernel = 'nngp' and depth = 1 only (here {config.kernel!r}, {config.depth}); use inf"
        )
    largest = LARGEST[config.data_set]
    if config.population > largest:
        raise ConfigError(f"population = {config.population} is not allowed: {config.data_set} has {largest} points")
