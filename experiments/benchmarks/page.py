"""The page and the figure of the benchmarks, from the raw numbers in ``results.json``."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments.benchmarks import cost_curves
from experiments.benchmarks.racing import Row, by_workload, human, ratios, row_from_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Launches and waits of each trainer, before and now.
LAUNCHES = Path(__file__).with_name("launches.json")
#: Benchmark -> heading of its section, and what it races.
SECTIONS: dict[str, tuple[str, str]] = {
    "grokking": (
        "Grokking",
        "16 runs of 100 steps at D = 32, N = 128, P = 200 (`small`); 2 runs of 20 steps at D = 100, N = 500, P = 450 "
        "(`paper`). Ours trains on the moments of the weights, set-up included; `every neuron` takes any activation.",
    ),
    "xor": (
        "XOR clusters",
        "n = 80 samples in p = 8000 dimensions, 128 neurons, 2 instances. Ours trains the coefficients of the weights "
        "in the data, the inner products included.",
    ),
    "matrix_sensing": (
        "Matrix sensing",
        "50 x 50 of rank 3 from 1000 measurements, model ranks 3 to 20 x two scales. Ours is one program for all eight "
        "runs, set-up (A*A as one matrix) included; bytes are those of the operator, read once per step and product.",
    ),
    "linear_attention": (
        "Linear attention",
        "d = 10, n = 20, 1000 fresh prompts per step, 2 seeds, 40 steps of Adam. `statistics` draws sufficient "
        "statistics instead of prompts; the rows of drawing are parts of the rows above them.",
    ),
    "ridge_sweep": (
        "Random features: widths and ridges",
        "n = 100, 8 nested widths, 9 ridges, 2 instances, exact population risk.",
    ),
    "effective_ridge": (
        "Random features: effective ridges",
        "1000 eigenvalues, 18 ridges x 20 widths; all agree to 1e-8. The eager loop solves every 30th point, its time "
        "is scaled up.",
    ),
    "stability_thresholds": (
        "SGD stability: critical learning rates",
        "10,000 spectra of 200 eigenvalues, batches of 8; all agree to 1e-9. Slow contenders solve every 20th or 100th "
        "spectrum, their time is scaled up.",
    ),
    "signal_propagation": (
        "Random networks without matrices",
        "64 tanh networks, n = 256, L = 32; the tangent kernel of all layers in the second table, where ours draws a "
        "second input as well. The last one has kernels of 1000 leaky ReLU networks, by chi-square numbers.",
    ),
    "scaling_laws": (
        "Scaling laws: one-pass SGD on a sketch",
        "64 weights, 1000 features, 300 steps; 400 runs leave about 1%. The second table has no peer: the least loss "
        "over six widths at 100 amounts of compute, by the contour.",
    ),
    "random_energy": (
        "Random energies: exact means",
        "Participation and log Z of kernel sums at eight bandwidths. Few points: d = 20, n = 2981, against 400 data "
        "sets, which leave a percent or more. Then n = 1e52, d = 400, which nothing samples point by point.",
    ),
    "grokking_mean_field": ("Grokking: mean-field theory", "No other implementation is known to compare with."),
    "trainer_overhead": (
        "What recording costs",
        "The library's trainers against a bare `lax.scan` that records nothing.",
    ),
    "linear_networks": (
        "Two-layer linear networks",
        "m = 1024 neurons, d = 5, 32 step sizes, 200 steps. Ours follows the 36 second moments of the weights, which "
        "is gradient descent itself; `every parameter, vmapped` is one compiled program for all step sizes.",
    ),
    "sharing": (
        "One seed on all cores",
        "A sweep of the grokking model over the output scale alone: 64 scales at the small size, two at the published "
        "one. The hyper-parameters are shared out over the cores.",
    ),
    "latency": ("Latency", "Fresh processes; ratios are to the first row of each table."),
}


class Target(NamedTuple):
    """A goal: the time of ``slower`` over that of ``faster`` (median over rounds), or seconds where that is empty.

    With ``first``, of the medians with compilation.
    """

    name: str
    benchmark: str
    workload: str
    slower: str
    faster: str
    goal: float
    at_least: bool = True
    first: bool = False


TARGETS: tuple[Target, ...] = (
    Target("P1", "grokking", "small", "PyTorch eager", "ours", 20),
    Target("P1", "grokking", "small", "ours, every neuron", "ours", 4),
    Target("P2", "grokking", "paper", "PyTorch eager", "ours", 9),
    Target("P2", "grokking", "paper", "ours, every neuron", "ours", 2.5),
    Target("P3", "grokking", "width, ours", "N = 1024", "N = 64", 1.4, at_least=False),
    Target("P4", "grokking", "small", "PyTorch eager", "ours, every neuron", 5),
    Target("P4", "grokking", "small", "torch.func", "ours, every neuron", 1.5),
    Target("P5", "xor", "20 steps", "PyTorch eager", "ours", 12),
    Target("P5", "xor", "200 steps", "PyTorch eager", "ours", 50),
    Target("P5", "xor", "200 steps", "ours, whole weights", "ours", 30),
    Target("P5", "xor", "input dimension", "p = 32000", "p = 2000", 1.1, at_least=False),
    Target("P6", "matrix_sensing", "500 steps", "PyTorch eager", "ours", 10),
    Target("P6", "matrix_sensing", "500 steps", "NumPy by hand", "ours", 4),
    Target("P7", "linear_attention", "fresh prompts", "PyTorch eager", "ours", 1),
    Target("P7", "linear_attention", "fresh prompts", "PyTorch eager, full map", "ours", 4),
    Target("P7", "linear_attention", "fresh prompts", "PyTorch eager", "ours, statistics", 2),
    Target("P8", "ridge_sweep", "144 fits", "NumPy eigh", "ours", 1),
    Target("P8", "ridge_sweep", "144 fits", "scikit-learn", "ours", 6),
    Target("P9", "effective_ridge", "360 points", "SciPy brentq", "ours", 4),
    Target("P9", "effective_ridge", "360 points", "eager JAX, bisection", "ours", 100),
    Target("P10", "latency", "first figure", "cold", "", 5, at_least=False),
    Target("P10", "latency", "first figure", "warm", "", 3, at_least=False),
    Target("P10", "latency", "start", "import jax, theorylab", "import jax", 1.15, at_least=False),
    Target("P10", "latency", "start", "theorylab --help", "", 1, at_least=False),
    Target("P11", "linear_networks", "32 step sizes", "every parameter, vmapped", "ours", 30),
    Target("P11", "linear_networks", "32 step sizes", "PyTorch eager", "ours", 100),
    Target("P12", "signal_propagation", "kernel", "matrices, JAX", "ours", 50),
    Target("P12", "signal_propagation", "kernel", "matrices, PyTorch", "ours", 50),
    Target("P12", "signal_propagation", "kernel and tangent kernel", "matrices, JAX", "ours", 50),
    Target("P12", "signal_propagation", "width, chi-square numbers", "n = 65536", "n = 256", 1.3, at_least=False),
    Target("P13", "stability_thresholds", "10000 spectra", "ours", "", 1, at_least=False),
    Target("P14", "scaling_laws", "mean loss to 1%", "explicit SGD, 400 runs", "ours", 100),
    Target("P14", "scaling_laws", "100 points of a frontier", "ours", "", 2, at_least=False),
    Target("P15", "random_energy", "few points", "NumPy, 400 data sets", "ours", 1),
    Target("P15", "random_energy", "1e52 points", "ours, one bandwidth", "", 0.1, at_least=False),
    Target("C1", "sharing", "64 scales", "ours, one core", "ours, all cores", 1.85),
    Target("C1", "sharing", "2 scales", "ours, one core", "ours, all cores", 1.7),
    Target("C2", "grokking", "paper", "PyTorch eager", "ours", 15),
    Target("C3", "grokking", "small", "products alone", "ours", 0.75),
    Target("C3", "grokking", "small", "products alone, PyTorch", "ours", 0.75),
    Target("C4", "grokking", "small", "PyTorch eager", "ours", 1, first=True),
    Target("C4", "xor", "20 steps", "PyTorch eager", "ours", 1, first=True),
    Target("C4", "xor", "200 steps", "PyTorch eager", "ours", 1, first=True),
    Target("C4", "matrix_sensing", "500 steps", "PyTorch eager", "ours", 1, first=True),
    Target("C5", "latency", "reproduce", "empty caches", "", 60, at_least=False),
)
#: Benchmarks that run on a GPU too, and the goals there.
ON_A_GPU = ("grokking", "xor", "matrix_sensing", "linear_attention", "ridge_sweep", "trainer_overhead")
GPU_TARGETS: tuple[Target, ...] = (
    *(
        Target("G3", "trainer_overhead", workload, "ours, gradient_descent", "bare scan", 1.2, at_least=False)
        for workload in (
            "scalar quadratic: 100000 steps, 49 recorded",
            "two-layer linear, n=32 d=8 width=8: 20000 steps, 43 recorded",
            "two-layer linear, n=400 d=100 width=200: 300 steps, 24 recorded",
        )
    ),
    Target("G5", "ridge_sweep", "4608 fits", "PyTorch Cholesky, batched", "ours", 2),
)
#: Seconds of ``import jax`` where the goals of P10 were set.
JAX_IMPORT = 0.9
#: Workloads of the figure and their names there.
SHOWN = {
    ("grokking", "small"): "grokking, 16 small runs",
    ("grokking", "paper"): "grokking, published sizes",
    ("xor", "20 steps"): "XOR clusters, 20 steps",
    ("xor", "200 steps"): "XOR clusters, 200 steps",
    ("matrix_sensing", "500 steps"): "matrix sensing",
    ("linear_attention", "fresh prompts"): "linear attention, fresh prompts",
    ("ridge_sweep", "144 fits"): "random features, 144 fits",
    ("linear_networks", "32 step sizes"): "linear networks, 32 step sizes",
    ("effective_ridge", "360 points"): "random features, 360 effective ridges",
    ("stability_thresholds", "10000 spectra"): "SGD stability, 10,000 thresholds",
}
#: Kinds of contenders: beginnings of their names, and the marker.
KINDS = {
    "loop around jit": (("loop around jit",), "o"),
    "PyTorch": (("PyTorch",), "s"),
    "torch.func": (("torch.func",), "D"),
    "NumPy": (("NumPy",), "^"),
    "SciPy, scikit-learn, eager JAX": (("SciPy", "scikit-learn", "eager JAX"), "v"),
    "our other trainers": (("ours, every", "ours, whole", "ours, two", "ours, statistics", "every parameter"), "P"),
}


def rows_in(results: Mapping[str, Any], benchmark: str) -> list[Row]:
    """Rows of one benchmark; none where it was not run."""
    if benchmark == "cost_curves":
        return []
    return [row_from_json(fields) for fields in results["benchmarks"].get(benchmark, {}).get("rows", ())]


def find(results: Mapping[str, Any], benchmark: str, workload: str, contender: str) -> Row | None:
    """One row, if it was measured."""
    for row in rows_in(results, benchmark):
        if (row.workload, row.contender) == (workload, contender) and row.wall:
            return row
    return None


def seen(results: Mapping[str, Any], target: Target) -> float | None:
    """What was measured of a target: the median over rounds."""
    slower = find(results, target.benchmark, target.workload, target.slower)
    if slower is None:
        return None
    if not target.faster:
        return statistics.median(slower.wall)
    faster = find(results, target.benchmark, target.workload, target.faster)
    if faster is not None and target.first:
        return first_run(slower) / first_run(faster)
    return None if faster is None else statistics.median(ratios(slower.wall, faster.wall))


def first_run(row: Row) -> float:
    """Seconds of a first run, compilation included; the loops of NumPy and PyTorch compile nothing."""
    return statistics.median(row.wall) + (row.compile_seconds or 0)


def is_met(target: Target, value: float) -> bool:
    """Whether a measured value meets a target."""
    return value >= target.goal if target.at_least else value <= target.goal


# --- the page -------------------------------------------------------------------------------------------------------


def render(results: Mapping[str, Any]) -> str:
    """Return the page as Markdown."""
    parts = [_head(results), _machine(results), _targets(results)]
    parts += [_section(results, name) for name in SECTIONS if name in results["benchmarks"]]
    costs = results["benchmarks"].get("cost_curves")
    if costs:
        parts.append(_costs(costs))
    parts.append(_launches(json.loads(LAUNCHES.read_text(encoding="utf-8"))))
    if "gpu" in results:
        parts += _on_a_gpu(results["gpu"])
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _head(results: Mapping[str, Any]) -> str:
    return """# Benchmarks

