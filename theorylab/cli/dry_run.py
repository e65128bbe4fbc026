"""``--dry-run``: what a command would cost, from compiling alone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from theorylab.cli.output import console
from theorylab.cli.process import start

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting


def report(setting: Setting, cases: list[Case], options: Any) -> int:
    """Print a line a case, and the sum; nothing is run or stored."""
    from rich.table import Table

    from theorylab.lab.estimate import estimate
    from theorylab.lab.memory import in_words

    start()
    table = Table(title=f"{setting.name}: nothing is run", title_justify="left")
    table.add_column("case")
    for heading in ("cells", "programs", "batches", "memory of a batch", "results", "compiling", "running, about"):
        table.add_column(heading, justify="right")
    found = []
    for case in cases:
        if why := setting.lacks(case):
            print(f"{case.name}: not run, {why}", file=sys.stderr)
            continue
        one = estimate(setting, case.config, case.grid, seeds=case.seeds, memory_budget=options.memory_budget * 2**30)
        found.append(one)
        sizes = (f"{one.cells:,}", str(one.programs), str(one.batches), in_words(one.memory), in_words(one.results))
        table.add_row(case.name, *sizes, f"{one.compiling:.1f} s", in_time(one.running))
    console().print(table)
    together = sum(one.running for one in found)
    print(
        f"together about {in_time(together)} of one core, within a factor of ten, after compiling; "
        "theories and other processes are not counted"
    )
    return 0


def in_time(seconds: float) -> str:
    """Return a duration of which the order alone is known."""
    for unit, length in (("days", 86_400), ("hours", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{float(f'{seconds / length:.1g}'):g} {unit}"
    return f"{float(f'{seconds:.1g}'):g} s" if seconds >= 0.1 else "below 0.1 s"
