"""The sweeps behind the figure of the mean-field theory of grokking (model of arXiv 2310.06110).

    python -m experiments.grokking_mean_field --preset default

runs all of them into ``results/<preset>/grokking/``; a sweep that is finished is read.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.common import command, run_case

from theorylab.catalogue import Preset
from theorylab.contract import Case
from theorylab.settings.two_layer.grokking import SETTING, Config

if TYPE_CHECKING:
    import xarray


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name: the output scale at one activation, at one ratio ε/α, and an isotropic start."""
    dim, steps, seeds = {"tiny": (40, 8, 3), "default": (200, 60, 5), "paper": (1000, 100, 20)}[preset]
    planted = Config(
        input_dim=dim, num_samples=4 * dim, num_steps=steps, planted=True, spike_overlap=0.1, quadratic_coeff=0.5,
        scaled_learning_rate=0.08,
    )  # fmt: skip
    isotropic = dataclasses.replace(planted, planted=False, scaled_learning_rate=0.12, num_steps=min(steps, 40))
    scales = (1.0,) if preset == "tiny" else (0.5, 1.0, 2.0)
    made = {"rate_varied": Case("", planted, {"output_scale": scales}, seeds=seeds)}
    for scale in scales:
        config = dataclasses.replace(planted, output_scale=scale, quadratic_coeff=0.5 * scale)
        made[f"rate_fixed_{scale:g}"] = Case("", config, {}, seeds=seeds)
    return made | {"isotropic": Case("", isotropic, {}, seeds=2 * seeds)}


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep into its store, continue it, or read it if it is finished."""
    return run_case(SETTING, cases(preset)[name], name, preset, folder)


if __name__ == "__main__":
    command(cases, results, __doc__)
