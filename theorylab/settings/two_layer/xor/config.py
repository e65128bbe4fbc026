"""Configuration of gradient descent on XOR cluster data, and its dimensionless numbers."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, Literal

import jax.numpy as jnp

from theorylab.contract import ConfigError, config, scalar, size

XU = "Xu et al. 2024, App. A.7"


@config
class Config:
    """A two-layer ReLU network f(x; W) = Σ_j a_j relu(w_j·x), a_j = ±1/√m frozen, on noisy XOR clusters.

    Data: x = ±μ_1 + ξ with label +1 or ±μ_2 + ξ with label −1, all four equally likely, μ_1 ⊥ μ_2 of norm
    ``mean_norm``, ξ ~ N(0, I_p); each training label is flipped with probability ``label_noise``. Full-batch gradient
    descent on the mean logistic loss moves W alone, from w_j ~ N(0, ``init_scale``² I_p).
    """

    num_train: int = size(default=200, help="training samples", symbol="n", at_least=2, source=XU)
    input_dim: int = size(default=40_000, help="input dimension", symbol="p", at_least=2, source=XU)
    width: int = size(default=300, help="hidden neurons", symbol="m", at_least=1, source=f"1000: {XU}")
    num_steps: int = size(default=15, help="gradient steps", symbol="T", at_least=1)
    num_test: int = size(
        default=400, help="test points with clean labels, a quarter of them in each cluster", at_least=4
    )
    sampler: Literal["reduced", "full"] = size(
        default="reduced", help="draw the n + 2 coordinates that matter (any input_dim), or whole input vectors"
    )
    trainer: Literal["gram", "direct"] = size(
        default="gram", help="train the coefficients of w in the data (2 m n² per step), or w itself"
    )
    loss_slope: Literal["true", "half"] = size(
        default="true", help="slope of the logistic loss: sigmoid(−y f), or its value 1/2 at small outputs"
    )
    records_per_decade: int = size(default=10, fine=40, help="recorded steps per decade", at_least=1, at_most=1000)
    mean_norm: float = scalar(
        default=2.5 * math.sqrt(200),
        help="norm of a cluster mean (the noise has variance 1 per coordinate)",
        symbol=r"\|\mu\|",
        above=0,
        source=XU,
    )
    label_noise: float = scalar(
        default=0.05, help="probability of a flipped training label", symbol=r"\eta", at_least=0, below=0.5, source=XU
    )
    learning_rate: float = scalar(default=1e-12, help="step size", symbol=r"\alpha", above=0, source=XU)
    init_scale: float = scalar(
        default=1e-15, help="standard deviation of the initial weights", symbol=r"\omega", above=0, source=XU
    )


# --- dimensionless numbers: with the tiny outputs, the trajectory depends on these alone ---------------------------


def kick(config: Config) -> Any:
    """Change of an active pre-activation by its own sample in one step, δ = α p / (2 n √m)."""
    return config.learning_rate * config.input_dim / (2 * config.num_train * math.sqrt(config.width))


def step_init_ratio(config: Config) -> Any:
    """Step over initialisation, κ = δ / (ω √p): large steps κ ≫ 1, gradient flow κ → 0 in the time τ = κ t."""
    # Two ratios of like numbers: a power of two in both α and ω leaves every bit as it is.
    ratio = config.learning_rate / config.init_scale
    return ratio * (math.sqrt(config.input_dim) / (2 * config.num_train * math.sqrt(config.width)))


def cluster_coupling(config: Config) -> Any:
    """Kick by a whole cluster over a sample's own kick, λ = n |μ|² / p."""
    return config.num_train * config.mean_norm**2 / config.input_dim


def snr(config: Config) -> Any:
    """Signal to noise ratio γ = |μ|⁴ / p; n γ is the exponent of the test error in the theorem."""
    return config.mean_norm**4 / config.input_dim


def output_unit(config: Config) -> Any:
    """Typical output after one step, α p / (8 n) = δ √m / 4: the unit of margins here."""
    return config.learning_rate * config.input_dim / (8 * config.num_train)


def largest_output(config: Config) -> Any:
    """Bound on how far outputs grow, in order of magnitude: :func:`output_unit` times the number of steps."""
    return output_unit(config) * config.num_steps


def leaves_small_outputs(config: Config) -> str | None:
    """Say that outputs do not stay small, on which all theories of the trajectory rest; None where they do."""
    if config.loss_slope == "true" and largest_output(config) > 0.1:
        return (
            f"learning_rate = {config.learning_rate:g}: outputs reach α p T / 8n = {largest_output(config):.2g} > 0.1, "
            "where the slope of the loss is no longer 1/2"
        )
    return None


def fits_reduced(config: Config) -> bool:
    """Whether the reduced sampler exists: the noise's n x n factor needs p − 2 > n."""
    return config.input_dim >= config.num_train + 3


def check_config(config: Config) -> None:
    """Check what involves several fields; warn of what is allowed but out of the theories' reach.

    Raises
    ------
    ConfigError
        If ``num_test`` cannot be shared out over four clusters.
    """
    if config.num_test % 4:
        raise ConfigError(f"num_test = {config.num_test} is not allowed: must be a multiple of 4")
    if config.sampler == "reduced" and not fits_reduced(config):
        warn(
            f"input_dim = {config.input_dim} is below num_train + 3 = {config.num_train + 3}: "
            "no reduced coordinates, whole input vectors are drawn"
        )
    if config.input_dim < 50 * config.num_train:
        warn(
            f"input_dim = {config.input_dim} is below 50 num_train: the samples are not nearly orthogonal, and a first "
            "step need not fit them all"
        )
    if cluster_coupling(config) > 8:
        warn(
            f"cluster_coupling n |μ|²/p = {cluster_coupling(config):.3g} is above 8: flipped labels are not all "
            "memorised"
        )
    reason = leaves_small_outputs(config)
    if reason is not None:
        warn(reason)


def warn(message: str) -> None:
    """Warn at the caller of the setting's validation."""
    warnings.warn(message, stacklevel=4)


def at_ratio(
    step_init_ratio: float, *, cluster_coupling: float | None = None, snr: float | None = None, **fields: Any
) -> Config:
    """Configuration with a given κ = :func:`step_init_ratio` (and λ, or γ), at init_scale 1e-15.

    Raises
    ------
    ValueError
        If both ``cluster_coupling`` and ``snr`` are given.
    """
    base = Config(**fields)
    if cluster_coupling is not None and snr is not None:
        raise ValueError("cluster_coupling and snr both set mean_norm: give one of them")
    norm = base.mean_norm
    if cluster_coupling is not None:
        norm = math.sqrt(cluster_coupling * base.input_dim / base.num_train)
    if snr is not None:
        norm = (snr * base.input_dim) ** 0.25
    rate = step_init_ratio * 2 * base.num_train * math.sqrt(base.width) * base.init_scale / math.sqrt(base.input_dim)
    return dataclasses.replace(base, mean_norm=norm, learning_rate=rate)


def slope_of_loss(config: Config, margins: Any) -> Any:
    """Twice the (negative) slope of the logistic loss, 2 sigmoid(−y f), from margins in :func:`output_unit`; or 1."""
    if config.loss_slope == "half":
        return jnp.ones_like(margins)
    return 1 - jnp.tanh(margins * (output_unit(config) / 2))
