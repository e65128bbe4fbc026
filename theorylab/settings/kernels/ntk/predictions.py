"""The theories of the tangent kernel as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import ROUNDING, Observables, theory, times
from theorylab.contract.papers import LEWKOWYCZ
from theorylab.jax_version import double_precision
from theorylab.numerics.xla import host_program
from theorylab.settings.kernels.ntk import limit, regimes
from theorylab.settings.kernels.ntk.config import Config
from theorylab.settings.kernels.ntk.data import data_of
from theorylab.settings.kernels.ntk.model import initial_kernel, labels, pairs, recorded
from theorylab.settings.kernels.ntk.neurons import contributions
from theorylab.settings.kernels.ntk.theory import drift, dynamics, expansion, sample
from theorylab.settings.kernels.papers import CHO_SAUL, DYER, JACOT, LEE

#: Neurons that stand for their law, as powers of two: in the expansion in 1/m, and in the kernel's drift.
EXPANSION_SAMPLE, DRIFT_SAMPLE = 11, 12
#: Width at which the drift's power law is read off, in units of the labels' square.
REFERENCE_WIDTH = 1e6


# --- the kernel at the start ------------------------------------------------------------------------------------------


def _kernel(config: Config, kernel: np.ndarray | None = None, copies: int = 2) -> Observables:
    found = limit.moments(config.activation, data_of(config).x)
    entries = (found.kernel if kernel is None else kernel)[pairs(config)]
    deviation = limit.mean_square_deviation(found, config.width) * copies / 2
    return {"ntk": jnp.asarray(entries), "kernel_deviation": jnp.asarray(deviation)}


def _last_layer_alone(key: jax.Array, config: Config) -> Observables:
    return _kernel(config, limit.moments(config.activation, data_of(config).x).last)


def _without_cosine(key: jax.Array, config: Config) -> Observables:
    found = limit.moments(config.activation, data_of(config).x)
    return _kernel(config, found.last + found.slopes)


@theory(
    kind="ensemble",
    source=CHO_SAUL.at("eq. (6), and the fourth moments of a neuron, derived here"),
    predicts=("ntk", "kernel_deviation"),
    error=ROUNDING,
    controls={
        "gradient of the last layer alone": _last_layer_alone,
        "first layer without the inputs' cosine": _without_cosine,
        "all neurons independent, copies too": lambda key, config: _kernel(config, copies=1),
        "half of it": times(0.5, "ntk"),
    },
)
def limit_kernel(key: jax.Array, config: Config) -> Observables:
    """Predict the initial kernel's mean Θ and its mean squared deviation from it, (2/m) Σ Var k/|Θ|²: at any width."""
    return _kernel(config)


# --- function space ---------------------------------------------------------------------------------------------------


def _linear(kernel: jax.Array, config: Config, steps: Any = None, rate: float = 1.0) -> dynamics.Trajectory:
    steps = jnp.asarray(recorded(config)) if steps is None else steps
    return dynamics.trajectory(kernel, labels(config), rate * config.learning_rate, steps)


def _named(found: Any, *names: str) -> Observables:
    return {name: getattr(found, name.removeprefix("linear_")) for name in names}


LINEAR = ("linear_loss", "linear_test_power")
NETWORK = ("loss", "test_power")


def _gradient_flow(key: jax.Array, config: Config) -> Observables:
    """Control: continuous time, exp(-ηλt)."""
    # A step of η/64, 64 times as often.
    found = _linear(initial_kernel(key, config), config, 64 * jnp.asarray(recorded(config)), 1 / 64)
    return _named(found, *LINEAR)


def _infinite_width(config: Config) -> jax.Array:
    return jnp.asarray(limit.moments(config.activation, data_of(config).x).kernel, jnp.result_type(float))


