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

    Weight decay makes that w_i ← (1 − γ λ') w_i + ..., heavy-ball momentum v_i ← μ v_i + (the change), w_i ← w_i + v_i
    from v_i = 0; a mini-batch of b samples has its sum times P/b, and label noise is one draw σ_y ξ on the labels.

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
    heavy_ball: bool = size(default=False, help="gradient descent with momentum, of strength momentum")
    decay_towards: Literal["zero", "start"] = size(
        default="zero", help="where weight decay pulls: every weight to zero, or to where it started"
    )
    decay_form: Literal["coupled", "decoupled"] = size(
        default="coupled",
        help="with heavy_ball: weight decay within the gradient (an L2 term of the loss), or beside the velocity",
    )
    batch_size: float = size(
        default=math.inf,
        help="samples of a step; inf takes all in every step",
        symbol="b",
        at_least=1,
        or_infinite=True,
    )
    replacement: bool = size(
        default=False, help="draw each batch anew, repeats allowed; otherwise pieces of one permutation per epoch"
    )
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
    weight_decay: float = scalar(
        default=0.0, help="λ': every step takes γ λ' of the weights away", symbol=r"\lambda'", at_least=0
    )
    label_noise: float = scalar(
        default=0.0, help="standard deviation of the noise on the training labels", symbol=r"\sigma_y", at_least=0
    )
    momentum: float = scalar(
        default=0.0, help="with heavy_ball: share of its velocity that a step keeps", symbol=r"\mu", at_least=0, below=1
    )
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


def initial_eigenvalue(config: Config, share: float = 1.0) -> float:
    """Largest eigenvalue of the tangent kernel at the start: :func:`largest_eigenvalue` with e = ε²σ², s = e ρ_0.

    With a ``share`` of the samples: of the kernel of as many, over their share.
    """
    strength = (config.quadratic_coeff * config.init_scale) ** 2
    spike = strength * config.spike_overlap * config.planted
    return largest_eigenvalue(share * sample_ratio(config), strength, spike) / share


def learned_eigenvalue(config: Config) -> float:
    """Largest eigenvalue of the tangent kernel at the solution M = ββᵀ/κ: e = 0 and s = ε/α."""
    return largest_eigenvalue(sample_ratio(config), 0.0, config.quadratic_coeff / config.output_scale)


def stability_edge(config: Config, eigenvalue: float) -> float:
    """The λ for which a mode of curvature ``eigenvalue`` is stable at γ λ < 2, weight decay and momentum included.

    Coupled γ (l + λ') < 2 (1 + μ), decoupled γ l < (1 + μ)(2 − γ λ'): where both roots of the step's quadratic lie
    within the unit circle.
    """
    if config.decay_form == "decoupled":
        return eigenvalue / (1 + config.momentum) + config.weight_decay
    return (eigenvalue + config.weight_decay) / (1 + config.momentum)


def _check_batches(config: Config) -> None:
    size, count = config.batch_size, config.num_samples
    if size <= count and (config.replacement or count % size == 0):
        return
    allowed = f"must be at most num_samples = {count}"
    if not config.replacement:
        allowed += " and divide it (or draw with replacement = True)"
    raise ConfigError(f"batch_size = {size:g} is not allowed: {allowed}; inf takes all samples")


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
    if config.momentum and not config.heavy_ball:
        raise ConfigError(f"momentum = {config.momentum:g} is not allowed: must be 0 without heavy_ball = True")
    gamma = config.scaled_learning_rate
    if gamma * config.weight_decay >= 2:
        raise ConfigError(
            f"weight_decay = {config.weight_decay:g} is not allowed: must be < 2/scaled_learning_rate = {2 / gamma:.4g}"
        )
    edge, learned = (stability_edge(config, value(config)) for value in (initial_eigenvalue, learned_eigenvalue))
    if gamma * edge >= 2:
        options = ", with weight decay and momentum" if config.weight_decay or config.momentum else ""
        raise ConfigError(
            f"scaled_learning_rate = {gamma:g} is not allowed: gradient descent is stable below "
            f"2/λ_max = {2 / edge:.4g} at the start (λ_max of the tangent kernel{options}: {edge:.4g}); "
            f"use {1 / edge:.3g}"
        )
    if config.trainer != "linearised" and gamma * learned >= 2:
        warnings.warn(
            f"scaled_learning_rate = {gamma:g} is stable at the start but may diverge once "
            f"features are learned: quadratic_coeff/output_scale = {config.quadratic_coeff / config.output_scale:g} "
            f"makes the kernel grow along the target; use {1 / learned:.3g}",
            stacklevel=2,
        )
    if not math.isinf(config.batch_size):
        _check_batches(config)
        safe = 2 / stability_edge(config, initial_eigenvalue(config, config.batch_size / config.num_samples))
        if gamma >= safe:
            warnings.warn(
                f"scaled_learning_rate = {gamma:g} is stable with all samples but may diverge with batch_size = "
                f"{config.batch_size:g}, whose steps are safe below {safe:.3g}",
                stacklevel=2,
            )
    if config.centred and config.weight_decay and config.decay_towards == "zero":
        warnings.warn(
            "weight decay to zero takes the initial output away, which a centred network subtracts: strong decay makes "
            "its output minus the initial one; use decay_towards = 'start'",
            stacklevel=2,
        )
    if not config.centred and config.width < 4 * config.output_scale**2:
        warnings.warn(
            f"width = {config.width:g}: the initial output has noise of size output_scale/sqrt(width); use a width far "
            f"above output_scale² = {config.output_scale**2:g}, or centred = True",
            stacklevel=2,
        )
