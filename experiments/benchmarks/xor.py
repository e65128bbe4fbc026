"""Benchmark of XOR clusters: training in coefficients of the data against PyTorch, NumPy and our own full trainer.

n = 80 samples in p = 8000 dimensions, m = 128 neurons, 200 test points, 2 instances, float32, full-batch gradient
descent on the logistic loss for 20 and 200 steps with loss and test accuracy every 10. Given are whole input vectors
and weights: ours computes its inner products within the timed part. PyTorch runs eagerly, as one would write a training
loop, and as a loop of vmapped steps (torch.func); the loop around a jitted step is what one would write in JAX; NumPy
does the same by hand; our full trainer moves the m x p weights in one compiled program.

Then: time of 200 steps, set-up excluded, at p = 2000 and p = 32,000; and the paper's experiment (p = 40,000, n = 200,
m = 1000, 8 instances, 30 steps) from scratch, compilation included.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.xor [--rounds 5]
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import (
    PeerProcess,
    Row,
    Timing,
    check_close,
    compiled,
    compiled_on_devices,
    main,
    race,
    rows_of,
    timed,
)
from theorylab.runtime import configure

N, P, M, TESTS, SEEDS, EVERY, LENGTHS = 80, 8000, 128, 200, 2, 10, (20, 200)
RATE, SCALE, NORM = 0.02, 1e-4, 20.0  # outputs of order 1 after some tens of steps
PRODUCTS = "inner products alone, NumPy"  # no contender: what ours cannot do without
Trainer = Literal["gram", "direct"]
NAMES = ("x", "y", "tests", "truth", "signs", "w")


def problems() -> list[dict[str, np.ndarray]]:
    """Data and initial weights, means along the first two axes."""
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(SEEDS):
        truth, side = rng.choice([-1.0, 1.0], (2, N + TESTS))
        x = rng.standard_normal((N + TESTS, P))
        x[np.arange(N + TESTS), (truth < 0).astype(int)] += NORM * side
        y = np.where(rng.random(N + TESTS) < 0.1, -truth, truth)
        y[N:] = truth[N:]
        parts = {"x": x[:N], "y": y[:N], "tests": x[N:], "truth": y[N:], "signs": rng.choice([-1.0, 1.0], M),
                 "w": SCALE * rng.standard_normal((M, P))}  # fmt: skip
        drawn.append({name: part.astype(np.float32) for name, part in parts.items()})
    return drawn


def numpy_by_hand(problem: dict[str, np.ndarray], steps: int) -> list[tuple[float, float]]:
    """Gradient descent on whole weights."""
    x, y, tests, truth, signs, w = (problem[name] for name in NAMES)
    a = signs / np.float32(np.sqrt(M))
    w, records = w.copy(), []
    for step in range(steps + 1):
        h = w @ x.T
        f = a @ np.maximum(h, 0)
        if step % EVERY == 0:
            loss = float(np.mean(np.logaddexp(0, -y * f)))
            records.append((loss, float(np.mean(truth * (a @ np.maximum(w @ tests.T, 0)) > 0))))
        if step < steps:
            g = y / (1 + np.exp(y * f))
            w += np.float32(RATE / N) * ((a[:, None] * (h > 0) * g) @ x)
    return records


def products_alone(problem: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The inner products of points and initial weights, all that depends on the input dimension."""
    x, _, tests, _, _, w = (problem[name] for name in NAMES)
    return x @ x.T, w @ x.T, x @ tests.T, w @ tests.T


