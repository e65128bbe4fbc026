"""Infinitely many measurements, asymmetric model: the conserved imbalance, and the rates that follow from it."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from theorylab.contract import theory, times
from theorylab.settings.factorisation.factors import last_value, spectrum
from theorylab.settings.factorisation.matrix_sensing import controls
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import Instance, drawn, sample
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric
from theorylab.settings.factorisation.matrix_sensing.train import recorded_steps, run
from theorylab.settings.factorisation.papers import XIONG_DING_DU
from theorylab.settings.factorisation.regimes import requires


def imbalance_drift(config: Config) -> float:
    """Part of the imbalance that a finite step changes: at most 1.2 rate s_1 over ranks 2 of 2 to 4, ratios 1.5 to 4.

    It is largest for small scales (.03 to .3 were measured). Where the start is above the target, its own product takes
    the place of s_1; and rounding remains.
    """
    product = config.init_scale**2 / config.init_ratio
    return max(1.3 * effective_rate(config) * max(config.largest_value, product), 1e-12)


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("conservation of FᵀF − GᵀG by the flow"),
    predicts=("imbalance",),
    holds=requires(model="asymmetric", operator="population", trainer="gd"),
    error=lambda config, observable: imbalance_drift(config),
    controls={"sum of the two Gram matrices": controls.conserved_sum, "first factor alone": controls.first_factor},
    traceable=False,
    sample=drawn,
)
def conserved_imbalance(instance: Any, config: Config) -> dict[str, Any]:
    """|Δ_t| = |Δ_0|, as for the flow."""
    f, g = instance[1:3]
    return {"imbalance": np.full(len(recorded_steps(config)), np.linalg.norm(f.T @ f - g.T @ g))}


@theory(
    kind="exact",
    source="slope ln(1 − rate min(a_i, b_j)), from the spectra of F Fᵀ and G Gᵀ at convergence (model.limit_rates)",
    predicts=("error_slope",),
    holds=requires(model="asymmetric", operator="population"),
    error=1e-3,
    controls={"slope of the squared error": times(2.0), "slope of the signal": controls.slope_of_the_signal},
    estimates={"error_slope": "limit_slope"},
    sample=sample,
)
def limit_rate(instance: Instance, config: Config) -> dict[str, Any]:
    """Slope of the slowest mode, linearised at the final factors of the instance's own run."""
    return {"error_slope": run(instance, config)["limit_slope"]}


def rate_is_trusted(config: Config) -> str | None:
    """Leading order in the scale, and an imbalance that does not nearly cancel."""
    if config.init_scale > 0.3:
        return f"init_scale = {config.init_scale:g} is above 0.3: leading order fails (up to 20% at n = 20)"
    if config.init_ratio < 2:
        return f"init_ratio = {config.init_ratio:g}: the imbalance is indefinite, and its smallest size heavy-tailed"
    return None


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("the rate exp(−Ω(α² T)), here with its constant, leading order in the scale"),
    predicts=("error_slope",),
    holds=requires(
        rate_is_trusted, model="asymmetric", operator="population", trainer="gd", init="gaussian", extra_columns=True
    ),
    # At n = 50, scale 0.2 the worst of eight instances is 5% off, at scale 0.3 10%.
    error=lambda config, observable: 0.06 * (50 / config.dim) ** 0.8 * (config.init_scale / 0.2) ** 1.7,
    controls={
        "expected imbalance": controls.expected_imbalance,
        "imbalance not projected off the signal": controls.whole_imbalance,
    },
    traceable=False,
    sample=drawn,
)
def initial_rate(instance: Any, config: Config) -> dict[str, Any]:
    """ln(1 − rate λ) from Δ_0 off the signal; NaN for instances where leading order cannot be trusted."""
    levels = asymmetric.slow_levels(instance.left, instance.right, config.target_rank)
    trusted = asymmetric.clear_levels(levels)
    return {"error_slope": math.log1p(-effective_rate(config) * abs(levels[0])) if trusted else math.nan}


@theory(
    kind="exact",
    source="slope ln(1 − rate λ(d)) for FᵀF − GᵀG = d·1, closed form (asymmetric.balanced_rate)",
    predicts=("error_slope",),
    holds=requires(model="asymmetric", operator="population", trainer="gd", init="orthonormal"),
    error=0.01,
    controls={"imbalance alone": controls.balanced_imbalance, "signal alone": controls.balanced_signal},
    traceable=False,
)
def balanced_rate(key: jax.Array, config: Config) -> dict[str, Any]:
    """ln(1 − rate λ(d)) for Δ_0 = d·1."""
    d = abs(config.init_scale**2 * (1 - config.init_ratio**-2.0))
    extra = config.model_rank > config.target_rank
    rate = asymmetric.balanced_rate(d, last_value(config), over_parameterised=extra)
    return {"error_slope": math.log1p(-effective_rate(config) * rate)}


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("the linear rate at exact rank, here from a b = s_r², a − b = imbalance of the last one"),
    predicts=("error_slope",),
    holds=requires(
        rate_is_trusted, model="asymmetric", operator="population", trainer="gd", init="gaussian", extra_columns=False
    ),
    error=lambda config, observable: 0.2 * config.init_scale**2 / last_value(config),
    controls={"no imbalance": controls.slope_of_the_signal, "larger of the two roots": controls.larger_root},
    traceable=False,
    sample=drawn,
)
def asymmetric_exact_rank(instance: Any, config: Config) -> dict[str, Any]:
    """ln(1 − rate b_r), a b = s_r², a − b = the imbalance along the last signal direction."""
    slowest = asymmetric.exact_rank_rate(instance.left, instance.right, instance.spectrum)
    return {"error_slope": math.log1p(-effective_rate(config) * slowest)}


def rebalanced_at_the_optimum(config: Config) -> str | None:
    """Before the optimum the factors that are rebalanced are not those of its rate."""
    if config.rebalance_step:
        return f"rebalance_step = {config.rebalance_step}: the rate is that of a step near the optimum (0)"
    return None


def boost_is_small(config: Config) -> str | None:
    """The boost-only rate is for α → 0: at finite α the f_i² before the step differ from the s_i."""
    if config.trainer == "boost" and config.init_scale > 0.1:
        return f"init_scale = {config.init_scale:g} is above 0.1 (boost)"
    return None


@theory(
    kind="exact",
    source=XIONG_DING_DU.at("eq. (5.1), here with the rate min(β², s_r²/β²) that follows"),
    predicts=("error_slope",),
    holds=requires(boost_is_small, rebalanced_at_the_optimum, operator="population", trainer=("modified", "boost")),
    error=0.01,
    controls={
        "slope of the signal, whatever the scale": controls.slope_of_the_signal,
        "no modes off the signal": controls.rebalanced_signal,
    },
    traceable=False,
)
def rebalanced_rate(key: jax.Array, config: Config) -> dict[str, Any]:
    """ln(1 − rate min(β², s_r²/β²)), and the boost-only variant."""
    rate = asymmetric.rebalanced_rate(
        config.rebalance_scale,
        np.array(spectrum(config)),
        boost_only=config.trainer == "boost",
        over_parameterised=config.model_rank > config.target_rank,
    )
    return {"error_slope": math.log1p(-effective_rate(config) * rate)}
