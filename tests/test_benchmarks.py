"""The benchmarks' own machinery: the race, PyTorch's process, the page; and that no cell of a sweep recompiles."""

import functools
import importlib
import json
import math
import sys
import warnings
from pathlib import Path

import jax
import pytest
import toy

from theorylab.lab.grid import make_plan
from theorylab.lab.sweep import sweep
from theorylab.verdict import plotting

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are run from the root of the repository

from experiments.benchmarks import cost_curves, page, racing, run  # noqa: E402
from experiments.benchmarks.racing import Row, Timing, compilations, ratios, rows_of  # noqa: E402

SCRIPTS = sorted(path.stem for path in (ROOT / "experiments" / "benchmarks").glob("*.py"))


race = functools.partial(racing.race, rest=0)

# --- the race -------------------------------------------------------------------------------------------------------


def runner(name, walls, calls):
    """A contender that says how long it took: the first time is that of the warm-up."""
    times = iter(walls)

    def contender():
        calls.append(name)
        wall = next(times)
        return Timing(wall, 2 * wall, name)

    return contender


def test_contenders_take_turns_and_the_warm_up_does_not_count():
    calls, results = [], []
    contenders = {"ours": runner("a", [100, 1, 2, 4], calls), "theirs": runner("b", [0.1, 3, 8, 8], calls)}
    outcome = race(contenders, 3, check=lambda name, result: results.append((name, result)), patience=math.inf)
    assert calls == ["a", "b"] * 4
    assert results == [("ours", "a"), ("theirs", "b")]
    assert outcome.wall == {"ours": [1, 2, 4], "theirs": [3, 8, 8]}
    assert outcome.cpu["theirs"] == [6, 16, 16]
    assert ratios(outcome.wall["theirs"], outcome.wall["ours"]) == [3, 4, 2]


def test_after_a_rest_a_short_contender_runs_several_times():
    calls = []
    # Each round: once to fill the caches, then three times, as often as fits into the rest.
    ours = runner("a", [0.003, 7, 5, 1, 2, 7, 4, 4, 9], calls)
    outcome = racing.race({"ours": ours, "theirs": runner("b", [5, 6, 7], calls)}, 2, rest=0.01)
    assert calls == ["a", "b", *["a", "a", "a", "a", "b"] * 2]
    assert outcome.wall == {"ours": [2, 4], "theirs": [6, 7]}


def test_ratios_are_within_rounds():
    """A machine that slows down for both does not change them; ratios of medians would differ."""
    slow = {"ours": runner("a", [1, 1, 10, 100], []), "theirs": runner("b", [1, 2, 20, 200], [])}
    outcome = race(slow, 3, patience=math.inf)
    assert ratios(outcome.wall["theirs"], outcome.wall["ours"]) == [2, 2, 2]


def test_slow_contender_runs_in_the_first_rounds_only():
    calls = []
    outcome = race({"ours": runner("a", [1] * 6, calls), "theirs": runner("b", [9] * 6, calls)}, 5, patience=20)
    assert (len(outcome.wall["ours"]), len(outcome.wall["theirs"])) == (5, 2)
    assert calls == ["a", "b"] * 3 + ["a"] * 3


def test_failing_contender_is_left_out_and_a_failing_reference_is_an_error():
    def broken():
        raise ImportError("no such library")

    outcome = race({"ours": lambda: None, "theirs": broken}, 2)
    rows = rows_of("work", outcome)
    assert rows[1].skipped == "ImportError: no such library"
    assert not rows[1].wall
    assert len(rows[0].wall) == 2
    assert "skipped: ImportError" in racing.table(rows)
    with pytest.raises(ImportError):
        race({"ours": broken, "theirs": lambda: None}, 2)
    # Its times do not count when it breaks down on the way.
    outcome = race({"ours": lambda: None, "theirs": runner("b", [1, 1], [])}, 3)
    assert outcome.failed["theirs"].startswith("StopIteration")
    assert (len(outcome.wall["ours"]), len(outcome.wall["theirs"])) == (3, 0)


def test_disagreement_ends_the_race():
    def check(name, result):
        racing.check_close(name, result, [1.0, 2.0], 1e-6)

    race({"ours": lambda: [1.0, 2.0]}, 1, check=check)
    with pytest.raises(ArithmeticError, match=r"theirs differs by 1\.0e-03"):
        race({"ours": lambda: [1.0, 2.0], "theirs": lambda: [1.0, 2.002]}, 1, check=check)
    with pytest.raises(ArithmeticError, match="nan"):
        racing.check_close("theirs", [1.0, math.nan], [1.0, 2.0], 1e-6)


def test_time_is_that_of_the_finished_computation():
    import jax.numpy as jnp

    timing = racing.timed(lambda x: (x + 1, "text"), jnp.zeros(3))
    assert timing.wall > 0
    assert timing.result[1] == "text"


