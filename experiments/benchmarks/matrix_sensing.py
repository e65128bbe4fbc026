"""Benchmark of matrix sensing (symmetric, finite measurements): ours against PyTorch and NumPy.

n = 50, rank 3, m = 1000 measurements, model ranks {3, 5, 10, 20} x two initial scales on the same measurements,
float64, gradient descent for 500 steps with the recovery error every 10, set-up (A*A as one matrix) included. Ours
is one program for all eight runs. NumPy does what one would by hand: two matrix-vector products per step and run.
PyTorch runs eagerly, in matrix form, as one would write a training loop. The contenders take turns; reported are
medians over the rounds and the median of the per-round ratios, in wall time and in CPU time, and achieved FLOP/s and
bytes/s beside the ceilings that NumPy reaches on the same machine in the same run.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.matrix_sensing [rounds] [steps]

Without PyTorch (in the current environment, or behind that variable) its row is skipped.
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

import numpy as np

N, RANK, M, RANKS, SCALES, RATE = 50, 3, 1000, (3, 5, 10, 20), (0.1, 0.5), 0.1
SPECTRUM = np.array([1.0, 0.8, 0.6])
EVERY = 10


def matrices_of(rows: np.ndarray) -> np.ndarray:
    """The symmetric matrices A_i / sqrt(m), ``[m, n, n]``, of half-vectorised measurements."""
    i, j = np.triu_indices(N)
    full = np.zeros((len(rows), N, N))
    full[:, i, j] = full[:, j, i] = rows * np.where(i == j, 1.0, np.sqrt(0.5)) / np.sqrt(len(rows))
    return full


def starts(unit: np.ndarray) -> list[np.ndarray]:
    return [scale * unit[:, :rank] for rank in RANKS for scale in SCALES]


def numpy_by_hand(matrices: np.ndarray, unit: np.ndarray, steps: int) -> list[np.ndarray]:
    """Two matrix-vector products per step, one run after another."""
    flat = np.ascontiguousarray(matrices.reshape(len(matrices), -1))
    target = np.zeros((N, N))
    target[range(RANK), range(RANK)] = SPECTRUM
    finals = []
    for x in starts(unit):
        for step in range(steps):
            error = x @ x.T - target
            if step % EVERY == 0:
                np.linalg.norm(error)
            x = x - RATE * ((flat @ error.ravel()) @ flat).reshape(N, N) @ x
        finals.append(x)
    return finals


def torch_eager(matrices: np.ndarray, unit: np.ndarray, steps: int) -> list[np.ndarray]:
    """A training loop in PyTorch: autograd of the loss in matrix form."""
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sensing = torch.from_numpy(matrices)
    target = torch.zeros((N, N), dtype=torch.float64)
    target[range(RANK), range(RANK)] = torch.from_numpy(SPECTRUM)
    labels = (sensing * target).sum((1, 2))
    finals = []
    for start in starts(unit):
        x = torch.from_numpy(start.copy()).requires_grad_()
        optimizer = torch.optim.SGD([x], lr=RATE)
        for step in range(steps):
            optimizer.zero_grad()
            product = x @ x.T
            loss = 0.25 * (((sensing * product).sum((1, 2)) - labels) ** 2).sum()
            loss.backward()
            optimizer.step()
            if step % EVERY == 0:
                torch.linalg.norm(product.detach() - target).item()
        finals.append(x.detach().numpy())
    return finals


def timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


class TorchProcess:
    """The PyTorch loop in an interpreter that has it, timed inside."""

    def __init__(self, python: str, data: Path, steps: int):
        command = [python, __file__, "--torch-worker", str(data), str(steps)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self) -> tuple[float, float, float]:
        """Seconds of wall and CPU time of one round, and the largest difference from ours."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        return tuple(json.loads(answer)) if answer else (np.nan, np.nan, np.nan)  # type: ignore[return-value]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def torch_worker(data: str, steps: int) -> None:
    arrays = np.load(data)
    torch_eager(arrays["matrices"], arrays["unit"], 5)
    for _ in sys.stdin:
        finals: list[np.ndarray] = []
        wall, cpu = timed(lambda finals=finals: finals.extend(torch_eager(arrays["matrices"], arrays["unit"], steps)))
        gap = max(float(np.abs(a - b).max()) for a, b in zip(finals, (arrays[f"x{i}"] for i in range(8)), strict=True))
        print(json.dumps([wall, cpu, gap]), flush=True)


def ceilings() -> tuple[float, float]:
    """GFLOP/s of a large matrix product and GB/s of a large matrix-vector product, float64, NumPy."""
    a, v = np.random.default_rng(0).standard_normal((1275, 1275)), np.ones(1275)
    product = min(timed(lambda: a @ a)[0] for _ in range(5))
    reading = min(timed(lambda: [a @ v for _ in range(20)])[0] for _ in range(5)) / 20
    return 2 * 1275**3 / product / 1e9, a.nbytes / reading / 1e9


