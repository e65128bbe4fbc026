"""Configuration of the lazy-to-rich grokking model."""

from __future__ import annotations

import math
import warnings
from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size

KUMAR = "Kumar et al. 2024, experiments"


@config
class Config:
    """A two-layer network with a fixed readout and a quadratic activation, on a single-index target.

    f(x) = (α/N) Σ_i φ(w_i·x), φ(h) = h + (ε/2) h², inputs x ~ N(0, I/D), target y = (β·x)²/2 with |β|² = D (along the
    first axis: everything else is rotation invariant). Only the w_i are trained, by full-batch gradient descent on
    (1/P) Σ (y − f)² with learning rate η_0 N/α²:

        w_i ← w_i + (γ/α) Σ_μ (y − f)_μ φ'(w_i·x_μ) x_μ,    γ = 2 η_0/P = ``scaled_learning_rate``.

    The natural time is τ = γ · step. The dynamics depends on α and ε only through the rate of feature learning r = ε/α
    and the initial output κ = α ε. The published sweeps with the target (β·x)² at α are those of (β·x)²/2 at α/2,
    with all losses four times as large.
    """

    trainer: Literal["moments", "network", "linearised"] = size(
        default="moments",
        help="the exact dynamics of the mean weight and the second moment (any width), every neuron on its own "
        "(finite width), or the model linearised in its weights at the start (any width)",
    )
    input_dim: int = size(default=40, help="input dimension", symbol="D", at_least=2, source=f"100: {KUMAR}")
    num_samples: int = size(
        default=220, help="training samples", symbol="P", at_least=1, source=f"550 at D = 100: {KUMAR}"
    )
    width: float = size(
        default=math.inf,
        help="neurons; inf starts from the averages themselves",
        symbol="N",
        at_least=1,
        or_infinite=True,
        source=f"500: {KUMAR}",
    )
    num_steps: int = size(default=200, help="steps of gradient descent", at_least=1)
    centred: bool = size(default=False, help="train f − f_0, the change of the output since the start")
    planted: bool = size(default=False, help="start with the overlap spike_overlap instead of that of chance, 1/D")
    normalise_target: bool = size(default=True, help="|β|² = D exactly; otherwise β ~ N(0, I)")
    num_test: int = size(default=100, help="fresh samples on which the test loss is measured too", at_least=1)
    output_scale: float = scalar(
        default=1.0, help="scale of the output", symbol=r"\alpha", above=0, source=f"of 2^-5 to 2^5: {KUMAR}"
    )
    quadratic_coeff: float = scalar(
        default=0.25, help="curvature of the activation", symbol=r"\varepsilon", source=f"of 1/4 to 4: {KUMAR}"
    )
    scaled_learning_rate: float = scalar(
        default=0.1, help="γ = 2 η_0/P for the learning rate η_0 N/α²", symbol=r"\gamma", above=0
    )
    spike_overlap: float = scalar(
        default=0.1, help="planted: βᵀMβ/D² at the start (times init_scale²)", symbol=r"\rho_0", at_least=0
    )
    init_scale: float = scalar(default=1.0, help="standard deviation of the initial weights", symbol=r"\sigma", above=0)
    train_threshold: float = scalar(default=0.05, help="train loss at which the data count as fitted", above=0)
    test_threshold: float = scalar(default=0.15, help="test loss at which the target counts as learned", above=0)


def sample_ratio(config: Config) -> float:
    """ν = P/D."""
    return config.num_samples / config.input_dim


def initial_overlap(config: Config) -> float:
    """ρ_0, the overlap βᵀMβ/D² at the start over σ² (its mean, at finite width)."""
    return config.spike_overlap if config.planted else 1 / config.input_dim


def largest_eigenvalue(sample_ratio: float, strength: float, spike_strength: float) -> float:
    """Largest eigenvalue of the kernel x·x' (1 + e x·x' + s h*h*'), many samples in many dimensions.

    The largest of three modes: the Marchenko–Pastur edge of x·x' with the diagonal e, (1 + √ν)² + e; the constant mode
    of (x·x')², 1 + e (1 + ν); and the target's, s |Σ h*² x xᵀ| + 2 + e with a norm of about 3ν + 8 (fitted at
    D = 200, ν from 0.5 to 10, to 20%; the others hold to 5% at D = 120, 2% at 200).
    """
    e, nu = strength, sample_ratio
    modes = [(1 + math.sqrt(nu)) ** 2 + e, 1 + e * (1 + nu)]
    if spike_strength:
        modes.append(spike_strength * (3 * nu + 8) + 2 + e)
    return max(modes)


def initial_eigenvalue(config: Config) -> float:
    """Largest eigenvalue of the tangent kernel at the start: :func:`largest_eigenvalue` with e = ε²σ², s = e ρ_0."""
    strength = (config.quadratic_coeff * config.init_scale) ** 2
    return largest_eigenvalue(sample_ratio(config), strength, strength * config.spike_overlap * config.planted)


def learned_eigenvalue(config: Config) -> float:
    """Largest eigenvalue of the tangent kernel at the solution M = ββᵀ/κ: e = 0 and s = ε/α."""
    return largest_eigenvalue(sample_ratio(config), 0.0, config.quadratic_coeff / config.output_scale)


def check_config(config: Config) -> None:
    """Check what involves several fields; warn of what is allowed but cannot work.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    if not config.quadratic_coeff > 0:
        raise ConfigError(
            f"quadratic_coeff = {config.quadratic_coeff:g} is not allowed: must be > 0 (a linear network cannot "
            "learn the target, and a concave one only its negative)"
        )
    if config.trainer == "network" and math.isinf(config.width):
        raise ConfigError("width = inf is not allowed: trainer = 'network' needs neurons; use trainer = 'moments'")
    edge = initial_eigenvalue(config)
    if config.scaled_learning_rate * edge >= 2:
        raise ConfigError(
            f"scaled_learning_rate = {config.scaled_learning_rate:g} is not allowed: gradient descent is stable below "
            f"2/λ_max = {2 / edge:.4g} at the start (λ_max of the tangent kernel: {edge:.4g}); use {1 / edge:.3g}"
        )
    if config.trainer != "linearised" and config.scaled_learning_rate * learned_eigenvalue(config) >= 2:
        warnings.warn(
            f"scaled_learning_rate = {config.scaled_learning_rate:g} is stable at the start but may diverge once "
            f"features are learned: quadratic_coeff/output_scale = {config.quadratic_coeff / config.output_scale:g} "
            f"makes the kernel grow along the target; use {1 / learned_eigenvalue(config):.3g}",
            stacklevel=2,
        )
    if not config.centred and config.width < 4 * config.output_scale**2:
        warnings.warn(
            f"width = {config.width:g}: the initial output has noise of size output_scale/sqrt(width); use a width far "
            f"above output_scale² = {config.output_scale**2:g}, or centred = True",
            stacklevel=2,
        )
