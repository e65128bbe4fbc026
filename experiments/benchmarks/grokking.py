"""Benchmark of the grokking model: the moments of the weights against training every neuron, PyTorch and NumPy.

``small``: D = 32, N = 128, P = 200, 500 test points, 16 runs (4 output scales x 4 seeds), 100 steps. ``paper``:
D = 100, N = 500, P = 450, 1000 test points, 2 output scales, 20 steps. Float32; train loss and loss on the test points
every 10 steps; set-up (the moments of the given initial weights) included. Ours are one program for all runs: the
moments, and the generic trainer, which takes any activation. PyTorch runs eagerly one run after another, as one would
write a training loop, and as a loop of vmapped steps (torch.func). NumPy has the gradient written by hand. The
contenders take turns; reported are medians over the rounds and the medians of the per-round ratios.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.grokking [rounds]

Without PyTorch (in the current environment, or behind that variable) its rows are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

EPS, EVERY = 0.5, 10
WORKLOADS: dict[str, dict[str, Any]] = {
    "small": {
        "dim": 32, "width": 128, "count": 200, "test": 500, "scales": (0.5, 1.0, 2.0, 4.0), "seeds": 4, "steps": 100,
    },
    "paper": {"dim": 100, "width": 500, "count": 450, "test": 1000, "scales": (0.5, 2.0), "seeds": 1, "steps": 20},
}  # fmt: skip
#: Speed of ours over the contender's that is asked for.
GOALS = {
    ("small", "torch eager"): 20.0, ("paper", "torch eager"): 9.0, ("small", "generic"): 4.0, ("paper", "generic"): 2.5
}  # fmt: skip


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
    parts = zip(*(data[k] for k in ("inputs", "labels", "fresh", "fresh_labels", "weights", "scales")), strict=True)
    for x, y, fresh, fresh_y, start, alpha in parts:
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


def torch_eager(data: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """A training loop in PyTorch, one run after another."""
    import torch

    losses = []
    parts = zip(*(data[k] for k in ("inputs", "labels", "fresh", "fresh_labels", "weights", "scales")), strict=True)
    for x, y, fresh, fresh_y, start, alpha in parts:
        inputs, labels, test, test_labels = (torch.from_numpy(part) for part in (x, y, fresh, fresh_y))
        w = torch.from_numpy(start.copy()).requires_grad_()
        scale = float(alpha)
        optimizer = torch.optim.SGD([w], lr=0.5 * len(start) / scale**2)

        def output(points: Any, w: Any = w, scale: float = scale) -> Any:
            h = points @ w.T
            return scale * (h + EPS / 2 * h * h).mean(1)

        curve = []
        for step in range(steps + 1):
            optimizer.zero_grad()
            loss = ((labels - output(inputs)) ** 2).mean()
            if step % EVERY == 0:
                with torch.no_grad():
                    curve.append((loss.item(), ((test_labels - output(test)) ** 2).mean().item()))
            if step < steps:
                loss.backward()
                optimizer.step()
        losses.append(curve)
    return np.array(losses)


def torch_vmap(data: dict[str, np.ndarray], steps: int) -> np.ndarray:
    """All runs at once: torch.func.vmap of the gradient, in a Python loop over steps."""
    import torch
    from torch.func import grad, vmap

    tensors = {name: torch.from_numpy(values) for name, values in data.items()}
    w, scales = tensors["weights"].clone(), tensors["scales"]

    def loss(w: Any, points: Any, labels: Any, scale: Any) -> Any:
        h = points @ w.T
        return ((labels - scale * (h + EPS / 2 * h * h).mean(1)) ** 2).mean()

    slope, value = vmap(grad(loss)), vmap(loss)
    rates = (0.5 * w.shape[1] / scales**2)[:, None, None]
    curve = []
    for step in range(steps + 1):
        if step % EVERY == 0:
            train = value(w, tensors["inputs"], tensors["labels"], scales)
            test = value(w, tensors["fresh"], tensors["fresh_labels"], scales)
            curve.append(torch.stack([train, test], -1).numpy())
        if step < steps:
            w = w - rates * slope(w, tensors["inputs"], tensors["labels"], scales)
    return np.stack(curve, 1)


def jax_program(kind: str, steps: int, *, sequential: bool) -> Callable[..., Any]:
    """Ours as one program: "moments" or "generic"; ``sequential`` runs after one another instead of vmapped."""
    import jax
    import jax.numpy as jnp

    from theorylab.grokking.model import moments_of, moments_output, network_output, quadratic_activation
    from theorylab.grokking.train import MomentState, moment_step, train_network
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
        return jnp.stack([orbit.observables["train"], orbit.observables["test"]], -1)

    return jax.jit(lambda data: jax.lax.map(one, data) if sequential else jax.vmap(one)(data))


def timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


class TorchProcess:
    """The PyTorch loops in an interpreter that has it, timed inside."""

    def __init__(self, python: str, data: Path, steps: int):
        command = [python, __file__, "--torch-worker", str(data), str(steps)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, kind: str) -> tuple[float, float, float]:
        """Seconds of wall and CPU time of one round, and the largest relative difference from NumPy."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(kind + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        return tuple(json.loads(answer)) if answer else (np.nan, np.nan, np.nan)  # type: ignore[return-value]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def torch_worker(path: str, steps: int) -> None:
    import torch

    # On a shared machine OMP_NUM_THREADS=1 keeps two threads from waiting for each other.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))))
    data = dict(np.load(path))
    expected = data.pop("expected")
    kinds = {"torch eager": torch_eager, "torch vmap": torch_vmap}
    for run in kinds.values():
        run(data, 2)
    for line in sys.stdin:
        kept: list[np.ndarray] = []
        run = kinds[line.strip()]
        wall, cpu = timed(lambda kept=kept, run=run: kept.append(run(data, steps)))
        gap = float(np.abs(kept[0] / expected - 1).max())
        print(json.dumps([wall, cpu, gap]), flush=True)


