"""Where a configuration meets the dynamical mean-field theories: their parameters, observables, limits and errors."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from theorylab.contract import Observables
from theorylab.settings.two_layer.grokking.config import Config, initial_overlap, learned_eigenvalue, sample_ratio
from theorylab.settings.two_layer.grokking.theory.dmft import Dynamics, dmft, in_finite_dimension
from theorylab.settings.two_layer.grokking.theory.dmft_march import Model
from theorylab.settings.two_layer.grokking.theory.dmft_seed import noise_driven_dmft
from theorylab.settings.two_layer.grokking.train import recorded_steps

SOURCE = (
    "dynamical mean-field theory derived here for the model of Kumar, Bordelon, Gershman and Pehlevan 2024, "
    "arXiv 2310.06110"
)
#: :func:`learned_edge` above which the solutions of some keys leave, after so many steps: at 1.76 to 1.92 (α = ½ and 1,
#: ν = 4) half of them from step 40 on, at 1.6 (ν = 2) a third from step 28 on; at 1.44 none within 60 steps.
LARGEST_EDGE, STABLE_STEPS = 1.5, 20
#: Smallest planted overlap in units of that of chance, 1/D: what noise adds to the overlap is of the latter's size.
SMALLEST_SPIKE = 5.0
ROUNDING = 1e-6  # of a planted overlap: 1/D has no exact decimal fraction
SMALLEST_DIM = 20  # below, errors of order 1/D are no longer small
MOST_STEPS = 100  # memory and time of the theory grow like the square and the cube

#: Relative finite-size error times D of the planted theory, and the part of it that grows like 1/ρ_0: the largest over
#: steps up to 40 at α = ½ to 2, ε = ¼ and ½, ν = 2 to 8, ρ_0 = 5/D and 0.3, D = 60 and 120 (60 to 100 seeds).
PLANTED_ERROR = {
    "train_loss": (10.0, 0.4), "test_loss": (8.0, 0.0), "misalignment_error": (8.0, 0.0), "linear_power": (8.0, 0.0),
    "target_overlap": (2.0, 0.5), "weight_norm": (2.5, 0.0), "spike_gain": (4.5, 0.0), "spike_spread": (12.0, 0.0),
}  # fmt: skip
#: The same of the isotropic theory: while features are small, growth <= 1.5, and once they are learned, growth >= 3.
UNPLANTED_ERROR = {
    "train_loss": (4.0, 40.0), "test_loss": (1.5, 12.0), "misalignment_error": (1.5, 12.0),
    "linear_power": (6.0, 14.0), "target_overlap": (8.0, 10.0), "weight_norm": (1.5, 4.0),
}  # fmt: skip
SMALL_GROWTH, FULL_GROWTH = 1.5, 3.0
SAMPLING_ERROR = 0.01  # of one solution, at the number of particles below


def num_particles(num_steps: int) -> int:
    """Particles that keep the sampling error near one percent: 1000, and 50 per step for long runs."""
    return max(1000, 50 * num_steps)


def beyond_plain_descent(config: Config, *covered: str) -> str | None:
    """Say which option of the training, beside those ``covered``, a theory of plain gradient descent does not know."""
    options = {
        "weight_decay": config.weight_decay,
        "label_noise": config.label_noise,
        "momentum": config.momentum,
        "batch_size": 0.0 if math.isinf(config.batch_size) else config.batch_size,
    }
    for name, value in options.items():
        if value and name not in covered:
            return f"for plain gradient descent on all samples, without noise ({name} = {value:g})"
    return None


def _reason(config: Config) -> str | None:
    """Say why neither theory applies, but for what its start and its stability decide."""
    if why := beyond_plain_descent(config):
        return why
    if config.trainer != "moments" or not math.isinf(config.width):
        return "for trainer = 'moments' at infinite width"
    if config.num_steps > MOST_STEPS:
        return f"solved for at most {MOST_STEPS} steps (num_steps = {config.num_steps}): its cost grows like the cube"
    if not config.normalise_target:
        return "for a normalised target"
    if config.input_dim < SMALLEST_DIM:
        return f"for many dimensions (input_dim at least {SMALLEST_DIM})"
    if 4 * config.num_samples > config.input_dim**2:
        return f"for num_samples in proportion to input_dim (at most input_dim²/4 = {config.input_dim**2 // 4})"
    return None


def learned_edge(config: Config) -> float:
    """γ λ_max of the tangent kernel once the target is learned: gradient descent stays there below 2."""
    return config.scaled_learning_rate * learned_eigenvalue(config)


def _instability(config: Config) -> str | None:
    """Say where gradient descent is near or beyond the edge of its stability once the target is learned.

    Beyond it theory and simulation both leave, each when its own noise makes it; near it only the theory does, whose
    Monte-Carlo noise is another.
    """
    edge = learned_edge(config)
    if edge >= 2 or (edge > LARGEST_EDGE and config.num_steps > STABLE_STEPS):
        return (
            f"scaled_learning_rate = {config.scaled_learning_rate:g} times the learned kernel's largest eigenvalue is "
            f"{edge:.3g}: gradient descent is unstable from 2 on, and above {LARGEST_EDGE} the solution is after step "
            f"{STABLE_STEPS}"
        )
    return None


def has_planted_spike(config: Config) -> str | None:
    """Say why the theory of the planted spike does not apply."""
    if not config.planted:
        return _reason(config) or "for a planted spike (planted = True): the overlap of chance vanishes as D → ∞"
    if not config.spike_overlap > 0:
        return "spike_overlap = 0 has no seed: without one the theory never leaves the saddle and learns no feature"
    if config.spike_overlap * config.input_dim < SMALLEST_SPIKE * (1 - ROUNDING):
        return (
            f"spike_overlap = {config.spike_overlap:g} is below {SMALLEST_SPIKE:g}/D = "
            f"{SMALLEST_SPIKE / config.input_dim:.3g}: data noise, of order 1/D, is no small part of the overlap"
        )
    return _reason(config) or _instability(config)


def starts_isotropic(config: Config) -> str | None:
    """Say why the theory of the isotropic start does not apply."""
    if abs(initial_overlap(config) * config.input_dim - 1) > ROUNDING:
        return "for an isotropic start (planted = False, or spike_overlap = 1/D)"
    return _reason(config) or _instability(config)


def model_of(config: Config) -> Model:
    """Parameters of the mean-field equations."""
    return Model(
        output_scale=config.output_scale,
        quadratic_coeff=config.quadratic_coeff,
        scaled_learning_rate=config.scaled_learning_rate,
        sample_ratio=sample_ratio(config),
        init_scale=config.init_scale,
        centred=float(config.centred),
    )


def size_of(config: Config) -> dict[str, int]:
    """Steps and particles of a solution."""
    return {"num_steps": config.num_steps, "num_particles": num_particles(config.num_steps)}


def planted(config: Config, overlap: ArrayLike) -> Dynamics:
    """The solution for a planted overlap, in the program of the isotropic start."""
    key, model = jax.random.key(0), model_of(config)
    curves = dmft(key, model, spike_overlap=overlap, num_spikes=2, **size_of(config))
    return in_finite_dimension(curves, model, config.input_dim)


def isotropic(config: Config) -> Dynamics:
    """The solution for an isotropic start."""
    return noise_driven_dmft(jax.random.key(0), model_of(config), input_dim=config.input_dim, **size_of(config))


def curves_of(solution: Dynamics, config: Config) -> Observables:
    """Curves at the recorded steps. The variance part passes through zero and is left to the test loss."""
    return _at_steps(solution, recorded_steps(config))


@functools.partial(jax.jit, static_argnums=1)
def _at_steps(solution: Dynamics, recorded: tuple[int, ...]) -> Observables:
    values = {
        "train_loss": solution.train_loss,
        "test_loss": solution.test_loss,
        "misalignment_error": solution.misalignment_error,
        "linear_power": solution.linear_power,
        "target_overlap": solution.spike_overlap,
        "weight_norm": jnp.sqrt(solution.weight_norm),
    }
    chosen = jnp.stack(list(values.values()))[:, jnp.asarray(recorded)]
    return dict(zip(values, chosen, strict=True))


@functools.partial(jax.jit, static_argnums=1)
def _spike_at_steps(solution: Dynamics, recorded: tuple[int, ...]) -> Observables:
    steps = jnp.asarray(recorded)
    spread = jnp.where(steps > 0, solution.spike_noise[steps], jnp.nan)
    return {"spike_gain": solution.teacher_growth[steps], "spike_spread": spread}


def spike_of(solution: Dynamics, config: Config) -> Observables:
    """What a planted spike does at the recorded steps; its spread starts at 0, where a simulation has rounding: NaN."""
    return _spike_at_steps(solution, recorded_steps(config))


def planted_error(config: Config, observable: str) -> float:
    """Declared error of the planted theory: sampling and 1/D, with what noise adds to a small spike."""
    whole, share = PLANTED_ERROR[observable]
    # At ν = 2 the train loss is off twice as far as at 4 and 8.
    few = max(1.0, 4 / sample_ratio(config)) if observable == "train_loss" else 1.0
    return SAMPLING_ERROR + few * (whole + share / config.spike_overlap) / config.input_dim


def growth(config: Config) -> float:
    """Logarithm by which features grow in the run while they are small, <Δ h*²> ≈ 3/2: 3νγε/(2α) per step."""
    rate = 1.5 * sample_ratio(config) * config.scaled_learning_rate * config.quadratic_coeff / config.output_scale
    return rate * config.num_steps


def isotropic_error(config: Config, observable: str) -> float:
    """Declared error of the isotropic theory: sampling and 1/D, more once the spike has grown."""
    early, late = UNPLANTED_ERROR[observable]
    share = min(max((growth(config) - SMALL_GROWTH) / (FULL_GROWTH - SMALL_GROWTH), 0.0), 1.0)
    return SAMPLING_ERROR + (early + (late - early) * share) / config.input_dim
