"""What recording costs: the library's trainer against a bare ``lax.scan`` of the same steps.

Three sizes: an empty step (the loop's own cost), a small two-layer linear regression, and one whose matrix
products dominate. The programs run in alternation and the median over rounds of the ratio is printed: a bare
scan that records nothing, the trainer recording at log-spaced steps (by optax, and with a step written by
hand), and the scan that records at every step. Run it alone on a quiet machine:

    python experiments/benchmarks/trainer_overhead.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from theorylab.runtime import start_application
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
    """The same training, three ways; each takes a traced learning rate."""

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
        "gradient_descent": trainer,
        "iterate, hand-written step": custom,
        "scan recording every step": lambda rate: scan(rate, every_step=True),
    }


def seconds(function: Callable[..., Any], *args: Any) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - begin


def main(rounds: int = 7, scale: float = 1.0) -> dict[str, dict[str, float]]:
    """Print the table; return the ratios to the bare scan."""
    start_application(cache=False)
    ratios: dict[str, dict[str, float]] = {}
    rate = jnp.float64(1e-3)
    for work in workloads(jax.random.key(0)):
        work = work._replace(num_steps=max(1, int(scale * work.num_steps)))
        compiled, compile_seconds = {}, {}
        for name, program in programs(work).items():
            begin = time.perf_counter()
            compiled[name] = jax.jit(program).lower(rate).compile()
            compile_seconds[name] = time.perf_counter() - begin
            seconds(compiled[name], rate)
        times = [{name: seconds(run, rate) for name, run in compiled.items()} for _ in range(rounds)]
        print(f"\n{work.name}: {work.num_steps} steps, {len(log_spaced_steps(work.num_steps))} recorded")
        ratios[work.name] = {}
        for name in compiled:
            ratio = statistics.median(row[name] / row["bare scan"] for row in times)
            step = statistics.median(row[name] for row in times) / work.num_steps
            ratios[work.name][name] = ratio
            print(
                f"  {name:28s} {1e6 * step:9.3f} us/step   {ratio:5.2f} x bare scan"
                f"   trace+compile {compile_seconds[name]:.2f} s"
            )
    return ratios


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    main(parser.parse_args().rounds)
