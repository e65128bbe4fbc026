"""Which errors are about what the user gave, and the one line that they become; all others keep their traceback."""

from __future__ import annotations

import os
import re
from pathlib import Path


class UsageError(Exception):
    """The command line cannot be understood; the message is all the user needs."""


def message_of(error: BaseException) -> str | None:
    """Return what to tell the user, or None where the error is not about what the user gave."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, ImportError):
        # An optional package is missing, and the message says which.
        return str(error) if "pip install" in str(error) else None
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, MemoryError) or _is_exhausted(error):
        what = _one_line(error)
        return f"out of memory{': ' + what if what else ''}; choose smaller sizes or fewer seeds, or --memory-budget"
    from theorylab.contract import ConfigError, ContractError
    from theorylab.lab.store import StoreError

    return _one_line(error) if isinstance(error, (ConfigError, ContractError, StoreError)) else None


def _of_the_system(error: OSError) -> str | None:
    """Say what the system refused: a file or a folder that the user named, a disk that is full."""
    if error.strerror is None:
        return None
    name = error.filename if isinstance(error.filename, str) else error.filename2
    if not isinstance(name, str):
        return str(error.strerror)
    # A file of this library that is not there is no doing of the user's.
    if Path(__file__).parents[1] in Path(os.path.abspath(name)).parents:
        return None
    return f"{name}: {error.strerror}"


def _is_exhausted(error: BaseException) -> bool:
    """Whether a device, or XLA on a processor, found no memory."""
    return type(error).__name__ in ("JaxRuntimeError", "XlaRuntimeError") and bool(
        re.search(r"RESOURCE_EXHAUSTED|[Oo]ut of memory|OOM", str(error))
    )


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines) if sum(map(len, lines)) < 600 else lines[0][:600]