@theory(
    kind="exact",
    source=JACOT.at("gradient flow of a constant kernel; the powers of a finite step are derived here"),
    predicts=LINEAR,
    holds=regimes.well_conditioned,
    error=ROUNDING,
    controls={
        "gradient flow": _gradient_flow,
        "kernel of infinite width": lambda key, config: _named(_linear(_infinite_width(config), config), *LINEAR),
        "mean instead of summed loss": lambda key, config: _named(
            _linear(initial_kernel(key, config), config, rate=1 / config.num_train), *LINEAR
        ),
    },
)
def function_space(key: jax.Array, config: Config) -> Observables:
    """Predict the linearised network, f_t = K_*X K⁻¹(1 - (1 - ηK)^t) y with its own K_0: exact, above 2/λ_1 too."""
    return _named(_linear(initial_kernel(key, config), config), *LINEAR)


def _frozen(kernel: Callable[[jax.Array, Config], jax.Array], rate: float = 1.0) -> Any:
    return lambda key, config: _named(_linear(kernel(key, config), config, rate=rate), *NETWORK)


@theory(
    kind="instance",
    source=LEE.at("a wide network is its linearisation; the declared error is measured here"),
    predicts=NETWORK,
    holds=regimes.as_measured,
    error=regimes.lazy_error,
    estimates={"loss": "linear_loss", "test_power": "linear_test_power"},
    controls={
        "kernel of infinite width, last layer alone": _frozen(
            lambda key, config: jnp.asarray(
                limit.moments(config.activation, data_of(config).x).last, jnp.result_type(float)
            )
        ),
        "kernel counts each copy once": _frozen(lambda key, config: initial_kernel(key, config) / 2),
    },
)
def frozen_kernel(key: jax.Array, config: Config) -> Observables:
    """Predict the trained network of each seed by its own linearisation."""
    return _frozen(initial_kernel)(key, config)


# --- means over networks ----------------------------------------------------------------------------------------------


def _unit(config: Config) -> Config:
    """The configuration at one width and with unit labels: what others differ by is a factor."""
    return dataclasses.replace(config, width=2, label_scale=1.0, learning_rate=float(config.learning_rate))


@functools.lru_cache(maxsize=64)
def _means(unit: Config) -> expansion.Means:
    x = data_of(unit).x
    neurons = sample.normal_numbers(EXPANSION_SAMPLE, unit.dim + 1)
    value, slope = limit.activations(unit.activation, neurons[:, 1:] @ x.T)
    found = contributions(value, neurons[:, :1] * slope, x @ x.T)
    theta = limit.moments(unit.activation, x).kernel
    return expansion.means(theta, found, data_of(unit).unit_labels, unit.learning_rate, unit.num_steps)


def means(config: Config) -> expansion.Means:
    """Mean loss and test power of linearised networks with unit labels, to order 1/m, at every step."""
    return _means(_unit(config))


def _at_steps(config: Config, weight: float = 1.0) -> dict[str, Any]:
    found, at = means(config), np.array(recorded(config)) - 1
    square = float(config.label_scale) ** 2
    values: dict[str, Any] = {}
    for name in NETWORK:
        value = getattr(found, name) + weight * getattr(found, f"{name}_slope") / config.width
        values[f"linear_{name}"] = square * value[at]
    return values


def largest_correction(config: Config) -> float:
    """Largest relative correction of order 1/m among the recorded steps."""
    bare, full = _at_steps(config, 0.0), _at_steps(config)
    return float(max(np.max(np.abs(full[name] / bare[name] - 1)) for name in bare))


def expansion_holds(config: Config) -> str | None:
    """Say that the step is near the limit of stability, or that the correction of order 1/m is above a half."""
    if (why := regimes.below_threshold(config)) is not None:
        return why
    largest = largest_correction(config)
    return None if largest <= 0.5 else f"the correction of order 1/m is {largest:.0%}, above half of the limit"


