"""What several commands print, and how they hand their options on."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from theorylab.catalogue import FAMILIES, family_of, title_of


def console() -> Any:
    """Return where tables are printed."""
    from rich.console import Console

    # A table in a file or a pipe must not be folded to 80 columns.
    return Console(width=None if is_terminal(sys.stdout) else 200)


def is_terminal(stream: Any) -> bool:
    """Whether somebody reads a stream; one that is closed is none."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def sweep_options(options: Any) -> dict[str, Any]:
    """Arguments of :func:`theorylab.sweep` among the options."""
    show = options.progress and not options.verbose and is_terminal(sys.stderr)
    found = {"base_seed": options.base_seed, "memory_budget": options.memory_budget * 2**30, "progress": show}
    return found | {name: True for name in ("accept_changes", "extend") if getattr(options, name, False)}


def speak() -> None:
    """Let the library say what it does, on the terminal's errors."""
    import logging

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    log = logging.getLogger("theorylab")
    log.handlers = [handler]
    log.setLevel(logging.INFO)


def report_divergence(data: Any) -> int:
    """Name the runs that diverged; returns the exit code. A case that was not run has no runs."""
    if "first_bad_step" not in data:
        return 0
    bad = data["first_bad_step"].where(data["first_bad_step"] >= 0, drop=True)
    for cell in bad.stack(cell=bad.dims).dropna("cell") if bad.size else ():
        place = ", ".join(f"{d} {cell[d].item()}" for d in bad.dims)
        print(f"diverged: {place}, step {int(cell)}", file=sys.stderr)
    return 1 if bad.size else 0


def judge(name: str, rows: Any) -> int:
    """Return the exit code of a comparison, and say so if nothing was compared."""
    from theorylab.verdict.rows import judged_nothing

    if why := judged_nothing(rows):
        print(f"{name}: {why}", file=sys.stderr)
        return 1
    return 1 if any(row.failed for row in rows) else 0


def by_family(names: Iterable[str]) -> str:
    """One line a setting under the title of its family, read from the modules without importing them."""
    names = list(names)
    width = max(map(len, names))
    lines = []
    for family, title in FAMILIES.items():
        if members := [name for name in names if family_of(name) == family]:
            lines.append(f"  {title}")
            lines += [f"    {name:<{width}}  {title_of(name)}" for name in members]
    return "\n".join(lines)
