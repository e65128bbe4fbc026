"""What is simulated: a power law of features and target, and one of two ways of learning it."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.training.iterate import log_spaced_steps


@config
class Config:
    """Power laws λ_j = j^-a and c_j = j^-b; a sketch trained by one-pass SGD, or all features on n samples."""

    regime: Literal["online", "offline"] = size(
        default="online", help="one-pass SGD on a random sketch; or full-batch descent on n samples without one"
    )
    num_features: int = size(default=512, help="features of the inputs", symbol="D", at_least=2, at_most=10**7)
    width: int = size(default=32, help="trained weights, online", symbol="M", at_least=1)
    num_samples: int = size(default=40, help="given samples, offline", symbol="n", at_least=1)
    num_steps: int = size(default=1000, help="steps", symbol="T", at_least=1)
    num_replicas: int = size(default=16, help="runs of SGD averaged over, on the same sketch", at_least=1)
    trainer: Literal["modes", "plain"] = size(
        default="modes",
        help="sufficient statistics of a step in the Hessian's eigenbasis, exact in law; or plain samples and weights",
    )
    batch_size: float = scalar(
        default=1, help="fresh samples of a step, a whole number, online", symbol="B", at_least=1
    )
    learning_rate: float = scalar(default=0.2, help="step size of half the squared error", symbol=r"\eta", above=0)
    # Of features that decay faster, the last ones vanish in floats.
    spectrum_exponent: float = scalar(
        default=1.5, help="decay of the features' variances", symbol="a", above=1, at_most=20
    )
    target_exponent: float = scalar(default=1.8, help="decay of the target's energies", symbol="b", above=1, at_most=20)
    noise_variance: float = scalar(default=0.0, help="label noise, offline", symbol=r"\sigma^2", at_least=0)


def powers(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Variances λ_j = j^-a of the features and energies c_j = λ_j β_j² = j^-b of the target; for concrete values."""
    index = np.arange(1, config.num_features + 1, dtype=float)
    return index ** -float(config.spectrum_exponent), index ** -float(config.target_exponent)


def traced_powers(config: Config) -> tuple[Float[Array, " features"], Float[Array, " features"]]:
    """The same for traced values."""
    logs = jnp.log(jnp.arange(1, config.num_features + 1, dtype=float))
    return jnp.exp(-logs * config.spectrum_exponent), jnp.exp(-logs * config.target_exponent)


def noise_share(config: Config, learning_rate: float | None = None) -> float:
    """Part K of a later loss that SGD's noise makes of an earlier one, at infinite width; infinite where unstable.

    K = Σ ηλ/(B(2 - ηλ) - ηλ). Losses converge for K < 1. Finite widths have nearly the same trace, hence the same K.
    """
    step = float(config.learning_rate if learning_rate is None else learning_rate) * powers(config)[0]
    batch = float(config.batch_size)
    free = batch * (2 - step) - step
    return float(np.sum(step / free)) if free.min() > 0 else np.inf


def largest_learning_rate(config: Config) -> float:
    """Learning rate at which losses no longer converge: K = 1 online, 2/λ_max offline, and λ_max = 1."""
    from scipy.optimize import brentq

    if config.regime == "offline":
        return 2.0
    pole = 2 * float(config.batch_size) / (float(config.batch_size) + 1)
    return float(brentq(lambda rate: 1 / noise_share(config, rate) - 1, 1e-9 * pole, pole))


def check_config(config: Config) -> None:
    """Refuse sketches wider than the features, batches that are not whole, and steps that are unstable.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    if config.regime == "online":
        if config.width > config.num_features:
            raise ConfigError(
                f"width = {config.width} is not allowed: must be at most num_features = {config.num_features}"
            )
        if config.batch_size != round(config.batch_size):
            raise ConfigError(f"batch_size = {config.batch_size:g} is not allowed: must be a whole number")
    unstable = config.learning_rate >= 2 if config.regime == "offline" else noise_share(config) >= 1
    if unstable:
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: the loss does not converge, must be below "
            f"{largest_learning_rate(config):.4g}"
        )


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which the loss is recorded, five a decade."""
    return log_spaced_steps(config.num_steps, 5)