def expansion_error(config: Config, observable: str) -> float:
    """Relative error: 1 % and a quarter of the correction's square.

    No deviation was seen at corrections from .01 to .5 (26 sets of 64 to 100 networks, |z| < 3.3).
    """
    return 0.01 + largest_correction(config) ** 2 / 4


@theory(
    kind="ensemble",
    source="second order in the initial kernel's deviation from its limit, derived here",
    predicts=LINEAR,
    holds=expansion_holds,
    error=expansion_error,
    controls={
        "infinite width": lambda key, config: _at_steps(config, 0.0),
        "correction of the other sign": lambda key, config: _at_steps(config, -1.0),
        "mean instead of summed loss": lambda key, config: _at_steps(
            dataclasses.replace(config, learning_rate=config.learning_rate / config.num_train)
        ),
    },
    traceable=False,
)
def next_order(key: jax.Array, config: Config) -> dict[str, Any]:
    """Predict the linearised networks' mean loss and test power at infinite width and to order 1/m."""
    return _at_steps(config)


# --- the kernel's motion ----------------------------------------------------------------------------------------------

_driven = host_program(drift.driven, static=(0,))


@functools.lru_cache(maxsize=64)
def _unit_drift(unit: Config, width: float) -> tuple[float, float]:
    data, theta = data_of(unit), limit.moments(unit.activation, data_of(unit).x).kernel
    count = unit.num_train
    values, vectors = np.linalg.eigh(theta[:count, :count])
    powers = (1 - unit.learning_rate * values) ** np.arange(unit.num_steps)[:, None]
    # Zeros at the end move nothing, and runs of many lengths share a program.
    forces = np.zeros((100 * math.ceil(unit.num_steps / 100), count))
    forces[: unit.num_steps] = unit.learning_rate * (powers * (vectors.T @ data.unit_labels)) @ vectors.T
    z = sample.normal_numbers(DRIFT_SAMPLE, unit.dim + 1)
    # In float64 whatever the runs are in: copies cancel to second order.
    with double_precision(True):
        mean, scatter = _driven(unit.activation, *map(jnp.asarray, (z, data.x, forces, width)))
        found = float(mean), float(scatter)
    norm = np.sum(theta**2)
    return found[0] / norm, found[1] / norm


def _drift(config: Config, width: float) -> tuple[float, float]:
    """Parts of E|K_T - K_0|²/|Θ|² at a width: of the mean over neurons, and of their scatter.

    A neuron moves by s_y m^-1/2: the width counts in units of s_y², but for the scatter's number of neurons.
    """
    scale = float(config.label_scale) ** 2
    mean, scatter = _unit_drift(_unit(config), float(width) / scale)
    return mean, scatter / scale


def _moved(square: float) -> dict[str, Any]:
    return {"kernel_drift": np.float64(math.sqrt(square)), "kernel_drift_square": np.float64(square)}


def _scatter_alone(key: jax.Array, config: Config) -> dict[str, Any]:
    return _moved(_drift(config, config.width)[1])


def _mean_alone(key: jax.Array, config: Config) -> dict[str, Any]:
    return _moved(max(_drift(config, config.width)[0], 0.0))


@theory(
    kind="ensemble",
    source="neurons that move independently in the residuals of infinite width, derived here",
    predicts=("kernel_drift", "kernel_drift_square"),
    holds=regimes.neurons_move_alone,
    error=regimes.drift_error,
    controls={
        "scatter of the neurons alone": _scatter_alone,
        "mean over the neurons alone": _mean_alone,
        "all neurons independent, copies too": lambda key, config: _moved(
            _drift(config, config.width)[0] + _drift(config, config.width)[1] / 2
        ),
    },
    traceable=False,
)
def driven_neurons(key: jax.Array, config: Config) -> dict[str, Any]:
    """Predict how far the kernel moves, at any width, from neurons each driven by the limit's residuals."""
    return _moved(sum(_drift(config, config.width)))


