"""Simulate matrix sensing: gradient descent, plain or with one rebalancing step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.settings.factorisation.factors import fit_slope, last_value, recovery_error, residual
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate, num_entries
from theorylab.settings.factorisation.matrix_sensing.data import Instance, sample
from theorylab.settings.factorisation.matrix_sensing.model import (
    imbalance,
    limit_rates,
    ready_to_rebalance,
    rebalance,
    symmetric_limit_rates,
    symmetric_tangent_rate,
    tangent_rate,
)
from theorylab.settings.factorisation.operators import NormalMap, gram_is_cheaper, normal_map, svec, unsvec
from theorylab.training.iterate import Orbit, iterate, log_spaced_steps

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


def measured_map(rows: Float[Array, "m entries"], config: Config) -> NormalMap:
    """A*A of an instance's measurements, in the form that the configuration asks for."""
    cheaper = gram_is_cheaper(config.num_measurements, num_entries(config))
    return normal_map(rows, gram=cheaper if config.normal_step == "auto" else config.normal_step == "gram")


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

    gradient = measured_map(instance.rows, config)
    if instance.right is None:

        def measured(state: Factors, t: Any) -> Factors:
            x, _ = state
            return x - rate * (unsvec(gradient(svec(residual(x, None, spectrum))), config.dim) @ x), None

        return measured

    def measured_asymmetric(state: Factors, t: Any) -> Factors:
        f, g = state
        error = residual(f, g, spectrum)
        h = gradient(error.reshape(-1)).reshape(error.shape)
        return f - rate * (h @ g), g - rate * (h.T @ f)

    return measured_asymmetric


# --- runs ---------------------------------------------------------------------------------------------------------


def burn_in(instance: Instance, config: Config, step: StepFunction) -> tuple[Factors, Array]:
    """Train for ``rebalance_step`` steps and rebalance.

    At 0 until :func:`ready_to_rebalance`, asked every 50 steps, 40 (2 + ln(1/α))/(rate s_r) at most.
    """
    # Escape takes ln(1/α)/(rate s_r) steps, convergence of the signal a few times that.
    limit = 40 * (2 + jnp.abs(jnp.log(config.init_scale))) / (effective_rate(config) * last_value(config))

    def waiting(carry: Any) -> Any:
        (f, g), t = carry
        error = recovery_error(f, g, instance.spectrum)
        return ~ready_to_rebalance(f, g, error, config.target_rank) & (t < limit)

    def train(carry: Any) -> Any:
        state, t = carry
        return jax.lax.fori_loop(0, 50, lambda i, s: step(s, t), state), t + 50

    start: Any = (instance.left, instance.right), jnp.int32(0)
    if config.rebalance_step:
        steps = config.rebalance_step
        (f, g), t = iterate(step, start[0], num_steps=steps, record_at=(steps,)).state, jnp.int32(steps)
    else:
        (f, g), t = jax.lax.while_loop(waiting, train, start)
    return rebalance(f, g, config.rebalance_scale, boost_only=config.trainer == "boost"), t


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and train on it.

    Returns
    -------
    dict
        ``recovery_error``: |E|_F at :func:`recorded_steps`. ``final_error``: |E|_F / |M|_F at the end;
        ``recovered``: whether that is below 0.1. ``error_slope``: fitted slope of ln |E|_F per step.
        ``limit_slope``: slope of the dynamics linearised at the final factors, see :func:`limit_slope`.
        ``tail_constant`` = (2 rate T |E_T|)² per column beyond the target's rank (per column, at least one):
        the constant of a 1/t law, zero where the error falls faster. ``imbalance``: |Δ_t|_F at the same steps as the
        error; zero for the symmetric model, whose factors are one. ``switch_step``: steps before the rebalancing,
        which the recorded ones follow; zero without it.
    """
    return run(sample(key, config), config)


def run(instance: Instance, config: Config) -> Observables:
    """Train on a given instance; see :func:`simulate`."""
    rate = effective_rate(config)
    size = jnp.sqrt(jnp.sum(instance.spectrum**2))
    if size.dtype == jnp.float32:
        warnings.warn(
            "slopes and small errors need float64: the error_slope of float32 is not to be used", stacklevel=2
        )
    switch = jnp.int32(0)
    if config.trainer != "gd":
        (left, right), switch = burn_in(instance, config, descent_step(instance, config))
        instance = instance._replace(left=left, right=right)
    steps, shown = log_spaced_steps(config.num_steps, DENSE), recorded_steps(config)
    rows = np.searchsorted(steps, shown)
    orbit = train(instance, config, steps)
    errors = orbit.observables["recovery_error"]
    low, high = SLOPE_WINDOW
    return {
        "recovery_error": errors[rows],
        "final_error": errors[-1] / size,
        "recovered": (errors[-1] < 0.1 * size).astype(size.dtype),
        "error_slope": fit_slope(jnp.asarray(steps, size.dtype), errors, low * size, high * size),
        "limit_slope": limit_slope(orbit.state, instance, config),
        "tail_constant": (2 * rate * config.num_steps * errors[-1]) ** 2
        / max(config.model_rank - config.target_rank, 1),
        "imbalance": orbit.observables["imbalance"][rows],
        "switch_step": switch.astype(size.dtype),
    }


def advance(instance: Instance, config: Config) -> Instance:
    """Return the instance with the factors that its run ends with; another run goes on from there.

    After a rebalancing step that other run is one of ``trainer = "gd"``.
    """
    if config.trainer != "gd":
        (left, right), _ = burn_in(instance, config, descent_step(instance, config))
        instance = instance._replace(left=left, right=right)
    left, right = train(instance, config).state
    return instance._replace(left=left, right=right)


def train(
    instance: Instance, config: Config, steps: Sequence[int] | None = None, step: StepFunction | None = None
) -> Orbit:
    """Gradient descent from an instance's factors, with ``recovery_error`` and ``imbalance`` at ``steps``.

    By default these are the first and the last one; ``step`` replaces :func:`descent_step`.
    """

    def record(state: Factors) -> dict[str, Array]:
        error = recovery_error(*state, instance.spectrum)
        if state[1] is None:  # the two factors are one
            return {"recovery_error": error, "imbalance": jnp.zeros_like(error)}
        return {"recovery_error": error, "imbalance": jnp.sqrt(jnp.sum(imbalance(*state) ** 2))}

    return iterate(
        step or descent_step(instance, config),
        (instance.left, instance.right),
        num_steps=config.num_steps,
        record=record,
        record_at=(0, config.num_steps) if steps is None else steps,
    )


def limit_slope(state: Factors, instance: Instance, config: Config) -> Float[Array, ""]:
    """Slope of ln |E| per step of the slowest mode of the dynamics linearised at the final factors.

    In the population from their spectra, at finite m from the tangent kernel. Zero for the symmetric model with
    k > r, whose off-signal modes have no rate: they fall as 1/t.

    NaN where the next level of the population's rates is within 25%: the fitted slope is then a mixture.
    """
    left, right = state
    dtype = left.dtype
    if right is None and config.model_rank > config.target_rank:
        return jnp.zeros((), dtype)
    rates = symmetric_limit_rates(left) if right is None else limit_rates(left, right, config.target_rank)
    if instance.rows is None:
        slowest = jnp.where(rates.separation >= 1.25, rates.slowest, jnp.nan)
    elif right is None:
        slowest = symmetric_tangent_rate(instance.rows, left)
    else:
        slowest = tangent_rate(instance.rows, left, right, config.target_rank, rates.left_rank)
    return jnp.log1p(-effective_rate(config) * slowest).astype(dtype)
