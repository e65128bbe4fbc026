"""What a user asks before a run: how fast, and how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from theorylab.numerics import random
from theorylab.settings.factorisation.arrays import Numbers
from theorylab.settings.factorisation.factors import spectrum
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import draw
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, measurements, symmetric


class RatePrediction(NamedTuple):
    """λ (the error shrinks by 1 − rate·λ per step; 0 for the algebraic tail), its uncertainty, and where from."""

    rate: float
    uncertainty: float
    source: str


def predict_rate(
    init: tuple[np.ndarray, np.ndarray | None], target: Sequence[float], *, num_measurements: int | None = None
) -> RatePrediction:
    """λ from the initial factors (X, None) or (F, G), in the target's basis, and the target's singular values.

    Over-parameterised symmetric models have no rate: λ = 0, use :func:`predict_tail`. With
    ``num_measurements`` the asymmetric rate is lowered by the Wishart factor.
    """
    left, right = init
    s, rank = np.asarray(target, float), len(target)
    k = left.shape[1]
    if k < rank:
        raise ValueError(f"the model's rank {k} is below the target's, {rank}: it cannot converge")
    if right is None:
        if k > rank:
            return RatePrediction(0.0, 0.0, "symmetric, k > r: error ~ sqrt(k - r)/(2 rate t)")
        return RatePrediction(float(s[-1]), 0.0, "symmetric, k = r: s_r")
    f, g = left, right
    if k == rank:
        return RatePrediction(float(asymmetric.exact_rank_rate(f, g, s)), 0.0, "asymmetric, k = r")
    levels = np.asarray(asymmetric.slow_levels(f, g, rank))
    if np.abs(levels[0]) < 1e-8:
        return RatePrediction(0.0, 0.0, "asymmetric, balanced (no imbalance off the signal): error ~ 1/t")
    trusted = "" if bool(asymmetric.clear_levels(levels)) else " (levels of mixed sign: an estimate only)"
    if num_measurements is None:
        return RatePrediction(abs(float(levels[0])), 0.0, "asymmetric, k > r: off-signal imbalance" + trusted)
    mean, sd = measurements.wishart_rate(levels, f.shape[0], g.shape[0], rank, num_measurements)
    return RatePrediction(mean, sd, "asymmetric, k > r, finite m: Wishart edge" + trusted)


def predict_tail(init: Float[Numbers, "n k"], target: Sequence[float], steps: Any, rate: Any) -> Any:
    """|E_t|_F of the over-parameterised symmetric model at a step, from its initialisation (population)."""
    return symmetric.descent_tail_expansion(symmetric.tail_scales(init, len(target)), rate, steps)


def plan_horizon(config: Config, key: jax.Array | None = None, *, seeds: int = 4) -> int:
    """Steps that a run needs, from theory: until the slope can be fitted, or until the 1/t tail is universal.

    Asymmetric: 30/(rate λ), with the smallest λ over a few seeds (initial levels, and the Wishart edge at finite
    m). Symmetric, k > r: 20/(2 rate ζ²) with the smallest ζ; k = r: 30/(rate s_r). Rebalanced: 30/(rate λ(β)).
    """
    rate, s = effective_rate(config), spectrum(config)
    rank, k = config.target_rank, config.model_rank
    escape = max(20.0, 7 + 3 * math.log(1 / config.init_scale)) / (rate * s[-1])
    if config.trainer != "gd":
        boost = config.trainer == "boost"
        slow = asymmetric.rebalanced_rate(config.rebalance_scale, np.asarray(s), boost_only=boost)
        return math.ceil(30 / (rate * float(slow)))
    if k == rank and config.model == "symmetric":
        return math.ceil(escape + 30 / (rate * s[-1]))
    keys = random.split(jax.random.key(0) if key is None else key, seeds)
    needed = []
    for one in keys:
        instance = draw(one, config)
        if config.model == "symmetric":
            smallest = float(symmetric.tail_scales(np.asarray(instance.left), rank)[0])
            needed.append(20 / (2 * rate * smallest**2))
            continue
        m = config.num_measurements if config.operator == "gaussian" else None
        right = None if instance.right is None else np.asarray(instance.right)
        needed.append(30 / (rate * predict_rate((np.asarray(instance.left), right), s, num_measurements=m).rate))
    return math.ceil(escape + max(needed))
