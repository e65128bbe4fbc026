"""``theorylab describe``: a setting's symbols, normalisations, defaults, presets, and the source of every value."""

from __future__ import annotations

from typing import Any

from theorylab.cli.options import load, make, option, positional
from theorylab.cli.output import console


def options() -> type:
    """Build what ``describe`` understands."""
    return make(
        ("setting", positional(str, "a setting: a name, a file or a module", "SETTING"), ...),
        ("preset", option(str | None, "the cases of this preset alone", "NAME", "all"), None),
    )


def run(options: Any) -> int:
    """Print three tables: parameters, observables, cases of the presets."""
    from rich.markup import escape
    from rich.table import Table

    from theorylab.catalogue import unknown
    from theorylab.cli.errors import UsageError
    from theorylab.contract import describe

    setting = load(options.setting)
    if options.preset is not None and options.preset not in setting.presets:
        raise UsageError(unknown("preset", options.preset, setting.presets))
    print(f"{setting.name}: {setting.title}")
    for paper in setting.papers:
        print(f"  {paper.title} ({paper})")
    cases = [row for row in describe.presets(setting) if options.preset in (None, row[0]) or row[0] == "preset"]
    for rows in (describe.parameters(setting), describe.observables(setting), cases):
        table = Table(*rows[0], show_lines=False)
        for row in rows[1:]:
            table.add_row(*map(escape, row))
        console().print(table)
    print(f"A source is a paper, or {describe.OUR_CHOICE!r}; a scalar is swept within one program.")
    return 0
