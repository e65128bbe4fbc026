"""``theorylab compare``: two stores of one setting, from two versions, devices, machines or choices of seeds."""

from __future__ import annotations

from typing import Any

from theorylab.cli.errors import UsageError
from theorylab.cli.options import make, option, positional
from theorylab.cli.output import console


def options() -> type:
    """Build what ``compare`` understands."""
    return make(
        ("first", positional(str, "folder of a sweep's results", "A"), ...),
        ("second", positional(str, "another, of the same setting and configuration", "B"), ...),
        ("z_max", option(float, "standard errors by which means over seeds may differ", "NUMBER", 4), 4.0),
        ("rounding", option(float, "relative difference of means that counts as rounding", "NUMBER", 1e-6), 1e-6),
    )


def run(options: Any) -> int:
    """Print a line an observable; 1 if one of them differs."""
    from rich.table import Table

    from theorylab.lab.store import open_results, store_path
    from theorylab.verdict.stores import compare_results, provenance

    for name in ("z_max", "rounding"):
        if not 0 <= getattr(options, name) < float("inf"):
            raise UsageError(f"--{name.replace('_', '-')} {getattr(options, name):g} is not allowed: must be >= 0")
    a, b = (open_results(store_path(path)) for path in (options.first, options.second))
    differences = compare_results(a, b, z_max=options.z_max, rounding=options.rounding)
    for name, values in provenance(a, b).items():
        print(f"{name.replace('_', ' ')}: {' and '.join(str(value)[:40] for value in values)}")
    table = Table(title=f"{a.attrs['setting']}: {a.sizes['seed']} and {b.sizes['seed']} seeds", title_justify="left")
    for heading in (
        "observable",
        "means",
        "largest relative difference of a run",
        "of means",
        "allowed",
        "at",
        "verdict",
    ):
        table.add_column(heading, justify="left" if heading in ("observable", "at", "verdict") else "right")
    for row in differences:
        of_run = "no run in both" if row.run != row.run else f"{row.run:.1e}"
        at = ", ".join(f"{name} {v:.4g}" if isinstance(v, float) else f"{name} {v}" for name, v in row.at.items())
        table.add_row(
            row.observable, f"{row.entries:,}", of_run, f"{row.means:.2g}", f"{row.allowed:.2g}", at, row.status
        )
    console().print(table)
    return int(any(row.status == "differs" for row in differences))