def race(workload: str, rounds: int, python: str | None) -> dict[str, float]:
    """Median ratio of every contender's wall time to that of the moments, and of PyTorch's to the generic trainer's."""
    import jax

    steps = WORKLOADS[workload]["steps"]
    data = draw(workload)
    expected = numpy_by_hand(data, steps)
    device = jax.tree.map(jax.numpy.asarray, data)
    # One after another wherever one run's working set fills the cache: the faster of the two, measured.
    sequential = {"moments": workload == "paper", "generic": True}
    programs = {kind: jax_program(kind, steps, sequential=sequential[kind]) for kind in sequential}
    contenders: dict[str, Callable[[], tuple[float, float]]] = {}
    for kind, program in programs.items():
        first = timed(lambda program=program: jax.block_until_ready(program(device)))[0]
        gap = float(np.abs(np.asarray(program(device)) / expected - 1).max())
        print(f"{workload}, {kind}: first call with compilation {first:.2f} s, largest difference from NumPy {gap:.1e}")
        if not gap < 1e-3:
            raise SystemExit(f"{kind} and NumPy disagree")
        contenders[kind] = lambda program=program: timed(lambda: jax.block_until_ready(program(device)))
    contenders["numpy"] = lambda: timed(lambda: numpy_by_hand(data, steps))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as folder:
        torch = None
        if python:
            np.savez(Path(folder) / "data.npz", expected=expected, **data)  # type: ignore[arg-type]
            torch = TorchProcess(python, Path(folder) / "data.npz", steps)
            seconds |= {"torch eager": [], "torch vmap": []}
        for _ in range(rounds):
            for name, run in contenders.items():
                seconds[name].append(run())
            for name in ("torch eager", "torch vmap") if torch else ():
                wall, cpu, gap = torch.run(name)  # type: ignore[union-attr]
                if not gap < 1e-3:
                    raise SystemExit(f"{name} differs by {gap:.1e}")
                seconds[name].append((wall, cpu))
        if torch:
            torch.close()
    ratios = {}
    for name, values in seconds.items():
        times = np.array(values)
        wall, cpu = np.median(times, axis=0)
        each = times / np.array(seconds["moments"])
        ratios[name] = float(np.median(each[:, 0]))
        generic = float(np.median(times[:, 0] / np.array(seconds["generic"])[:, 0]))
        goal = GOALS.get((workload, name))
        low, high, in_cpu = each[:, 0].min(), each[:, 0].max(), np.median(each[:, 1])
        print(
            f"  {name:12s} {1e3 * wall:8.1f} ms wall {1e3 * cpu:8.1f} ms CPU   x moments {ratios[name]:5.1f} wall "
            f"({low:.1f} to {high:.1f}), {in_cpu:5.1f} CPU; x generic {generic:4.1f}"
            + (f"   (goal: {goal:g} x moments)" if goal else ""),
            flush=True,
        )
        ratios[f"{name}/generic"] = generic
    return ratios


def widths(rounds: int) -> float:
    """Time of the moments at width 1024 over that at width 64, set-up included; and of the generic trainer."""
    import jax

    steps = WORKLOADS["small"]["steps"]
    data = {width: jax.tree.map(jax.numpy.asarray, draw("small", width)) for width in (64, 1024)}
    result = {}
    for kind in ("moments", "generic"):
        program = jax_program(kind, steps, sequential=False)
        for values in data.values():
            jax.block_until_ready(program(values))

        def seconds(values: dict[str, Any], program: Callable[..., Any] = program) -> float:
            return timed(lambda: jax.block_until_ready(program(values)))[0]

        pairs = [[seconds(values) for values in data.values()] for _ in range(rounds)]
        result[kind] = float(np.median([wide / narrow for narrow, wide in pairs]))
        print(f"width 64 -> 1024, {kind}: {result[kind]:.2f} times the time")
    print("  (goal for the moments: at most 1.4)")
    return result["moments"]


def main(rounds: int = 7) -> dict[str, Any]:
    python = os.environ.get("BENCHMARK_TORCH_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode:
        print("PyTorch is not installed: its rows are skipped (set BENCHMARK_TORCH_PYTHON)")
        python = ""
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    result: dict[str, Any] = {name: race(name, rounds, python or None) for name in WORKLOADS}
    result["widths"] = widths(rounds)
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torch-worker"]:
        torch_worker(sys.argv[2], int(sys.argv[3]))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
