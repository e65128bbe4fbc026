"""Benchmark of random networks without matrices: kernels and tangent kernels against explicit networks.

64 critical tanh networks of width 256 and depth 32, float32. `kernel` is the forward pass of one input: ours draws n
numbers a layer, the others n x n. `kernel and tangent kernel` adds the backward pass of all layers, and ours a second
input. The explicit network in JAX is one jitted program, weights drawn layer by layer; in PyTorch it is a loop over
layers, as one would write it.

Then the cost of the kernels of leaky ReLU networks by chi-square numbers, at two widths.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.signal_propagation [--rounds 5]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import PeerProcess, Row, check_close, compiled, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.wide_networks.signal_propagation import Config
from theorylab.settings.wide_networks.signal_propagation.model import sample_kernels, sample_matrices, sample_networks

WIDTH, DEPTH, NETWORKS, CHAINS = 256, 32, 64, 1000
CONFIG = Config(width=WIDTH, depth=DEPTH, activation="tanh", weight_variance=1.0)
KERNEL, BOTH = "kernel", "kernel and tangent kernel"


def forward_by_vectors(key: jax.Array) -> jax.Array:
    """Kernels of the last layer: n Gaussian numbers a layer, as :func:`sample_networks` has them."""
    from theorylab.numerics import random

    def layer(kernel: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        z = jnp.sqrt(kernel)[:, None] * random.normal(key, NETWORKS, WIDTH)
        return jnp.mean(jnp.tanh(z) ** 2, axis=1), None

    return jax.lax.scan(layer, jnp.ones(NETWORKS), jax.random.split(key, DEPTH - 1))[0]


def forward_by_matrices(key: jax.Array) -> jax.Array:
    """The same by weights, drawn layer by layer."""

    def network(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, DEPTH - 1)

        def layer(z: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
            weights = jax.random.normal(key, (WIDTH, WIDTH)) / WIDTH**0.5
            return weights @ jnp.tanh(z), None

        last, _ = jax.lax.scan(layer, jax.random.normal(keys[0], (WIDTH,)), keys[1:])
        return jnp.mean(jnp.tanh(last) ** 2)

    return jax.lax.map(network, jax.random.split(key, NETWORKS))


def both_by_vectors(key: jax.Array) -> jax.Array:
    """Kernel and tangent kernel, [2, networks]."""
    found = sample_networks(key, CONFIG, NETWORKS)
    return jnp.stack([found.kernel, found.ntk])


def both_by_matrices(key: jax.Array) -> jax.Array:
    """The same by differentiation of the whole network, one after another."""

    def network(key: jax.Array) -> jax.Array:
        found = sample_matrices(key, CONFIG, 1)
        return jnp.stack([found.kernel[0], found.ntk[0]])

    return jax.lax.map(network, jax.random.split(key, NETWORKS)).T


def samplers(rounds: int, torch: PeerProcess) -> list[Row]:
    """Both workloads."""
    rows, key = [], jax.random.key(0)
    for workload, ours, theirs in (
        (KERNEL, forward_by_vectors, forward_by_matrices),
        (BOTH, both_by_vectors, both_by_matrices),
    ):
        ready = {"ours": compiled(jax.jit(ours), key), "matrices, JAX": compiled(jax.jit(theirs), key)}
        wanted = np.log(np.mean(np.asarray(ready["ours"][0](jax.random.key(1))).reshape(-1, NETWORKS), axis=1))

        def check(name: str, result: Any, wanted: np.ndarray = wanted) -> None:
            # Other networks of the same law: the means over 64 of them agree to a few standard errors.
            found = np.log(np.mean(np.asarray(result).reshape(-1, NETWORKS), axis=1))
            check_close(f"mean of {name}", found, wanted, 0.5, absolute=True)

        contenders: dict[str, Callable[[], Any]] = {name: partial(program, key) for name, (program, _) in ready.items()}
        contenders["matrices, PyTorch"] = partial(torch.ask, "forward()" if workload == KERNEL else "both()")
        outcome = race(contenders, rounds, check=check)
        rows += rows_of(workload, outcome, compile_seconds={name: seconds for name, (_, seconds) in ready.items()})
    return rows


def widths(rounds: int) -> list[Row]:
    """Kernels of leaky ReLU networks by chi-square numbers, 1000 of depth 32."""
    contenders: dict[str, Callable[[], Any]] = {}
    seconds = {}
    for width in (256, 65_536):
        config = Config(width=width, depth=DEPTH, activation="leaky_relu", weight_variance=2 / 1.09)
        name = f"n = {width}"
        program, seconds[name] = compiled(
            jax.jit(partial(sample_kernels, config=config, count=CHAINS)), jax.random.key(0)
        )
        contenders[name] = partial(program, jax.random.key(0))
    return rows_of("width, chi-square numbers", race(contenders, rounds), compile_seconds=seconds)


def measure(rounds: int) -> list[Row]:
    configure(float64=False, cache=False)
    sizes = {"sizes": np.array([WIDTH, DEPTH, NETWORKS])}
    with PeerProcess("signal_propagation", sizes) as torch:
        rows = samplers(rounds, torch)
    return [*rows, *widths(rounds)]


if __name__ == "__main__":
    main(measure, __doc__)
