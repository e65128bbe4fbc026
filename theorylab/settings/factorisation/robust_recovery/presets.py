"""Presets of robust recovery, and the sweeps behind its figure. There are no larger sizes: ``paper`` is ``default``."""

from __future__ import annotations

import dataclasses
from typing import Any

from theorylab.contract import Case
from theorylab.settings.factorisation.robust_recovery.config import Config

SUBGRADIENT = Config()
PLATEAU = dataclasses.replace(SUBGRADIENT, step_schedule="residual", init_scale=1e-6, learning_rate=0.4)
SQUARE = dataclasses.replace(SUBGRADIENT, loss="l2", step_schedule="constant", learning_rate=0.1)
SMALL: dict[str, Any] = {"dim": 10, "model_rank": 10, "num_measurements": 800}

DEFAULT = (
    Case(
        "outliers",
        dataclasses.replace(
            SUBGRADIENT, learning_rate=1.3, num_measurements=3000, largest_value=1.25, smallest_value=0.75
        ),
        {"outlier_prob": (0.0, 0.2, 0.3)},
        seeds=24,
    ),
    Case("budget", SUBGRADIENT, {"learning_rate": (0.59, 0.77)}, seeds=24),
    Case("plateau, l1", PLATEAU, seeds=24),
    Case("plateau, l2", dataclasses.replace(SQUARE, init_scale=1e-6, num_steps=2000), seeds=24),
    Case(
        "outliers, square loss",
        dataclasses.replace(
            SQUARE, dim=16, model_rank=16, num_measurements=1500, init_scale=1e-4, num_steps=2500, outlier_prob=0.2
        ),
        seeds=24,
    ),
)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case(
            "outliers",
            dataclasses.replace(SUBGRADIENT, outlier_prob=0.3, largest_value=1.25, smallest_value=0.75, **SMALL),
            {"learning_rate": (0.8, 1.3)},
            seeds=36,
        ),
        Case("plateau, l1", dataclasses.replace(PLATEAU, **SMALL), seeds=36),
        Case(
            "population, residual steps",
            dataclasses.replace(PLATEAU, operator="population", init_scale=1e-3, num_steps=200, **SMALL),
            seeds=2,
        ),
        Case(
            "outliers, square loss",
            dataclasses.replace(SQUARE, init_scale=1e-4, num_steps=2500, outlier_prob=0.2, **SMALL),
            seeds=36,
        ),
    ),
    "default": DEFAULT,
    "paper": DEFAULT,
}

# --- figures --------------------------------------------------------------------------------------------------

CURVES = dataclasses.replace(SUBGRADIENT, learning_rate=1.3)
SQUARE_CURVES = dataclasses.replace(SQUARE, init_scale=1e-4, num_steps=2500)
SCALES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FIGURES = (
    Case("curves, l1", CURVES, {"outlier_prob": (0.0, 0.1, 0.3)}, 2),
    Case("curves, l2", SQUARE_CURVES, {"outlier_prob": (0.0, 0.1, 0.3)}, 2),
    Case("scales", dataclasses.replace(PLATEAU, init_scale=1e-6), {"init_scale": (*SCALES, 1e-7)}, 2),
    Case("budgets", CURVES, {"learning_rate": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95), "init_scale": SCALES}, 1),
)


def _shrunk(case: Case) -> Case:
    """The same sweep in seconds: small matrices, few steps, the first two values, two seeds at most."""
    config = dataclasses.replace(
        case.config,
        dim=8,
        model_rank=8,
        target_rank=2,
        num_measurements=300,
        num_steps=200 if case.config.loss == "l2" else 250,
    )
    return dataclasses.replace(case, config=config, grid={name: values[:2] for name, values in case.grid.items()})


SWEEPS = {"tiny": tuple(map(_shrunk, FIGURES)), "default": FIGURES, "paper": FIGURES}
