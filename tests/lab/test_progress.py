"""The bar moves inside a batch, at the pace of the one before; it stops short of the end, and never goes back."""

import contextlib
import dataclasses
import io
import itertools
import logging
import sys
import threading
import time
import types

import pytest
import toy

from theorylab.lab import progress
from theorylab.lab.progress import Meter, by_default, likely, reporter
from theorylab.lab.sweep import sweep
from theorylab.verdict.compare import check

LOG = logging.getLogger("theorylab")


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: (cells finished, place of the bar, cells in all, text)."""
    seen = []

    @contextlib.contextmanager
    def bar(name, total):
        yield lambda *shown: seen.append(shown)

    monkeypatch.setattr(progress, "_bar", bar)
    monkeypatch.setattr(progress, "PAUSE", 0.01)
    return seen


def begin_batch(cells, seconds):
    LOG.info("running %s cells", cells, extra={"cells": cells, "seconds": seconds})


@pytest.mark.parametrize("expected", [1e-6, 1.0, 1e9])
def test_what_is_likely_done_grows_and_is_never_all(expected):
    times = [0.0, 1e-9, 0.3, 0.9, 1.0, 1.1, 5.0, 60.0, 1e5]
    shares = [likely(elapsed, expected) for elapsed in times]
    assert all(earlier < later < 1 for earlier, later in itertools.pairwise(shares))
    assert shares[0] == 0
    assert likely(expected / 2, expected) == progress.EXPECTED / 2


@pytest.mark.parametrize(
    ("expected", "text", "place"),
    [
        (1e-3, "longer than estimated", (139.9, 140)),
        (1e4, "about 0%", (100, 100.1)),
    ],
)
def test_estimates_that_are_far_off_end_in_the_truth(drawn, expected, text, place):
    with reporter(True, 200) as report:
        report(100, 200)
        begin_batch(40, expected)
        time.sleep(0.5)
        inside = drawn[-1]
        report(140, 200)
        LOG.info("compiling")
    assert inside[::2] == (100, 200)  # finished are those that are finished
    assert place[0] <= inside[1] <= place[1]
    assert inside[3] == f"running 40 cells, {text}"
    assert (140, 140.0, 200) in [shown[:3] for shown in drawn]
    assert all(earlier[1] <= later[1] for earlier, later in itertools.pairwise(drawn))


def test_the_bar_moves_while_a_batch_runs_and_names_the_case(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, to the oldest rich too
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    with reporter("toy: the case", 30) as report:
        LOG.info("compiling 30 cells at once")
        time.sleep(0.3)  # the bar is drawn ten times a second
        begin_batch(30, 1.0)
        time.sleep(0.7)
        report(30, 30)
    text = screen.getvalue()
    assert "toy: the case" in text
    assert "compiling 30 cells at once" in text
    shares = [int(part.split("%")[0]) for part in text.split("running 30 cells, about ")[1:]]
    assert len(set(shares)) > 1
    assert shares == sorted(shares)
    assert "0/30" in text
    assert LOG.handlers == []


def test_a_sweep_says_what_a_batch_takes_and_learns_from_it(drawn):
    """Runs that diverge take no part in it: they are finished too."""
    batches = []
    handler = logging.Handler()
    handler.emit = lambda record: batches.append(record) if hasattr(record, "cells") else None
    LOG.addHandler(handler)
    try:
        data = sweep(toy.SETTING, toy.Config(blow_up=1e-9), seeds=12, memory_budget=2000, progress=True)
    finally:
        LOG.removeHandler(handler)
    assert len(batches) > 2
    assert sum(record.cells for record in batches) == 12
    assert batches[1].seconds != batches[0].seconds > 0
    assert drawn[-1][:3] == (12, 12.0, 12)
    assert bool((data["first_bad_step"] >= 0).any())


def test_compiling_the_first_case_is_under_the_bar_too(drawn):
    case = dataclasses.replace(toy.CASE, config=toy.Config(num_samples=23), grid={})
    for _ in check(toy.SETTING, [case], progress=True):
        pass
    assert any("compiling" in shown[3] for shown in drawn)
    assert drawn[-1][0] == drawn[-1][2] == case.seeds


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_who_is_interrupted_leaves_nothing_behind(drawn, error):
    with contextlib.suppress(error), reporter(True, 3):
        begin_batch(3, 1.0)
        raise error
    assert LOG.handlers == []
    assert LOG.level == logging.NOTSET
    assert "theorylab-progress" not in [thread.name for thread in threading.enumerate()]
    count = len(drawn)
    time.sleep(0.05)
    assert len(drawn) == count


def test_what_is_no_terminal_gets_no_bar(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with reporter(True, 3) as report:
        begin_batch(3, 0.1)
        time.sleep(0.3)
        report(3, 3)
    assert not screen.getvalue().strip()


def test_drawing_from_two_threads_never_goes_back():
    places = []
    meter = Meter(10_000, lambda done, where, total, text: places.append(where))

    def keep_drawing():
        while meter.state[0] < 10_000:
            meter.draw()

    thread = threading.Thread(target=keep_drawing)
    thread.start()
    for done in range(1, 10_001):
        meter.hear(LOG.makeRecord("", 20, "", 0, "running", (), None, extra={"cells": 1, "seconds": 1e-5}))
        meter.report(done, 10_000)
    thread.join()
    assert places == sorted(places)


# --- where somebody sits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [True, False, print])
def test_progress_that_was_asked_for_stays(given):
    assert by_default(given) is given


@pytest.fixture
def notebook(monkeypatch):
    shell = type("Shell", (), {"__module__": "ipykernel.zmqshell"})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


def test_progress_is_shown_by_default_where_somebody_sits(monkeypatch):
    monkeypatch.delattr(sys, "ps1", raising=False)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert by_default(None) is False
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert by_default(None) is True


@pytest.mark.parametrize("there", [True, False])
def test_a_notebook_has_a_bar_where_ipywidgets_is(monkeypatch, notebook, drawn, there):
    assert by_default(None) is True
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: object() if there else None)
    monkeypatch.setattr(progress, "QUICK", 0.0)
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    with reporter("toy: the case", 3) as report:
        report(3, 3)
    assert bool(drawn) is there
    assert ("toy: the case: 3 of 3 cells" in out.getvalue()) is not there


def test_without_ipywidgets_progress_is_one_line(monkeypatch):
    out, clock = io.StringIO(), iter([0.0, 1.0, 5.0, 5.5, 10.0])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(sys, "stdout", out)
    draw = progress.one_line("cells")
    draw(1, 1.0, 8, "")  # too early to say
    draw(2, 4.0, 8, "")
    draw(2, 4.1, 8, "")  # was said just now
    draw(8, 8.0, 8, "")
    first, second = out.getvalue().split("\r")[1:]
    assert first.rstrip() == "cells: 2 of 8 cells, 5 s, about 5 s left"
    assert second.rstrip() == "cells: 8 of 8 cells, 10 s"
    assert out.getvalue().endswith("\n")
