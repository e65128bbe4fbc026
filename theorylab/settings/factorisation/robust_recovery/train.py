"""Simulate robust recovery: the subgradient method on the l1 loss, or gradient descent on the square loss."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import xla
from theorylab.settings.factorisation.factors import fit_slope, recovery_error, residual, target_matrix
from theorylab.settings.factorisation.operators import gram_is_cheaper, normal_map, svec, unsvec
from theorylab.settings.factorisation.robust_recovery.config import Config, num_entries
from theorylab.settings.factorisation.robust_recovery.data import Instance, noise_matrix, sample
from theorylab.training.iterate import iterate, log_spaced_steps

#: The second run starts from this fraction of the initial scale.
SMALLER = 100

State = tuple[Any, Any]  # U, and the step size of the last step


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which :func:`simulate` returns ``recovery_error``: ten per decade."""
    return log_spaced_steps(config.num_steps)


def subgradient(instance: Instance, config: Config) -> Callable[[Array], tuple[Array, Array]]:
    """Return E ↦ (D(E), mean |residual|); in the population D(E) = φ E/|E| with φ = sqrt(2/π) (1 − p)."""
    if instance.rows is None:
        scale = np.sqrt(2 / np.pi) * (1 - jnp.asarray(config.outlier_prob, float))

        def population(error: Array) -> tuple[Array, Array]:
            norm = jnp.sqrt(jnp.sum(error**2))
            return scale * error / jnp.maximum(norm, 1e-300), np.sqrt(2 / np.pi) * norm

        return population
    rows: Any = instance.rows
    corruption: Any = instance.corruption
    backward = xla.stored_transpose(rows)

    def measured(error: Array) -> tuple[Array, Array]:
        miss = rows @ svec(error) - corruption
        return unsvec(backward @ jnp.sign(miss) / rows.shape[0], config.dim), jnp.mean(jnp.abs(miss))

    return measured


def square_gradient(instance: Instance, config: Config) -> Callable[[Array], Array]:
    """Return E ↦ A*A(E) − N; E itself in the population."""
    if instance.rows is None:
        return lambda error: error
    gradient = normal_map(instance.rows, gram=gram_is_cheaper(config.num_measurements, num_entries(config)))
    assert instance.corruption is not None
    noise: Any = noise_matrix(instance.rows, instance.corruption, config.dim)
    return lambda error: unsvec(gradient(svec(error)), config.dim) - noise


def training_step(instance: Instance, config: Config) -> Callable[[State, Any], State]:
    """Update U ← U − η_t S(U Uᵀ − M) U, S the subgradient D or the gradient A*A(E) − N; it returns η_t too."""

    def step_size(t: Any, mean_residual: Any) -> Any:
        if config.step_schedule == "residual":
            return config.learning_rate * mean_residual
        if config.step_schedule == "geometric":
            return config.learning_rate * jnp.asarray(config.step_decay) ** t
        return jnp.asarray(config.learning_rate)

    slope: Callable[[Array], tuple[Array, Any]]
    if config.loss == "l1":
        slope = subgradient(instance, config)
    else:
        gradient = square_gradient(instance, config)
        slope = lambda error: (gradient(error), None)  # noqa: E731

    def step(state: State, t: Any) -> State:
        u, _ = state
        error = residual(u, None, instance.spectrum)
        direction, mean_residual = slope(error)
        eta = step_size(t, mean_residual).astype(u.dtype)
        return u - eta * (direction @ u), eta

    return step


class Trajectory(NamedTuple):
    """A run: |E_t|_F of t = 0 … ``num_steps``, and the step sizes η_t between them."""

    errors: Float[Array, " steps+1"]
    step_sizes: Float[Array, " steps"]


