"""What recording costs: the library's trainer against a bare ``lax.scan`` of the same steps.

Three sizes: an empty step (the loop's own cost), a small two-layer linear regression, and one whose matrix
products dominate. Compared are a bare scan that records nothing, the trainer recording at log-spaced steps (by optax,
and with a step written by hand), and the scan that records at every step.

    python -m experiments.benchmarks.trainer_overhead [--rounds 5]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.racing import Row, compiled, main, race, rows_of
from theorylab.runtime import configure
from theorylab.training import gradient_descent, iterate, log_spaced_steps


class Workload(NamedTuple):
    """A training problem and its length."""

    name: str
    num_steps: int
    params: Any
    loss: Callable[[Any], jax.Array]


def workloads(key: jax.Array) -> list[Workload]:
    """An empty step, a small problem and a larger one."""

    def regression(num_samples: int, dim: int, width: int, num_steps: int) -> Workload:
        x_key, y_key, w_key = jax.random.split(key, 3)
        x = jax.random.normal(x_key, (num_samples * dim,)).reshape(num_samples, dim)
        y = jax.random.normal(y_key, (num_samples,))
        w = jax.random.normal(w_key, (width * dim,)).reshape(width, dim) / dim
        a = jnp.ones(width) / width
        return Workload(
            f"two-layer linear, n={num_samples} d={dim} width={width}", num_steps, (w, a),
            lambda params: jnp.mean((x @ params[0].T @ params[1] - y) ** 2),
        )  # fmt: skip

    empty = Workload("scalar quadratic", 100_000, jnp.float64(1), lambda w: 0.5 * w**2)
    return [empty, regression(32, 8, 8, 20_000), regression(400, 100, 200, 300)]


def programs(work: Workload) -> dict[str, Callable[[jax.Array], Any]]:
    """The same training, four ways; each takes a traced learning rate."""

    def scan(learning_rate: jax.Array, every_step: bool) -> Any:
        optimizer = optax.sgd(learning_rate)

        def body(carry: Any, _: None) -> Any:
            params, opt_state = carry
            recorded = work.loss(params) if every_step else None
            updates, opt_state = optimizer.update(jax.grad(work.loss)(params), opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), recorded

        return jax.lax.scan(body, (work.params, optimizer.init(work.params)), length=work.num_steps)

    def trainer(learning_rate: jax.Array) -> Any:
        record = lambda params: {"loss": work.loss(params)}  # noqa: E731
        optimizer = optax.sgd(learning_rate)
        return gradient_descent(work.loss, work.params, optimizer, num_steps=work.num_steps, record=record)

    def custom(learning_rate: jax.Array) -> Any:
        def step(params: Any, t: Any) -> Any:
            return jax.tree.map(lambda p, g: p - learning_rate * g, params, jax.grad(work.loss)(params))

        return iterate(step, work.params, num_steps=work.num_steps, record=lambda p: {"loss": work.loss(p)})

    return {
        "bare scan": lambda rate: scan(rate, every_step=False),
        "ours, gradient_descent": trainer,
        "ours, iterate with a step by hand": custom,
        "scan recording every step": lambda rate: scan(rate, every_step=True),
    }


def label(work: Workload) -> str:
    """Name of a workload on the page."""
    return f"{work.name}: {work.num_steps} steps, {len(log_spaced_steps(work.num_steps))} recorded"


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    rows, rate = [], jnp.float64(1e-3)
    for work in workloads(jax.random.key(0)):
        ready = {name: compiled(jax.jit(program), rate) for name, program in programs(work).items()}
        outcome = race({name: partial(run, rate) for name, (run, _) in ready.items()}, rounds)
        seconds = {name: compiling for name, (_, compiling) in ready.items()}
        rows += rows_of(label(work), outcome, compile_seconds=seconds, precision="float64")
    return rows


if __name__ == "__main__":
    main(measure, __doc__)
