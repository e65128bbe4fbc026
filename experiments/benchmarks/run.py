"""Run every benchmark and write the page: ``README.md``, ``benchmarks.png``, ``cost_curves.png``, ``results.json``.

    BENCHMARK_TORCH_PYTHON=/path/to/python uv run experiments/benchmarks/run.py [--rounds 5] [--only NAME ...]

Each benchmark is a process of its own, so that precision and caches do not mix. One that fails is a line of the page
that says so; so is a contender whose library is missing. PyTorch comes from the interpreter that
``BENCHMARK_TORCH_PYTHON`` names (never a dependency of the library):

    python -m venv torch && torch/bin/pip install torch numpy

Run it alone on a quiet machine. ``--device gpu`` measures on a GPU, PyTorch on the same one, into a part of the page of
its own; without a GPU it does nothing. ``--only`` measures some benchmarks again and keeps the other results;
``--render`` only renders the page again.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
if str(ROOT) not in sys.path:  # run as a file
    sys.path.insert(0, str(ROOT))

from experiments.benchmarks import page  # noqa: E402
from experiments.benchmarks.racing import torch_python  # noqa: E402
from theorylab.runtime import cores  # noqa: E402

BENCHMARKS = (*page.SECTIONS, "cost_curves")
#: Seconds after which a benchmark is given up.
LIMIT = 900


def environment(threads: int, device: str = "cpu") -> dict[str, str]:
    """Variables of a process with so many threads on a device, on the modules of this repository.

    NumPy's OpenBLAS goes by the cores of the process. SciPy's, which JAX calls, has one thread in an application.
    """
    paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH")) if path)
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    where = {"BENCHMARK_DEVICE": device} | ({"JAX_PLATFORMS": "cpu"} if device == "cpu" else {})
    return {**os.environ, **counts, **where, "PYTHONPATH": paths}


def command(module: str, threads: int, *arguments: str) -> list[str]:
    """Command line of a module on so many cores: XLA takes one thread per core that it may use."""
    pin = f"os.sched_setaffinity(0, {cores()[:threads]!r}); " if hasattr(os, "sched_setaffinity") else ""
    code = (
        f"import os, runpy, sys; {pin}"
        f"sys.argv = [{module!r}, *sys.argv[1:]]; runpy.run_module({module!r}, run_name='__main__')"
    )
    return [sys.executable, "-c", code, *arguments]


def gpu_name() -> str:
    """Name of the GPU that JAX finds; empty without one."""
    call = [sys.executable, "-c", "import jax; print(jax.devices('gpu')[0].device_kind)"]
    done = subprocess.run(call, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def run_one(name: str, rounds: int, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Run one benchmark in a fresh process: its rows, or why there are none."""
    load, begin = os.getloadavg()[0], time.perf_counter()
    entry: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        call = command(f"experiments.benchmarks.{name}", threads, "--rounds", str(rounds), "--json", str(file))
        try:
            done = subprocess.run(
                call, cwd=ROOT, env=environment(threads, device), stderr=subprocess.PIPE, text=True, timeout=LIMIT
            )
            if done.returncode:
                entry["failed"] = (done.stderr.strip().splitlines() or ["no message"])[-1]
                print(done.stderr, file=sys.stderr)
        except subprocess.TimeoutExpired:
            entry["failed"] = f"given up after {LIMIT} s"
        entry["rows"] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    entry["seconds"] = round(time.perf_counter() - begin, 1)
    return entry | {"threads": threads, "date": now(), "load": [round(load, 2), round(os.getloadavg()[0], 2)]}


