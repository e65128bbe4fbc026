"""Infinitely many measurements: the reduction of either model, and the closed forms of the symmetric one."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import theory
from theorylab.settings.factorisation.factors import last_value, spectrum
from theorylab.settings.factorisation.matrix_sensing import controls
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import Instance, drawn, sample
from theorylab.settings.factorisation.matrix_sensing.theory import symmetric
from theorylab.settings.factorisation.matrix_sensing.theory.reduction import reduce_rows
from theorylab.settings.factorisation.matrix_sensing.train import recorded_steps, train
from theorylab.settings.factorisation.papers import XIONG_DING_DU
from theorylab.settings.factorisation.regimes import requires


@theory(
    kind="exact",
    source="rows outside the signal enter by their Gram matrix alone (theory.reduction)",
    predicts=("recovery_error", "imbalance"),
    holds=requires(operator="population", trainer="gd"),
    error=1e-5,
    controls={
        "rows off the signal dropped": controls.signal_rows_alone,
        "one factor updated after the other": controls.sequential_updates,
    },
    sample=sample,
)
def reduction(instance: Instance, config: Config) -> dict[str, Any]:
    """Gradient descent on the (r + k)-dimensional reduction; NaN below 1e-8 |M|, where rounding takes over."""
    right = None if instance.right is None else reduce_rows(instance.right, config.target_rank)
    small = instance._replace(left=reduce_rows(instance.left, config.target_rank), right=right)
    observables = train(small, config, recorded_steps(config)).observables
    errors = observables["recovery_error"]
    floor = 1e-8 * jnp.sqrt(jnp.sum(instance.spectrum**2))
    return observables | {"recovery_error": jnp.where(errors > floor, errors, jnp.nan)}


def escape_error(config: Config, observable: str) -> float:
    """Relative error of second order in the rate: 0.35 x², x = rate s_1 (1 + ln(1/α₁)), by which an escape is late.

    α₁ = α sqrt(k/(n s_1)) is the start beside the signal. Measured over n = 8 to 50, ranks 1 to 3 of 2 to 6, rates s_1
    of 0.01 to 0.35, scales 0.001 to 0.7: at most 0.23 x² in 134 runs.
    """
    start = config.init_scale * math.sqrt(config.model_rank / (config.dim * config.largest_value))
    return 0.35 * (effective_rate(config) * config.largest_value * (1 + max(0.0, -math.log(start)))) ** 2


def steps_are_small(config: Config) -> str | None:
    """Say where the first order of the step size is not enough; None where it is."""
    if (error := escape_error(config, "recovery_error")) > 0.2:
        return f"effective rate {effective_rate(config):.3g}: the second order of the step size may reach {error:.0%}"
    return None


@theory(
    kind="exact",
    source="closed form of the matrix Riccati equation, with the first order of the step (symmetric.descent_errors)",
    predicts=("recovery_error",),
    holds=requires(steps_are_small, model="symmetric", operator="population", trainer="gd", extra_columns=True),
    error=escape_error,
    controls={
        "continuous time": controls.continuous_time,
        "loss of half the square": controls.twice_the_rate,
        "start on the signal alone": controls.signal_start,
    },
    traceable=False,
    sample=drawn,
)
def riccati_flow(instance: Any, config: Config) -> dict[str, Any]:
    """Riccati closed form of the flow, time = rate x steps, with the first order of the step size."""
    rate = effective_rate(config)
    return {"recovery_error": symmetric.descent_errors(instance.left, instance.spectrum, rate, recorded_steps(config))}


def tail_is_reached(config: Config) -> str | None:
    """Say why the tail is not all there is yet, or that it lies below rounding; None where it applies."""
    start = float(symmetric.tail_start(last_value(config), config.init_scale, effective_rate(config)))
    if config.num_steps < start:
        return f"num_steps = {config.num_steps} is before the tail, step {start:.0f}"
    if config.init_scale**2 < 1e-12:
        return f"init_scale = {config.init_scale:g}: the tail lies below float64 rounding"
    return None


def second_order(config: Config, observable: str) -> float:
    """Relative error of second order in the rate, at most 2.2 rate s_1/T of |E|, twice that of the constant.

    Measured over n = 6 to 50, ranks 1 to 3 of 2 to 5, rates .03 to .4, scales .1 to .6, the worst of 20 seeds each.
    """
    error = 4 * effective_rate(config) * config.largest_value / config.num_steps + 1e-6
    return 2 * error if observable == "tail_constant" else error


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("the lower bound Ω(1/T²) of |E|², here with its constant, in discrete time"),
    predicts=("final_error", "tail_constant"),
    holds=requires(tail_is_reached, model="symmetric", operator="population", trainer="gd", extra_columns=True),
    error=second_order,
    controls={"loss of half the square": controls.twice_the_rate, "no offset": controls.tail_without_offset},
    traceable=False,
    sample=drawn,
)
def universal_tail(instance: Any, config: Config) -> dict[str, Any]:
    """The tail from the initialisation, x ← x − rate x³ from each ζ: |E|² = Σ (ζ²/(1 + 2 rate t ζ²))² for the flow.

    The ζ are those of gradient descent to first order in the rate; the flow's are 2e-3 off after 2000 steps.
    """
    rate, steps = effective_rate(config), config.num_steps
    horizon = rate * symmetric.tail_start(float(instance.spectrum[-1]), config.init_scale, rate)
    scales = symmetric.descent_scales(instance.left, instance.spectrum, rate, horizon)
    error = symmetric.descent_tail(scales, rate, (steps,))[0]
    constant = (2 * rate * steps * error) ** 2 / (config.model_rank - config.target_rank)
    return {"tail_constant": constant, "final_error": error / math.hypot(*instance.spectrum)}


def slowest_is_alone(config: Config) -> str | None:
    """Say where the second slowest mode has not died out in the window in which a slope is fitted.

    The fit then lies between their rates: 8% off at s_(r-1)/s_r = 1.11, 0.1% at 1.25, below 1e-4 from 1.3 on.
    """
    values = spectrum(config)
    if len(values) > 1 and 1.0001 < (ratio := values[-2] / values[-1]) < 1.3:
        return f"the two smallest singular values are within 30% (ratio {ratio:.3g}): a fitted slope is of both"
    return None


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("the linear rate at exact rank, here with its constant"),
    predicts=("error_slope",),
    holds=requires(slowest_is_alone, model="symmetric", operator="population", trainer="gd", extra_columns=False),
    error=1e-4,
    controls={"slope of the flow": controls.slope_of_the_flow, "largest value": controls.slope_of_the_largest},
    traceable=False,
)
def exact_rank(key: jax.Array, config: Config) -> dict[str, Any]:
    """ln(1 − rate s_r)."""
    return {"error_slope": symmetric.exact_rank_slope(last_value(config), effective_rate(config))}
