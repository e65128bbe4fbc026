"""What is simulated: a spectrum, the batches, a learning rate."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.numerics import second_moments


@config
class Config:
    """A spectrum, batches from it, and a learning rate; averages over many independent batches in every run."""

    dim: int = size(default=20, help="weights", symbol="d", at_least=2)
    batch_size: float = scalar(default=4, help="samples in a batch, a whole number", symbol="B", at_least=1)
    relative_rate: float = scalar(
        default=0.9, help="learning rate over the critical one of fresh samples", symbol=r"\eta/\eta^*", above=0
    )
    spectrum_exponent: float = scalar(
        default=1.0, help="decay of the Hessian's eigenvalues, i^-a from the second on", symbol="a", at_least=0
    )
    spike: float = scalar(default=1.0, help="the Hessian's first eigenvalue", symbol=r"\ell", at_least=1)
    sampling: Literal["population", "replacement", "no_replacement"] = size(
        default="population",
        help="fresh Gaussian samples; or batches of n given points, drawn with or without replacement",
    )
    num_samples: int = size(default=20, help="given points, where there are any", symbol="n", at_least=2)
    num_steps: int = size(
        default=2, help="steps of SGD from w = 1, each of which is kept", symbol="T", at_least=1, at_most=10**6
    )
    num_replicas: int = size(default=1000, help="independent runs of SGD averaged over, on the same points", at_least=1)
    noise_scale: float = scalar(
        default=1.0, help="half width of the additive noise's spectrum", symbol=r"\sigma", above=0
    )


def check_config(config: Config) -> None:
    """Refuse batches that are not whole, or larger than the points they are of.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    size = float(config.batch_size)
    if size != round(size):
        raise ConfigError(f"batch_size = {size:g} is not allowed: must be a whole number")
    if config.sampling != "population" and size > config.num_samples:
        raise ConfigError(
            f"batch_size = {size:g} is not allowed: must be at most num_samples = {config.num_samples} "
            f"for sampling = {config.sampling!r}"
        )


def spectrum(config: Config) -> Float[Array, " dim"]:
    """Eigenvalues λ of the Hessian at the minimum."""
    decay = jnp.arange(1, config.dim + 1, dtype=float) ** -jnp.asarray(config.spectrum_exponent, float)
    return decay.at[0].set(config.spike)


def learning_rate(config: Config) -> Array:
    """The learning rate η itself."""
    return config.relative_rate * second_moments.critical_learning_rate(spectrum(config), config.batch_size)
