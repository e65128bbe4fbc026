"""How long a newcomer waits: import, help, and the first figure from a fresh process, cold and warm.

Each command is a process of its own. Bytecode must be compiled (uv does so here; pip does so by default), or every
import is three to four times slower.

    python -m experiments.benchmarks.latency [--rounds 5]
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from experiments.benchmarks.racing import Row, Timing, main, race, rows_of

ROOT = Path(__file__).parents[2]
#: As the command line sets up its own process; a notebook only configures, and keeps Python's garbage collector.
COMMAND, NOTEBOOK = "from theorylab.cli.process import start; start()", "tl.configure()"
FIRST_FIGURE = """
import theorylab as tl
{setup}
from theorylab.verdict import plotting
from theorylab.verdict.overview import overview
from theorylab.contract import Case
from theorylab.settings.kernels.random_features import SETTING, Config
config = Config(num_samples=60, num_features=90, num_modes=200)
case = Case("first figure", config, {{"ridge": (0.01, 0.1, 1.0, 10.0)}}, seeds=8)
data = tl.sweep(SETTING, case.config, case.grid, seeds=case.seeds)
with plotting.style():
    overview(SETTING, [(case, data)]).savefig("figure.png")
"""
IMPORTS = {
    "import jax": ["-c", "import jax"],
    "import jax, theorylab": ["-c", "import jax, theorylab"],
    "import jax, matplotlib, xarray": ["-c", "import jax, matplotlib.pyplot, xarray"],
    "import theorylab": ["-c", "import theorylab"],
    "theorylab --help": ["-m", "theorylab", "--help"],
}


def run(arguments: list[str], folder: str, **environment: str) -> Timing:
    """Seconds of one process."""
    environment = {**os.environ, **environment}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or this library alone would be compiled every time
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # The library of this repository, wherever the process runs.
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
    subprocess.run(
        [sys.executable, *arguments], check=True, cwd=folder, env={**environment, **paths},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Timing(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        cache = os.path.join(folder, "cache")

        def first_figure(setup: str, *, cold: bool) -> Timing:
            if cold:
                shutil.rmtree(cache, ignore_errors=True)
            return run(["-c", FIRST_FIGURE.format(setup=setup)], folder, THEORYLAB_CACHE=cache)

        imports: dict[str, Callable[[], Timing]] = {
            name: partial(run, command, folder) for name, command in IMPORTS.items()
        }
        # The warm one runs right after the cold one, on the programs that it left.
        figures = {
            "cold": partial(first_figure, COMMAND, cold=True),
            "warm": partial(first_figure, COMMAND, cold=False),
            "warm, in a notebook": partial(first_figure, NOTEBOOK, cold=False),
        }

        def reproduce() -> Timing:
            shutil.rmtree(cache, ignore_errors=True)
            return run(["-m", "theorylab", "reproduce", "--output", "report"], folder, THEORYLAB_CACHE=cache)

        rows = rows_of("start", race(imports, rounds), precision="")
        # A minute, which no warming up makes shorter: once after it, whatever the rounds.
        rows += rows_of("reproduce", race({"empty caches": reproduce}, 1), precision="float64")
        return rows + rows_of("first figure", race(figures, rounds, patience=math.inf), precision="float64")


if __name__ == "__main__":
    main(measure, __doc__)
