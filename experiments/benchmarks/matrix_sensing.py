"""Benchmark of matrix sensing (symmetric, finite measurements): ours against PyTorch and NumPy.

n = 50, rank 3, m = 1000 measurements, model ranks {3, 5, 10, 20} x two initial scales on the same measurements,
float64, gradient descent for 500 steps with the recovery error every 10, set-up (A*A as one matrix) included. Ours
is one program for all eight runs. NumPy does what one would by hand: two matrix-vector products per step and run.
PyTorch runs eagerly, in matrix form, as one would write a training loop, and as a loop of vmapped steps (torch.func);
the loop around a jitted step is what one would write in JAX. All must end in the same states, to 1e-9.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.matrix_sensing [--rounds 5]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import PeerProcess, Row, check_close, compiled, main, race, rows_of
from theorylab.runtime import configure

N, RANK, M, RANKS, SCALES, RATE = 50, 3, 1000, (3, 5, 10, 20), (0.1, 0.5), 0.1
STEPS, EVERY = 500, 10
TARGET = np.diag([1.0, 0.8, 0.6] + [0.0] * (N - RANK))


def matrices_of(rows: np.ndarray) -> np.ndarray:
    """The symmetric matrices A_i / sqrt(m), ``[m, n, n]``, of half-vectorised measurements."""
    i, j = np.triu_indices(N)
    full = np.zeros((len(rows), N, N))
    full[:, i, j] = full[:, j, i] = rows * np.where(i == j, 1.0, np.sqrt(0.5)) / np.sqrt(len(rows))
    return full


def starts(unit: Any) -> list[Any]:
    return [scale * unit[:, :rank] for rank in RANKS for scale in SCALES]


def flat(states: Any) -> np.ndarray:
    """All entries of all final states."""
    return np.concatenate([np.asarray(state).ravel() for state in states])


def numpy_by_hand(matrices: np.ndarray, unit: np.ndarray, steps: int) -> np.ndarray:
    """Two matrix-vector products per step, one run after another."""
    rows = np.ascontiguousarray(matrices.reshape(len(matrices), -1))
    finals = []
    for x in starts(unit):
        for step in range(steps):
            error = x @ x.T - TARGET
            if step % EVERY == 0:
                np.linalg.norm(error)
            x = x - RATE * ((rows @ error.ravel()) @ rows).reshape(N, N) @ x
        finals.append(x)
    return flat(finals)


def jit_loop(matrices: np.ndarray, unit: np.ndarray, steps: int) -> tuple[Callable[[], Any], float]:
    """A Python loop around a jitted step, one run after another; and the seconds of its compilations, one per rank."""
    sensing, target = jnp.asarray(matrices), jnp.asarray(TARGET)
    labels = jnp.einsum("mij,ij->m", sensing, target)

    def update(x: Any, sensing: Any) -> Any:
        loss = lambda x: 0.25 * jnp.sum((jnp.einsum("mij,ij->m", sensing, x @ x.T) - labels) ** 2)  # noqa: E731
        return x - RATE * jax.grad(loss)(x)

    begun = [jnp.asarray(start) for start in starts(unit)]
    steppers, measures, seconds = {}, {}, 0.0
    for x in begun[:: len(SCALES)]:
        steppers[x.shape], compiling = compiled(jax.jit(update), x, sensing)
        measures[x.shape], more = compiled(jax.jit(lambda x: jnp.linalg.norm(x @ x.T - target)), x)
        seconds += compiling + more

    def run() -> Any:
        finals, errors = [], []
        for x in begun:
            step, measure = steppers[x.shape], measures[x.shape]
            for t in range(steps):
                if t % EVERY == 0:
                    errors.append(measure(x))
                x = step(x, sensing)
            finals.append(x)
        jax.block_until_ready(errors)
        return flat(finals)

    return run, seconds


def work(name: str, steps: int) -> tuple[float, float]:
    """Operations of all runs, and the bytes of the operator that they read."""
    d, runs = N * (N + 1) // 2, len(RANKS) * len(SCALES)
    if name == "ours":
        return steps * (2 * d * d * runs + 4 * runs * N * N * max(RANKS)) + 2 * M * d * d, steps * 8.0 * d * d
    if name == "ours, two products":
        return steps * (4 * M * d * runs + 4 * runs * N * N * max(RANKS)), steps * 16.0 * M * d
    return steps * runs * (4 * M * N * N + 4 * N * N * sum(RANKS) / len(RANKS)), steps * runs * 16.0 * M * N * N


def measure(rounds: int, steps: int = STEPS) -> list[Row]:
    from theorylab.settings.factorisation.matrix_sensing.config import Config
    from theorylab.settings.factorisation.matrix_sensing.data import Instance, sample
    from theorylab.settings.factorisation.matrix_sensing.ranks import sweep_ranks

    configure(cache=False)
    config = Config(
        operator="gaussian", dim=N, target_rank=RANK, model_rank=max(RANKS), num_measurements=M, init_scale=1.0,
        num_steps=steps, learning_rate=RATE,
    )  # fmt: skip
    instance: Instance = jax.jit(sample)(jax.random.key(0), config)
    record = tuple(range(0, steps, EVERY))

    def program(normal_step: Literal["auto", "direct"]) -> tuple[Any, float]:
        chosen = dataclasses.replace(config, normal_step=normal_step)
        return compiled(
            jax.jit(lambda i: sweep_ranks(i, chosen, RANKS, jnp.asarray(SCALES), record_at=record)), instance
        )

    ours, ours_seconds = program("auto")
    direct, direct_seconds = program("direct")
    matrices, unit = matrices_of(np.asarray(instance.rows)), np.asarray(instance.left)
    looped, loop_seconds = jit_loop(matrices, unit, steps)
    first: list[np.ndarray] = []  # our final states: all others must reach the same

    def check(name: str, result: Any) -> None:
        if isinstance(result, tuple):  # ours: (errors, final states padded with zero columns)
            finals = np.asarray(result[1])
            result = flat(finals[a, b, :, :rank] for a, rank in enumerate(RANKS) for b in range(len(SCALES)))
        first.append(np.asarray(result))
        check_close(name, result, first[0], 1e-9, absolute=True)

    data = {"matrices": matrices, "unit": unit, "target": TARGET, "rate": np.array(RATE), "ranks": np.array(RANKS),
            "scales": np.array(SCALES)}  # fmt: skip
    with PeerProcess("matrix_sensing", data) as torch:
        outcome = race(
            {
                "ours": lambda: ours(instance),
                "ours, two products": lambda: direct(instance),
                "loop around jit": looped,
                "PyTorch eager": lambda: torch.ask(f"eager({steps})"),
                "torch.func": lambda: torch.ask(f"mapped({steps})"),
                "NumPy by hand": lambda: numpy_by_hand(matrices, unit, steps),
            },
            rounds,
            check=check,
        )
    needs = {name: work(name, steps) for name in outcome.wall}
    return rows_of(
        f"{steps} steps",
        outcome,
        compile_seconds={"ours": ours_seconds, "ours, two products": direct_seconds, "loop around jit": loop_seconds},
        flops={name: flops for name, (flops, _) in needs.items()},
        bytes_moved={name: size for name, (_, size) in needs.items()},
        precision="float64",
    )


if __name__ == "__main__":
    main(measure, __doc__)
