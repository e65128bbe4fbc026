"""The sweeps behind the figures of linear attention (arXiv 2307.03576).

    python -m experiments.linear_attention --preset default

runs all of them into ``results/<preset>/linear_attention/``; a sweep that is finished is read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.common import command, run_case

from theorylab.catalogue import Preset
from theorylab.contract import Case
from theorylab.settings.in_context.linear_attention import SETTING, Config
from theorylab.settings.in_context.linear_attention.config import FLOW, LAYER, PRESETS, SEPARATE, TWO_LAYERS

if TYPE_CHECKING:
    import xarray


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name."""
    tiny, large = preset == "tiny", preset == "paper"
    steps = 300 if tiny else 3000
    seeds = 2 if tiny else 16 if large else 8
    layer = dataclasses.replace(LAYER, num_steps=steps, num_test=100 if tiny else 500)
    noises = (0.0, 1.0) if tiny else (0.0, 1.0, 4.0)
    lengths = (10,) if tiny else (5, 10, 20, 40)
    flow = dataclasses.replace(FLOW, num_steps=200 if tiny else 3000, covariate_exponent=0.8)
    separate = dataclasses.replace(SEPARATE, num_steps=200 if tiny else 25_000)
    prompts = Config(training="pool_regression", dim=10 if tiny else 20, noise_variance=0.01, num_test=500)
    ratios = (0.5, 2.0) if tiny else (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
    if large:
        prompts = dataclasses.replace(prompts, dim=100)
    made = {
        f"length_{n}": Case("", dataclasses.replace(layer, context_length=n), {"noise_variance": noises}, seeds=seeds)
        for n in lengths
    }
    made |= {
        f"context_{convention}": Case("", dataclasses.replace(layer, normalisation=convention), {}, seeds=seeds)
        for convention in ("mean", "sum")
    }
    made |= {"flow": Case("", flow, {}, seeds=1), "separate_flow": Case("", separate, {}, seeds=1)}
    made |= {
        f"prompts_{alpha}": Case(
            "",
            dataclasses.replace(prompts, context_length=alpha * prompts.dim, num_tasks=prompts.dim // 2),
            {"prompt_ratio": ratios},
            seeds=seeds,
        )
        for alpha in ((1,) if tiny else (1, 10))
    }
    return made | _training_cases(preset, seeds) | _layer_cases(preset) | _pool_cases(preset, seeds)


def _training_cases(preset: Preset, seeds: int) -> dict[str, Case]:
    """Training on uniform covariates (von Oswald et al. 2023), in smaller batches and faster than theirs."""
    theirs, smaller = (case.config for case in PRESETS["paper"][:2])
    config = theirs if preset == "paper" else dataclasses.replace(smaller, batch_size=256, num_steps=1500)
    config = dataclasses.replace(config, num_test=4000)
    if preset == "tiny":
        config = dataclasses.replace(config, batch_size=32, num_steps=50, num_test=100)
    return {
        f"training_{n}": Case("", dataclasses.replace(config, context_length=n), {}, seeds=min(seeds, 5))
        for n in ((10,) if preset == "tiny" else (5, 10, 20))
    }


def _layer_cases(preset: Preset) -> dict[str, Case]:
    """Several preconditioned layers, trained together."""
    tiny = preset == "tiny"
    config = dataclasses.replace(TWO_LAYERS, num_steps=100 if tiny else 1000, num_test=500 if tiny else 10_000)
    return {
        f"layers_{k}": Case(
            "",
            dataclasses.replace(config, num_layers=k, num_steps=config.num_steps * (k if k > 2 else 1)),
            {},
            seeds=2 if tiny else 4,
        )
        for k in ((1,) if tiny else (1, 2, 3, 4))
    }


def _pool_cases(preset: Preset, seeds: int) -> dict[str, Case]:
    """Prompts on few to many tasks, κ = K/d, with τ = α/5 (Lu et al. 2024, Figure 4)."""
    tiny, large = preset == "tiny", preset == "paper"
    dim = 5 if tiny else 32 if large else 20
    config = Config(
        training="pool_regression", dim=dim, noise_variance=0.01, num_test=1000 if large else 200 if tiny else 400
    )
    ratios = {10: (1, 4) if tiny else (0.2, 0.5, 1, 2, 4), 20: (0.5, 2), 40: (0.5, 2)}
    return {
        f"pool_{alpha}": Case(
            "",
            dataclasses.replace(config, context_length=alpha * dim, num_tasks=dim, prompt_ratio=0.2 * alpha),
            {"num_tasks": tuple(float(round(ratio * dim)) for ratio in ratios[alpha])},
            seeds=min(seeds, 4) if not large else seeds,
        )
        for alpha in ((10,) if tiny else (10, 20, 40) if large else (10, 20))
    }


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep into its store, continue it, or read it if it is finished."""
    return run_case(SETTING, cases(preset)[name], name, preset, folder)


if __name__ == "__main__":
    command(cases, results, __doc__)
