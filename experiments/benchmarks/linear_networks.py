"""Benchmark of two-layer linear networks: the map of the moments against trainers of every parameter.

m = 1024 neurons, d = 5 inputs, NTK scaling, 32 step sizes, 200 steps of gradient descent, float64. Ours takes the
moments of the given weights, set-up included, and follows 36 numbers for each run. The full trainer is one compiled
program, vmapped over the step sizes, as one would write it in JAX; the loop around jit calls a jitted step for one run
after another. All must end in the same losses, to 1e-9.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.linear_networks [--rounds 5]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import PeerProcess, Row, check_close, compiled, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.factorisation import linear_map

WIDTH, STEPS = 1024, 200
RATES = np.linspace(0.01, 0.3, 32)


def gradient_loss(first: Any, last: Any, task: linear_map.Problem) -> Any:
    residual = task.output_scale * (first.T @ last) - task.target
    return jnp.sum(task.variances * residual**2) / 2


def full_trainer(task: linear_map.Problem, steps: int) -> Callable[[Any, Any, Any], Any]:
    """Gradient descent on every parameter: final losses and weights, mapped over step sizes."""

    def run(first: Any, last: Any, rate: Any) -> Any:
        def step(_: int, weights: Any) -> Any:
            gradients = jax.grad(gradient_loss, argnums=(0, 1))(*weights, task)
            return jax.tree.map(lambda w, g: w - rate * g, weights, gradients)

        weights = jax.lax.fori_loop(0, steps, step, (first, last))
        return gradient_loss(*weights, task), weights

    return jax.vmap(run, in_axes=(None, None, 0))


def map_trainer(task: linear_map.Problem, steps: int) -> Callable[[Any, Any, Any], Any]:
    """The map of the moments: final losses and moments, mapped over step sizes."""

    def all_runs(first: Any, last: Any, rates: Any) -> Any:
        gram = linear_map.gram_of(first, last)

        def run(rate: Any) -> Any:
            end = jax.lax.fori_loop(0, steps, lambda _, gram: linear_map.gram_step(gram, task, rate), gram)
            return linear_map.loss_of(end, task), end

        return jax.vmap(run)(rates)

    return all_runs


def jit_loop(task: linear_map.Problem, first: Any, last: Any, steps: int) -> tuple[Callable[[], Any], float]:
    """A Python loop around a jitted step, one run after another; and the seconds of its compilation."""

    def update(first: Any, last: Any, rate: Any) -> Any:
        gradients = jax.grad(gradient_loss, argnums=(0, 1))(first, last, task)
        return first - rate * gradients[0], last - rate * gradients[1]

    program, seconds = compiled(jax.jit(update), first, last, jnp.asarray(0.1))
    loss = jax.jit(lambda first, last: gradient_loss(first, last, task))

    def run() -> Any:
        losses = []
        for rate in jnp.asarray(RATES):
            weights = (first, last)
            for _ in range(steps):
                weights = program(*weights, rate)
            losses.append(loss(*weights))
        return np.array(jax.device_get(losses)), None

    return run, seconds


def numpy_by_hand(task: linear_map.Problem, first: np.ndarray, last: np.ndarray, steps: int) -> Any:
    """The gradient written out, one run after another."""
    c, variances, target = task.output_scale, np.asarray(task.variances), np.asarray(task.target)
    losses = []
    for rate in RATES:
        w, a = first, last
        for _ in range(steps):
            pull = rate * c * variances * (c * (a @ w) - target)
            w, a = w - a[:, None] * pull, a - w @ pull
        losses.append(np.sum(variances * (c * (a @ w) - target) ** 2) / 2)
    return np.array(losses), None


def measure(rounds: int, steps: int = STEPS) -> list[Row]:
    configure(cache=False)
    task = linear_map.problem_of("spread", "ntk", WIDTH, 0.447, 1.0)
    first, last = jax.jit(lambda key: linear_map.draw_weights(key, task, WIDTH))(jax.random.key(0))
    rates = jnp.asarray(RATES)
    ours, ours_seconds = compiled(jax.jit(map_trainer(task, steps)), first, last, rates)
    full, full_seconds = compiled(jax.jit(full_trainer(task, steps)), first, last, rates)
    looped, loop_seconds = jit_loop(task, first, last, steps)
    expected = np.asarray(numpy_by_hand(task, np.asarray(first), np.asarray(last), steps)[0])

    def check(name: str, result: Any) -> None:
        check_close(name, result[0], expected, 1e-9, absolute=True)

    data = {"first": np.asarray(first), "last": np.asarray(last), "rates": RATES, "scale": np.array(task.output_scale),
            "variances": np.asarray(task.variances), "target": np.asarray(task.target)}  # fmt: skip
    with PeerProcess("linear_networks", data) as torch:
        outcome = race(
            {
                "ours": lambda: ours(first, last, rates),
                "every parameter, vmapped": lambda: full(first, last, rates),
                "loop around jit": looped,
                "PyTorch eager": lambda: torch.ask(f"eager({steps})"),
                "NumPy by hand": lambda: numpy_by_hand(task, np.asarray(first), np.asarray(last), steps),
            },
            rounds,
            check=check,
        )
    return rows_of(
        "32 step sizes",
        outcome,
        compile_seconds={
            "ours": ours_seconds, "every parameter, vmapped": full_seconds, "loop around jit": loop_seconds,
        },
        precision="float64",
    )  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
