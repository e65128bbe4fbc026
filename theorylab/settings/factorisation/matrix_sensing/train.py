"""Simulate matrix sensing: gradient descent, its rebalanced variants, and the subgradient method."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import (
    Instance,
    noise_matrix,
    normal_map,
    sample,
    svec,
    target_matrix,
    unsvec,
    use_gram,
)
from theorylab.settings.factorisation.matrix_sensing.model import (
    fit_slope,
    imbalance,
    limit_rates,
    median_where,
    ready_to_rebalance,
    rebalance,
    recovery_error,
    residual,
    tangent_rate,
)
from theorylab.training.iterate import iterate, log_spaced_steps

#: Window of |E| / |M| in which slopes are fitted: below all transients, above float64 rounding.
SLOPE_WINDOW = (1e-12, 1e-9)
#: Records per decade of steps: about thirty in the window, however long the run.
DENSE = 240

Factors = tuple[Any, Any]  # (X, None) or (F, G)
StepFunction = Callable[[Factors, Any], Factors]


def recorded_steps(config: Config) -> tuple[int, ...]:
    """Steps at which :func:`simulate` returns ``recovery_error``: ten per decade."""
    return log_spaced_steps(config.num_steps)


# --- steps ------------------------------------------------------------------------------------------------------


def descent_step(instance: Instance, config: Config) -> StepFunction:
    """Update of gradient descent on loss_prefactor · |A(model) − y|²; F and G are updated simultaneously.

    X ← X − rate · H(E) X; F ← F − rate · H(E) G, G ← G − rate · H(E)ᵀ F; rate as in
    ``effective_rate``. In the population H(E) X = X (Xᵀ X) − M X is never
    formed as an n x n matrix.
    """
    spectrum, rate, r = instance.spectrum, effective_rate(config), config.target_rank

    def signal(factor: Array) -> Array:  # M G or Mᵀ F for M = diag(spectrum, 0, …), of as many rows as factor
        return jnp.zeros_like(factor).at[:r].set(spectrum[:, None] * factor[:r])

    def resized(factor: Array, rows: int) -> Array:
        if factor.shape[0] >= rows:
            return factor[:rows]
        return jnp.concatenate([factor, jnp.zeros((rows - factor.shape[0], factor.shape[1]), factor.dtype)])

    if instance.rows is None:

        def symmetric(state: Factors, t: Any) -> Factors:
            x, _ = state
            return x - rate * (x @ (x.T @ x) - signal(x)), None

        def asymmetric(state: Factors, t: Any) -> Factors:
            f, g = state
            new_f = f - rate * (f @ (g.T @ g) - resized(signal(g), f.shape[0]))
            return new_f, g - rate * (g @ (f.T @ f) - resized(signal(f), g.shape[0]))

        return symmetric if instance.right is None else asymmetric

    gradient = normal_map(instance.rows, gram=use_gram(config))
    n = config.dim
    if instance.right is None:
        assert instance.corruption is not None
        noise: Any = noise_matrix(instance.rows, instance.corruption, n)

        def measured(state: Factors, t: Any) -> Factors:
            x, _ = state
            return x - rate * ((unsvec(gradient(svec(residual(x, None, spectrum))), n) - noise) @ x), None

        return measured

    def measured_asymmetric(state: Factors, t: Any) -> Factors:
        f, g = state
        error = residual(f, g, spectrum)
        h = gradient(error.reshape(-1)).reshape(error.shape)
        return f - rate * (h @ g), g - rate * (h.T @ f)

    return measured_asymmetric


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
    backward = jax.lax.optimization_barrier(rows.T)

    def measured(error: Array) -> tuple[Array, Array]:
        miss = rows @ svec(error) - corruption
        return unsvec(backward @ jnp.sign(miss) / rows.shape[0], config.dim), jnp.mean(jnp.abs(miss))

    return measured


def subgradient_step(instance: Instance, config: Config) -> StepFunction:
    """Update U ← U − η_t D(U Uᵀ − M) U with η_t = η ρ^t, or η · mean |residual| (``step_schedule = "l1"``)."""
    slope = subgradient(instance, config)

    def step(state: Factors, t: Any) -> Factors:
        u, _ = state
        direction, size = slope(residual(u, None, instance.spectrum))
        eta = config.learning_rate * (size if config.step_schedule == "l1" else jnp.asarray(config.step_decay) ** t)
        return u - eta * (direction @ u), None

    return step


# --- runs ---------------------------------------------------------------------------------------------------------


def burn_in(instance: Instance, config: Config, step: StepFunction) -> tuple[Factors, Array]:
    """Train until :func:`ready_to_rebalance`, asked every 50 steps, 200 ln(1/α)/rate at most; then rebalance."""
    # Escape takes ln(1/α)/(rate s_r) steps, convergence of the signal a few times that.
    limit = 40 * (2 + jnp.abs(jnp.log(config.init_scale))) / (effective_rate(config) * config.smallest_value)

    def waiting(carry: Any) -> Any:
        (f, g), t = carry
        error = recovery_error(f, g, instance.spectrum)
        return ~ready_to_rebalance(f, g, error, config.target_rank) & (t < limit)

    def train(carry: Any) -> Any:
        state, t = carry
        return jax.lax.fori_loop(0, 50, lambda i, s: step(s, t), state), t + 50

    start: Any = (instance.left, instance.right), jnp.int32(0)
    (f, g), t = jax.lax.while_loop(waiting, train, start)
    return rebalance(f, g, config.rebalance_scale, boost_only=config.trainer == "boost"), t


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and train on it.

    Returns
    -------
    dict
        ``recovery_error``: |E|_F at :func:`recorded_steps`. ``final_error``: |E|_F / |M|_F at the end;
        ``recovered``: whether that is below 0.1. ``error_slope``: fitted slope of ln |E|_F per step.
        Over-parameterised symmetric gradient descent: ``tail_constant`` = (2 rate T |E_T|)²/(k − r).
        Asymmetric: ``imbalance`` |Δ_t|_F, ``limit_slope`` and (finite m) ``tangent_slope``, predicted from the
        final factors. Rebalanced: ``switch_step``. Subgradient: ``pair_sum``, ``sign_rip_scale`` and
        ``sign_rip_deviation``. With ``scale_pair``: ``plateau_exponent``.
    """
    instance = sample(key, config)
    observables = run(instance, config)
    if config.scale_pair:
        smaller = instance._replace(left=instance.left / 100)
        small = run(smaller, config, error_only=True)["final_error"]
        observables["plateau_exponent"] = jnp.log(observables["final_error"] / small) / np.log(100.0)
    return observables


