"""Rows of a comparison as a JSON document, as a table in the terminal, and in summary."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from theorylab.contract import Setting
from theorylab.lab import store as results
from theorylab.verdict.judge import NEGLIGIBLE
from theorylab.verdict.rows import Row, Status

if TYPE_CHECKING:
    from rich.table import Table

#: Colour of each verdict.
COLOURS = {Status.AGREES: "green", Status.DISAGREES: "red", Status.DIVERGED: "red"}


def document(setting: Setting, config: Any, seeds: int, rows: Sequence[Row]) -> str:
    """JSON of a comparison: ``{"setting", "config", "seeds", "rows": [...]}``.

    Absolute ``tolerance``; a number that does not exist (z of an exact theory) is null, infinity the
    string "inf".
    """

    def number(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    plain = [{name: number(value) for name, value in vars(row).items()} | {"verdict": str(row.verdict)} for row in rows]
    content = {"setting": setting.name, "config": fields, "seeds": seeds, "rows": plain}
    return json.dumps(json.loads(results.to_json(content)), indent=2)


@dataclasses.dataclass(frozen=True)
class Summary:
    """All cells of one (case, theory, observable): how many agree, and the row nearest to failing."""

    case: str
    observable: str
    theory: str
    agreeing: int
    judged: int
    not_applicable: int
    worst: Row

    @property
    def status(self) -> Status:
        """The verdict over all cells: they agree only if all that were judged do."""
        return self.worst.status

    @property
    def verdict(self) -> str:
        """Verdict over all cells, with the counts that a reader needs."""
        if not self.judged:
            return str(self.worst.verdict)
        text = str(self.worst.verdict)
        text += f" ({self.agreeing}/{self.judged})" if self.judged > 1 else ""
        text += f", {self.not_applicable} not applicable" if self.not_applicable else ""
        return text + some_seeds(self.worst)


def summarise(rows: Iterable[Row]) -> list[Summary]:
    """Group rows by (case, observable, theory), in order of appearance."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.case, row.observable, row.theory), []).append(row)
    summaries = []
    for (case, observable, theory), members in groups.items():
        judged = [row for row in members if row.status.judged]
        scale = max((row.scale for row in judged if not math.isnan(row.scale)), default=math.nan)
        worst = max(judged or members, key=lambda row: _severity(row, scale))
        agreeing = sum(row.status is Status.AGREES for row in judged)
        summaries.append(Summary(case, observable, theory, agreeing, len(judged), len(members) - len(judged), worst))
    return summaries


def some_seeds(row: Row) -> str:
    """Say how many seeds were judged, where it is not all of them."""
    left_out = row.status.judged and row.judged_seeds < row.seeds
    why = f" ({row.set_aside})" if row.set_aside else ""
    return f", {row.judged_seeds} of {row.seeds} seeds judged{why}" if left_out else ""


def not_judged(rows: Iterable[Row]) -> list[tuple[str, int, str]]:
    """For every theory, in order of appearance: how many comparisons were not made, and why, the usual reason first."""
    reasons: dict[str, Counter[str]] = {}
    for row in rows:
        reasons.setdefault(row.theory, Counter())[row.verdict.reason] += 1
    found = []
    for theory, counts in reasons.items():
        (usual, count), others = counts.most_common(1)[0], len(counts) - 1
        why = f"{usual} ({count}), {others} other reason{'s' if others > 1 else ''}" if others else usual
        found.append((theory, counts.total(), why))
    return found


def _severity(row: Row, scale: float) -> tuple[bool, bool, float]:
    """Failing rows first, then those whose prediction is not negligible in its group, then the nearest to failing."""
    gap = abs(row.empirical - row.predicted)
    ratio = gap / row.tolerance if row.tolerance else (0.0 if gap == 0 else math.inf)
    return row.failed, not abs(row.predicted) <= NEGLIGIBLE * scale, -1.0 if math.isnan(ratio) else ratio


def place(row: Row) -> str:
    """Where a row was measured: the swept fields and the inner coordinates."""
    return ", ".join(f"{name} {_short(value)}" for name, value in {**row.cell, **row.at}.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def number_with_error(value: float, error: float) -> str:
    """Format a mean with its standard error, to the digits that the error leaves meaningful."""
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0:
        return f"{value:.5g}"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.3e} ± {error:.1e}"
    digits = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def terminal_table(setting: Setting, rows: Sequence[Row], *, every_row: bool = False) -> Table:
    """Draw a comparison for the terminal: one line per (case, observable, theory), or per row.

    What was not judged at all has one line for each theory.
    """
    from rich.markup import escape
    from rich.table import Table

    # A summary shows the cell nearest to failing; the verdict counts all.
    shown: list[tuple[Row, str]]
    left: list[Row] = []
    if every_row:
        shown = [(row, str(row.verdict) + some_seeds(row)) for row in rows]
    else:
        summaries = summarise(rows)
        shown = [(s.worst, s.verdict) for s in summaries if s.worst.status is not Status.NOT_APPLICABLE]
        groups = {(s.case, s.observable, s.theory) for s in summaries if s.worst.status is Status.NOT_APPLICABLE}
        left = [row for row in rows if (row.case, row.observable, row.theory) in groups]
    table = Table(title=escape(setting.title), title_justify="left", header_style="bold", pad_edge=False)
    for column in ("case", "observable", "theory", "at" if every_row else "nearest to failing at"):
        table.add_column(column, overflow="fold")
    for column in ("empirical ± s.e.", "predicted", "z", "rel. error", "tolerance"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row, verdict in shown:
        word = row.status.value
        table.add_row(
            *map(escape, (row.case, row.observable, row.theory, place(row))),
            number_with_error(row.empirical, row.standard_error),
            "" if math.isnan(row.predicted) else f"{row.predicted:.5g}",
            "" if math.isnan(row.z) else f"{row.z:+.1f}",
            "" if math.isnan(row.relative_error) else f"{row.relative_error:+.1%}",
            "" if math.isnan(row.tolerance) else f"{row.tolerance:.2g}",
            f"[{COLOURS.get(row.status, 'yellow')}]{word}[/]" + escape(verdict[len(word) :]),
        )
    for theory, count, why in not_judged(left):
        verdict = f": {why}" if count == 1 else f", {count} comparisons: {why}"
        cases = dict.fromkeys(row.case for row in left if row.theory == theory)
        case = next(iter(cases)) if len(cases) == 1 else f"{len(cases)} cases"
        table.add_row(*map(escape, (case, "", theory, "", *[""] * 5)), f"[yellow]not applicable[/]{escape(verdict)}")
    return table
