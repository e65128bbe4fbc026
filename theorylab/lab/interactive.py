"""Whether somebody sits in front of this session, who would like to see how far it is."""

from __future__ import annotations

import importlib.util
import sys
import time
from typing import Any

from theorylab.lab.progress import Progress

#: Seconds that pass before a notebook without ipywidgets prints how far a sweep is.
QUICK = 2.0


def by_default(progress: bool | str | Progress | None) -> bool | str | Progress:
    """Return a ``progress`` argument as it is, and what to show where none was given.

    That is a bar in Python's own prompt and in a notebook, one line of text in a notebook without ipywidgets, and
    nothing in a script.
    """
    if progress is not None:
        return progress
    shell = _shell()
    if shell is None:
        return hasattr(sys, "ps1")
    if "kernel" not in shell.__module__ or importlib.util.find_spec("ipywidgets") is not None:
        return True
    return one_line()


def one_line() -> Progress:
    """Return a function that keeps one line of the output up to date."""
    began = time.perf_counter()

    def report(done: int, total: int) -> None:
        elapsed = time.perf_counter() - began
        if elapsed > QUICK:
            left = f", about {elapsed / done * (total - done):.0f} s left" if 0 < done < total else ""
            end = "\n" if done >= total else ""
            print(f"\r{done} of {total} cells, {elapsed:.0f} s{left}".ljust(60), end=end, flush=True)

    return report


def _shell() -> Any:
    """Return IPython's shell, if this is one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None  # type: ignore[attr-defined]