def now() -> str:
    """Date and time, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def measure_ceilings(threads: int) -> dict[str, float]:
    """What NumPy reaches with so many threads."""
    call = command("experiments.benchmarks.ceilings", threads)
    done = subprocess.run(call, cwd=ROOT, env=environment(threads), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def machine(threads: int) -> dict[str, Any]:
    """Describe the machine and the versions."""
    from importlib.metadata import version

    import theorylab

    cpu = platform.processor() or platform.machine()
    flags = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = [line.split(":", 1) for line in info.read_text().split("\n\n")[0].splitlines() if ":" in line]
        fields = {name.strip(): value.strip() for name, value in lines}
        cpu = fields.get("model name", cpu)
        widths = [name for name in ("avx2", "avx512f", "amx_tile") if name in fields.get("flags", "").split()]
        flags = f" ({', '.join(widths)})" if widths else ""
        cpu += f", family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    torch = subprocess.run(
        [torch_python(), "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True
    )
    packages = ("jax", "jaxlib", "numpy", "scipy", "optax", "scikit-learn")
    return {
        "processor": cpu + flags,
        "cores": os.cpu_count(),
        "threads": threads,
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "Python": platform.python_version(),
        "theorylab": theorylab.__version__,
        **{name: version(name) for name in packages},
        "PyTorch": torch.stdout.strip() if torch.returncode == 0 else "not installed: its rows are skipped",
        "date": now(),
    }


def store(results: dict[str, Any], folder: Path) -> None:
    """Write the raw numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = json.dumps(results, ensure_ascii=False, indent=1)
    (folder / "results.json").write_text(_compact(lines) + "\n", encoding="utf-8")


def write(results: dict[str, Any], folder: Path) -> None:
    """Write the raw numbers, the page and the figures."""
    from experiments.benchmarks import cost_curves
    from theorylab.verdict import plotting

    store(results, folder)
    (folder / "README.md").write_text(page.render(results), encoding="utf-8")
    with plotting.style():
        plotting.save(page.draw(results), folder / "benchmarks.png")
        points = results["benchmarks"].get("cost_curves", {}).get("rows")
        if points:
            plotting.save(cost_curves.draw(points), folder / "cost_curves.png")


def _compact(text: str) -> str:
    """Put every innermost list and object of indented JSON on one line."""
    import re

    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s*\n\s*", " ", m[1]) + "]", text)
    return re.sub(r"\{\s+([^{}]*?)\s+\}", lambda m: "{" + re.sub(r"\s*\n\s*", " ", m[1]) + "}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--threads", type=int, default=len(cores()), help="cores of every contender")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="where JAX and PyTorch run")
    parser.add_argument("--render", action="store_true", help="render the page again without measuring")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the page, the figures and the numbers go")
    arguments = parser.parse_args()
    threads = min(arguments.threads, len(cores()))
    stored = arguments.folder / "results.json"
    results: dict[str, Any] = {"machine": {}, "ceilings": {}, "benchmarks": {}}
    if (arguments.only or arguments.render or arguments.device == "gpu") and stored.exists():
        results = json.loads(stored.read_text(encoding="utf-8"))
    elif stored.exists():  # what was measured on a GPU stays
        results |= {k: v for k, v in json.loads(stored.read_text(encoding="utf-8")).items() if k == "gpu"}
    if arguments.device == "gpu" and not arguments.render:
        if not (name := gpu_name()):
            parser.error("--device gpu: JAX finds no GPU here, and nothing is measured")
        kept = results["gpu"]["benchmarks"] if arguments.only and "gpu" in results else {}
        part = results["gpu"] = {"name": name, "machine": machine(threads), "benchmarks": kept}
        for name in arguments.only or page.ON_A_GPU:
            print(f"\n== {name}", flush=True)
            part["benchmarks"][name] = run_one(name, arguments.rounds, threads, "gpu")
            store(results, arguments.folder)
    elif not arguments.render:
        begin, load = time.perf_counter(), os.getloadavg()[0]
        results["machine"] = machine(threads)
        results["ceilings"] |= {str(n): measure_ceilings(n) for n in sorted({1, threads})}
        for name in arguments.only or BENCHMARKS:
            print(f"\n== {name}", flush=True)
            results["benchmarks"][name] = run_one(name, arguments.rounds, threads)
            store(results, arguments.folder)  # a killed run leaves what it measured
        results["machine"]["load average"] = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
        results["machine"]["time of the whole run"] = f"{time.perf_counter() - begin:.0f} s"
    write(results, arguments.folder)
    print(f"\nwrote {arguments.folder / 'README.md'}")
    missed = [t for t in page.TARGETS if (value := page.seen(results, t)) is not None and not page.is_met(t, value)]
    for target in missed:
        print(f"missed: {target.name}, {target.benchmark}, {target.workload}: {target.slower} / {target.faster}")


if __name__ == "__main__":
    main()