def main(rounds: int = 5, steps: int = 500) -> dict[str, float]:
    import jax
    import jax.numpy as jnp

    from theorylab.matrix_sensing.config import Config
    from theorylab.matrix_sensing.data import Instance, sample
    from theorylab.matrix_sensing.train import sweep_ranks

    jax.config.update("jax_enable_x64", True)
    config = Config(
        operator="gaussian", dim=N, target_rank=RANK, model_rank=max(RANKS), num_measurements=M, init_scale=1.0,
        num_steps=steps, learning_rate=RATE,
    )  # fmt: skip
    instance: Instance = jax.jit(sample)(jax.random.key(0), config)
    record = tuple(range(0, steps, EVERY))

    def programme(normal_step: str) -> Callable[[Instance], object]:
        chosen = dataclasses.replace(config, normal_step=normal_step)
        return jax.jit(lambda i: sweep_ranks(i, chosen, RANKS, jnp.asarray(SCALES), record_at=record))

    programs = {"ours": programme("auto"), "ours, two products": programme("direct")}
    begin = time.perf_counter()
    _, finals = jax.block_until_ready(programs["ours"](instance))
    first = time.perf_counter() - begin
    jax.block_until_ready(programs["ours, two products"](instance))
    matrices, unit = matrices_of(np.asarray(instance.rows)), np.asarray(instance.left)
    ours = [np.asarray(finals)[a, b, :, :rank] for a, rank in enumerate(RANKS) for b in range(len(SCALES))]
    by_hand = numpy_by_hand(matrices, unit, steps)
    gap = max(float(np.abs(a - b).max()) for a, b in zip(ours, by_hand, strict=True))
    print(f"largest difference from NumPy after {steps} steps: {gap:.1e}")
    if not gap < 1e-9:
        raise SystemExit("ours and NumPy disagree")

    torch = None
    python = os.environ.get("BENCHMARK_TORCH_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        has_torch = subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0
        if has_torch:
            data = Path(folder) / "data.npz"
            np.savez(data, matrices=matrices, unit=unit, **{f"x{i}": x for i, x in enumerate(ours)})
            torch = TorchProcess(python, data, steps)
        else:
            print("PyTorch is not installed: its row is skipped (set BENCHMARK_TORCH_PYTHON)")
        contenders: dict[str, Callable[[], tuple[float, float]]] = {
            name: (lambda run=run: timed(lambda: jax.block_until_ready(run(instance))))
            for name, run in programs.items()
        }
        contenders["numpy by hand"] = lambda: timed(lambda: numpy_by_hand(matrices, unit, steps))
        seconds: dict[str, list[tuple[float, float]]] = {
            name: [] for name in [*contenders, *(["torch"] if torch else [])]
        }
        for _ in range(rounds):
            for name, run in contenders.items():
                seconds[name].append(run())
            if torch:
                wall, cpu, torch_gap = torch.run()
                if not torch_gap < 1e-9:
                    raise SystemExit(f"PyTorch differs by {torch_gap:.1e}")
                seconds["torch"].append((wall, cpu))
        if torch:
            torch.close()

    print(f"{len(RANKS) * len(SCALES)} runs, {steps} steps, set-up included; first call with compilation {first:.2f} s")
    reference = np.array(seconds["ours"])
    result = {"first_call": first}
    for name, values in seconds.items():
        times = np.array(values)
        wall, cpu = np.median(times, axis=0)
        ratios = times / reference
        wall_ratio, cpu_ratio = np.median(ratios, axis=0)
        low, high = ratios[:, 0].min(), ratios[:, 0].max()
        print(
            f"  {name:20s} {wall:7.3f} s wall {cpu:7.3f} s CPU   x ours: {wall_ratio:5.1f} wall "
            f"({low:.1f} to {high:.1f}), {cpu_ratio:5.1f} CPU"
        )
        result[name] = float(wall_ratio)
    d = N * (N + 1) // 2
    wall = float(np.median(reference, axis=0)[0])
    flops = steps * (2 * d * d * 8 + 2 * 8 * (2 * N * N * max(RANKS))) + 2 * M * d * d
    peak, bandwidth = ceilings()
    print(
        f"  ours: {flops / wall / 1e9:.1f} of {peak:.1f} GFLOP/s, "
        f"{steps * 8 * d * d / wall / 1e9:.1f} of {bandwidth:.1f} GB/s (reading A*A once per step)"
    )
    return result


if __name__ == "__main__":
    if sys.argv[1:2] == ["--torch-worker"]:
        torch_worker(sys.argv[2], int(sys.argv[3]))
    else:
        main(*(int(argument) for argument in sys.argv[1:]))
