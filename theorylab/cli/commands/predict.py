"""``theorylab predict``: the theories alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from theorylab.cli.options import make_for, theories, which
from theorylab.cli.output import console
from theorylab.cli.process import start

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting
    from theorylab.verdict.rows import Row


def options(setting: Setting) -> type:
    """Build what ``predict`` understands."""
    return make_for(setting, [*which(setting, "none, the field values below"), *theories()])


def run(setting: Setting, cases: list[Case], options: Any) -> int:
    """Print the predictions, and where a theory has none a line that says why."""
    from theorylab.verdict.compare import predict_rows
    from theorylab.verdict.rows import Status
    from theorylab.verdict.table import document, terminal_table

    start()
    rows = []
    for case in cases:
        rows += predict_rows(setting, case, theories=options.theory or None, base_seed=options.base_seed)
    if options.json:
        print(document(setting, cases[0].config, cases[0].seeds, rows))
        return 0
    if predicted := [row for row in rows if row.status is Status.PREDICTED]:
        console().print(terminal_table(setting, predicted, every_row=True))
    for line in silences(rows, name_case=len(cases) > 1):
        print(line)
    return 0


def silences(rows: Iterable[Row], *, name_case: bool) -> Iterator[str]:
    """Say why theories predict nothing: one line for each theory, case and reason, with the number of cells."""
    from theorylab.verdict.rows import Status

    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.theory, row.case), []).append(row)
    for (theory, case), members in groups.items():
        cells = {str(row.cell) for row in members}
        speaking = {str(row.cell) for row in members if row.status is Status.PREDICTED}
        silent: dict[str, set[str]] = {}
        partly: dict[str, set[str]] = {}
        for row in members:
            if row.status is Status.NOT_APPLICABLE and str(row.cell) not in speaking:
                silent.setdefault(row.verdict.reason, set()).add(str(row.cell))
            elif row.status is Status.NOT_APPLICABLE:
                partly.setdefault(row.observable, set()).add(str(row.cell))
        at = f" ({case})" if name_case else ""
        if silent:
            first, *others = silent
            where = f" at {len(set().union(*silent.values()))} of {len(cells)} cells" if len(cells) > 1 else ""
            more = f" (and {len(others)} more reasons: --json lists them)" if others else ""
            yield f"{theory}{at} does not hold{where}: {first}{more}"
        for observable, places in partly.items():
            where = f" at {len(places)} of {len(cells)} cells" if len(cells) > 1 else ""
            yield f"{theory}{at} predicts no {observable}{where}"