def train(instance: Instance, config: Config) -> Trajectory:
    """Train on a given instance."""

    def record(state: State) -> dict[str, Array]:
        return {"error": recovery_error(state[0], None, instance.spectrum), "step_size": state[1]}

    orbit = iterate(
        training_step(instance, config),
        (instance.left, jnp.zeros((), instance.left.dtype)),
        num_steps=config.num_steps,
        record=record,
        record_at=tuple(range(config.num_steps + 1)),
    )
    return Trajectory(orbit.observables["error"], orbit.observables["step_size"][1:])


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance, and train on it from its initial scale and from a hundredth of that.

    Returns
    -------
    dict
        ``recovery_error``: |E|_F at :func:`recorded_steps`. ``final_error``: |E|_F / |M|_F at the end;
        ``recovered``: whether that is below 0.1. ``error_slope``: fitted slope of ln |E|_F per step, above the
        plateau. ``pair_sum``: see :func:`pair_ratio`. ``sign_rip_scale`` and ``sign_rip_deviation``: see
        :func:`sign_rip`. ``plateau_exponent``: ln of the ratio of the two runs' final errors, over ln 100.
    """
    return run(sample(key, config), config)


def run(instance: Instance, config: Config) -> Observables:
    """Train on a given instance; see :func:`simulate`."""
    # One after the other, not as one batch: signs of residuals near zero amplify the rounding of other products.
    starts = jnp.stack([instance.left, instance.left / SMALLER])
    both = jax.lax.map(lambda left: train(instance._replace(left=left), config), starts)
    main = Trajectory(both.errors[0], both.step_sizes[0])
    finals = both.errors[:, -1]
    return run_observables(main, instance, config) | {
        "plateau_exponent": jnp.log(finals[0] / finals[1]) / np.log(float(SMALLER)),
    }


def run_observables(run: Trajectory, instance: Instance, config: Config) -> Observables:
    """Measure one run and its instance: all observables but the plateau's exponent."""
    errors = run.errors
    size = jnp.sqrt(jnp.sum(instance.spectrum**2))
    if size.dtype == jnp.float32:
        warnings.warn("small errors need float64: the plateau of float32 is that of its rounding", stacklevel=2)
    times = jnp.arange(config.num_steps + 1, dtype=size.dtype)
    floor = jnp.maximum(100 * jnp.min(errors), 1e-12 * size)
    scale, deviation = sign_rip(instance, config)
    return {
        "recovery_error": errors[np.asarray(recorded_steps(config))],
        "final_error": errors[-1] / size,
        "recovered": (errors[-1] < 0.1 * size).astype(size.dtype),
        "error_slope": fit_slope(times, errors, floor, 0.01 * size, drift=0.5),
        "sign_rip_scale": scale,
        "sign_rip_deviation": deviation,
        "pair_sum": pair_ratio(run, instance, config),
    }


def sign_rip(instance: Instance, config: Config) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """φ = −<D(−M), M>/|M|, and the spectral norm of what φ M/|M| leaves over of −D(−M)."""
    target = target_matrix(instance.spectrum, config.dim, config.dim)
    size = jnp.sqrt(jnp.sum(instance.spectrum**2))
    direction = -subgradient(instance, config)(-target)[0]
    scale = jnp.sum(direction * target) / size
    return scale, jnp.max(jnp.abs(jnp.linalg.eigvalsh(direction - scale * target / size)))


def pair_ratio(run: Trajectory, instance: Instance, config: Config) -> Float[Array, ""]:
    """Median of (|E_t| + |E_{t+1}|)/(2 s_1 η_t) over steps t >= 200 late enough for E to have rank one.

    Only before the plateau of the small initialisation shows: 0.8 (1 − p) η_t > 30 min |E|. NaN if there is none.
    """
    errors, eta = run.errors, run.step_sizes
    size = jnp.sqrt(jnp.sum(instance.spectrum**2))
    late = (jnp.arange(config.num_steps) >= 200) & (errors[:-1] < 0.02 * size)
    window = late & (0.8 * (1 - config.outlier_prob) * eta > 30 * jnp.min(errors))
    ratio = (errors[:-1] + errors[1:]) / (2 * instance.spectrum[0] * eta)
    return jnp.nanmedian(jnp.where(window, ratio, jnp.nan))
