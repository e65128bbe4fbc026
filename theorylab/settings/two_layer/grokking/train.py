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
from theorylab.settings.two_layer.grokking.config import Config
from theorylab.settings.two_layer.grokking.data import (
    Instance,
    label_errors,
    labels,
    sample,
    training_goal,
    training_labels,
)
from theorylab.settings.two_layer.grokking.model import (
    Activation,
    alignment,
    network_kernel,
    network_output,
    network_pull,
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
    square_root,
    tangent_kernel,
    transform,
)
from theorylab.settings.two_layer.grokking.optimiser import Optimiser
from theorylab.settings.two_layer.grokking.steps import (
    FactorState,
    MapState,
    MomentState,
    batch_of,
    factor_step,
    linearised_step,
    moment_step,
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


def optimiser_of(config: Config) -> Optimiser:
    """Weight decay and momentum of a configuration."""
    return Optimiser(
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        heavy_ball=config.heavy_ball,
        decoupled=config.decay_form == "decoupled",
        towards_start=config.decay_towards == "start",
    )


def train_moments(
    instance: Instance, config: Config, record: Callable[[Moments, Array], dict[str, Any]], **options: Any
) -> Any:
    """Train a network of any width on its moments; ``record`` gets them and the spike, see :class:`MomentState`."""
    start, target, optimiser = instance.moments, instance.target, optimiser_of(config)
    goal, scales = training_goal(instance, config), (config.output_scale, config.quadratic_coeff)
    rate, batches = config.scaled_learning_rate, instance.batches
    if not (optimiser.heavy_ball or optimiser.towards_start):
        step = moment_step(instance.inputs, goal, *scales, rate, weight_decay=optimiser.weight_decay, batches=batches)
        return iterate(step, MomentState(start, target), record=lambda state: record(*state), **options)
    still = FactorState(square_root(start.second - jnp.outer(start.mean, start.mean)), start.mean, target)
    return iterate(
        factor_step(instance.inputs, goal, still, *scales, rate, optimiser=optimiser, batches=batches),
        (still, optimiser.velocity(still)),
        record=lambda state: record(state[0].moments, state[0].spike),
        **options,
    )


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
        return weights + network_pull(weights, inputs, goal, output_scale, scaled_learning_rate, activation)[0]

    return iterate(step, weights, num_steps=num_steps, record=record or train_loss, record_at=record_at)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and train on it.

    Returns
    -------
    dict
        At :func:`recorded_steps`: ``train_loss``; ``clean_train_loss``, on labels without noise; ``test_loss``, exact
        and without noise, and its parts ``variance_error``, ``misalignment_error`` and ``linear_power``;
        ``noisy_test_loss``, on labels with noise; ``sampled_test_loss`` on ``num_test`` fresh samples;
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
    if config.heavy_ball or config.decay_towards == "start" or instance.batches is not None:
        raise ConfigError(
            "velocities, starts that decay pulls to and mini-batches do not go on: no instance holds them"
        )
    if config.trainer == "moments" and not math.isinf(config.width):
        raise ConfigError(f"width = {config.width:g} does not go on by its moments: use trainer = 'network'")
    state = _trained(instance, config, False)[1]
    if config.trainer == "moments":
        return instance._replace(moments=state.moments)
    weights = state[0].weights
    return instance._replace(weights=weights, moments=moments_of(weights))


def _trained(instance: Instance, config: Config, summaries: bool) -> tuple[Observables, Any]:
    """Observables of a run, and the state that it ends in."""
    alpha, eps, gamma = config.output_scale, config.quadratic_coeff, config.scaled_learning_rate
    inputs, target, start, weights, test_inputs = instance[:5]
    if instance.batches is not None and instance.batches.shape[0] < config.num_steps:
        raise ConfigError(
            f"num_steps = {config.num_steps} is not allowed: {instance.batches.shape[0]} batches are given"
        )
    y, noisy, errors = labels(inputs, target), training_labels(instance, config), label_errors(instance, config)
    dim = target.shape[0]
    # No moments of zeros in its place: in a product with them XLA (JAX 0.10.2) reads memory that it never wrote.
    offset = start if config.centred else None
    closed = _closed_kernel(inputs, y, eps) if summaries else lambda moments: {}
    points, goals, count = inputs, noisy, y.shape[0]
    if summaries:
        points, goals = jnp.concatenate([inputs, test_inputs]), jnp.concatenate([noisy, labels(test_inputs, target)])

    def measure(visible: Moments, actual: Moments, spike: Array, kernel: dict[str, Any]) -> dict[str, Any]:
        """Observables of the function that ``visible`` represents and of weights with moments ``actual``."""
        change = visible
        if offset is not None:
            change = Moments(visible.mean - offset.mean, visible.second - offset.second)
        risk = population_risk(change, target, alpha, eps)
        gain = target @ spike / dim
        residuals = goals - moments_output(change, points, alpha, eps)
        squares = residuals**2
        values = {
            "train_loss": jnp.mean(squares[:count]),
            "clean_train_loss": jnp.mean((residuals[:count] - errors) ** 2),
            "test_loss": risk.total,
            "noisy_test_loss": risk.total + config.label_noise**2,
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

        def record(moments: Moments, spike: Array) -> dict[str, Any]:
            return measure(moments, moments, spike, closed(moments))

        orbit = train_moments(instance, config, record, **options)
    elif config.trainer == "linearised":
        frozen, optimiser = closed(start), optimiser_of(config)
        none = AffineMap(jnp.zeros_like(start.second), jnp.zeros_like(start.mean))

        def record_linearised(state: MapState) -> dict[str, Any]:
            change = state.change
            whole = AffineMap(change.linear + jnp.eye(dim, dtype=inputs.dtype), change.shift)
            return measure(linearised_moments(start, change), transform(start, whole), whole.linear @ target, frozen)

        step = linearised_step(
            inputs, training_goal(instance, config), start, alpha, eps, gamma,
            optimiser=optimiser, batches=instance.batches,
        )  # fmt: skip
        orbit = iterate(step, MapState(none, optimiser.velocity(none)), record=record_linearised, **options)
    else:
        assert weights is not None
        orbit = _neurons(weights, instance, offset, config, measure, closed, options)
    observables: Observables = dict(orbit.observables)
    twice = 2 * observables["train_loss"][0]
    observables["relative_train_loss"] = observables["train_loss"] / twice
    observables["relative_linear_power"] = observables["linear_power"] / twice
    return observables | crossing_times(observables["train_loss"], observables["test_loss"], config), orbit.state


def _neurons(
    weights: Array,
    instance: Instance,
    offset: Moments | None,
    config: Config,
    measure: Callable[..., dict[str, Any]],
    closed: Callable[[Moments], dict[str, Any]],
    options: dict[str, Any],
) -> Any:
    """Train every neuron. Losses and kernel come from the neurons themselves, not from their moments."""
    alpha, eps, gamma = config.output_scale, config.quadratic_coeff, config.scaled_learning_rate
    inputs, target, test_inputs = instance.inputs, instance.target, instance.test_inputs
    y, test_y, errors = labels(inputs, target), labels(test_inputs, target), label_errors(instance, config)
    optimiser, noisy = optimiser_of(config), training_labels(instance, config)
    activation, start = quadratic_activation(eps), NetworkState(weights, target)
    batch = batch_of(inputs, training_goal(instance, config), instance.batches)

    def step(state: tuple[NetworkState, Any], t: Any) -> tuple[NetworkState, Any]:
        now, velocity = state
        points, aim, share = batch(t)
        pull, residual = network_pull(now.weights, points, aim, alpha, share * gamma, activation)
        turn: Any = share * gamma / alpha * eps * ((residual * (points @ now.spike)) @ points)
        away = optimiser.displacement(now, start)
        return optimiser.step(now, velocity, NetworkState(pull, turn), away, gamma)

    def record(state: tuple[NetworkState, Any]) -> dict[str, Any]:
        now, spike = state[0]
        moments = moments_of(now)

        def residual(points: Array, goal: Array) -> Array:
            output = network_output(now, points, alpha, activation)
            if offset is not None:
                output = output - moments_output(offset, points, alpha, eps)
            return goal - output

        if inputs.shape[0] <= LARGEST_KERNEL:
            kernel = network_kernel(now, inputs, activation)
            summary = (alignment(kernel, y), jnp.trace(kernel) / inputs.shape[0])
        else:
            rows = sums_in_blocks(lambda p: network_kernel(now, p, activation, inputs), inputs, y, LARGEST_KERNEL)
            summary = _summary(rows, y)
        train = residual(inputs, noisy)
        return measure(moments, moments, spike, closed(moments)) | {
            "train_loss": jnp.mean(train**2),
            "clean_train_loss": jnp.mean((train - errors) ** 2),
            "sampled_test_loss": jnp.mean(residual(test_inputs, test_y) ** 2),
            "kernel_target_alignment": summary[0],
            "kernel_trace": summary[1],
        }

    return iterate(step, (start, optimiser.velocity(start)), record=record, **options)


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
