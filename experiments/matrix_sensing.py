"""The sweeps behind the figures of over-parameterised matrix sensing (arXiv 2310.01769 and 2202.08788).

    python -m experiments.matrix_sensing --preset default

runs all of them into ``results/<preset>/matrix_sensing/``; a sweep that was interrupted continues where it stopped,
one that is finished is read. There are no larger sizes: ``paper`` is ``default`` here.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from experiments.common import command, run_case

from theorylab.catalogue import Preset
from theorylab.contract import Case
from theorylab.settings.factorisation.matrix_sensing import SETTING, Config
from theorylab.settings.factorisation.matrix_sensing.config import ASYMMETRIC, SUBGM
from theorylab.settings.factorisation.matrix_sensing.data import Instance
from theorylab.settings.factorisation.matrix_sensing.predictions import draw

if TYPE_CHECKING:
    import xarray


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name; ``tiny`` has the same shape in seconds."""
    tiny = preset == "tiny"
    small: dict[str, Any] = {"dim": 12, "target_rank": 2, "model_rank": 3} if tiny else {}
    exact = 2 if tiny else 3
    symmetric = Config(num_steps=300 if tiny else 20_000, **small)
    asymmetric = dataclasses.replace(ASYMMETRIC, num_steps=300 if tiny else 6_000, **small)
    square = {"dim": 10, "target_rank": 2, "model_rank": 4} if tiny else {"dim": 20, "target_rank": 2, "model_rank": 4}
    measured = dataclasses.replace(
        ASYMMETRIC, operator="gaussian", init_scale=0.6, smallest_value=0.7, learning_rate=0.05,
        num_steps=400 if tiny else 10_000, **square,
    )  # fmt: skip
    subgm = dataclasses.replace(SUBGM, num_measurements=2000, learning_rate=1.3)
    if tiny:
        subgm = dataclasses.replace(subgm, dim=8, model_rank=8, target_rank=2, num_measurements=300, num_steps=250)
    wide = dataclasses.replace(subgm, trainer="gd", learning_rate=0.1, init_scale=1e-4, num_steps=200 if tiny else 2500)
    seeds = 2 if tiny else 4
    pick = slice(0, 2) if tiny else slice(None)
    betas = tuple(math.sqrt(b) for b in (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.4, 2.0))
    return {
        "symmetric": Case("", symmetric, {"model_rank": (exact, symmetric.model_rank)}, seeds),
        "asymmetric": Case("", asymmetric, {"model_rank": (exact, asymmetric.model_rank)}, seeds),
        "scales": Case(
            "", dataclasses.replace(asymmetric, num_steps=300 if tiny else 40_000),
            {"init_scale": (0.1, 0.2, 0.3, 0.5)[pick]}, seeds,
        ),
        "balanced": Case(
            "", dataclasses.replace(asymmetric, init="orthonormal", num_steps=300 if tiny else 10_000),
            {"init_scale": (0.2, 0.3, 0.4, 0.5, 0.6, 0.69, 0.8, 1.0, 1.25, 1.5)[pick]}, 2,
        ),
        "rebalanced": Case(
            "", dataclasses.replace(asymmetric, trainer="modified", learning_rate=0.05),
            {"init_scale": (0.01, 0.1, 0.3)[pick], "rebalance_scale": betas[pick]}, 2,
        ),
        "boosted": Case(
            "", dataclasses.replace(asymmetric, trainer="boost", learning_rate=0.05, init_scale=0.1),
            {"rebalance_scale": betas[pick]}, 2,
        ),
        "measurements": Case("", measured, {"num_measurements": (300, 450, 600, 900, 1200)[pick]}, seeds),
        "measured_tail": Case(
            "", Config(operator="gaussian", num_steps=300 if tiny else 10_000, **square),
            {"num_measurements": (200, 400, 800, 1600)[pick]}, 2,
        ),
        "outliers": Case("", subgm, {"outlier_prob": (0.0, 0.1, 0.3)[pick]}, 2),
        "outliers_l2": Case("", wide, {"outlier_prob": (0.0, 0.1, 0.3)[pick]}, 2),
        "plateau": Case(
            "", dataclasses.replace(subgm, step_schedule="l1", learning_rate=0.4),
            {"init_scale": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)[pick]}, 2,
        ),
        "budget": Case(
            "", subgm,
            {"learning_rate": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95)[pick],
             "init_scale": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)[pick]}, 1,
        ),
    }  # fmt: skip


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep, or read it; some steps of the phase diagram are too large on purpose."""
    return run_case(SETTING, cases(preset)[name], name, preset, folder, ignore="learning_rate")


def instance(config: Config, seed: int) -> Instance:
    """The instance of a seed of a sweep, as NumPy arrays."""
    parts = draw(jax.random.key(seed), config)
    return Instance(*(None if part is None else np.asarray(part) for part in parts))  # type: ignore[arg-type]


if __name__ == "__main__":
    command(cases, results, __doc__)
