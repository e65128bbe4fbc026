"""How long a newcomer waits: import, help, and the first figure from a fresh process, cold and warm.

Each command is a process of its own; commands are alternated, and medians and ratios printed. Bytecode must be
compiled (uv does so here; pip does so by default), or every import is three to four times slower.

    uv run experiments/benchmarks/latency.py
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FIRST_FIGURE = """
import theorylab as tl
tl.start_application()
from theorylab.lab import plotting
from theorylab.lab.overview import overview
from theorylab.lab.setting import Case
from theorylab.random_features import SETTING, Config
config = Config(num_samples=60, num_features=90, num_modes=200)
case = Case("first figure", config, {"ridge": (0.01, 0.1, 1.0, 10.0)}, seeds=8)
data = tl.sweep(SETTING, case.config, case.grid, seeds=case.seeds)
with plotting.style():
    overview(SETTING, [(case, data)]).savefig("figure.png")
"""
COMMANDS = {
    "import jax": [sys.executable, "-c", "import jax"],
    "import jax, theorylab": [sys.executable, "-c", "import jax, theorylab"],
    "import theorylab": [sys.executable, "-c", "import theorylab"],
    "theorylab --help": [sys.executable, "-m", "theorylab.cli", "--help"],
}


def seconds(command: list[str], folder: str, **environment: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(rounds: int = 5) -> None:
    with tempfile.TemporaryDirectory() as folder:
        times: dict[str, list[float]] = {name: [] for name in (*COMMANDS, "first figure, cold", "first figure, warm")}
        for _ in range(rounds):
            for name, command in COMMANDS.items():
                times[name].append(seconds(command, folder))
            cache = os.path.join(folder, "cache")
            shutil.rmtree(cache, ignore_errors=True)
            for state in ("cold", "warm"):
                command = [sys.executable, "-c", FIRST_FIGURE]
                times[f"first figure, {state}"].append(seconds(command, folder, THEORYLAB_CACHE=cache))
        for name, values in times.items():
            print(f"{name:<24} {statistics.median(values):6.2f} s  (min {min(values):.2f}, max {max(values):.2f})")
        pairs = zip(times["import jax, theorylab"], times["import jax"], strict=True)
        print(f"import jax, theorylab / import jax: {statistics.median(a / b for a, b in pairs):.2f} (goal <= 1.15)")
        print("goals: first figure cold <= 5 s, warm <= 3 s; --help < 1 s")


if __name__ == "__main__":
    main()
