"""Simulate the grokking model: by its moments (any width), neuron by neuron, or linearised at the start."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import ConfigError, Observables
from theorylab.numerics import xla
from theorylab.settings.two_layer.grokking.config import Config
from theorylab.settings.two_layer.grokking.data import Instance, sample
from theorylab.settings.two_layer.grokking.model import (
    Activation,
    alignment,
    labels,
    network_kernel,
    network_output,
    network_step,
    quadratic_activation,
    sums_in_blocks,
)
from theorylab.settings.two_layer.grokking.moments import (
    AffineMap,
    Moments,
    kernel_features,
    kernel_sums,
    linearised_moments,
    moments_of,
    moments_output,
    population_risk,
    tangent_kernel,
    transform,
)
from theorylab.settings.two_layer.grokking.times import grokking_times
from theorylab.training.iterate import iterate, log_spaced_steps

#: Above so many samples no kernel matrix is formed: summaries come from rows, this many at a time, or from features.
LARGEST_KERNEL = 4000


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which :func:`simulate` records: twenty per decade."""
    return log_spaced_steps(config.num_steps, 20)


def scaled_times(config: Config) -> Float[Array, " records"]:
    """τ = γ · step at the recorded steps."""
    return config.scaled_learning_rate * jnp.asarray(recorded_steps(config), float)


class MomentState(NamedTuple):
    """Moments of the weights, and ``spike``: what all maps so far make of the target, v = L_t … L_1 L_0 β."""

    moments: Moments
    spike: Float[Array, " dim"]


def moment_step(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
) -> Callable[[MomentState, Any], MomentState]:
    """Gradient descent of a network of any width, on its moments. Exact for every step size.

    With Δ = goal − f, u = XᵀΔ, S = Xᵀ diag(Δ) X, c = γ/α and L = I + c ε S:

        w̄' = L w̄ + c u,   M' = L M Lᵀ + c (L w̄ uᵀ + u (L w̄)ᵀ) + c² u uᵀ.

    A step costs 4 P D² + 4 D³ operations, whatever the width.
    """
    rate = scaled_learning_rate / output_scale
    columns = xla.stored_transpose(inputs)
    identity = jnp.eye(inputs.shape[1], dtype=inputs.dtype)

    def step(state: MomentState, t: Any) -> MomentState:
        mean, second = state.moments
        field: Any = (quadratic_coeff / 2 * second) @ columns + mean[:, None]
        residual = goal - output_scale * jnp.sum(field * columns, axis=0)
        form: Any = rate * quadratic_coeff * ((residual[None, :] * columns) @ inputs)
        shift: Any = rate * (residual @ inputs)
        affine = AffineMap(identity + form, shift)
        return MomentState(transform(state.moments, affine), affine.linear @ state.spike)

    return step


def linearised_step(
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    start: Moments,
    output_scale: ArrayLike,
    quadratic_coeff: ArrayLike,
    scaled_learning_rate: ArrayLike,
) -> Callable[[AffineMap, Any], AffineMap]:
    """Gradient descent of the linearised model: w_i(t) = w_i(0) + Q w_i(0) + p, Q += c ε Xᵀ diag(Δ) X, p += c XᵀΔ."""
    rate = scaled_learning_rate / output_scale

    def step(state: AffineMap, t: Any) -> AffineMap:
        output = moments_output(linearised_moments(start, state), inputs, output_scale, quadratic_coeff)
        weighted = rate * (goal - output)[:, None] * inputs
        linear = state.linear + quadratic_coeff * (weighted.T @ inputs)
        return AffineMap(linear, state.shift + jnp.sum(weighted, axis=0))

    return step


