"""What the benchmarks share: contenders that take turns, PyTorch in a process of its own, rows, and a table of them.

A benchmark is a function ``measure(rounds) -> list of rows``. Its contenders run in turn, A B C, A B C …, after one
round of warming up, so that whatever else the machine does falls on all of them alike; what counts are medians, and the
medians of the ratios within a round. Compilation is timed apart. Each contender returns its final state, and not its
losses alone: XLA deletes a training loop of which nothing but the start is used.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from theorylab.runtime import cores

#: Seconds that one contender may take in all its rounds; a slower one runs in fewer, but at least two.
PATIENCE = 15.0
#: Seconds between two contenders: the threads of OpenBLAS and OpenMP go on spinning a while after their work, and what
#: came next would run at half of its speed.
REST = 0.3
#: Runs in a row of a contender that takes less than the rest.
MOST_REPEATS = 5
PEERS = Path(__file__).parent / "peers"


class Timing(NamedTuple):
    """Seconds of wall and of CPU time of one run, and what it returned."""

    wall: float
    cpu: float
    result: Any = None


def timed(function: Callable[..., Any], *args: Any) -> Timing:
    """Run once, waiting for JAX to finish. CPU time is that of this process, all its threads together."""
    import jax

    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(function(*args))
    return Timing(time.perf_counter() - wall, time.process_time() - cpu, result)


def compiled(function: Any, *args: Any, options: Mapping[str, Any] | None = None) -> tuple[Any, float]:
    """Trace and compile a jitted function for these arguments: the program, and the seconds it took."""
    begin = time.perf_counter()
    program = function.lower(*args).compile(compiler_options=dict(options or {}))
    return program, time.perf_counter() - begin


def compiled_on_devices(
    function: Callable[[Any], Any], runs: Any, *, sequential: bool = False
) -> tuple[Callable[[], Any], float]:
    """Compile a function of one run for many as a sweep does, shared out over the devices.

    ``runs`` are arrays whose first axis counts the runs. On each device they are vmapped, or ``sequential``.
    Returns the program with the runs in their places, and the seconds of compilation.
    """
    import jax

    from theorylab.lab.program import share_out
    from theorylab.numerics.xla import map_first, on_processor, processor_options

    devices = jax.local_devices()
    options = processor_options() if on_processor() else {}
    count = math.gcd(jax.tree.leaves(runs)[0].shape[0], len(devices))
    mapped = functools.partial(jax.lax.map, function) if sequential else map_first(function)
    program, seconds = compiled(share_out(mapped, devices[:count], (0,)), runs, options=options)
    (shardings,), _ = program.input_shardings
    return functools.partial(program, jax.device_put(runs, shardings)), seconds


@contextmanager
def compilations() -> Iterator[list[float]]:
    """Collect the seconds of every compilation by XLA within the block, those read from a cache included."""
    import jax.monitoring

    from theorylab.numerics.xla import processor_options

    processor_options()  # tries each once, with a program of its own
    seconds: list[float] = []
    active = True

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if active and event == "/jax/core/compile/backend_compile_duration":
            seconds.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)  # it stays, and hears no more
    try:
        yield seconds
    finally:
        active = False


# --- the race -------------------------------------------------------------------------------------------------------


class Race(NamedTuple):
    """Times of the contenders, round by round, and why a contender is missing."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]
    failed: dict[str, str]