Written by `uv run experiments/benchmarks/run.py` from `results.json`; `--render` renders it again without measuring.

Contenders take turns (A B C, A B C, …) after a round of warming up, in one process per benchmark, PyTorch in a process
of its own that times itself. The machine rests before each, since threads of OpenBLAS and OpenMP go on spinning after
their work; one that takes less than the rest then runs once to fill the caches, and the median of up to five more runs
counts. *Ours* runs as a sweep does, runs shared out over the cores, which JAX sees as devices. Given are medians over
the rounds, and the medians (smallest to largest) of the ratios within a round; one that takes long runs in fewer
rounds. *× ours* is the contender's time over that of the first row: above 1 we are faster. Compilation is measured
apart; *first run* adds it to the median. Contenders are checked against each other in the same run, on losses, final
states or errors; a loop returns its final state, or XLA would delete it. Operations and bytes are those that the
contender's algorithm needs, compared with what NumPy reaches on the same machine.

![Ratios](benchmarks.png)"""


def _machine(results: Mapping[str, Any]) -> str:
    lines = ["## Machine", ""]
    lines += [f"- {name}: {value}" for name, value in results["machine"].items()]
    ceilings: Mapping[str, Mapping[str, float]] = results["ceilings"]
    if ceilings:
        counts = list(ceilings)
        lines += ["", "| ceiling (NumPy) | " + " | ".join(f"{n} thread{'s' * (n != '1')}" for n in counts) + " |"]
        lines += ["|---|" + "---|" * len(counts)]
        for name in ceilings[counts[0]]:
            lines.append(f"| {name} | " + " | ".join(f"{ceilings[n].get(name, float('nan')):g}" for n in counts) + " |")
    return "\n".join(lines)


def _on_a_gpu(part: Mapping[str, Any]) -> list[str]:
    """Goals and tables of what was measured on a GPU, with its name."""
    about = f"## On a GPU: {part['name']}\n\nThe same scripts, PyTorch on the same card. It waits for the card's end."
    sections = [_section({**part, "ceilings": {}}, name) for name in ON_A_GPU if name in part["benchmarks"]]
    return [about, "\n".join(_goals(part, GPU_TARGETS)), *("#" + text for text in sections)]


def _launches(counts: Mapping[str, Any]) -> str:
    """What was counted in programs compiled for a GPU that was not there."""
    lines = [
        "## What a step asks of a GPU: counted, not timed",
        "",
        f"Each trainer at the sizes of `tiny`, compiled by JAX {counts['jax']} for an {counts['target']} that is not "
        "there, and read (`tests/platform/trainers.py`, whose test holds these numbers). A *launch* is a kernel, a "
        "library's routine or a copy. A *wait* is a look of the host at a number on the card: whether a loop goes on, "
        "which branch is taken. *Before*: the loops of a processor, a round for each step. *Now*: blocks of steps, "
        "those of few operations written out four by four; launches are those of a block, over its steps. Fresh "
        "statistics took some three rounds of rejection a step. A round of a loop that must wait was "
        "measured once, at 12 µs more on a slow host; what these loops take on a card has not been.",
        "",
        "| trainer | launches a step, before | now | waits a step, before | now |",
        "|---|---|---|---|---|",
    ]
    for name, row in counts["trainers"].items():
        numbers = (f"{row[when][what]:g}" for what in ("launches", "waits") for when in ("before", "now"))
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _targets(results: Mapping[str, Any]) -> str:
    lines = ["## Targets", "", *_goals(results, TARGETS)]
    sources = (
        _operations_of_neurons, _operations_of_weights, _cores_together, _share_of_products, _compilations_paid,
        _share_of_drawing, _share_of_imports,
    )  # fmt: skip
    notes = [note(results) for note in sources]
    notes = [note for note in notes if note]
    return "\n".join(lines + [""] * bool(notes) + notes)


def _goals(results: Mapping[str, Any], targets: Sequence[Target]) -> list[str]:
    lines = [
        "| | workload | time of | over that of | goal | seen | |",
        "|---|---|---|---|---|---|---|",
    ]
    for target in targets:
        value = seen(results, target)
        sign, unit = "≥" if target.at_least else "≤", "" if target.faster else " s"
        goal = f"{sign} {target.goal:g}{unit}"
        shown = "—" if value is None else f"{value:.3g}{unit}"
        verdict = "not measured" if value is None else "met" if is_met(target, value) else "**missed**"
        where = f"{target.benchmark}, {target.workload}{', first run' if target.first else ''}"
        lines.append(f"| {target.name} | {where} | {target.slower} | {target.faster} | {goal} | {shown} | {verdict} |")
    return lines


def _operations_of_neurons(results: Mapping[str, Any]) -> str:
    """How many operations the moments save."""
    moments, neurons = (find(results, "grokking", "small", name) for name in ("ours", "ours, every neuron"))
    if moments is None or neurons is None or not moments.flops or not neurons.flops:
        return ""
    speeds = [(row.flops or 0) / statistics.median(row.wall) / 1e9 for row in (moments, neurons)]
    return (
        f"- P1: training every neuron takes {neurons.flops / moments.flops:.2g} times the operations of training the "
        f"moments, in larger products, at {speeds[1]:.3g} against {speeds[0]:.3g} GFLOP/s."
    )


def _operations_of_weights(results: Mapping[str, Any]) -> str:
    """How many operations the coefficients save, and the ratios in CPU time."""
    parts = []
    for steps in (20, 200):
        ours, theirs = (find(results, "xor", f"{steps} steps", name) for name in ("ours", "PyTorch eager"))
        if ours is None or theirs is None or not ours.flops or not theirs.flops:
            return ""
        in_cpu_time = statistics.median(ratios(theirs.cpu, ours.cpu))
        parts.append(f"{theirs.flops / ours.flops:.2g} times the operations and {in_cpu_time:.3g} times our CPU time")
    ours, products = (find(results, "xor", "20 steps", name) for name in ("ours", "inner products alone, NumPy"))
    least = ""
    if ours and products and ours.flops and products.flops:
        times = statistics.median(ratios(products.wall, ours.wall))
        least = (
            f" At 20 steps {products.flops / ours.flops:.0%} of ours are those of the inner products, for which alone "
            f"NumPy takes {times:.2g} times the time of our whole training."
        )
    return f"- P5: PyTorch takes {parts[0]} at 20 steps, {parts[1]} at 200.{least}"


def _cores_together(results: Mapping[str, Any]) -> str:
    """What two cores cost each other."""
    rows = [find(results, "sharing", *key) for key in (("1 scale", "ours, one core"), ("2 scales", "ours, all cores"))]
    times = [1e3 * statistics.median(row.wall) for row in rows if row is not None]
    if len(times) < 2:
        return ""
    return (
        f"- C1: at the published size one scale takes a core {times[0]:.3g} ms while the other core rests; two scales "
        f"take two cores {times[1]:.3g} ms."
    )


def _compilations_paid(results: Mapping[str, Any]) -> str:
    """How many runs pay for compiling."""
    parts = []
    for benchmark, workload in (("grokking", "small"), ("xor", "20 steps")):
        ours, theirs = (find(results, benchmark, workload, name) for name in ("ours", "PyTorch eager"))
        if ours is None or theirs is None or not ours.compile_seconds:
            return ""
        run, other = statistics.median(ours.wall), statistics.median(theirs.wall)
        runs = math.ceil(ours.compile_seconds / (other - run))
        parts.append(f"{benchmark}, {workload}: {ours.compile_seconds / (ours.compile_seconds + run):.0%}, {runs}")
    return (
        "- C4: PyTorch eager compiles nothing. Share of compiling in our first run, and how many runs pay for it: "
        + "; ".join(parts) + ". A sweep compiles once."
    )  # fmt: skip


def _share_of_products(results: Mapping[str, Any]) -> str:
    """What there is left to gain of training on moments."""
    shares = []
    for workload in ("small", "paper"):
        ours, products = (find(results, "grokking", workload, name) for name in ("ours", "products alone"))
        if ours is None or products is None:
            return ""
        shares.append(statistics.median(ratios(products.cpu, ours.cpu)))
    return (
        f"- C2, C3: the matrix products of our steps alone take {shares[0]:.0%} of our CPU time at the small size and "
        f"{shares[1]:.0%} at the published one: no way of arranging the rest saves more than what is left."
    )


def _share_of_drawing(results: Mapping[str, Any]) -> str:
    """Where the time of training on fresh prompts goes."""
    names = ("ours", "ours, drawing prompts", "PyTorch, drawing prompts")
    whole, part, theirs = (find(results, "linear_attention", "fresh prompts", name) for name in names)
    if whole is None or part is None or theirs is None:
        return ""
    share = statistics.median(ratios(part.cpu, whole.cpu))
    times = statistics.median(ratios(part.cpu, theirs.cpu))
    return (
        f"- P7: drawing the prompts alone takes {share:.0%} of our CPU time, {times:.2g} times that of drawing them in "
        "PyTorch. JAX's generator gives the same numbers on every device and in every batch; sufficient statistics "
        "need fewer."
    )


def _share_of_imports(results: Mapping[str, Any]) -> str:
    """Where the time to the first figure goes."""
    rows = (
        find(results, "latency", *key)
        for key in (
            ("first figure", "warm"),
            ("first figure", "cold"),
            ("start", "import jax, matplotlib, xarray"),
            ("start", "import jax"),
        )
    )
    times = [statistics.median(row.wall) for row in rows if row is not None]
    if len(times) < 4:
        return ""
    warm, cold, packages, jax = times
    goals = {target.slower: target.goal / JAX_IMPORT for target in TARGETS if target.workload == "first figure"}
    return (
        f"- P10: of the {cold:.1f} s to the first figure of a fresh machine {cold - warm:.1f} s are compilation, which "
        f"the cache spares; importing JAX, Matplotlib and xarray takes {packages:.1f} s, JAX alone {jax:.2g} s. The "
        f"goals are for a machine where that takes {JAX_IMPORT:g} s: in its units {goals['cold']:.1f} cold and "
        f"{goals['warm']:.1f} warm, of which {cold / jax:.1f} and {warm / jax:.1f} were seen."
    )


def _section(results: Mapping[str, Any], name: str) -> str:
    title, about = SECTIONS[name]
    entry = results["benchmarks"][name]
    parts = [f"## {title}", about]
    if entry.get("failed"):
        parts.append(f"**It did not finish:** {entry['failed']}")
    for workload, group in by_workload(rows_in(results, name)).items():
        parts.append(_table(workload, group, results["ceilings"].get(str(entry["threads"]), {})))
    return "\n\n".join([*parts, _conditions(name, entry)])


def _conditions(name: str, entry: Mapping[str, Any]) -> str:
    """When, and on how busy a machine."""
    before, after = entry["load"]
    threads = f"{entry['threads']} thread{'s' * (entry['threads'] != 1)}"
    return (
        f"`{name}.py` on {entry['date']}, {entry['seconds']:.0f} s on {threads}; load average {before:.1f} before, "
        f"{after:.1f} after."
    )


def _table(workload: str, group: Sequence[Row], top: Mapping[str, float]) -> str:
    first = group[0]
    compiles = any(row.compile_seconds is not None for row in group)
    compares = len(group) > 1
    works, reads = (any(getattr(row, field) for row in group) for field in ("flops", "bytes_moved"))
    head = [f"{workload}{f' ({first.precision})' if first.precision else ''}", "median"]
    reference = "ours" if first.contender.startswith("ours") else "first row"
    head += [f"× {reference}", "in CPU time"] if compares else ["CPU"]
    head += ["compile", "first run"] if compiles else []
    head += [f"first run, × {reference}"] if compiles and compares else []
    head += (["GFLOP/s"] if works else []) + (["GB/s"] if reads else []) + ["rounds"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in group:
        if not row.wall:
            lines.append(f"| {row.contender} | skipped: {row.skipped} |" + " |" * (len(head) - 2))
            continue
        median = statistics.median(row.wall)
        cells = [row.contender, human(median)]
        if compares:
            walls = ratios(row.wall, first.wall)
            spread = f" ({min(walls):.3g} to {max(walls):.3g})" if row is not first else ""
            cpu = statistics.median(ratios(row.cpu, first.cpu))
            cells += [f"{statistics.median(walls):.3g}{spread}", f"{cpu:.3g}"]
        else:
            cells += [human(statistics.median(row.cpu))]
        if compiles:
            cells += ["" if row.compile_seconds is None else human(row.compile_seconds), human(first_run(row))]
            if compares:
                cells += [f"{first_run(row) / first_run(first):.3g}"]
        if works:
            cells += [_share(row.flops, median, top.get(f"matrix product {row.precision}, GFLOP/s"))]
        if reads:
            cells += [_share(row.bytes_moved, median, top.get(f"matrix times vector {row.precision}, 13 MB, GB/s"))]
        lines.append("| " + " | ".join([*cells, str(len(row.wall))]) + " |")
    return "\n".join(lines)


def _share(amount: float | None, seconds: float, ceiling: float | None) -> str:
    """Achieved rate in units of 10^9 per second, and its share of the ceiling."""
    if not amount:
        return ""
    rate = amount / seconds / 1e9
    return f"{rate:.3g}" + (f" ({rate / ceiling:.0%})" if ceiling else "")


def _costs(entry: Mapping[str, Any]) -> str:
    parts = [
        "## Costs",
        "One axis at a time about a small base configuration, seeds batched in one program; exponents are fitted to "
        "all three values. Memory is what XLA reserves for the program. Compilation depends on none of the axes, and a "
        "sweep over scalars and seeds compiles once.",
        "![Costs](cost_curves.png)",
    ]
    if entry.get("failed"):
        parts.append(f"**It did not finish:** {entry['failed']}")
    if entry.get("rows"):
        parts.append(cost_curves.tables(entry["rows"]))
    return "\n\n".join([*parts, _conditions("cost_curves", entry)])


# --- the figure -----------------------------------------------------------------------------------------------------


def kind_of(contender: str) -> str | None:
    """Kind of a contender in the figure; none for what is only part of the work."""
    if "drawing" in contender or contender.startswith("products alone"):
        return None
    for kind, (beginnings, _) in KINDS.items():
        if contender.startswith(beginnings):
            return kind
    return None


def draw(results: Mapping[str, Any]) -> Figure:
    """Time over ours of every contender, a line per workload; bars mark the goals."""
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

    from theorylab.verdict.plotting import COLOURS

    colours = dict(zip(KINDS, COLOURS, strict=False))
    figure, axes = plt.subplots(figsize=(8.5, 4.8))
    shown = [key for key in SHOWN if find(results, *key, "ours") is not None]
    used = set()
    for height, (benchmark, workload) in enumerate(reversed(shown)):
        rows = [row for row in rows_in(results, benchmark) if row.workload == workload and row.wall]
        drawn = [(row, kind_of(row.contender)) for row in rows]
        marks = [(row, kind) for row, kind in drawn if kind is not None]
        for position, (row, kind) in enumerate(marks):
            # Contenders of a workload lie on a narrow band of their own, so that none hides another.
            y = height + 0.24 * (1 - 2 * position / max(len(marks) - 1, 1))
            values = ratios(row.wall, rows[0].wall)
            middle = statistics.median(values)
            axes.plot([min(values), max(values)], [y, y], color=colours[kind], linewidth=1, alpha=0.6)
            axes.plot(middle, y, KINDS[kind][1], color=colours[kind])
            used.add(kind)
            for target in TARGETS:
                if (target.benchmark, target.workload, target.slower, target.faster, target.first) == (
                    benchmark, workload, row.contender, "ours", False
                ):  # fmt: skip
                    axes.plot(target.goal, y, "|", color=colours[kind], markersize=11, markeredgewidth=2)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [SHOWN[key] for key in reversed(shown)])
    axes.grid(axis="y", visible=False)
    for height in range(len(shown) - 1):
        axes.axhline(height + 0.5, color="black", alpha=0.12, linewidth=0.6)
    axes.set_ylim(-0.5, len(shown) - 0.5)
    low, high = axes.get_xlim()
    ticks = [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= t <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("time over ours (the larger, the faster we are); | marks the goal")
    handles = [
        Line2D([], [], color=colours[kind], marker=KINDS[kind][1], linestyle="", label=kind)
        for kind in KINDS
        if kind in used
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6, columnspacing=1.0, handletextpad=0.2)
    return figure