def programs(steps: int) -> dict[str, Any]:
    """Our two trainers: arrays of a problem -> (losses and accuracies, final state)."""
    from theorylab.settings.two_layer.xor.config import Config, output_unit
    from theorylab.settings.two_layer.xor.data import Instance, Labels
    from theorylab.settings.two_layer.xor.model import State, output, products
    from theorylab.settings.two_layer.xor.train import train, train_products

    config = Config(
        num_train=N, input_dim=P, width=M, num_steps=steps, num_test=TESTS, mean_norm=NORM, learning_rate=RATE,
        init_scale=SCALE, sampler="full",
    )  # fmt: skip
    unit = np.float32(RATE / (2 * N * np.sqrt(M)))  # of weights in the library
    record_at = tuple(range(0, steps + 1, EVERY))

    def one(arrays: dict[str, Any], trainer: Trainer) -> Any:
        y, truth, signs = arrays["y"], arrays["truth"], arrays["signs"]
        instance = Instance(
            Labels(y, y, y, y), arrays["x"], signs, arrays["w"], arrays["tests"],
            jnp.zeros((M, TESTS), jnp.float32), jnp.float32(0),
        )  # fmt: skip

        def record(state: State) -> dict[str, Any]:
            loss = jnp.mean(jnp.logaddexp(0.0, -y * output(signs, state.train) * output_unit(config)))
            right = jnp.mean(jnp.where(truth * output(signs, state.test) > 0, 1.0, 0.0))
            return {"loss": loss, "accuracy": right}

        if trainer == "gram":
            parts = products(instance, config)
            # The weights enter through these alone, which are small: it is they that are brought to the unit.
            parts = parts._replace(
                initial=parts.initial / unit,
                test_initial=parts.test_initial / unit,
                mean_initial=parts.mean_initial / unit,
            )
            final, records = train_products(parts, y, signs, config, record, record_at)
        else:
            instance = instance._replace(weights=arrays["w"] / unit)
            final, records = train(instance, dataclasses.replace(config, trainer="direct"), record, record_at)
        return jnp.stack([records["loss"], records["accuracy"]], -1), final

    return {"ours": partial(one, trainer="gram"), "ours, whole weights": partial(one, trainer="direct")}


def jit_loop(drawn: list[dict[str, np.ndarray]], steps: int) -> tuple[Callable[[], Any], float]:
    """A Python loop around a jitted step, one instance after another; and the seconds of its compilation."""

    def outputs(w: Any, x: Any, signs: Any) -> Any:
        return jax.nn.relu(x @ w.T) @ signs / M**0.5

    def loss(w: Any, x: Any, y: Any, signs: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-y * outputs(w, x, signs)))

    def update(w: Any, x: Any, y: Any, signs: Any) -> Any:
        return w - RATE * jax.grad(loss)(w, x, y, signs)

    def both(w: Any, x: Any, y: Any, tests: Any, truth: Any, signs: Any) -> Any:
        return loss(w, x, y, signs), jnp.mean(jnp.where(truth * outputs(w, tests, signs) > 0, 1.0, 0.0))

    parts = [tuple(jnp.asarray(problem[name]) for name in NAMES) for problem in drawn]
    x, y, tests, truth, signs, w = parts[0]
    step, compiling = compiled(jax.jit(update), w, x, y, signs)
    measure, more = compiled(jax.jit(both), w, x, y, tests, truth, signs)

    def run() -> Any:
        curves, finals = [], []
        for x, y, tests, truth, signs, w in parts:
            curve = []
            for t in range(steps + 1):
                if t % EVERY == 0:
                    curve.append(measure(w, x, y, tests, truth, signs))
                if t < steps:
                    w = step(w, x, y, signs)
            curves.append(curve)
            finals.append(w)
        return np.asarray(jax.device_get(curves)), finals

    return run, compiling + more


def operations(steps: int) -> dict[str, float]:
    """Operations of all instances: inner products, training in the coefficients (with these), and on whole weights."""
    looks = steps // EVERY + 1
    products = 2 * P * (N * N + M * N + N * TESTS + M * TESTS)
    gram = products + steps * 2 * M * N * N + looks * 2 * M * N * (N + TESTS)
    return {
        "products": float(SEEDS * products),
        "gram": float(SEEDS * gram),
        "direct": float(SEEDS * (steps * 4 * M * N * P + looks * 2 * M * TESTS * P)),
    }


