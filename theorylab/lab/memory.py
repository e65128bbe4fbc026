"""How much memory there is, and the one line that a user reads who asks for more."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax

from theorylab.contract import ConfigError

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def of_machine() -> float:
    """Bytes that processes may use here: those of the machine, or of the container; infinity if nobody knows."""
    try:
        found = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return float("inf")
    for file in _LIMITS:
        try:
            found = min(found, float(Path(file).read_text(encoding="ascii")))
        except (OSError, ValueError):  # there is no such limit
            continue
    return found


def of_device(device: jax.Device) -> float:
    """Bytes that arrays on a device may take."""
    try:
        return float((device.memory_stats() or {})["bytes_limit"])
    except Exception:  # a processor, or a backend that does not say
        return of_machine()


def check_results(output: Mapping[str, Sequence[int]], cells: int) -> None:
    """Refuse results that no memory holds, before anything is allocated: a sweep returns them whole.

    ``output`` are the shapes of one cell's observables.

    Raises
    ------
    ConfigError
        With the bytes needed.
    """
    sizes = {name: math.prod(map(float, shape)) * 8 for name, shape in output.items()}
    need, there = sum(sizes.values()) * cells, of_machine()
    if need > there:
        raise ConfigError(
            f"the results need {in_words(need)}, more than this machine's {in_words(there)}: {cells:,} cells, each of "
            f"{in_words(sum(sizes.values()))}, most of it {max(sizes, key=lambda name: sizes[name])}; "
            "choose smaller sizes, or fewer cells"
        )


def check_program(need: float, device: jax.Device) -> None:
    """Refuse a program of which one cell needs more than a device has; raises ``ConfigError`` with the bytes."""
    there = of_device(device)
    if need > there:
        raise ConfigError(
            f"a single cell needs {in_words(need)}, more than the {in_words(there)} of {device.device_kind}: "
            "choose smaller sizes"
        )


def in_words(count: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} EB"
