"""The sweeps behind the figures of grokking from lazy to rich training (arXiv 2310.06110).

    python -m experiments.grokking --preset default

runs all of them into ``results/<preset>/grokking/``; a sweep that was interrupted continues where it stopped, one that
is finished is read. ``paper`` has the published dimension, sample size and number of steps (for a GPU).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.common import command, run_case

from theorylab.catalogue import Preset
from theorylab.contract import Case
from theorylab.lab.predict import predict
from theorylab.settings.two_layer.grokking import SETTING, Config
from theorylab.settings.two_layer.grokking.config import MEMORISATION, PUBLISHED

if TYPE_CHECKING:
    import xarray


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name; ``tiny`` has the same shape in seconds."""
    tiny, paper = preset == "tiny", preset == "paper"
    dim, count, longer = (16, 64, 1) if tiny else (100, 550, 6) if paper else (40, 220, 1)
    seeds = 2 if tiny else 8 if paper else 4
    pick = slice(0, 2) if tiny else slice(None)

    def steps(number: int) -> int:
        return 60 if tiny else number * longer

    base = Config(input_dim=dim, num_samples=count)
    lazy = dataclasses.replace(MEMORISATION, input_dim=16 if tiny else 100, num_steps=60 if tiny else 250)
    return {
        "phenomenon": Case(
            "", dataclasses.replace(base if tiny else PUBLISHED, num_steps=steps(3000)), {}, seeds,
        ),
        "output_scale": Case(
            "", dataclasses.replace(base, scaled_learning_rate=0.06, num_steps=steps(7000)),
            {"output_scale": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)[pick]}, seeds,
        ),
        "quadratic_coeff": Case(
            "", dataclasses.replace(base, scaled_learning_rate=0.02, num_steps=steps(5000)),
            {"quadratic_coeff": (0.25, 0.5, 1.0, 2.0)[pick]}, seeds,
        ),
        "init_scale": Case(
            "", dataclasses.replace(base, scaled_learning_rate=0.06, num_steps=steps(3000), centred=True),
            {"init_scale": (0.125, 0.25, 0.5, 1.0, 2.0)[pick]}, seeds,
        ),
        "memorisation_4": Case("", dataclasses.replace(lazy, num_samples=4 * lazy.input_dim), {}, 2 * seeds),
        "memorisation_2": Case(
            "", dataclasses.replace(lazy, num_samples=2 * lazy.input_dim, quadratic_coeff=0.25, output_scale=4.0), {},
            2 * seeds,
        ),
        "phase_diagram": Case(
            "", dataclasses.replace(base, scaled_learning_rate=0.04, num_steps=steps(5000), centred=True),
            {"output_scale": (1.0, 2.0, 4.0, 8.0, 16.0)[pick], "quadratic_coeff": (0.125, 0.25, 0.5, 1.0, 2.0)[pick]},
            2,
        ),
        "samples": Case(
            "", dataclasses.replace(base, scaled_learning_rate=0.06, num_steps=steps(4000)),
            {"num_samples": tuple(int(dim * nu) for nu in (1.5, 2, 3, 4, 5.5, 8, 12))[pick]}, seeds,
        ),
    }  # fmt: skip


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep, or read it; features that move fast are part of the picture."""
    return run_case(SETTING, cases(preset)[name], name, preset, folder, ignore="scaled_learning_rate")


def lazy_results(name: str, preset: Preset = "default") -> xarray.Dataset:
    """The linearised networks of a sweep's instances, solved."""
    case = cases(preset)[name]
    config: Any = dataclasses.replace(case.config, trainer="linearised")
    return predict(SETTING, config, case.grid, seeds=case.seeds, theory="lazy")


if __name__ == "__main__":
    command(cases, results, __doc__)
