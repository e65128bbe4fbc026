"""Presets of matrix sensing, and the sweeps behind its figures, of which ``paper`` has no larger ones."""

from __future__ import annotations

import dataclasses
import math

from theorylab.contract import Case
from theorylab.settings.factorisation.matrix_sensing.config import Config

TINY = Config(dim=20, target_rank=2, model_rank=4)
ASYMMETRIC = Config(model="asymmetric", loss_prefactor=0.5)
TINY_ASYMMETRIC = dataclasses.replace(ASYMMETRIC, dim=20, target_rank=2, model_rank=4)
FAST_ASYMMETRIC = dataclasses.replace(TINY_ASYMMETRIC, learning_rate=0.05)
MEASURED = dataclasses.replace(
    FAST_ASYMMETRIC, operator="gaussian", num_measurements=600, init_scale=0.6, num_steps=8000, smallest_value=0.7
)
FEW_MEASUREMENTS = dataclasses.replace(MEASURED, init_scale=0.01, num_steps=2500, learning_rate=0.1)
BALANCED = dataclasses.replace(ASYMMETRIC, init="orthonormal", learning_rate=0.05, num_steps=20_000)
BEST_SCALE = math.sqrt(9 / 8 * 0.6 / math.sqrt(2))  # largest rate of a balanced start with init_ratio 3, s_r = 0.6

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("symmetric", TINY, seeds=8),
        Case("symmetric, exact rank", dataclasses.replace(TINY, model_rank=2, num_steps=1500), seeds=4),
        Case("asymmetric", dataclasses.replace(TINY_ASYMMETRIC, num_steps=20_000, init_scale=0.2), seeds=6),
        Case(
            "asymmetric, exact rank",
            dataclasses.replace(TINY_ASYMMETRIC, model_rank=2, num_steps=1500, init_scale=0.1),
            seeds=4,
        ),
        Case(
            "balanced start",
            dataclasses.replace(BALANCED, dim=10, target_rank=2, model_rank=3, num_steps=4000),
            {"init_scale": (0.5, 1.0)},
            seeds=2,
        ),
        Case(
            "rebalanced",
            dataclasses.replace(FAST_ASYMMETRIC, trainer="modified", init_scale=0.1, num_steps=4000),
            {"rebalance_scale": (0.4, math.sqrt(0.6), 1.0)},
            seeds=3,
        ),
        Case(
            "asymmetric, measured",
            dataclasses.replace(MEASURED, num_measurements=800, learning_rate=0.4, num_steps=800),
            seeds=32,
        ),
        Case(
            "sample threshold",
            dataclasses.replace(FEW_MEASUREMENTS, dim=10, num_steps=800),
            {"num_measurements": (36, 95)},
            seeds=2,
        ),
    ),
    "default": (
        Case("symmetric", Config(num_steps=20_000), {"init_scale": (0.1, 0.3, 0.5)}, seeds=8),
        Case("symmetric, small steps", dataclasses.replace(TINY, learning_rate=0.005, num_steps=20_000), seeds=4),
        Case("symmetric, exact rank", Config(model_rank=3, num_steps=1500), {"init_scale": (0.05, 0.3)}, seeds=8),
        Case(
            "asymmetric", dataclasses.replace(ASYMMETRIC, num_steps=60_000), {"init_scale": (0.1, 0.2, 0.3)}, seeds=8
        ),
        Case(
            "asymmetric, exact rank",
            dataclasses.replace(ASYMMETRIC, model_rank=3, num_steps=2000),
            {"init_scale": (0.05, 0.1, 0.3)},
            seeds=8,
        ),
        Case("balanced start", BALANCED, {"init_scale": (0.2, 0.4, BEST_SCALE, 1.0, 1.5)}, seeds=4),
        Case(
            "rebalanced",
            dataclasses.replace(ASYMMETRIC, trainer="modified", learning_rate=0.05, num_steps=6000),
            {"init_scale": (0.01, 0.1, 0.3), "rebalance_scale": tuple(math.sqrt(b) for b in (0.1, 0.3, 0.6, 1.0, 2.0))},
            seeds=3,
        ),
        Case(
            "boosted",
            dataclasses.replace(ASYMMETRIC, trainer="boost", learning_rate=0.05, num_steps=4000, init_scale=0.1),
            {"rebalance_scale": tuple(math.sqrt(b) for b in (0.2, 0.3, 0.6))},
            seeds=3,
        ),
        Case("asymmetric, measured", MEASURED, seeds=32),
        Case(
            "asymmetric, measured, exact rank",
            dataclasses.replace(MEASURED, model_rank=2, num_steps=1200, init_scale=0.1),
            seeds=4,
        ),
        Case("sample threshold", FEW_MEASUREMENTS, {"num_measurements": (60, 240)}, seeds=4),
    ),
    "paper": (
        Case("symmetric", Config(num_steps=100_000), {"init_scale": (0.1, 0.3, 0.5)}, seeds=20),
        Case(
            "asymmetric", dataclasses.replace(ASYMMETRIC, num_steps=100_000), {"init_scale": (0.1, 0.2, 0.3)}, seeds=20,
            note="50 x 50 of rank 3 as in the paper; its other sizes are our choice",
        ),
        Case(
            "asymmetric, measured",
            dataclasses.replace(
                ASYMMETRIC, operator="gaussian", num_measurements=4000, init_scale=0.5, num_steps=20_000,
                learning_rate=0.05,
            ),
            seeds=8,
        ),
    ),
}  # fmt: skip