def run(instance: Instance, config: Config, *, error_only: bool = False) -> Observables:
    """Train on a given instance; see :func:`simulate`."""
    spectrum, rank, rate = instance.spectrum, config.target_rank, effective_rate(config)
    size = jnp.sqrt(jnp.sum(spectrum**2))
    subgm = config.trainer == "subgm"
    step = subgradient_step(instance, config) if subgm else descent_step(instance, config)
    state: Factors = (instance.left, instance.right)
    observables: Observables = {}
    if config.trainer in ("modified", "boost"):
        state, switch = burn_in(instance, config, step)
        observables["switch_step"] = switch.astype(size.dtype)

    def record(state: Factors) -> dict[str, Array]:
        values = {"error": recovery_error(*state, spectrum)}
        if state[1] is not None:
            values["imbalance"] = jnp.sqrt(jnp.sum(imbalance(*state) ** 2))
        return values

    shown = recorded_steps(config)
    steps = tuple(range(config.num_steps + 1)) if subgm else log_spaced_steps(config.num_steps, DENSE)
    orbit = iterate(step, state, num_steps=config.num_steps, record=record, record_at=steps)
    errors = orbit.observables["error"]
    rows = np.searchsorted(steps, shown)
    observables["recovery_error"] = errors[rows]
    observables["final_error"] = errors[-1] / size
    observables["recovered"] = (errors[-1] < 0.1 * size).astype(size.dtype)
    if error_only:
        return observables
    if size.dtype == jnp.float32:
        warnings.warn(
            "slopes and small errors need float64: the error_slope of float32 is not to be used", stacklevel=2
        )
    if subgm:
        return observables | _subgm_observables(instance, config, errors)
    low, high = SLOPE_WINDOW
    times = jnp.asarray(steps, size.dtype)
    observables["error_slope"] = fit_slope(times, errors, low * size, high * size)
    if instance.right is None:
        if config.model_rank > rank and instance.rows is None:
            scaled = 2 * rate * config.num_steps * errors[-1]
            observables["tail_constant"] = scaled**2 / (config.model_rank - rank)
        return observables
    observables["imbalance"] = orbit.observables["imbalance"][rows]
    left, right = orbit.state
    rates = limit_rates(left, right, rank)
    if instance.rows is None:
        # With two rates within 25% of each other the fitted slope is a mixture: no prediction.
        clear = rates.separation >= 1.25
        observables["limit_slope"] = jnp.where(clear, jnp.log1p(-rate * rates.slowest), jnp.nan)
    else:
        slowest = tangent_rate(instance.rows, left, right, rank, rates.left_rank)
        observables["tangent_slope"] = jnp.log1p(-rate * slowest)
    return observables


