"""The theories of robust recovery as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import theory, times
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.papers import MA_FATTAHI
from theorylab.settings.factorisation.regimes import requires
from theorylab.settings.factorisation.robust_recovery import controls
from theorylab.settings.factorisation.robust_recovery.config import Config, signal_dimension
from theorylab.settings.factorisation.robust_recovery.data import Instance, drawn, noise_matrix, sample
from theorylab.settings.factorisation.robust_recovery.planning import plan_horizon
from theorylab.settings.factorisation.robust_recovery.theory import subgradient
from theorylab.settings.factorisation.robust_recovery.train import SMALLER, recorded_steps, train


def rip_error(config: Config, observable: str) -> float:
    """Relative error 0.01 + 0.9/n² of the deviation, measured at n = 2 to 100, ranks 1 to 5; of the scale none."""
    return 0.01 + 0.9 / config.dim**2 if observable == "sign_rip_deviation" else 0.0


@theory(
    kind="ensemble",
    source=MA_FATTAHI.at("Sign-RIP, here pointwise and with its constants"),
    predicts=("sign_rip_scale", "sign_rip_deviation"),
    holds=requires(operator="gaussian"),
    error=rip_error,
    controls={
        "outliers ignored": controls.no_outliers,
        "no sqrt(2/π)": times(1 / subgradient.SIGN, "sign_rip_scale"),
        "Frobenius norm": controls.frobenius_deviation,
    },
    traceable=False,
)
def sign_rip(key: jax.Array, config: Config) -> dict[str, Any]:
    """φ, and |D + φ M/|M||_op, at E = −M."""
    size = math.hypot(*spectrum(config))
    return {
        "sign_rip_scale": subgradient.sign_rip_scale(size, config.outlier_prob, config.outlier_scale),
        "sign_rip_deviation": subgradient.sign_rip_deviation(config.dim, config.num_measurements),
    }


# --- steps of the mean residual -------------------------------------------------------------------------------


@theory(
    kind="exact",
    source="steps η mean|residual| along E/|E| are gradient descent of rate 2η/π: one algorithm in the population",
    predicts=("recovery_error",),
    holds=requires(loss="l1", operator="population", step_schedule="residual"),
    error=1e-6,
    controls={"no sqrt(2/π) of the sign map": controls.unit_scale, "rate η": controls.rate_of_the_steps},
    sample=sample,
)
def effective_descent(instance: Instance, config: Config) -> dict[str, Any]:
    """The errors of gradient descent on the square loss, of rate η 2/π; NaN below 1e-8 |M|, at rounding."""
    rate = subgradient.effective_rate_l1(config.learning_rate)
    same = dataclasses.replace(config, loss="l2", step_schedule="constant", learning_rate=rate)
    errors = train(instance, same).errors[np.asarray(recorded_steps(config))]
    floor = 1e-8 * jnp.sqrt(jnp.sum(instance.spectrum**2))
    return {"recovery_error": jnp.where(errors > floor, errors, jnp.nan)}


def window(config: Config) -> tuple[float, float]:
    """Sizes of |E|/|M| between which slopes are fitted: the plateau is near α^1.7, of k = n and finite m."""
    return 0.01, max(100 * config.init_scale**1.7, 1e-12)


def slope_is_late(config: Config) -> str | None:
    """Enough measurements, a window of two decades or more, and the steps to its end."""
    if config.num_measurements < 20 * config.dim * config.target_rank:
        return f"num_measurements = {config.num_measurements} is below 20 n r: instances scatter by 10%"
    if config.init_scale > 1e-4:
        return f"init_scale = {config.init_scale:g} is above 1e-4: the plateau comes before the slope"
    needed = plan_horizon(config)
    return None if config.num_steps >= needed else f"num_steps = {config.num_steps} is below {needed}"


@theory(
    kind="ensemble",
    source=MA_FATTAHI.at("the linear rate, here with its constant: descent of rate 2η/π, slowed by m measurements"),
    predicts=("error_slope",),
    holds=requires(slope_is_late, loss="l1", operator="gaussian", step_schedule="residual"),
    # At most (4 ± 2)% at n = 6 to 30, ranks 1 to 3, m/(n r) = 20 to 125, 12 seeds each; the rate η 2/π s_r alone is
    # 6 to 45% too fast there.
    error=0.05,
    controls={
        "rate η": controls.rate_of_the_steps,
        "largest value": controls.slope_of_the_largest,
        "infinitely many measurements": controls.slope_of_the_smallest,
    },
    traceable=False,
)
def effective_rate(key: jax.Array, config: Config) -> dict[str, Any]:
    """ln(1 − η (2/π) λ), λ the mean rate over the window: below s_r, by what m measurements slow the slowest modes."""
    rate = subgradient.residual_rate(spectrum(config), config.dim, config.num_measurements, window(config))
    return {"error_slope": math.log1p(-subgradient.effective_rate_l1(config.learning_rate) * rate)}


# --- the plateau of a small initialisation --------------------------------------------------------------------


def plateau_is_clean(config: Config) -> str | None:
    """k = n, no outliers, steps that vanish with the error, a pair of small scales and the steps for both."""
    if config.model_rank != config.dim or config.outlier_prob > 0:
        return "for model_rank = dim without outliers"
    if config.step_schedule != ("residual" if config.loss == "l1" else "constant"):
        return f"step_schedule = {config.step_schedule!r}: for 'residual' (l1) or 'constant' (l2)"
    if config.init_scale > 1e-4:
        return f"init_scale = {config.init_scale:g} is above 1e-4"
    needed = plan_horizon(config, init_scale=config.init_scale / SMALLER)
    return None if config.num_steps >= needed else f"num_steps = {config.num_steps} is below {needed}"


@theory(
    kind="exact",
    source=MA_FATTAHI.at("the final error α^(2 − o(1)), here |E| ~ α^(2 (1 − g)) with g from tropical calculus"),
    predicts=("plateau_exponent",),
    holds=requires(plateau_is_clean, operator="gaussian"),
    # At most 1.3/ln(1/α), the worst of 60 instances at 1e-5 and 1e-7, m = 400 and 800; a quarter of it usually.
    error=lambda config, observable: 1.5 / math.log(1 / config.init_scale),
    controls={
        "infinitely many measurements": controls.population_exponent,
        "growth off the signal twice": controls.twice_the_growth,
    },
    traceable=False,
    sample=drawn,
)
def plateau_exponent(instance: Any, config: Config) -> dict[str, Any]:
    """The tropical exponent of the instance's measurements; NaN where the smaller run's plateau is lost in rounding."""
    exponent = subgradient.plateau_exponent(instance.rows, np.array(spectrum(config)), config.dim, loss=config.loss)
    lost = (config.init_scale / SMALLER) ** exponent < 3e-15
    return {"plateau_exponent": math.nan if lost else exponent}


# --- geometric steps ------------------------------------------------------------------------------------------


def budget_fraction(config: Config) -> float:
    """Sum of the geometric steps over what recovery needs."""
    return subgradient.budget_fraction(
        config.learning_rate, config.step_decay, config.init_scale, spectrum(config), config.outlier_prob
    )


def away_from_budget(config: Config) -> str | None:
    """A small scale, and a fraction of the budget outside [0.9, 1.15], or more where φ of instances scatters by more.

    φ is a mean of m numbers, of relative deviation sqrt((π/(2 (1 − p)) − 1)/m): at p = .38, m = 800 one of 96 instances
    or more fails at 1.16.
    """
    if config.init_scale > 1e-4:
        return f"init_scale = {config.init_scale:g} is above 1e-4: the transition is not sharp"
    scatter = math.sqrt((math.pi / 2 / (1 - config.outlier_prob) - 1) / config.num_measurements)
    if 0.9 < budget_fraction(config) < 1 + max(0.15, 5 * scatter):
        return f"the steps sum to {budget_fraction(config):.2f} of the budget: in the transition"
    if config.step_decay**config.num_steps > 1e-3:
        return f"num_steps = {config.num_steps}: the steps have not decayed"
    return None


@theory(
    kind="exact",
    source="geometric steps recover the target if and only if φ η/(1 − ρ) > c ln(1/α) (subgradient.budget_fraction)",
    predicts=("recovered",),
    holds=requires(away_from_budget, loss="l1", operator="gaussian", step_schedule="geometric"),
    controls={"outliers ignored": controls.no_outliers, "no sqrt(2/π)": controls.unit_scale},
    traceable=False,
)
def step_budget(key: jax.Array, config: Config) -> dict[str, Any]:
    """1 above, 0 below the budget law."""
    return {"recovered": float(budget_fraction(config) > 1)}


def steps_contract(config: Config) -> str | None:
    """Enough steps, with a ratio in the window in which errors can follow."""
    s = spectrum(config)
    if config.step_decay <= (2 * s[0] - s[-1]) / (2 * s[0] + s[-1]):
        return f"step_decay = {config.step_decay:g} is too fast for the errors to follow"
    if config.init_scale > 1e-6 * 1.01:
        return f"init_scale = {config.init_scale:g}: the plateau interferes; at most 1e-6"
    fraction = budget_fraction(config)
    return None if fraction > 1.15 else f"the steps sum to {fraction:.2f} of the budget"


@theory(
    kind="instance",
    source="|E_t| + |E_{t+1}| = 2 s_1 φ η_t under geometric steps (subgradient.pair_sum)",
    predicts=("pair_sum",),
    holds=requires(steps_contract, loss="l1", step_schedule="geometric"),
    error=0.05,
    controls={
        "outliers ignored": controls.pairs_without_outliers,
        "no sqrt(2/π)": controls.pairs_of_unit_scale,
        "no s_1": controls.pairs_without_largest_value,
    },
    traceable=False,
)
def pair_sum(key: jax.Array, config: Config) -> dict[str, Any]:
    """The instance's φ along the leading direction; sqrt(2/π)(1 − p) in the population."""
    if config.operator == "population":
        return {"pair_sum": subgradient.SIGN * (1 - config.outlier_prob)}
    instance: Any = drawn(key, config)
    return {"pair_sum": subgradient.instance_scale(instance.rows, (instance.corruption == 0).astype(float))}


