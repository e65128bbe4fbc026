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
    """Say of each theory and case where and why it does not hold, and what it leaves out where it does."""
    from theorylab.verdict.rows import Status

    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if not row.theory:  # the whole case cannot run here
            yield f"{row.case}: {row.verdict.reason}"
            continue
        groups.setdefault((row.theory, row.case), []).append(row)
    for (theory, case), members in groups.items():
        at = f"{theory} ({case})" if name_case else theory
        cells = {str(row.cell) for row in members}
        speaking = {str(row.cell) for row in members if row.status is Status.PREDICTED}
        silent = {str(row.cell): row.verdict.reason for row in members if str(row.cell) not in speaking}
        if silent:
            first, *others = dict.fromkeys(silent.values())
            where = f" at {len(silent)} of {len(cells)} cells" if len(cells) > 1 else ""
            more = f" (other reasons elsewhere: --json lists all {len(others) + 1})" if others else ""
            yield f"{at} does not hold{where}: {first}{more}"
        left_out = [r for r in members if r.status is Status.NOT_APPLICABLE and str(r.cell) in speaking]
        if left_out:
            names = ", ".join(dict.fromkeys(row.observable for row in left_out))
            where = f" at {len({str(row.cell) for row in left_out})} of {len(cells)} cells" if len(cells) > 1 else ""
            yield f"{at} predicts no {names}{where}"