def race(
    contenders: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    check: Callable[[str, Any], None] | None = None,
    patience: float = PATIENCE,
    rest: float = REST,
) -> Race:
    """Run the contenders in turn: one round of warming up, then ``rounds``.

    Parameters
    ----------
    contenders
        Functions without arguments. One that measures itself, elsewhere, returns a :class:`Timing`.
    check
        Called with each contender's name and result in the first round; raises where the result is wrong.
    patience
        Seconds that one contender may take in all rounds; a slower one runs in the first rounds only, at least two.
    rest
        Seconds between two contenders. One that takes less runs once, since caches are cold after a rest, and then as
        often as fits into that time, at most :data:`MOST_REPEATS` times; the median of these counts.

    Notes
    -----
    A contender that raises is left out, and the reason kept; the first one, to which the others are compared, must run.
    """
    result = Race({name: [] for name in contenders}, {name: [] for name in contenders}, {})
    turns, seconds = dict.fromkeys(contenders, rounds), dict.fromkeys(contenders, rest)
    for index in range(-1, rounds):  # -1: warming up
        for name in [name for name, count in turns.items() if index < count]:
            time.sleep(rest)
            try:
                timing = _timing(contenders[name])
                if seconds[name] < rest:
                    times = min(MOST_REPEATS, int(rest / seconds[name]))
                    timings = [_timing(contenders[name]) for _ in range(times)]
                    timing = sorted(timings, key=lambda one: one.wall)[(times - 1) // 2]
            except Exception as error:
                if name == next(iter(contenders)):
                    raise
                result.failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
                result.wall[name], result.cpu[name] = [], []
                del turns[name]
                continue
            if index >= 0:
                result.wall[name].append(timing.wall)
                result.cpu[name].append(timing.cpu)
                continue
            if check is not None:
                check(name, timing.result)
            turns[name] = int(min(rounds, max(2, patience / max(timing.wall, 1e-9))))
            seconds[name] = timing.wall
    return result


def _timing(run: Callable[[], Any]) -> Timing:
    timing = timed(run)
    return timing.result if isinstance(timing.result, Timing) else timing


def ratios(seconds: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Ratio within each round that both ran in."""
    return [a / b for a, b in zip(seconds, reference, strict=False)]


def check_close(name: str, values: Any, expected: Any, tolerance: float, *, absolute: bool = False) -> float:
    """Return the largest difference (relative unless ``absolute``) of a contender's numbers from the expected ones.

    Raises
    ------
    ArithmeticError
        If it is above the tolerance: then the contenders did not compute the same thing.
    """
    values, expected = np.asarray(values, float), np.asarray(expected, float)
    gap = np.abs(values - expected) if absolute else np.abs(values / expected - 1)
    difference = float(gap.max())
    if not difference <= tolerance:
        raise ArithmeticError(f"{name} differs by {difference:.1e}, above {tolerance:g}")
    return difference


# --- PyTorch --------------------------------------------------------------------------------------------------------

_WORKER = """
import json, os, sys, time
source, data, threads, library = sys.argv[1:]
DEVICE = os.environ.get("BENCHMARK_DEVICE", "cpu").replace("gpu", "cuda")
if library == "theorylab":  # before anything starts its threads
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(threads)])
import numpy as np
if library == "torch":
    import torch
    torch.set_num_threads(int(threads))
    torch.set_grad_enabled(True)
    if DEVICE != "cpu":
        torch.set_default_device(DEVICE)
space = {"DATA": dict(np.load(data)), "DEVICE": DEVICE, "__name__": "peer"}
wait = torch.cuda.synchronize if library == "torch" and DEVICE == "cuda" else lambda: None
exec(compile(open(source, encoding="utf-8").read(), source, "exec"), space)
print(json.dumps(getattr(sys.modules[library], "__version__", library)), flush=True)
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        value = eval(line, space)
        wait()
        answer = [time.perf_counter() - wall, time.process_time() - cpu]
        value = value.tolist() if hasattr(value, "tolist") else value
        print(json.dumps([*answer, value]), flush=True)
    except Exception as error:
        print(json.dumps(f"{type(error).__name__}: {error}"), flush=True)