# --- PyTorch's process ----------------------------------------------------------------------------------------------


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """A peer's file, and a stand-in for PyTorch, which this interpreter does not have."""
    (tmp_path / "torch.py").write_text(
        "__version__ = '0.0'\ndef set_num_threads(n): global threads; threads = n\ndef set_grad_enabled(on): pass\n"
    )
    (tmp_path / "sums.py").write_text("import torch\ndef total(n):\n    return n * float(DATA['values'].sum())\n")
    monkeypatch.setattr(racing, "PEERS", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("BENCHMARK_TORCH_PYTHON", sys.executable)


def test_torch_process_answers_questions(peer):
    import numpy as np

    with racing.PeerProcess("sums", {"values": np.arange(4.0)}, threads=3) as process:
        assert process.version == "0.0"
        timing = process.ask("total(2)")
        assert timing.result == 12
        assert 0 <= timing.wall < 1
        assert process.ask("torch.threads").result == 3
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            process.ask("1 / 0")
        assert process.ask("total(1)").result == 6  # it lives on
    assert process._process.returncode == 0


def test_torch_process_without_torch(peer, tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch here')\n")
    with racing.PeerProcess("sums") as process:
        outcome = race({"ours": lambda: 1, "torch": lambda: process.ask("total(1)")}, 1)
    assert "no torch here" in outcome.failed["torch"]


# --- the page -------------------------------------------------------------------------------------------------------


def results():
    """A small run: one met and one missed target, a skipped contender, a benchmark that failed."""
    rows = [
        Row("small", "ours", (0.1, 0.2, 0.1), (0.1, 0.2, 0.1), 1.9, flops=2e9),
        Row("small", "ours, every neuron", (0.2, 0.4, 0.3), (0.2, 0.4, 0.3), 0.5, flops=8e9),
        Row("small", "PyTorch eager", (2.5, 5.0, 2.5), (2.5, 5.0, 2.5)),
        Row("small", "torch.func", skipped="RuntimeError: no PyTorch"),
    ]
    # As if an older run had been stored and read again.
    stored = json.loads(json.dumps([row.as_json() for row in rows]))
    points = [
        {"curves": "XOR clusters, coefficients", "axis": axis, "field": axis, "value": n, "seconds": 1e-3 * n**2,
         "bytes": 1e6 * n, "compile": 1.0}
        for axis in ("seeds", "width") for n in (1, 4, 16)
    ]  # fmt: skip
    points.append({"curves": points[0]["curves"], "axis": "sweep", "field": "mean_norm", "cells": 12, "programs": 1})
    conditions = {"threads": 2, "date": "2026-01-01 12:00 UTC", "load": [0.1, 1.2]}
    return {
        "machine": {"processor": "abacus"},
        "ceilings": {"2": {"matrix product float32, GFLOP/s": 100.0}},
        "benchmarks": {
            "grokking": {"rows": stored, "seconds": 12.0, **conditions},
            "xor": {"rows": [], "failed": "ValueError: broken", "seconds": 1.0, **conditions},
            "cost_curves": {"rows": points, "seconds": 5.0, **conditions},
        },
    }


def test_page_tells_medians_ratios_targets_and_what_is_missing():
    text = page.render(results())
    assert "- processor: abacus" in text
    # 25 times ours meets 20; every neuron is 2 times, below 4.
    assert "| P1 | grokking, small | PyTorch eager | ours | ≥ 20 | 25 | met |" in text
    assert "| P1 | grokking, small | ours, every neuron | ours | ≥ 4 | 2 | **missed** |" in text
    assert "| P6 | matrix_sensing, 500 steps | PyTorch eager | ours | ≥ 10 | — | not measured |" in text
    # Compilation apart and included: (2.5 + 0)/(0.1 + 1.9) = 1.25; 2e9 operations in 0.1 s are 20 GFLOP/s of 100.
    assert "| ours | 100 ms | 1 | 1 | 1.9 s | 2 s | 1 | 20 (20%) | 3 |" in text
    assert "| PyTorch eager | 2.5 s | 25 (25 to 25) | 25 |  | 2.5 s | 1.25 |  | 3 |" in text
    assert "| torch.func | skipped: RuntimeError: no PyTorch |" in text
    assert "**It did not finish:** ValueError: broken" in text
    assert "`xor.py` on 2026-01-01 12:00 UTC, 1 s on 2 threads; load average 0.1 before, 1.2 after." in text
    assert "| `width` | 1 to 16 | 1 ms to 256 ms | 2.00 |" in text
    assert "| `mean_norm`, seeds | 12 | 1 |" in text
    for table in (block for block in text.split("\n\n") if block.startswith("|")):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_run_renders_again_without_measuring(tmp_path, monkeypatch):
    stored = results()
    del stored["benchmarks"]["cost_curves"]  # its figure takes seconds
    (tmp_path / "results.json").write_text(json.dumps(stored))
    monkeypatch.setattr(sys, "argv", ["run.py", "--render", "--folder", str(tmp_path)])
    run.main()
    assert json.loads((tmp_path / "results.json").read_text()) == stored
    assert (tmp_path / "README.md").read_text() == page.render(stored)
    assert 5000 < (tmp_path / "benchmarks.png").stat().st_size <= 150_000


def test_failing_benchmark_is_an_entry():
    entry = run.run_one("no_such_benchmark", 1, 1)
    assert "no_such_benchmark" in entry["failed"]
    assert entry["rows"] == []


def test_committed_page_is_that_of_the_committed_numbers():
    folder = ROOT / "experiments" / "benchmarks"
    stored = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert (folder / "README.md").read_text(encoding="utf-8") == page.render(stored)


def test_figures_show_what_was_measured():
    import matplotlib.pyplot as plt

    with plotting.style():
        ratios_shown = page.draw(results())
        costs = cost_curves.draw(results()["benchmarks"]["cost_curves"]["rows"])
    assert [label.get_text() for label in ratios_shown.axes[0].get_yticklabels()] == ["grokking, 16 small runs"]
    assert [text.get_text() for text in costs.axes[0].texts] == ["2.00"]
    assert [text.get_text() for text in costs.legends[0].get_texts()] == ["XOR clusters, coefficients"]
    plt.close("all")


# --- the benchmarks -------------------------------------------------------------------------------------------------


def test_every_benchmark_can_be_imported_and_is_run():
    for name in SCRIPTS:
        module = importlib.import_module(f"experiments.benchmarks.{name}")
        assert module.__doc__
        if name in run.BENCHMARKS:
            assert callable(module.measure)
    assert set(run.BENCHMARKS) == set(SCRIPTS) - {"ceilings", "page", "racing", "run"}
    assert {target.benchmark for target in page.TARGETS} <= set(run.BENCHMARKS)
    assert {target.name for target in page.TARGETS} == {
        *(f"P{i}" for i in range(1, 16)),
        *(f"C{i}" for i in range(1, 6)),
    }


def test_a_gpu_has_goals_of_its_own(tmp_path, monkeypatch, capsys):
    """They are written where a GPU was; this machine has none, or another name."""
    from experiments.benchmarks import trainer_overhead

    assert {target.benchmark for target in page.GPU_TARGETS} <= set(page.ON_A_GPU) <= set(run.BENCHMARKS)
    labels = {trainer_overhead.label(work) for work in trainer_overhead.workloads(jax.random.key(0))}
    assert {target.workload for target in page.GPU_TARGETS if target.name == "G3"} == labels
    stored = results()
    assert "On a GPU" not in page.render(stored)
    row = Row("4608 fits", "ours", (1.0,), (1.0,)).as_json()
    other = Row("4608 fits", "PyTorch Cholesky, batched", (3.0,), (1.0,)).as_json()
    entry = {"rows": [row, other], "seconds": 1.0, "threads": 2, "date": "today", "load": [0.0, 0.0]}
    stored["gpu"] = {"name": "NVIDIA X", "machine": {}, "benchmarks": {"ridge_sweep": entry}}
    text = page.render(stored)
    assert "## On a GPU: NVIDIA X" in text
    assert "| G5 | ridge_sweep, 4608 fits | PyTorch Cholesky, batched | ours | ≥ 2 | 3 | met |" in text
    assert text.count("| G3 |") == 3
    monkeypatch.setattr(run, "gpu_name", lambda: "")
    monkeypatch.setattr(sys, "argv", ["run.py", "--device", "gpu", "--folder", str(tmp_path)])
    with pytest.raises(SystemExit):
        run.main()
    assert "no GPU here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_cost_curves_are_valid_and_exponents_those_of_powers():
    import dataclasses

    import theorylab

    for curves in cost_curves.CURVES.values():
        setting = theorylab.get(curves.setting)
        base = setting.config(**curves.fields)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            make_plan(setting, base, dict(curves.grid))
            for field, values in curves.axes.values():
                assert getattr(base, field) in values
                make_plan(setting, dataclasses.replace(base, **{field: values[-1]}), {})
    assert cost_curves.exponent((1, 2, 4), (1.0, 4.0, 16.0)) == pytest.approx(2)


# --- compilations ---------------------------------------------------------------------------------------------------


def programs(grid, **options):
    """Number of programs that a sweep compiles."""
    with compilations() as seconds:
        sweep(toy.SETTING, toy.Config(), grid, **options)
    return len(seconds)


def test_no_cell_of_a_sweep_recompiles():
    few = programs({"mean": (0.0, 1.0)}, seeds=2)
    many = programs({"mean": (0.0, 0.5, 1.0), "scale": (0.1, 0.2, 0.3, 0.4)}, seeds=20, base_seed=3)
    assert few == many == 1
    # Negative control: sizes are part of the program, one for each value.
    assert programs({"mean": (0.0, 1.0), "num_samples": (30, 40)}, seeds=2) == 2


def test_blocks_of_a_sweep_share_their_program():
    """Under a budget for some cells at a time, compilations are those of the search for the size of a block."""
    blocks = []
    found = programs({}, seeds=60, memory_budget=6000, progress=lambda done, total: blocks.append(done))
    assert len(blocks) > 5
    assert found < len(blocks)
