"""The sweeps behind the figures of linear attention (arXiv 2307.03576).

    python -m experiments.linear_attention --preset default

runs all of them into ``results/<preset>/``; a sweep that is finished is read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from theorylab.lab.setting import Case
from theorylab.lab.sweep import sweep
from theorylab.linear_attention import SETTING, Config
from theorylab.linear_attention.config import FLOW, LAYER, SEPARATE

if TYPE_CHECKING:
    import xarray

Preset = Literal["tiny", "default", "paper"]


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
    return made


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep into its store, continue it, or read it if it is finished."""
    case = cases(preset)[name]
    store = Path(folder) / preset / f"linear_attention_{name}.zarr"
    store.parent.mkdir(parents=True, exist_ok=True)
    return sweep(SETTING, case.config, case.grid, seeds=case.seeds, store=store, progress=True)


def main(preset: Preset = "default", folder: Path = Path("results")) -> None:
    """Run every sweep of a preset."""
    from theorylab.runtime import start_application

    start_application()
    for name in cases(preset):
        print(name, dict(results(name, preset, folder).sizes))


if __name__ == "__main__":
    import tyro

    tyro.cli(main)