def _subgm_observables(instance: Instance, config: Config, errors: Array) -> Observables:
    """Pair sums of the errors of successive steps, and the sign map at E = −M."""
    n, spectrum = config.dim, instance.spectrum
    size = jnp.sqrt(jnp.sum(spectrum**2))
    target = target_matrix(spectrum, n, n)
    direction = -subgradient(instance, config)(-target)[0]
    scale = jnp.sum(direction * target) / size
    deviation = jnp.max(jnp.abs(jnp.linalg.eigvalsh(direction - scale * target / size)))
    observables = {"sign_rip_scale": scale, "sign_rip_deviation": deviation}
    if config.step_schedule == "l1":
        times = jnp.arange(config.num_steps + 1, dtype=size.dtype)
        floor = jnp.maximum(100 * jnp.min(errors), 1e-12 * size)
        observables["error_slope"] = fit_slope(times, errors, floor, 0.01 * size, drift=0.5)
    if config.step_schedule == "geometric":
        t = jnp.arange(config.num_steps)
        eta = config.learning_rate * jnp.asarray(config.step_decay, size.dtype) ** t
        plateau = jnp.min(errors)
        # Once E has rank one along u_1, and before the plateau of the small initialisation shows.
        window = (t >= 200) & (errors[:-1] < 0.02 * size) & (0.8 * (1 - config.outlier_prob) * eta > 30 * plateau)
        ratio = (errors[:-1] + errors[1:]) / (2 * spectrum[0] * eta)
        observables["pair_sum"] = median_where(ratio, window)
    return observables


def sweep_ranks(
    instance: Instance,
    config: Config,
    ranks: Sequence[int],
    scales: ArrayLike,
    *,
    record_at: Sequence[int] | None = None,
) -> tuple[Float[Array, "ranks scales steps"], Float[Array, "ranks scales n k"]]:
    """Errors and final factors of every model rank and initial scale on one instance, in one program.

    Symmetric model. A column of X that starts at zero stays there: rank k is the first k columns of the largest
    model's initialisation, padded with zeros, and all runs share every product with A*A, whose states are
    columns of one matrix: it is read once per step for all of them.
    """
    width = max(ranks)
    config = dataclasses.replace(config, model_rank=width)
    unit = instance.left[:, :width] / config.init_scale
    mask = jnp.asarray(np.arange(width)[None, :] < np.asarray(ranks)[:, None])
    starts = jnp.asarray(scales)[None, :, None, None] * jnp.where(mask[:, None, None, :], unit[None, None], 0.0)
    shape = starts.shape
    step = columns_step(instance, config)

    def record(state: Array) -> dict[str, Array]:
        return {"error": jax.vmap(lambda x: recovery_error(x, None, instance.spectrum))(state)}

    orbit = iterate(
        step, starts.reshape(-1, *shape[2:]), num_steps=config.num_steps, record=record, record_at=record_at
    )
    errors = orbit.observables["error"].T.reshape(*shape[:2], -1)
    return errors, orbit.state.reshape(shape)


def columns_step(instance: Instance, config: Config) -> Callable[[Array, Any], Array]:
    """Gradient descent of many symmetric models at once, ``[runs, n, k]``, on the same measurements."""
    spectrum, rate, n = instance.spectrum, effective_rate(config), config.dim
    if instance.rows is None:
        one = descent_step(instance, config)
        return lambda x, t: jax.vmap(lambda left: one((left, None), t)[0])(x)
    gradient = normal_map(instance.rows, gram=use_gram(config))
    assert instance.corruption is not None
    noise = noise_matrix(instance.rows, instance.corruption, n)

    def step(x: Array, t: Any) -> Array:
        # The states are the columns of one contiguous matrix: A*A is read once for all runs. The barriers keep XLA
        # from folding the transposes into the product, which then takes three times as long on a CPU.
        errors = jax.vmap(lambda left: svec(residual(left, None, spectrum)), out_axes=1)(x)
        gradients = jax.lax.optimization_barrier(gradient(jax.lax.optimization_barrier(errors)))
        h = jax.vmap(lambda vector: unsvec(vector, n), in_axes=1)(gradients)
        return x - rate * jax.vmap(lambda h, left: (h - noise) @ left)(h, x)

    return step
