"""Networks that grok: modular addition, images, and training at the edge of numerical stability.

    python -m experiments.grokking_networks --preset default

trains all of them into ``results/<preset>/grokking/``; a run that is finished is read. Kumar et al., arXiv 2310.06110
(output scale); Prieto et al., arXiv 2501.04697 (stability). The default preset takes a few minutes on two cores,
``paper`` has the published sizes and wants a GPU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from experiments.common import command, store_of

from theorylab.catalogue import Preset
from theorylab.training.iterate import log_spaced_steps

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True)
class Run:
    """One experiment: a task, a network, how it is trained, and the grid of one swept option of the training."""

    task: Callable[[jax.Array], Any]
    module: Callable[[], Any]
    options: dict[str, Any]
    num_steps: int
    swept: str
    values: tuple[float, ...]
    seeds: int = 2


def runs(preset: Preset) -> dict[str, Run]:
    """Experiments by name."""
    return _scale_runs(preset) | _stability_runs(preset)


def _scale_runs(preset: Preset) -> dict[str, Run]:
    """Output scales from rich to lazy."""
    from theorylab.settings.two_layer.grokking.images import mnist_task
    from theorylab.settings.two_layer.grokking.modular_addition import modular_addition
    from theorylab.settings.two_layer.grokking.networks import MLP, Transformer

    tiny, large = preset == "tiny", preset == "paper"
    modulus = 5 if tiny else 113 if large else 23
    width, dim = (16, 8) if tiny else (500, 128) if large else (256, 32)
    images = (20, 50) if tiny else (1000, 4000) if large else (200, 1000)
    hidden = 16 if tiny else 200 if large else 100
    steps = 150 if tiny else 30_000 if large else 2000
    seeds = 2 if not large else 5
    return {
        "addition_mlp": Run(
            lambda key: modular_addition(key, modulus, 0.6),
            lambda: MLP((width, modulus), activation=jnp.square),
            {"loss": "squared", "centred": True, "learning_rate": 5e-3, "weight_decay": 0.3},
            num_steps=steps, swept="output_scale", values=(0.1, 8.0) if tiny else (0.1, 0.5, 2.0, 8.0, 32.0),
            seeds=seeds,
        ),
        "addition_transformer": Run(
            lambda key: modular_addition(key, modulus, 0.75, encoding="tokens"),
            lambda: Transformer(modulus + 1, modulus, dim=dim, heads=4),
            {"loss": "softmax", "centred": True, "learning_rate": 3e-3, "weight_decay": 2.0},
            num_steps=steps, swept="output_scale", values=(0.3, 30.0) if tiny else (0.3, 3.0, 30.0, 100.0),
            seeds=seeds,
        ),
        "images_mlp": Run(
            lambda key: mnist_task(*images, pooling=1 if large else 2),
            lambda: MLP((hidden, hidden, 10), use_bias=True),
            {"loss": "squared", "weight_scale": 8.0, "learning_rate": 3e-3, "weight_decay": 0.3},
            num_steps=steps if tiny or large else 3000, swept="output_scale",
            values=(0.003, 1.0) if tiny else (0.003, 0.03, 0.3, 1.0), seeds=seeds,
        ),
    }  # fmt: skip


def _stability_runs(preset: Preset) -> dict[str, Run]:
    """Cross-entropy without weight decay: three ways to train one network on modular addition."""
    from theorylab.settings.two_layer.grokking.modular_addition import modular_addition
    from theorylab.settings.two_layer.grokking.networks import MLP

    tiny, large = preset == "tiny", preset == "paper"
    modulus, width = (5, 16) if tiny else (113, 200) if large else (23, 100)
    fraction = 0.4 if large else 0.5
    rates = (5e-3,) if tiny else (1e-2,) if large else (5e-3, 5e-2)
    variants: dict[str, dict[str, Any]] = {
        "softmax": {"loss": "softmax"},
        "perpendicular": {"loss": "softmax", "optimizer": "perpendicular_adamw"},
        "stablemax": {"loss": "stablemax", "second_moment_decay": 0.999},
        "stablemax_perpendicular": {
            "loss": "stablemax", "optimizer": "perpendicular_adamw", "second_moment_decay": 0.999,
        },
    }  # fmt: skip
    return {
        f"stability_{name}": Run(
            lambda key: modular_addition(key, modulus, fraction),
            lambda: MLP((width, width, modulus)),
            {"epsilon": 1e-25, **options},
            num_steps=20 if tiny else 80_000 if large else 1500,
            swept="learning_rate",
            values=rates,
        )
        for name, options in variants.items()
    }


def train(run: Run) -> xarray.Dataset:
    """Train all seeds and values of an experiment in one program, in float32."""
    import xarray

    from theorylab.settings.two_layer.grokking.networks import train_classifier

    steps = log_spaced_steps(run.num_steps, 12)
    module = run.module()

    def one(key: jax.Array, value: jax.Array) -> Any:
        split, initial = jax.random.split(key)
        options = {**run.options, run.swept: value}
        curves = train_classifier(initial, module, run.task(split), num_steps=run.num_steps, record_at=steps, **options)
        return curves._asdict()

    keys = jax.random.split(jax.random.key(0), run.seeds)
    values = jnp.asarray(run.values, jnp.float32)
    curves = jax.jit(jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None)))(keys, values)
    return xarray.Dataset(
        {name: (("seed", run.swept, "step"), np.asarray(curve)) for name, curve in curves.items()},
        coords={"seed": np.arange(run.seeds), run.swept: list(run.values), "step": list(steps)},
    )


def results(name: str, preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Train an experiment into its store, or read it if it is finished."""
    import xarray

    store = store_of(folder, preset, "grokking", name)
    if not store.exists():
        data = train(runs(preset)[name])
        unfinished = store.with_suffix(".part")
        data.to_zarr(unfinished, mode="w", consolidated=False)
        unfinished.rename(store)
    return xarray.open_zarr(store, consolidated=False).load()


if __name__ == "__main__":
    command(runs, results, __doc__)
