"""Benchmark of XOR clusters: training in coefficients of the data against PyTorch, NumPy and our own full trainer.

n = 80 samples in p = 8000 dimensions, m = 128 neurons, 200 test points, 2 instances, float32, full-batch gradient
descent on the logistic loss for 20 and 200 steps with loss and test accuracy every 10. Given are whole input vectors
and weights: ours computes its inner products within the timed part. PyTorch runs eagerly, as one would write a training
loop; NumPy does the same by hand; our full trainer moves the m x p weights in one compiled program. The contenders take
turns; reported are medians over the rounds and the median of the per-round ratios, in wall and in CPU time.

Then: time of 200 steps, set-up excluded, at p = 2000 and p = 32,000; and the paper's experiment (p = 40,000, n = 200,
m = 1000, 8 instances, 30 steps) from scratch, compilation included.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.xor [rounds]

Without PyTorch (in the current environment, or behind that variable) its rows are skipped.
"""

from __future__ import annotations

import dataclasses
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

N, P, M, TESTS, SEEDS, EVERY, LENGTHS = 80, 8000, 128, 200, 2, 10, (20, 200)
RATE, SCALE, NORM = 0.02, 1e-4, 20.0  # outputs of order 1 after some tens of steps


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
    x, y, tests, truth, signs, w = (problem[name] for name in ("x", "y", "tests", "truth", "signs", "w"))
    a = signs / np.float32(np.sqrt(M))
    w, records = w.copy(), []
    for step in range(steps + 1):
        h = w @ x.T
        f = a @ np.maximum(h, 0)
        if step % EVERY == 0:
            loss = float(np.mean(np.logaddexp(0, -y * f)))
            records.append((loss, float(np.mean(truth * (a @ np.maximum(w @ tests.T, 0)) > 0))))
        g = y / (1 + np.exp(y * f))
        w += np.float32(RATE / N) * ((a[:, None] * (h > 0) * g) @ x)
    return records


def torch_eager(problem: dict[str, np.ndarray], steps: int) -> list[tuple[float, float]]:
    """A training loop in PyTorch."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    x, y, tests, truth, signs, start = (
        torch.from_numpy(problem[name]) for name in ("x", "y", "tests", "truth", "signs", "w")
    )
    a, w, records = signs / M**0.5, start.clone().requires_grad_(), []
    optimizer = torch.optim.SGD([w], lr=RATE)
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.softplus(-y * (torch.relu(x @ w.T) @ a)).mean()
        if step % EVERY == 0:
            with torch.no_grad():
                right = (truth * (torch.relu(tests @ w.T) @ a) > 0).float().mean().item()
            records.append((loss.item(), right))
        loss.backward()
        optimizer.step()
    return records


def timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


class TorchProcess:
    """The PyTorch loop in an interpreter that has it, timed inside."""

    def __init__(self, python: str, data: Path):
        command = [python, __file__, "--torch-worker", str(data)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, steps: int) -> dict[str, Any]:
        """Seconds of wall and CPU time of one round, and its last loss."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def torch_worker(data: str) -> None:
    arrays = np.load(data)
    drawn = [{k.split("_", 1)[1]: arrays[k] for k in arrays.files if k.startswith(f"{s}_")} for s in range(SEEDS)]
    torch_eager(drawn[0], 3)
    for line in sys.stdin:
        records: list[Any] = []
        wall, cpu = timed(lambda s=int(line), r=records: r.extend(torch_eager(p, s) for p in drawn))
        print(json.dumps({"wall": wall, "cpu": cpu, "records": records}), flush=True)


def programs(steps: int) -> dict[str, Callable[..., Any]]:
    """Our two trainers, compiled for both instances at once: arrays of the problems in, losses and accuracies out."""
    import jax
    import jax.numpy as jnp

    from theorylab.xor.config import Config, output_unit
    from theorylab.xor.data import Instance, Labels
    from theorylab.xor.model import State, output
    from theorylab.xor.train import train

    config = Config(
        num_train=N, input_dim=P, width=M, num_steps=steps, num_test=TESTS, mean_norm=NORM, learning_rate=RATE,
        init_scale=SCALE, sampler="full",
    )  # fmt: skip

    def one(arrays: dict[str, Any], trainer: str) -> dict[str, Any]:
        y, truth, signs = arrays["y"], arrays["truth"], arrays["signs"]
        unit = RATE / (2 * N * np.sqrt(M))
        instance = Instance(
            Labels(y, y, y, y), arrays["x"], signs, arrays["w"] / np.float32(unit), arrays["tests"],
            jnp.zeros((M, TESTS), jnp.float32), jnp.float32(0),
        )  # fmt: skip

        def record(state: State) -> dict[str, Any]:
            loss = jnp.mean(jnp.logaddexp(0.0, -y * output(signs, state.train) * output_unit(config)))
            right = jnp.mean(jnp.where(truth * output(signs, state.test) > 0, 1.0, 0.0))
            return {"loss": loss, "accuracy": right}

        chosen = dataclasses.replace(config, trainer=trainer)
        return train(instance, chosen, record, tuple(range(0, steps + 1, EVERY)))[1]

    def mapped(trainer: str, sequential: bool) -> Callable[..., Any]:
        def run(arrays: dict[str, Any]) -> Any:
            if sequential:  # large states: one after another is faster than side by side
                return jax.lax.map(lambda a: one(a, trainer), arrays)
            return jax.vmap(lambda a: one(a, trainer))(arrays)

        return jax.jit(run)

    return {"ours": mapped("gram", False), "our full trainer": mapped("direct", True)}