# --- the square loss with outliers ----------------------------------------------------------------------------


def outliers_dominate(config: Config) -> str | None:
    """Outliers, k = n, and enough measurements and steps to converge."""
    if config.model_rank != config.dim:
        return "for model_rank = dim"
    if config.outlier_prob == 0:
        return "for corrupted measurements"
    if config.num_measurements < 4 * signal_dimension(config):
        return f"num_measurements = {config.num_measurements} is too few"
    return None


@theory(
    kind="instance",
    source="the square loss with outliers ends at the positive part of M + N (subgradient.corrupted_limit)",
    predicts=("final_error",),
    holds=requires(outliers_dominate, loss="l2", operator="gaussian", step_schedule="constant"),
    error=0.05,
    controls={"outliers averaged out": controls.averaged_outliers, "all of the noise": controls.all_of_the_noise},
    traceable=False,
    sample=drawn,
)
def corrupted_limit(instance: Any, config: Config) -> dict[str, Any]:
    """|(M + N)_+ − M| / |M|."""
    noise = np.asarray(noise_matrix(instance.rows, instance.corruption, config.dim))
    limit = subgradient.corrupted_limit(noise, instance.spectrum)
    return {"final_error": limit / math.hypot(*instance.spectrum)}


THEORIES = (
    sign_rip,
    effective_descent,
    effective_rate,
    plateau_exponent,
    step_budget,
    pair_sum,
    corrupted_limit,
)