def trainers(rounds: int, steps: int, drawn: list[dict[str, np.ndarray]], torch: PeerProcess) -> list[Row]:
    """All trainers for a number of steps."""
    arrays = {name: np.stack([p[name] for p in drawn]) for name in drawn[0]}
    # Whole weights are large: on one device, one instance after another is faster than side by side.
    ready = {
        name: compiled_on_devices(program, arrays, sequential=name != "ours")
        for name, program in programs(steps).items()
    }
    looped, loop_seconds = jit_loop(drawn, steps)
    expected = np.array([numpy_by_hand(p, steps) for p in drawn])

    def check(name: str, result: Any) -> None:
        if name == PRODUCTS:
            return
        values = np.asarray(result[0] if isinstance(result, tuple) else result)
        check_close(f"loss of {name}", values[:, :, 0], expected[:, :, 0], 1e-2)
        # A test point on the boundary may fall on either side.
        check_close(f"accuracy of {name}", values[:, :, 1], expected[:, :, 1], 2 / TESTS, absolute=True)

    contenders: dict[str, Callable[[], Any]] = {name: program for name, (program, _) in ready.items()}
    contenders |= {
        "loop around jit": looped,
        "PyTorch eager": lambda: torch.ask(f"eager({steps})"),
        "torch.func": lambda: torch.ask(f"mapped({steps})"),
        "NumPy by hand": lambda: [numpy_by_hand(p, steps) for p in drawn],
        PRODUCTS: lambda: [products_alone(p) for p in drawn],
    }
    outcome = race(contenders, rounds, check=check)
    needed = operations(steps)
    flops = {name: needed["gram" if name == "ours" else "direct"] for name in outcome.wall}
    flops[PRODUCTS] = needed["products"]
    return rows_of(
        f"{steps} steps",
        outcome,
        compile_seconds={name: seconds for name, (_, seconds) in ready.items()} | {"loop around jit": loop_seconds},
        flops=flops,
    )


def input_dimension(rounds: int) -> list[Row]:
    """200 steps at two input dimensions, set-up excluded; the fastest of five runs each, since they are short."""
    from theorylab.settings.two_layer.xor.config import Config
    from theorylab.settings.two_layer.xor.data import sample
    from theorylab.settings.two_layer.xor.model import products
    from theorylab.settings.two_layer.xor.train import train_products

    contenders: dict[str, Callable[[], Any]] = {}
    seconds = {}
    for p in (2000, 32_000):
        config = Config(num_train=N, input_dim=p, width=M, num_steps=200, num_test=TESTS, mean_norm=p**0.5 / 4)
        instance = jax.jit(sample)(jax.random.key(0), config)
        parts = jax.jit(products)(instance, config)

        def run(parts: Any, labels: Any, signs: Any, config: Any = config) -> Any:
            return train_products(parts, labels, signs, config, lambda state: {}, (200,))[0]

        arguments = (parts, instance.labels.observed, instance.signs)
        program, seconds[f"p = {p}"] = compiled(jax.jit(run), *arguments)

        def fastest(program: Any = program, arguments: Any = arguments) -> Timing:
            return min((timed(program, *arguments) for _ in range(5)), key=lambda timing: timing.wall)

        contenders[f"p = {p}"] = fastest
    return rows_of(
        "input dimension", race(contenders, 2 * rounds + 1, patience=math.inf), compile_seconds=seconds,
        flops=dict.fromkeys(contenders, 200.0 * 2 * M * N * N),
    )  # fmt: skip


def papers_experiment() -> Row:
    """The paper's experiment at its full size, 8 instances, from nothing."""
    from theorylab.lab.sweep import sweep
    from theorylab.settings.two_layer.xor import SETTING, Config

    jax.config.update("jax_enable_x64", True)
    timing = timed(lambda: sweep(SETTING, Config(width=1000, num_steps=30), {}, seeds=8))
    return Row("the paper's experiment, compilation included", "ours", (timing.wall,), (timing.cpu,),
               precision="float64")  # fmt: skip


def measure(rounds: int) -> list[Row]:
    configure(float64=False, cache=False)
    drawn = problems()
    rows = []
    with PeerProcess("xor", {name: np.stack([p[name] for p in drawn]) for name in NAMES}) as torch:
        for steps in LENGTHS:
            rows += trainers(rounds, steps, drawn, torch)
    return [*rows, *input_dimension(rounds), papers_experiment()]


if __name__ == "__main__":
    main(measure, __doc__)
