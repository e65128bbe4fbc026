"""How far a sweep has come: a bar in the terminal, or a function of the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: A function of (cells finished, cells in all).
Progress = Callable[[int, int], None]


@contextmanager
def reporter(progress: bool | Progress, total: int) -> Iterator[Progress]:
    """Turn a ``progress`` argument into a function of (cells finished, cells in all)."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("cells", total=total)
            yield lambda done, total: bar.update(task, completed=done)