def train_network(
    weights: Float[Array, "width dim"],
    inputs: Float[Array, "samples dim"],
    goal: Float[Array, " samples"],
    *,
    output_scale: ArrayLike,
    scaled_learning_rate: ArrayLike,
    activation: Activation,
    num_steps: int,
    record: Callable[[Array], dict[str, Any]] | None = None,
    record_at: Sequence[int] | None = None,
) -> Any:
    """Gradient descent on every neuron, for any elementwise activation.

    Returns the :class:`~theorylab.training.iterate.Orbit` whose state are the final weights. ``record`` gets the
    weights; unless given it is the mean squared error on the training set, ``train_loss``.
    """

    def train_loss(weights: Array) -> dict[str, Any]:
        return {"train_loss": jnp.mean((goal - network_output(weights, inputs, output_scale, activation)) ** 2)}

    def step(weights: Array, t: Any) -> Array:
        return network_step(weights, inputs, goal, output_scale, scaled_learning_rate, activation)[0]

    return iterate(step, weights, num_steps=num_steps, record=record or train_loss, record_at=record_at)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and train on it.

    Returns
    -------
    dict
        At :func:`recorded_steps`: ``train_loss``; ``test_loss``, exact, and its parts ``variance_error``,
        ``misalignment_error`` and ``linear_power``; ``sampled_test_loss`` on ``num_test`` fresh samples;
        ``target_overlap`` βᵀMβ/D²; ``weight_norm`` sqrt(tr M/D); ``kernel_target_alignment`` and ``kernel_trace``
        tr K/P, of the neurons or the start where ``trainer`` says so; ``closed_kernel_alignment`` and
        ``closed_kernel_trace``, from w̄ and M; ``spike_gain`` β·v/D and ``spike_spread`` |v|²/D − gain²;
        ``relative_train_loss`` and ``relative_linear_power``, over twice the initial train loss.
        ``train_time``, ``test_time`` and ``grokking_gap``, NaN if not reached; ``train_reached``, ``test_reached``.
    """
    return run(sample(key, config), config)


class NetworkState(NamedTuple):
    """The weights themselves, and ``spike`` as in :class:`MomentState`."""

    weights: Float[Array, "width dim"]
    spike: Float[Array, " dim"]


def run(instance: Instance, config: Config, *, summaries: bool = True) -> Observables:
    """Train on a given instance; see :func:`simulate`. Without ``summaries`` there are no kernels and fresh samples."""
    return _trained(instance, config, summaries)[0]


def advance(instance: Instance, config: Config) -> Instance:
    """Return the instance with the weights, or their moments, that its run ends with; another run goes on from there.

    Its gain of the spike and its relative losses count from its own start.

    Raises
    ------
    ConfigError
        Where the instance does not hold all that training needs: the start of a centred or linearised network, the
        weights behind the moments.
    """
    if config.centred or config.trainer == "linearised":
        raise ConfigError("centred and linearised networks do not go on: an instance does not hold where they began")
    if config.trainer == "moments" and not math.isinf(config.width):
        raise ConfigError(f"width = {config.width:g} does not go on by its moments: use trainer = 'network'")
    state = _trained(instance, config, False)[1]
    if config.trainer == "moments":
        return instance._replace(moments=state.moments)
    return instance._replace(weights=state.weights, moments=moments_of(state.weights))


def _trained(instance: Instance, config: Config, summaries: bool) -> tuple[Observables, Any]:
    """Observables of a run, and the state that it ends in."""
    alpha, eps, gamma = config.output_scale, config.quadratic_coeff, config.scaled_learning_rate
    inputs, target, start, weights, test_inputs = instance
    y, test_y = labels(inputs, target), labels(test_inputs, target)
    dim = target.shape[0]
    # No moments of zeros in its place: in a product with them XLA (JAX 0.10.2) reads memory that it never wrote.
    offset = start if config.centred else None
    # A centred network f − f_0 fits y where f fits y + f_0.
    goal = y if offset is None else y + moments_output(offset, inputs, alpha, eps)
    closed = _closed_kernel(inputs, y, eps) if summaries else lambda moments: {}
    points, goals, count = inputs, y, y.shape[0]
    if summaries:
        points, goals = jnp.concatenate([inputs, test_inputs]), jnp.concatenate([y, test_y])

    def measure(visible: Moments, actual: Moments, spike: Array, kernel: dict[str, Any]) -> dict[str, Any]:
        """Observables of the function that ``visible`` represents and of weights with moments ``actual``."""
        change = visible
        if offset is not None:
            change = Moments(visible.mean - offset.mean, visible.second - offset.second)
        risk = population_risk(change, target, alpha, eps)
        gain = target @ spike / dim
        squares = (goals - moments_output(change, points, alpha, eps)) ** 2
        values = {
            "train_loss": jnp.mean(squares[:count]),
            "test_loss": risk.total,
            **risk._asdict(),
            "target_overlap": target @ actual.second @ target / dim**2,
            "weight_norm": jnp.sqrt(jnp.trace(actual.second) / dim),
            "spike_gain": gain,
            "spike_spread": spike @ spike / dim - gain**2,
        }
        if summaries:
            values["sampled_test_loss"] = jnp.mean(squares[count:])
            values["kernel_target_alignment"] = kernel["closed_kernel_alignment"]
            values["kernel_trace"] = kernel["closed_kernel_trace"]
        return values | kernel

    # Any non-finite weight makes the train loss one: the state itself need not be watched.
    options: dict[str, Any] = {
        "num_steps": config.num_steps, "record_at": recorded_steps(config), "watch": lambda state: (),
    }  # fmt: skip
    if config.trainer == "moments":

        def record(state: MomentState) -> dict[str, Any]:
            return measure(state.moments, state.moments, state.spike, closed(state.moments))

        orbit = iterate(
            moment_step(inputs, goal, alpha, eps, gamma), MomentState(start, target), record=record, **options
        )
    elif config.trainer == "linearised":
        frozen = closed(start)
        none = AffineMap(jnp.zeros_like(start.second), jnp.zeros_like(start.mean))

        def record_linearised(state: AffineMap) -> dict[str, Any]:
            whole = AffineMap(state.linear + jnp.eye(dim, dtype=inputs.dtype), state.shift)
            return measure(linearised_moments(start, state), transform(start, whole), whole.linear @ target, frozen)

        orbit = iterate(
            linearised_step(inputs, goal, start, alpha, eps, gamma), none, record=record_linearised, **options
        )
    else:
        assert weights is not None
        orbit = _neurons(weights, instance, goal, offset, config, measure, closed, options)
    observables: Observables = dict(orbit.observables)
    twice = 2 * observables["train_loss"][0]
    observables["relative_train_loss"] = observables["train_loss"] / twice
    observables["relative_linear_power"] = observables["linear_power"] / twice
    return observables | crossing_times(observables["train_loss"], observables["test_loss"], config), orbit.state


def _neurons(
    weights: Array,
    instance: Instance,
    goal: Array,
    offset: Moments | None,
    config: Config,
    measure: Callable[..., dict[str, Any]],
    closed: Callable[[Moments], dict[str, Any]],
    options: dict[str, Any],
) -> Any:
    """Train every neuron. Losses and kernel come from the neurons themselves, not from their moments."""
    alpha, eps, gamma = config.output_scale, config.quadratic_coeff, config.scaled_learning_rate
    inputs, target, _, _, test_inputs = instance
    y, test_y = labels(inputs, target), labels(test_inputs, target)
    activation = quadratic_activation(eps)

    def step(state: NetworkState, t: Any) -> NetworkState:
        moved, residual = network_step(state.weights, inputs, goal, alpha, gamma, activation)
        turn: Any = gamma / alpha * eps * ((residual * (inputs @ state.spike)) @ inputs)
        return NetworkState(moved, state.spike + turn)

    def record(state: NetworkState) -> dict[str, Any]:
        now = state.weights
        moments = moments_of(now)

        def loss(points: Array, goal: Array) -> Array:
            output = network_output(now, points, alpha, activation)
            if offset is not None:
                output = output - moments_output(offset, points, alpha, eps)
            return jnp.mean((goal - output) ** 2)

        if inputs.shape[0] <= LARGEST_KERNEL:
            kernel = network_kernel(now, inputs, activation)
            summary = (alignment(kernel, y), jnp.trace(kernel) / inputs.shape[0])
        else:
            rows = sums_in_blocks(lambda p: network_kernel(now, p, activation, inputs), inputs, y, LARGEST_KERNEL)
            summary = _summary(rows, y)
        return measure(moments, moments, state.spike, closed(moments)) | {
            "train_loss": loss(inputs, y),
            "sampled_test_loss": loss(test_inputs, test_y),
            "kernel_target_alignment": summary[0],
            "kernel_trace": summary[1],
        }

    return iterate(step, NetworkState(weights, target), record=record, **options)


def _closed_kernel(inputs: Array, y: Array, eps: ArrayLike) -> Callable[[Moments], dict[str, Any]]:
    """Alignment and trace of the tangent kernel from moments, by the cheapest way for this many samples."""
    count, dim = inputs.shape
    # In the features' form, (D + D²)³ operations in place of P² D.
    features = kernel_features(inputs, y) if count > LARGEST_KERNEL and (dim + dim**2) ** 3 < count**2 * dim else None

    def summary(moments: Moments) -> dict[str, Any]:
        if features is not None:
            values = _summary(kernel_sums(features, moments, eps), y)
        elif count > LARGEST_KERNEL:
            rows = sums_in_blocks(lambda p: tangent_kernel(moments, p, eps, inputs), inputs, y, LARGEST_KERNEL)
            values = _summary(rows, y)
        else:
            kernel = tangent_kernel(moments, inputs, eps)
            values = alignment(kernel, y), jnp.trace(kernel) / count
        return {"closed_kernel_alignment": values[0], "closed_kernel_trace": values[1]}

    return summary


def _summary(sums: tuple[Array, Array, Array], y: Array) -> tuple[Array, Array]:
    """Alignment and trace over P from yᵀKy, |K|_F² and tr K."""
    along, square, trace = sums
    return along / (jnp.sqrt(square) * jnp.sum(y**2)), trace / y.shape[0]


def crossing_times(
    train_loss: Float[Array, " records"], test_loss: Float[Array, " records"], config: Config
) -> Observables:
    """Times at which two recorded curves pass the configuration's thresholds, and whether they do."""
    train, test, gap = grokking_times(
        scaled_times(config), train_loss, test_loss, config.train_threshold, config.test_threshold
    )
    return {
        "train_time": train,
        "test_time": test,
        "grokking_gap": gap,
        "train_reached": jnp.isfinite(train).astype(train.dtype),
        "test_reached": jnp.isfinite(test).astype(test.dtype),
    }
