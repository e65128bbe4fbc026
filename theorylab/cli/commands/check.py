"""``theorylab check``: simulate, predict, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from theorylab.cli.options import flag, make_for, simulation, store, theories, which
from theorylab.cli.output import console, judge, report_divergence, sweep_options
from theorylab.cli.process import start

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting


def options(setting: Setting) -> type:
    """Build what ``check`` understands."""
    every = ("every_row", flag("print every cell, not one line per theory and observable"), False)
    own = [*which(setting, "default"), *theories(), every, *store("in memory"), *simulation()]
    return make_for(setting, own, preset="default")


def run(setting: Setting, cases: list[Case], options: Any) -> int:
    """Print the verdicts; 1 if a row disagrees, a run diverged, or nothing was judged."""
    from theorylab.verdict.compare import check
    from theorylab.verdict.table import document, terminal_table

    start()
    rows, diverged = [], 0
    store = options.store
    if store and len(cases) > 1:  # each has a store of its own, in the name of which the preset stands too
        store = f"{store.removesuffix('.zarr')}-{options.preset or 'default'}.zarr"
    for _, data, part in check(setting, cases, theories=options.theory or None, store=store, **sweep_options(options)):
        rows += part
        diverged |= report_divergence(data)
    if options.json:
        print(document(setting, cases[0].config, cases[0].seeds, rows))
    else:
        console().print(terminal_table(setting, rows, every_row=options.every_row))
    return judge(setting.name, rows) or diverged
