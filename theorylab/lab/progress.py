"""How far a sweep has come: a bar, one line of text in a notebook without ipywidgets, or a function of the caller's.

A batch is one program, which says nothing until it ends. Meanwhile a bar moves at the pace of the batch before, or as
fast as the operations counted in the program let expect. It says "about", never reaches the end of the batch by itself,
and never goes back.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

#: A function of (cells finished, cells in all).
Progress = Callable[[int, int], None]
#: Draws (cells finished, about how many with those that run, cells in all, what is being done).
Draw = Callable[[int, float, int, str], None]

#: Seconds between two looks, and those that pass before a notebook without ipywidgets prints anything.
PAUSE, QUICK = 0.2, 2.0
#: The part of a batch that the bar has moved along when the expected time is over.
EXPECTED = 0.9


def by_default(progress: bool | str | Progress | None) -> bool | str | Progress:
    """Return a ``progress`` argument as it is; not given, whether somebody sits in front who would like to see it.

    That is at Python's own prompt and in a notebook, not in a script.
    """
    return progress if progress is not None else _shell() is not None or hasattr(sys, "ps1")


@contextmanager
def reporter(progress: bool | str | Progress, total: int) -> Iterator[Progress]:
    """Turn a ``progress`` argument into a function of (cells finished, cells in all).

    A bar begins with the text that it is given, and says what is being done.
    """
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    else:
        name = progress if isinstance(progress, str) else "cells"
        with ExitStack() as shown:
            meter = Meter(total, one_line(name) if _only_text() else shown.enter_context(_bar(name, total)))
            shown.enter_context(_heard(meter.hear))
            shown.enter_context(_repeated(meter.draw))
            yield meter.report


class Meter:
    """Cells that are finished, and about how many of those that run; looked at from a thread of its own."""

    def __init__(self, total: int, draw: Draw):
        self.total, self.shown = total, draw
        self.said = ""
        # Together, since they change together: cells finished; cells of the batch that runs, since when, how long.
        self.state: tuple[int, tuple[int, float, float] | None] = (0, None)
        self.running = ""
        self.drawing = threading.Lock()

    def hear(self, record: logging.LogRecord) -> None:
        """Take note of what a program reports of itself (:mod:`theorylab.lab.program`)."""
        if (cells := getattr(record, "cells", 0)) > 0:
            self.running = record.getMessage()
            self.state = self.state[0], (cells, time.perf_counter(), record.__dict__["seconds"])
        else:
            self.said = record.getMessage()

    def report(self, done: int, total: int) -> None:
        """Take note of cells that are finished."""
        self.state, self.total = (done, None), total
        self.draw()

    def draw(self) -> None:
        """Show how far it is now."""
        with self.drawing:  # what is drawn last was looked up last: the bar never goes back
            done, batch = self.state
            where, text = float(done), self.said
            if batch is not None:
                cells, since, seconds = batch
                elapsed = time.perf_counter() - since
                share = likely(elapsed, seconds)
                where += share * cells
                text = f"{self.running}, " + (f"about {share:.0%}" if elapsed <= seconds else "longer than estimated")
            self.shown(done, where, self.total, text)


def likely(elapsed: float, expected: float) -> float:
    """Return the part of a batch that is likely done: it grows, and stays below one however wrong the estimate is."""
    if elapsed <= expected:
        return EXPECTED * elapsed / expected
    return 1 - (1 - EXPECTED) * expected / elapsed


def one_line(name: str) -> Draw:
    """Return a function that keeps one line of the output up to date, about once a second."""
    began = time.perf_counter()
    last = began + QUICK - 1

    def draw(done: int, where: float, total: int, text: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last >= 1 or (done >= total and now - began > QUICK):
            last = now
            left = f", about {(now - began) / where * (total - where):.0f} s left" if 0 < where < total else ""
            line = f"{name}: {done} of {total} cells, {now - began:.0f} s{left}"
            print(f"\r{line}".ljust(80), end="\n" if done >= total else "", flush=True)

    return draw


@contextmanager
def _bar(name: str, total: int) -> Iterator[Draw]:
    """A bar in the terminal, or in a notebook with ipywidgets."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.SpinnerColumn(), progress.TextColumn("{task.description}"), progress.BarColumn(),
        progress.TextColumn("{task.fields[count]}"), progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(elapsed_when_finished=True), progress.TextColumn("{task.fields[doing]}"),
    )  # fmt: skip
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total, doing="", count="")

        def draw(done: int, where: float, total: int, text: str) -> None:
            bar.update(task, completed=where, doing=text, count=f"{done:,}/{total:,}")

        yield draw


@contextmanager
def _heard(hear: Callable[[logging.LogRecord], object]) -> Iterator[None]:
    """Hand on what is logged meanwhile."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            hear(record)

    log, handler = logging.getLogger("theorylab"), Handler()
    level, propagate = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate


@contextmanager
def _repeated(draw: Callable[[], None]) -> Iterator[None]:
    """Draw again and again in a thread, until it is left."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(PAUSE):
            draw()

    thread = threading.Thread(target=repeat, name="theorylab-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _shell() -> Any:
    """Return IPython's shell, if this is one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None  # type: ignore[attr-defined]


def _only_text() -> bool:
    """Whether this is a notebook that cannot show a bar."""
    shell = _shell()
    return shell is not None and "kernel" in shell.__module__ and importlib.util.find_spec("ipywidgets") is None
