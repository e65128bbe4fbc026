"""Scaling laws: the mean of one-pass SGD by its recursion against runs of it, and a compute-optimal frontier.

Loss of M = 64 weights on a given sketch of D = 1000 features after 300 steps, batches of 1, float64: mean over SGD's
noise. Ours follows 64 second moments, the eigenbasis of the sketch included. The others average 400 runs, which leaves
about 1%; all must agree to 5%. ``explicit SGD`` draws all features of every sample, as one would write it in JAX.

The frontier is the least loss over widths of 16 to 512 at 100 amounts of compute, by the contour; D = 6000 and 20,000
steps.

    python -m experiments.benchmarks.scaling_laws [--rounds 5]
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import Row, check_close, compiled, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.kernels.scaling_laws import Config, simulate
from theorylab.settings.kernels.scaling_laws.data import sketch_matrix
from theorylab.settings.kernels.scaling_laws.predictions import sgd_mean
from theorylab.settings.kernels.scaling_laws.theory import equivalent

CONFIG = Config(num_features=1000, width=64, num_steps=300, num_replicas=400, learning_rate=0.15)


def explicit(key: Any, config: Config) -> Any:
    """One-pass SGD, runs side by side: the mean loss after the last step, and all weights."""
    index = jnp.arange(1, config.num_features + 1.0)
    variances, beta = (
        index**-config.spectrum_exponent,
        index ** ((config.spectrum_exponent - config.target_exponent) / 2),
    )
    sketching, roots = sketch_matrix(key, config), jnp.sqrt(variances)

    def step(theta: Any, key: Any) -> tuple[Any, None]:
        x = jax.random.normal(key, (config.num_replicas, config.num_features)) * roots[None]
        features = x @ sketching
        residual = jnp.sum(features * theta, axis=1) - x @ beta
        return theta - config.learning_rate * residual[:, None] * features, None

    start = jnp.zeros((config.num_replicas, config.width))
    theta, _ = jax.lax.scan(step, start, jax.random.split(jax.random.fold_in(key, 1), config.num_steps))
    return jnp.mean(((theta @ sketching.T - beta[None]) ** 2) @ variances), theta


def frontier() -> np.ndarray:
    """Least loss over six widths at 100 amounts of compute."""
    index, steps, rate = np.arange(1, 6001.0), 20_000, 0.2
    computes = np.geomspace(1e3, 3e5, 100)
    losses = []
    for width in (16.0, 32.0, 64.0, 128.0, 256.0, 512.0):
        modes = equivalent.width_modes(index**-1.5, index**-1.8, width, rate * steps)
        curve = equivalent.sgd_losses(modes, rate, 1, range(steps + 1))[1:]
        along = np.interp(np.log(computes), np.log(width * np.arange(1, steps + 1)), np.log(curve))
        losses.append(np.exp(along))
    return np.min(losses, axis=0)


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    key = jax.random.key(0)
    programs = {
        "ours": lambda key: sgd_mean(key, CONFIG)["loss"][-1],
        "ours, 400 runs by modes": lambda key: simulate(key, CONFIG)["loss"][-1],
        "explicit SGD, 400 runs": partial(explicit, config=CONFIG),
    }
    ready = {name: compiled(jax.jit(program), key) for name, program in programs.items()}
    expected = float(ready["ours"][0](key))

    def check(name: str, result: Any) -> None:
        check_close(name, result[0] if isinstance(result, (tuple, list)) else result, expected, 0.05)

    contenders = {name: partial(program, key) for name, (program, _) in ready.items()}
    seconds = {name: s for name, (_, s) in ready.items()}
    rows = rows_of(
        "mean loss to 1%", race(contenders, rounds, check=check), compile_seconds=seconds, precision="float64"
    )
    return rows + rows_of("100 points of a frontier", race({"ours": frontier}, rounds), precision="float64")


if __name__ == "__main__":
    main(measure, __doc__)
