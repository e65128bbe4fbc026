"""In-context training of one linear attention layer against PyTorch: fresh prompts, statistics, exact loss.

Workload: d = 10, n = 20, 1000 fresh prompts per step, 2 seeds, Adam, float32. The programs run in alternation; printed
are the median times per step and seed, and the medians over rounds of the ratios to PyTorch. PyTorch's loops are
written as a user would, once reading out the query alone and once with the full attention map of every token. The
PyTorch rows need an interpreter that has torch, named by ``BENCHMARK_TORCH_PYTHON`` (default: this one), and are
skipped without. Run it alone on a quiet machine:

    python -m experiments.benchmarks.linear_attention [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.linear_attention import Config
from theorylab.linear_attention.config import LAYER
from theorylab.linear_attention.data import sample_prompts, sample_statistics
from theorylab.linear_attention.train import train_layer
from theorylab.runtime import start_application

DIM, CONTEXT, BATCH, SEEDS = 10, 20, 1000, 2

TORCH = f"""
import sys, time
import torch
d, n, batch, seeds = {DIM}, {CONTEXT}, {BATCH}, {SEEDS}

def prompts():
    x = torch.randn(batch, n + 1, d)
    w = torch.randn(batch, d)
    return x, torch.einsum("bnd,bd->bn", x, w)

def query_only(params, x, y):
    h, value, key, query = params
    u, m = value.T @ h, key.T @ query[:, :d] / n
    tokens = torch.cat([x[:, :n], y[:, :n, None]], dim=2)
    weights = ((tokens @ u)[:, None] @ tokens)[:, 0] @ m
    return (weights * x[:, n]).sum(1)

def full_map(params, x, y):
    _, value, key, query = params
    labels = torch.cat([y[:, :n], torch.zeros(batch, 1)], dim=1)
    z = torch.cat([x, labels[:, :, None]], dim=2)
    attention = torch.einsum("bis,st,bjt->bij", z, key.T @ query, z)
    shown = z.clone()
    shown[:, n] = 0
    return (z + torch.einsum("bij,bis,ts->bjt", attention, shown, value) / n)[:, n, d]

def train(predict, steps):
    for seed in range(seeds):
        torch.manual_seed(seed)
        params = [torch.randn(s) * 0.1 for s in ((d + 1,), *[(d + 1, d + 1)] * 3)]
        for p in params:
            p.requires_grad_()
        optimizer = torch.optim.Adam([p for p in params], lr=0.02)
        for _ in range(steps):
            x, y = prompts()
            loss = ((predict(params, x, y) - y[:, n]) ** 2).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

torch.set_num_threads(int(sys.argv[1]))
programs = dict(query_only=query_only, full_map=full_map)
print("ready", torch.__version__, flush=True)
for line in sys.stdin:
    name, steps = line.split()
    begin = time.perf_counter()
    train(programs[name], int(steps))
    print(time.perf_counter() - begin, flush=True)
"""


class Torch:
    """PyTorch in a process of its own, one answer per question."""

    def __init__(self, threads: int) -> None:
        python = os.environ.get("BENCHMARK_TORCH_PYTHON", sys.executable)
        self.process = subprocess.Popen(
            [python, "-c", TORCH, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.version = self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self, name: str, steps: int) -> float:
        """Train all seeds for so many steps; return the seconds taken."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name} {steps}\n")
        self.process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def trainer(config: Config) -> Any:
    """All seeds of one training in one program: keys -> (layers, losses)."""

    def one(key: jax.Array) -> Any:
        init_key, data_key, test_key = jax.random.split(key, 3)
        return train_layer(init_key, data_key, test_key, config)

    return jax.jit(jax.vmap(one))


def compiled(function: Any, *arguments: Any) -> tuple[Any, float]:
    begin = time.perf_counter()
    program = function.lower(*arguments).compile()
    return program, time.perf_counter() - begin


def timed(program: Any, *arguments: Any) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    return time.perf_counter() - begin


def main(rounds: int = 5, steps: int = 40, threads: int = 2) -> dict[str, float]:
    """Print the table; return times per step and seed in milliseconds, and the seconds of the exact training."""
    start_application(float64=False, cache=False)
    base = Config(
        dim=DIM, context_length=CONTEXT, noise_variance=0.0, batch_size=BATCH, num_steps=steps, initial_scale=0.1
    )
    keys = jax.random.split(jax.random.key(0), SEEDS)
    programs, compile_seconds = {}, {}
    for name in ("prompts", "statistics"):
        config = base.__class__(**{**vars(base), "training": name})
        programs[name], compile_seconds[name] = compiled(trainer(config), keys)
        draw = sample_prompts if name == "prompts" else sample_statistics
        extra = (CONTEXT,) if name == "prompts" else ()

        def only(keys: jax.Array, draw: Any = draw, config: Config = config, extra: Any = extra) -> Any:
            def body(t: Any, total: Any) -> Any:
                drawn = jax.vmap(lambda key: draw(jax.random.fold_in(key, t), config, BATCH, *extra))(keys)
                return total + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(drawn))

            return jax.lax.fori_loop(0, steps, body, jnp.float32(0))

        label = f"{name}, drawing alone"
        programs[label], compile_seconds[label] = compiled(jax.jit(only), keys)
    torch = Torch(threads)
    torch_names = ("query_only", "full_map") if torch.version.startswith("ready") else ()
    if not torch_names:
        print("PyTorch rows skipped: no torch in the interpreter of BENCHMARK_TORCH_PYTHON")
    rows: list[dict[str, float]] = []
    for _ in range(rounds + 1):
        row = {f"torch {name}": torch.seconds(name, steps) for name in torch_names}
        row |= {f"jax {name}": timed(program, keys) for name, program in programs.items()}
        rows.append(row)
    torch.close()
    rows = rows[1:]  # the first round warms up
    scale = 1e3 / (steps * SEEDS)
    result = {name: scale * statistics.median(row[name] for row in rows) for name in rows[0]}
    print(f"d = {DIM}, n = {CONTEXT}, {BATCH} prompts per step, {SEEDS} seeds, {steps} steps, {rounds} rounds")
    for name, value in list(result.items()):
        line = f"  {name:32s} {value:7.2f} ms per step and seed"
        for reference in torch_names:
            ratio = statistics.median(row[f"torch {reference}"] / row[name] for row in rows)
            line += f"   {ratio:5.2f} x torch {reference}"
            result[f"{name} / {reference}"] = ratio
        if name.startswith("jax"):
            line += f"   compile {compile_seconds[name.removeprefix('jax ')]:.1f} s"
        print(line)

    many = jax.random.split(jax.random.key(1), 16)
    exact, seconds = compiled(trainer(LAYER), many)
    timed(exact, many)
    runs = [timed(exact, many) for _ in range(rounds)]
    result |= {"exact": statistics.median(runs), "exact compile": seconds}
    print(f"  exact loss, 16 seeds x {LAYER.num_steps} steps: {result['exact']:.2f} s   compile {seconds:.1f} s")
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.steps, arguments.threads)