def race(rounds: int, steps: int, drawn: list[dict[str, np.ndarray]], torch: TorchProcess | None) -> dict[str, float]:
    import jax

    arrays = {name: jax.device_put(np.stack([p[name] for p in drawn])) for name in drawn[0]}
    compiled = programs(steps)
    expected = np.array([numpy_by_hand(p, steps) for p in drawn])
    for name, run in compiled.items():
        records = jax.block_until_ready(run(arrays))
        gap = np.abs(np.asarray(records["loss"]) / expected[:, :, 0] - 1).max()
        wrong = np.abs(np.asarray(records["accuracy"]) - expected[:, :, 1]).max()
        print(f"T = {steps}: {name} differs from NumPy by {gap:.1e} in the loss, {wrong:.3f} in the accuracy")
        if not gap < 1e-2:
            raise SystemExit(f"{name} and NumPy disagree")
    contenders: dict[str, Callable[[], tuple[float, float]]] = {
        name: (lambda run=run: timed(lambda: jax.block_until_ready(run(arrays)))) for name, run in compiled.items()
    }
    contenders["numpy by hand"] = lambda: timed(lambda: [numpy_by_hand(p, steps) for p in drawn])
    if torch is not None:
        answer = torch.run(steps)
        gap = np.abs(np.array(answer["records"])[:, :, 0] / expected[:, :, 0] - 1).max()
        if not gap < 1e-2:
            raise SystemExit(f"PyTorch differs by {gap:.1e}")
        contenders["torch"] = lambda: (lambda a: (a["wall"], a["cpu"]))(torch.run(steps))
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            seconds[name].append(run())
    reference, result = np.array(seconds["ours"]), {}
    for name, values in seconds.items():
        times = np.array(values)
        (wall, cpu), ratios = np.median(times, axis=0), times / reference
        wall_ratio, cpu_ratio = np.median(ratios, axis=0)
        print(
            f"  {name:18s} {wall:8.4f} s wall {cpu:8.4f} s CPU   x ours: {wall_ratio:6.1f} wall "
            f"({ratios[:, 0].min():.1f} to {ratios[:, 0].max():.1f}), {cpu_ratio:6.1f} CPU"
        )
        result[name] = float(wall_ratio)
    return result


def input_dimension(rounds: int) -> float:
    """Time of 200 steps at p = 32,000 over that at p = 2000, set-up excluded."""
    import jax

    from theorylab.xor.config import Config
    from theorylab.xor.data import sample
    from theorylab.xor.model import products
    from theorylab.xor.train import train_products

    ready = {}
    for p in (2000, 32_000):
        config = Config(num_train=N, input_dim=p, width=M, num_steps=200, num_test=TESTS, mean_norm=p**0.5 / 4)
        instance = jax.jit(sample)(jax.random.key(0), config)
        parts = jax.jit(products)(instance, config)

        def run(parts: Any, labels: Any, signs: Any, config: Any = config) -> Any:
            return train_products(parts, labels, signs, config, lambda state: {}, (200,))[0]

        arguments = (parts, instance.labels.observed, instance.signs)
        ready[p] = (jax.jit(run), arguments)
        jax.block_until_ready(ready[p][0](*arguments))
    ratios = []

    def wall(p: int) -> float:
        run, arguments = ready[p]
        return min(timed(lambda: jax.block_until_ready(run(*arguments)))[0] for _ in range(5))

    for _ in range(2 * rounds + 1):
        walls = {p: wall(p) for p in ready}
        ratios.append(walls[32_000] / walls[2000])
    print(f"200 steps at p = 32,000 over p = 2000: {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return float(np.median(ratios))


def papers_experiment() -> float:
    """Seconds of the paper's experiment at its full size, 8 instances, from nothing."""
    import jax

    from theorylab.lab.sweep import sweep
    from theorylab.xor import SETTING, Config

    jax.config.update("jax_enable_x64", True)
    wall, cpu = timed(lambda: sweep(SETTING, Config(width=1000, num_steps=30), {}, seeds=8))
    print(f"the paper's experiment, 8 instances of 30 steps, with compilation: {wall:.1f} s wall, {cpu:.1f} s CPU")
    return wall


def main(rounds: int = 5) -> dict[str, dict[str, float]]:
    print("load average:", " ".join(f"{load:.1f}" for load in os.getloadavg()))
    drawn = problems()
    python = os.environ.get("BENCHMARK_TORCH_PYTHON", sys.executable)
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        torch = None
        if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
            data = Path(folder) / "data.npz"
            np.savez(data, **{f"{s}_{k}": v for s, p in enumerate(drawn) for k, v in p.items()})  # type: ignore[arg-type]
            torch = TorchProcess(python, data)
        else:
            print("PyTorch is not installed: its rows are skipped (set BENCHMARK_TORCH_PYTHON)")
        for steps in LENGTHS:
            result[f"T = {steps}"] = race(rounds, steps, drawn, torch)
        if torch is not None:
            torch.close()
    result["input dimension"] = {"ratio": input_dimension(rounds)}
    result["paper"] = {"seconds": papers_experiment()}
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torch-worker"]:
        torch_worker(sys.argv[2])
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