def power_law(config: Config, exponent: float | None = None) -> float:
    """Leading order of E|K_T - K_0|²/|Θ|² at large width: its constant times m^-3/2 (ReLU) or m^-2 (smooth).

    ``exponent`` instead of these, with the constant of the largest width, is a wrong law.
    """
    reference = REFERENCE_WIDTH * float(config.label_scale) ** 2
    mean, scatter = _drift(config, reference)
    part, right = (scatter, 1.5) if config.activation == "relu" else (mean, 2.0)
    return part * (reference / config.width) ** (right if exponent is None else exponent)


def beyond_power_law(config: Config) -> float:
    """How far the drift's mean square is from its leading order, relative: what the driven neurons have beside it."""
    return abs(sum(_drift(config, config.width)) / power_law(config) - 1)


def power_law_holds(config: Config) -> str | None:
    """Say that the leading order is not near: with what is beyond it, the square must be within 25%."""
    if (why := regimes.neurons_move_alone(config)) is not None:
        return why
    if config.width < 512:
        return f"width = {config.width} is below 512"
    error = power_law_error(config, "kernel_drift_square")
    return None if error <= 0.25 else f"the square of the drift may be {error:.0%} off its leading order"


def power_law_error(config: Config, observable: str) -> float:
    """Relative error: that of the driven neurons, and the next orders, which they have (half of them in the root)."""
    gap = beyond_power_law(config) * (1.0 if observable == "kernel_drift_square" else 0.5)
    return gap + regimes.drift_error(config, observable)


def _wrong_power(relu: float, smooth: float) -> Callable[[jax.Array, Config], dict[str, Any]]:
    return lambda key, config: _moved(power_law(config, relu if config.activation == "relu" else smooth))


@theory(
    kind="ensemble",
    source=DYER.at("1/m for smooth activations; the random signs of neurons that cross a kink are derived here"),
    predicts=("kernel_drift", "kernel_drift_square"),
    holds=power_law_holds,
    error=power_law_error,
    controls={
        "kinks as smooth, m^-1": _wrong_power(2.0, 1.5),
        "kinks crossed with one sign, m^-1/2": _wrong_power(1.0, 1.0),
    },
    traceable=False,
)
def width_exponent(key: jax.Array, config: Config) -> dict[str, Any]:
    """Predict the drift's leading order with its constant: m^-3/4 for ReLU, m^-1 for smooth activations."""
    return _moved(power_law(config))


# --- above 2/λ --------------------------------------------------------------------------------------------------------


def _mirrored(key: jax.Array, config: Config) -> Observables:
    return {"final_sharpness": 4 - config.learning_rate * jnp.linalg.eigvalsh(_train(key, config))[-1]}


def _train(key: jax.Array, config: Config) -> jax.Array:
    return initial_kernel(key, config)[: config.num_train, : config.num_train]


def _outside(found: Mapping[str, Any]) -> Any:
    lowest, highest = regimes.CATAPULT
    return (found["sharpness"] < lowest) | (found["sharpness"] > highest)


@theory(
    kind="instance",
    source=LEWKOWYCZ.at("the catapult; the conserved (ηλ - 2)² + γf²/m near the threshold is derived here"),
    predicts=("final_sharpness",),
    holds=regimes.catapult,
    error=regimes.catapult_error,
    estimates={"final_sharpness": lambda found: 4 - found["sharpness"]},
    controls={
        "the kernel stays": {"final_sharpness": "sharpness"},
        "it stops at the edge": {"final_sharpness": lambda found: 2 + 0 * found["sharpness"]},
    },
    sets_aside={"started outside of 2.2 < ηλ < 2.8": _outside},
)
def mirror(key: jax.Array, config: Config) -> Observables:
    """Predict the kernel's top eigenvalue after a catapult: as far below 2/η as it was above, λ_T = 4/η - λ_0."""
    return _mirrored(key, config)


THEORIES = (limit_kernel, function_space, frozen_kernel, next_order, driven_neurons, width_exponent, mirror)
