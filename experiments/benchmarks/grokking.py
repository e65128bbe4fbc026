"""Benchmark of the grokking model: the moments of the weights against training every neuron, PyTorch and NumPy.

``small``: D = 32, N = 128, P = 200, 500 test points, 16 runs (4 output scales x 4 seeds), 100 steps. ``paper``:
D = 100, N = 500, P = 450, 1000 test points, 2 output scales, 20 steps. Float32; train loss and loss on the test points
every 10 steps; set-up (the moments of the given initial weights) included. Ours are one program for all runs: the
moments, and the generic trainer, which takes any activation. PyTorch runs eagerly one run after another, as one would
write a training loop, and as a loop of vmapped steps (torch.func). The loop around a jitted step is what one would
write in JAX. NumPy has the gradient written by hand. `products alone` are the matrix products of our steps, as many
operations without the rest: the ceiling at this shape. Then the moments at N = 64 and N = 1024.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.grokking [--rounds 5]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import (
    PeerProcess,
    Row,
    check_close,
    compiled,
    compiled_on_devices,
    main,
    race,
    rows_of,
)
from theorylab.numerics.xla import stored_transpose
from theorylab.runtime import configure

EPS, EVERY = 0.5, 10
WORKLOADS: dict[str, dict[str, Any]] = {
    "small": {
        "dim": 32, "width": 128, "count": 200, "test": 500, "scales": (0.5, 1.0, 2.0, 4.0), "seeds": 4, "steps": 100,
    },
    "paper": {"dim": 100, "width": 500, "count": 450, "test": 1000, "scales": (0.5, 2.0), "seeds": 1, "steps": 20},
}  # fmt: skip
NAMES = ("inputs", "labels", "fresh", "fresh_labels", "weights", "scales")


def draw(workload: str, width: int | None = None) -> dict[str, np.ndarray]:
    """Inputs, labels, weights and output scales of every run, stacked."""
    shape = WORKLOADS[workload]
    rng = np.random.default_rng(0)
    dim, n = shape["dim"], width or shape["width"]
    runs = len(shape["scales"]) * shape["seeds"]
    data = {
        "inputs": rng.standard_normal((runs, shape["count"], dim)) / np.sqrt(dim),
        "fresh": rng.standard_normal((runs, shape["test"], dim)) / np.sqrt(dim),
        "weights": rng.standard_normal((runs, n, dim)),
        "scales": np.repeat(shape["scales"], shape["seeds"]),
    }
    data["labels"] = dim * data["inputs"][:, :, 0] ** 2 / 2
    data["fresh_labels"] = dim * data["fresh"][:, :, 0] ** 2 / 2
    return {name: values.astype(np.float32) for name, values in data.items()}


def records(steps: int) -> tuple[int, ...]:
    return tuple(range(0, steps + 1, EVERY))


def numpy_by_hand(data: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """Losses of all runs, ``[runs, records, 2]``; the gradient as derived on paper."""
    losses = []
    for x, y, fresh, fresh_y, start, alpha in zip(*(data[name] for name in NAMES), strict=True):
        w, rate = start.copy(), np.float32(1 / len(y)) / alpha
        curve = []
        for step in range(steps + 1):
            h = x @ w.T
            error = y - alpha * (h + np.float32(EPS / 2) * h * h).mean(1)
            if step % EVERY == 0:
                g = fresh @ w.T
                miss = fresh_y - alpha * (g + np.float32(EPS / 2) * g * g).mean(1)
                curve.append(((error**2).mean(), (miss**2).mean()))
            if step < steps:
                w += rate * ((1 + np.float32(EPS) * h) * error[:, None]).T @ x
        losses.append(curve)
    return np.array(losses)


def trainer(kind: str, steps: int) -> Callable[[dict[str, Any]], Any]:
    """Ours, data of one run -> (losses, final state): "moments" or "generic"."""
    from theorylab.settings.two_layer.grokking.model import network_output, quadratic_activation
    from theorylab.settings.two_layer.grokking.moments import moments_of, moments_output
    from theorylab.settings.two_layer.grokking.steps import MomentState, moment_step
    from theorylab.settings.two_layer.grokking.train import train_network
    from theorylab.training.iterate import iterate

    activation = quadratic_activation(EPS)

    def one(run: dict[str, Any]) -> Any:
        x, y, alpha = run["inputs"], run["labels"], run["scales"]
        gamma = 1 / y.shape[0]

        def losses(output: Callable[[Any], Any]) -> dict[str, Any]:
            return {
                "train": jnp.mean((y - output(x)) ** 2),
                "test": jnp.mean((run["fresh_labels"] - output(run["fresh"])) ** 2),
            }

        if kind == "generic":
            orbit = train_network(
                run["weights"], x, y, output_scale=alpha, scaled_learning_rate=gamma, activation=activation,
                num_steps=steps, record=lambda w: losses(lambda p: network_output(w, p, alpha, activation)),
                record_at=records(steps),
            )  # fmt: skip
        else:
            start = moments_of(run["weights"])
            orbit = iterate(
                moment_step(x, y, alpha, EPS, gamma), MomentState(start, start.mean), num_steps=steps,
                record=lambda s: losses(lambda p: moments_output(s.moments, p, alpha, EPS)), record_at=records(steps),
            )  # fmt: skip
        return jnp.stack([orbit.observables["train"], orbit.observables["test"]], -1), orbit.state

    return one


def jit_loop(data: dict[str, Any], steps: int) -> tuple[Callable[[], Any], float]:
    """A Python loop around a jitted optax step, one run after another; and the seconds of its compilation."""
    import optax

    def loss(w: Any, points: Any, labels: Any, scale: Any) -> Any:
        h = points @ w.T
        return jnp.mean((labels - scale * jnp.mean(h + EPS / 2 * h * h, axis=1)) ** 2)

    def update(w: Any, state: Any, x: Any, y: Any, scale: Any) -> Any:
        slope = jax.grad(loss)(w, x, y, scale)
        updates, state = optax.sgd(0.5 * w.shape[0] / scale**2).update(slope, state)
        return optax.apply_updates(w, updates), state

    def both(w: Any, x: Any, y: Any, fresh: Any, fresh_y: Any, scale: Any) -> Any:
        return loss(w, x, y, scale), loss(w, fresh, fresh_y, scale)

    parts = [tuple(data[name][i] for name in NAMES) for i in range(len(data["scales"]))]
    x, y, fresh, fresh_y, start, scale = parts[0]
    state = optax.sgd(1.0).init(start)
    step, compiling = compiled(jax.jit(update), start, state, x, y, scale)
    measure, more = compiled(jax.jit(both), start, x, y, fresh, fresh_y, scale)

    def run() -> Any:
        curves, finals = [], []
        for x, y, fresh, fresh_y, w, scale in parts:
            curve, now = [], state
            for t in range(steps + 1):
                if t % EVERY == 0:
                    curve.append(measure(w, x, y, fresh, fresh_y, scale))
                if t < steps:
                    w, now = step(w, now, x, y, scale)
            curves.append(curve)
            finals.append(w)
        return np.asarray(jax.device_get(curves)), finals

    return run, compiling + more


def products(data: dict[str, np.ndarray], operations: float) -> tuple[Callable[[], Any], float, dict[str, Any]]:
    """The products of the steps on moments and nothing else, of about so many operations: what there is to reach.

    Per step M Xᵀ, (M Xᵀ) X, and two of D x D matrices, by the eigenvectors of XᵀX and back; from M = 1 that makes a
    power of XᵀX over its largest eigenvalue. Shared out like ours. Returns the program, the seconds of its
    compilation, and what PyTorch needs for the same: the arrays, the number of steps and the expected result.
    """
    inputs = data["inputs"]
    runs, count, dim = inputs.shape
    values, basis = np.linalg.eigh(np.einsum("rpi,rpj->rij", inputs, inputs).astype(float))
    steps = round(operations / runs / _products_of_a_step(count, dim))
    arrays = {"inputs": inputs, "basis": basis.astype(np.float32), "largest": values[:, -1].astype(np.float32)}

    def one(run: dict[str, Any]) -> Any:
        points, columns = run["inputs"], stored_transpose(run["inputs"])

        def step(_: Any, matrix: Any) -> Any:
            matrix = (matrix @ columns) @ points / run["largest"]
            return (matrix @ run["basis"]) @ run["basis"].T

        return jax.lax.fori_loop(0, steps, step, jnp.eye(dim, dtype=points.dtype))

    power = (basis * (values / values[:, -1:])[:, None, :] ** steps) @ basis.swapaxes(1, 2)
    program, seconds = compiled_on_devices(one, arrays)
    return program, seconds, {"basis": arrays["basis"], "largest": arrays["largest"], "steps": steps, "power": power}


def _products_of_a_step(count: int, dim: int) -> float:
    return 4 * count * dim**2 + 4 * dim**3


def operations(workload: str) -> dict[str, float]:
    """Operations of all runs: on moments, and on neurons."""
    shape = WORKLOADS[workload]
    d, n, p, fresh, steps = (shape[name] for name in ("dim", "width", "count", "test", "steps"))
    runs, looks = len(shape["scales"]) * shape["seeds"], len(records(steps))
    moments = steps * _products_of_a_step(p, d) + looks * 2 * (fresh + p) * d * d + 2 * n * d * d
    neurons = steps * 4 * n * p * d + looks * 2 * n * fresh * d
    return {"moments": float(runs * moments), "neurons": float(runs * neurons)}


def trainers(workload: str, rounds: int) -> list[Row]:
    """All trainers on one workload."""
    steps = WORKLOADS[workload]["steps"]
    data = draw(workload)
    expected = numpy_by_hand(data, steps)
    device = jax.tree.map(jnp.asarray, data)
    # One after another wherever one run's working set fills the cache: the faster of the two, measured.
    ours, ours_seconds = compiled_on_devices(trainer("moments", steps), data, sequential=workload == "paper")
    generic, generic_seconds = compiled_on_devices(trainer("generic", steps), data, sequential=True)
    looped, loop_seconds = jit_loop(device, steps)
    flops = operations(workload)
    alone, alone_seconds, part = products(data, flops["moments"])

    def check(name: str, result: Any) -> None:
        if name.startswith("products alone"):
            check_close(name, result, part["power"], 1e-3, absolute=True)
            return
        check_close(name, result[0] if isinstance(result, tuple) else result, expected, 1e-3)

    with PeerProcess("grokking", data | {name: part[name] for name in ("basis", "largest")}) as torch:
        outcome = race(
            {
                "ours": ours,
                "ours, every neuron": generic,
                "loop around jit": looped,
                "PyTorch eager": lambda: torch.ask(f"eager({steps})"),
                "torch.func": lambda: torch.ask(f"mapped({steps})"),
                "NumPy by hand": lambda: numpy_by_hand(data, steps),
                "products alone": alone,
                "products alone, PyTorch": lambda: torch.ask(f"products({part['steps']})"),
            },
            rounds,
            check=check,
        )
    seconds = {
        "ours": ours_seconds, "ours, every neuron": generic_seconds, "loop around jit": loop_seconds,
        "products alone": alone_seconds,
    }  # fmt: skip
    on_moments = ("ours", "products alone", "products alone, PyTorch")
    return rows_of(
        workload,
        outcome,
        compile_seconds=seconds,
        flops={name: flops["moments" if name in on_moments else "neurons"] for name in outcome.wall},
    )


def widths(rounds: int) -> list[Row]:
    """The moments and the generic trainer at two widths, set-up included."""
    steps = WORKLOADS["small"]["steps"]
    rows = []
    for kind, title in (("moments", "ours"), ("generic", "ours, every neuron")):
        contenders, seconds = {}, {}
        for width in (64, 1024):
            name = f"N = {width}"
            contenders[name], seconds[name] = compiled_on_devices(trainer(kind, steps), draw("small", width))
        rows += rows_of(f"width, {title}", race(contenders, rounds), compile_seconds=seconds)
    return rows


def measure(rounds: int) -> list[Row]:
    configure(float64=False, cache=False)
    return trainers("small", rounds) + trainers("paper", rounds) + widths(rounds)


if __name__ == "__main__":
    main(measure, __doc__)