"""


class PeerProcess:
    """A library in a process of its own, which defines functions once and then answers questions, timed inside.

    PyTorch's interpreter is that of ``BENCHMARK_TORCH_PYTHON``, or this one; ``version`` is empty where it has none.
    This library's is this one, on its first so many cores alone: XLA takes as many threads as it finds cores.

    Parameters
    ----------
    peer
        Name of a file of ``peers/``, which defines functions of the arrays ``DATA``; PyTorch's are on ``DEVICE``.
    data
        Arrays that the process gets once, by name.
    threads
        Threads of PyTorch, or cores of this library; all cores unless given.
    library
        ``"torch"`` or ``"theorylab"``.
    """

    def __init__(
        self,
        peer: str,
        data: Mapping[str, np.ndarray] | None = None,
        threads: int | None = None,
        library: str = "torch",
    ):
        self.source = PEERS / f"{peer}.py"
        self.data = dict(data or {})
        self.threads = threads or num_threads()
        self.library = library
        self.version = ""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        data, self._errors = Path(self._folder.name) / "data.npz", Path(self._folder.name) / "errors.txt"
        np.savez(data, **self.data)  # type: ignore[arg-type]
        python = torch_python() if self.library == "torch" else sys.executable
        command = [python, "-c", _WORKER, str(self.source), str(data), str(self.threads), self.library]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        self.version = json.loads(ready) if ready else ""
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
        self._folder.cleanup()

    def ask(self, question: str) -> Timing:
        """Evaluate an expression there: its seconds and its value (numbers and lists).

        Raises
        ------
        RuntimeError
            Without PyTorch, and where the expression raises.
        """
        if not self.version:
            raise RuntimeError(f"no PyTorch behind BENCHMARK_TORCH_PYTHON{self._last_words()}")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else f"the process ended{self._last_words()}"
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return Timing(*answer)

    def _last_words(self) -> str:
        self._process.wait()
        lines = self._errors.read_text().strip().splitlines()
        return f" ({lines[-1]})" if lines else ""


def torch_python() -> str:
    """Interpreter of the PyTorch contenders.

    Raises
    ------
    FileNotFoundError
        If ``BENCHMARK_TORCH_PYTHON`` names none.
    """
    python = os.environ.get("BENCHMARK_TORCH_PYTHON") or sys.executable
    if shutil.which(python) is None:
        raise FileNotFoundError("BENCHMARK_TORCH_PYTHON names no program that can be run")
    return python


def device() -> str:
    """``"cpu"``, or ``"gpu"`` where ``run.py --device gpu`` measures."""
    return os.environ.get("BENCHMARK_DEVICE", "cpu")


def num_threads() -> int:
    """Threads of every contender: ``OMP_NUM_THREADS``, or the cores that this process may use."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(cores()))


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    """One contender of one workload; times in seconds, one per round.

    ``flops`` and ``bytes_moved`` are those that the contender's algorithm needs for one run. ``skipped`` says why there
    are no times. The first row of a workload is the one to which the others are compared.
    """

    workload: str
    contender: str
    wall: tuple[float, ...] = ()
    cpu: tuple[float, ...] = ()
    compile_seconds: float | None = None
    flops: float | None = None
    bytes_moved: float | None = None
    precision: str = "float32"
    skipped: str = ""

    def as_json(self) -> dict[str, Any]:
        """Fields that are set, times to four digits."""
        fields = {k: v for k, v in dataclasses.asdict(self).items() if v not in (None, "", ())}
        for name in ("wall", "cpu"):
            if name in fields:
                fields[name] = [float(f"{value:.4g}") for value in fields[name]]
        for name in ("compile_seconds", "flops", "bytes_moved"):
            if name in fields:
                fields[name] = float(f"{fields[name]:.4g}")
        return fields


def row_from_json(fields: Mapping[str, Any]) -> Row:
    """Inverse of :meth:`Row.as_json`."""
    times = {name: tuple(fields.get(name, ())) for name in ("wall", "cpu")}
    return Row(**{**fields, **times})


def rows_of(
    workload: str,
    outcome: Race,
    *,
    compile_seconds: Mapping[str, float] | None = None,
    flops: Mapping[str, float] | None = None,
    bytes_moved: Mapping[str, float] | None = None,
    precision: str = "float32",
) -> list[Row]:
    """Rows of a race, in its order."""
    return [
        Row(
            workload,
            name,
            tuple(outcome.wall[name]),
            tuple(outcome.cpu[name]),
            (compile_seconds or {}).get(name),
            (flops or {}).get(name),
            (bytes_moved or {}).get(name),
            precision,
            outcome.failed.get(name, ""),
        )
        for name in outcome.wall
    ]


def by_workload(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows grouped by workload, in order."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.workload, []).append(row)
    return groups


def human(seconds: float) -> str:
    """Return a time with three digits in s, ms or µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def table(rows: Sequence[Row]) -> str:
    """Rows as text for a terminal: medians, and the medians and spread of the ratios to each workload's first row."""
    lines = []
    for workload, group in by_workload(rows).items():
        lines.append(f"{workload}: {group[0].precision} median of {len(group[0].wall)} rounds".replace(":  ", ": "))
        for row in group:
            if not row.wall:
                lines.append(f"  {row.contender:34s} {'skipped: ' + row.skipped if row.skipped else ''}")
                continue
            walls = ratios(row.wall, group[0].wall)
            cpus = statistics.median(ratios(row.cpu, group[0].cpu))
            line = f"  {row.contender:34s} {human(statistics.median(row.wall)):>9s} wall"
            line += f" {human(statistics.median(row.cpu)):>9s} CPU   x {statistics.median(walls):7.2f} wall"
            line += f" ({min(walls):.2f} to {max(walls):.2f}) {cpus:7.2f} CPU"
            if row.compile_seconds is not None:
                line += f"   compile {human(row.compile_seconds)}"
            lines.append(line)
    return "\n".join(lines)


def main(measure: Callable[[int], list[Row]], description: str, rounds: int = 5) -> None:
    """Command line of one benchmark: measure, print the table, and write the rows if asked."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", type=Path, help="file for the rows")
    arguments = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}, {num_threads()} threads", flush=True)
    rows = measure(arguments.rounds)
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([row.as_json() for row in rows]), encoding="utf-8")
