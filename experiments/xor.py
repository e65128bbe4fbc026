"""The sweeps behind the figures of XOR clusters (arXiv 2310.02541).

    python -m experiments.xor --preset default

runs all of them into ``results/<preset>/xor/``; a sweep that was interrupted continues where it stopped, one that is
finished is read. There are no larger sizes: ``paper`` is ``default`` here.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from experiments.common import command, run_case

from theorylab.catalogue import Preset
from theorylab.contract import Case
from theorylab.lab.grid import seed_keys
from theorylab.settings.two_layer.xor import SETTING, Config, at_ratio
from theorylab.settings.two_layer.xor.data import sample, sample_labels
from theorylab.settings.two_layer.xor.theory import cell_model
from theorylab.settings.two_layer.xor.train import recorded_steps, train

if TYPE_CHECKING:
    import xarray

RATIOS = (10.0, 1.0, 0.1, 0.01)
COUPLINGS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)
STEPS = (0, 1, 15)  # shown of decision boundary and features


def cases(preset: Preset) -> dict[str, Case]:
    """Sweeps by name; ``tiny`` has the same shape in seconds."""
    tiny = preset == "tiny"
    small: dict[str, Any] = {"num_train": 20, "input_dim": 4000, "width": 20, "num_test": 40}
    paper: dict[str, Any] = {"num_train": 200, "input_dim": 40_000, "width": 1000, "num_test": 400}
    sizes = small if tiny else paper
    plain: dict[str, Any] = small if tiny else {"num_train": 60, "input_dim": 60_000, "width": 200, "num_test": 400}
    seeds = 2 if tiny else 8
    norm = float(2.5 * np.sqrt(sizes["input_dim"] / sizes["num_train"]))
    large = Config(**sizes, mean_norm=norm, num_steps=15 if tiny else 30, records_per_decade=16)
    # α = 1e-16 as in the paper; κ is kept at the tiny preset.
    slow = dataclasses.replace(
        large, learning_rate=1e-14 if tiny else 1e-16, num_steps=40 if tiny else 4000, records_per_decade=10
    )
    found = {"large": Case("", large, {}, 2 if tiny else 16), "small": Case("", slow, {}, 2 if tiny else 4)}
    for ratio in RATIOS:
        steps = 20 if tiny else max(30, round(20 / ratio))
        config = at_ratio(ratio, cluster_coupling=4.0, label_noise=0.1, num_steps=steps, loss_slope="half", **plain)
        found[f"ratio_{ratio:g}"] = Case("", config, {}, seeds)
    memorising = at_ratio(
        0.01, cluster_coupling=0.2, label_noise=0.1, num_steps=40 if tiny else 150,
        **(small if tiny else {"num_train": 50, "input_dim": 100_000, "num_test": 40, "width": 200}),
    )  # fmt: skip
    found["memorisation"] = Case("", memorising, {"width": (20,) if tiny else (50, 200, 800)}, seeds)
    flips = at_ratio(
        30.0, cluster_coupling=2.0, label_noise=0.1, num_steps=15 if tiny else 60,
        **(small if tiny else {"num_train": 100, "input_dim": 20_000, "num_test": 400, "width": 200}),
    )  # fmt: skip
    norms = tuple(float(np.sqrt(c * flips.input_dim / flips.num_train)) for c in COUPLINGS)
    found["flips"] = Case("", flips, {"mean_norm": norms[::4] if tiny else norms}, seeds)
    return found


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Run a sweep, or read it; couplings beyond the theory's range are swept on purpose."""
    return run_case(SETTING, cases(preset)[name], name, preset, folder, ignore="cluster_coupling")


@functools.partial(jax.jit, static_argnames=("steps",))
def _features(keys: jax.Array, config: Config, steps: tuple[int, ...]) -> dict[str, Any]:
    def one(key: jax.Array) -> dict[str, Any]:
        instance = sample(key, config)
        _, records = train(instance, config, lambda state: {"alignment": state.alignment}, steps)
        model = cell_model.trajectory(key, instance.labels, config, steps)
        return {
            "signs": instance.signs, "alignment": records["alignment"], "labels": instance.labels,
            "model_signs": model["signs"][0], "model_alignment": model["alignment"],
        }  # fmt: skip

    return jax.lax.map(one, keys)


def features(preset: Preset, seeds: int) -> dict[str, Any]:
    """Alignments v of every neuron at :data:`STEPS` of the large-step run, simulated and by the cell model."""
    return jax.tree.map(np.asarray, _features(seed_keys(0, np.arange(seeds)), cases(preset)["large"].config, STEPS))


@functools.partial(jax.jit, static_argnames=("steps",))
def _cell_paths(keys: jax.Array, config: Config, steps: tuple[int, ...]) -> dict[str, Any]:
    def one(key: jax.Array) -> dict[str, Any]:
        paths = cell_model.trajectory(key, sample_labels(key, config), config, steps)
        return {name: paths[name] for name in ("train_accuracy", "flipped_accuracy", "test_accuracy")}

    return jax.lax.map(one, keys)


def cell_paths(config: Config, seeds: int) -> dict[str, np.ndarray]:
    """Accuracies of the cell model at the recorded steps, on the seeds' own cluster counts."""
    keys = seed_keys(0, np.arange(seeds))
    return {name: np.asarray(path) for name, path in _cell_paths(keys, config, recorded_steps(config)).items()}


if __name__ == "__main__":
    command(cases, results, __doc__)
