"""What a user asks before a run: how many steps it needs."""

from __future__ import annotations

import math

from theorylab.settings.factorisation.factors import last_value
from theorylab.settings.factorisation.robust_recovery.config import Config
from theorylab.settings.factorisation.robust_recovery.theory import subgradient


def plan_horizon(config: Config, *, init_scale: float | None = None) -> int:
    """Steps that a run needs, from theory: until the plateau of its (or another) initial scale α is reached.

    Geometric steps: ln(max(1e-9, 30 α²/(φ η_0)))/ln ρ. Steps of the mean residual: 200 + 14 ln(1/α), scaled by 0.4/η.
    Constant ones (square loss): max(20, 7 + 3 ln(1/α))/(η s_r).
    """
    scale = config.init_scale if init_scale is None else init_scale
    if config.step_schedule == "geometric":
        phi = subgradient.SIGN * (1 - config.outlier_prob)
        floor = 30 * scale**2 / (phi * config.learning_rate)
        return math.ceil(math.log(max(1e-9, floor)) / math.log(config.step_decay))
    if config.step_schedule == "residual":
        return math.ceil((200 + 14 * math.log(1 / scale)) * 0.4 / config.learning_rate)
    return math.ceil(max(20.0, 7 + 3 * math.log(1 / scale)) / (config.learning_rate * last_value(config)))
