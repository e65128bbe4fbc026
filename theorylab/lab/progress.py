"""How far a sweep has come: a bar in the terminal, or a function of the caller's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A function of (cells finished, cells in all).
Progress = Callable[[int, int], None]


@contextmanager
def reporter(progress: bool | str | Progress, total: int) -> Iterator[Progress]:
    """Turn a ``progress`` argument into a function of (cells finished, cells in all).

    A bar begins with the text that it is given. Inside a batch, which is one program, its clock runs on, and it says
    what is being done.
    """
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True), TextColumn("{task.fields[doing]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(progress if isinstance(progress, str) else "cells", total=total, doing="")
            with _heard(lambda text: bar.update(task, doing=text)):
                yield lambda done, total: bar.update(task, completed=done)


@contextmanager
def _heard(say: Callable[[str], object]) -> Iterator[None]:
    """Hand on what programs report of themselves (:mod:`theorylab.lab.program`)."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(record.getMessage())

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