# --- figures --------------------------------------------------------------------------------------------------

#: β² of the rebalancing step.
BETAS_SQUARED = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.4, 2.0)
BETAS = tuple(math.sqrt(b) for b in BETAS_SQUARED)
LONG_MEASURED = dataclasses.replace(MEASURED, num_steps=10_000)
MEASURED_TAIL = dataclasses.replace(TINY, operator="gaussian", num_steps=10_000)
FIGURES = (
    Case("curves, symmetric", Config(num_steps=20_000), {"model_rank": (3, 5)}, 4),
    Case("curves, asymmetric", dataclasses.replace(ASYMMETRIC, num_steps=6_000), {"model_rank": (3, 5)}, 4),
    Case("scales", dataclasses.replace(ASYMMETRIC, num_steps=40_000), {"init_scale": (0.1, 0.2, 0.3, 0.5)}, 4),
    Case(
        "balanced",
        dataclasses.replace(ASYMMETRIC, init="orthonormal", num_steps=10_000),
        {"init_scale": (0.2, 0.3, 0.4, 0.5, 0.6, 0.69, 0.8, 1.0, 1.25, 1.5)},
        2,
    ),
    Case(
        "rebalanced, scales",
        dataclasses.replace(ASYMMETRIC, trainer="modified", learning_rate=0.05, num_steps=6_000),
        {"init_scale": (0.01, 0.1, 0.3), "rebalance_scale": BETAS},
        2,
    ),
    Case(
        "boosted, scales",
        dataclasses.replace(ASYMMETRIC, trainer="boost", learning_rate=0.05, num_steps=6_000, init_scale=0.1),
        {"rebalance_scale": BETAS},
        2,
    ),
    Case("measurements", LONG_MEASURED, {"num_measurements": (300, 450, 600, 900, 1200)}, 4),
    Case("measured tail", MEASURED_TAIL, {"num_measurements": (200, 400, 800, 1600)}, 2),
)


def _shrunk(case: Case) -> Case:
    """The same sweep in seconds: small matrices, few steps, the first two values, two seeds."""
    measured = case.config.operator == "gaussian"
    config = dataclasses.replace(
        case.config,
        dim=10 if measured else 12,
        target_rank=2,
        model_rank=4 if measured else 3,
        num_steps=400 if case.name == "measurements" else 300,
    )
    grid = {name: values[:2] if name != "model_rank" else (2, 3) for name, values in case.grid.items()}
    return dataclasses.replace(case, config=config, grid=grid, seeds=2)


SWEEPS = {"tiny": tuple(map(_shrunk, FIGURES)), "default": FIGURES, "paper": FIGURES}
