"""Rows of a comparison as a JSON document, as a table in the terminal, and in summary."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from theorylab.contract import Setting
from theorylab.lab import store as results
from theorylab.verdict.judge import NEGLIGIBLE
from theorylab.verdict.rows import WEAK, Row, Status

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

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
    """All cells of one (case, theory, observable): how many agree, and the row nearest to failing.

    ``weak`` of those that agree do so within a tolerance above :data:`~theorylab.verdict.rows.WEAK` of the prediction;
    ``not_judged`` are those whose tolerance is above all of it.
    """

    case: str
    observable: str
    theory: str
    agreeing: int
    judged: int
    weak: int
    not_judged: int
    not_applicable: int
    worst: Row

    @property
    def status(self) -> Status:
        """The verdict over all cells: they agree only if all that were judged do."""
        return self.worst.status

    @property
    def verdict(self) -> str:
        """Verdict over all cells, with the counts that a reader needs."""
        text = str(self.worst.verdict)
        if self.worst.status is Status.NOT_APPLICABLE:
            return text
        text += f" ({self.agreeing}/{self.judged})" if self.judged > 1 else ""
        text += f", {weakly(self.weak, self.judged)}" if self.weak else ""
        left = self.not_judged if self.judged else 0
        text += f", {left} not judged" if left else ""
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
        compared = [row for row in members if row.status.compared]
        worst = max(judged or compared or members, key=lambda row: _severity(row, scale))
        agreeing, weak = sum(row.status is Status.AGREES for row in judged), sum(row.weak for row in judged)
        counts = agreeing, len(judged), weak, len(compared) - len(judged), len(members) - len(compared)
        summaries.append(Summary(case, observable, theory, *counts, worst))
    return summaries


def weakly(weak: int, judged: int) -> str:
    """Say of how many rows the tolerance is wide."""
    return f"{weak} of them weakly" if judged > 1 else "weakly"


def counted(rows: Sequence[Row]) -> str:
    """Say in one sentence how many rows were judged, with what result, and how many were not."""
    judged = [row for row in rows if row.status.judged]
    good, weak = sum(row.status is Status.AGREES for row in judged), sum(row.weak for row in judged)
    parts = [f"{good} of {len(judged)} judged comparisons agree"]
    parts += [f"{weakly(weak, len(judged))} (tolerance above {WEAK:.0%} of the prediction)"] if weak else []
    if wide := sum(row.status is Status.NOT_JUDGED for row in rows):
        parts.append(
            f"{wide} not judged (tolerance above the prediction itself, or declared error above {WEAK:.0%} of it)"
        )
    if silent := sum(row.status is Status.NOT_APPLICABLE for row in rows):
        parts.append(f"{silent} not applicable")
    return ", ".join(parts) + "."


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


#: Columns of numbers; the last two are the parts of a tolerance.
NUMBERS = ("empirical ± s.e.", "predicted", "z", "rel. error", "tol.: s.e.", "tol.: declared")


def numbers(row: Row) -> tuple[str, ...]:
    """Texts of the columns :data:`NUMBERS`; empty where there is no number."""

    def text(value: float, form: str) -> str:
        return "" if math.isnan(value) else form.format(value)

    return (
        "" if math.isnan(row.empirical) else number_with_error(row.empirical, row.standard_error),
        text(row.predicted, "{:.5g}"),
        text(row.z, "{:+.1f}"),
        text(row.relative_error, "{:+.1%}"),
        text(row.from_seeds, "{:.2g}") if row.standard_error > 0 else "",
        text(row.declared_error, "{:.2g}"),
    )


def terminal_table(setting: Setting, rows: Sequence[Row], *, every_row: bool = False) -> Group:
    """Draw a comparison for the terminal: one line per (case, observable, theory), or per row.

    Columns without an entry are left out. Where the terminal is too narrow for whole words, each line becomes a short
    paragraph. Below, what was not judged at all has one line for each theory, and the last line counts.
    """
    from rich.console import Group
    from rich.text import Text

    # A summary shows the cell nearest to failing; the verdict counts all.
    shown: list[tuple[Row, str]]
    if every_row:
        weak = (", weakly" if row.weak else "" for row in rows)
        shown = [(row, f"{row.verdict}{text}{some_seeds(row)}") for row, text in zip(rows, weak, strict=True)]
    else:
        shown = [(summary.worst, summary.verdict) for summary in summarise(rows)]
    silent = {(row.case, row.observable, row.theory) for row, _ in shown if row.status is Status.NOT_APPLICABLE}
    lines: list[tuple[Any, ...]] = []
    for row, verdict in shown:
        if row.status is Status.NOT_APPLICABLE:
            continue
        said = Text("" if row.status is Status.PREDICTED else verdict)
        said.stylize(COLOURS.get(row.status, "yellow"), 0, len(row.status.value))
        lines.append((row.case, row.observable, row.theory, place(row), *numbers(row), said))
    names = ("case", "observable", "theory", "at" if every_row else "nearest to failing at", *NUMBERS, "verdict")
    left = [row for row in rows if row.status is Status.NOT_APPLICABLE]
    left = left if every_row else [row for row in left if (row.case, row.observable, row.theory) in silent]
    below = [Text(f"{theory or 'not run'}: {count} not applicable: {why}") for theory, count, why in not_judged(left)]
    total = [] if any(row.status is Status.PREDICTED for row in rows) else [Text(counted(rows), style="bold")]
    body = _Fitting(setting.title, names, lines) if lines else Text(setting.title, style="bold")
    return Group(body, *below, *total)


@dataclasses.dataclass(frozen=True)
class _Fitting:
    """A table where the terminal is wide enough for its words, else a paragraph for each line."""

    title: str
    names: tuple[str, ...]
    lines: Sequence[tuple[Any, ...]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text | Padding]:
        table = self.table(options.max_width)
        if table is None:
            yield from self.paragraphs()
        else:
            yield table

    def table(self, room: int) -> Table | None:
        """Return the table, or nothing where a word would be broken."""
        from rich.table import Table
        from rich.text import Text

        columns = [
            (name, [Text(text) if isinstance(text, str) else text for text in column])
            for name, column in zip(self.names, zip(*self.lines, strict=True), strict=True)
            if any(column)
        ]
        widths = _widths([(name, [text.plain for text in texts]) for name, texts in columns], room)
        if widths is None:
            return None
        table = Table(title=Text(self.title), title_justify="left", header_style="bold", pad_edge=False)
        for (name, _), width in zip(columns, widths, strict=True):
            table.add_column(_heading(name), justify="right" if name in NUMBERS else "left", width=width)
        for line in zip(*(texts for _, texts in columns), strict=True):
            table.add_row(*line)
        return table

    def paragraphs(self) -> Iterator[Text | Padding]:
        from rich.padding import Padding
        from rich.text import Text

        yield Text(self.title, style="bold")
        labels = ("", *self.names[5:-1])  # the measured number needs none
        for case, observable, theory, where, *values, said in self.lines:
            of = f"{case}: " if case else ""
            yield Text.assemble((f"{of}{observable}, {theory}", "bold"), "  " if said else "", said)
            parts = [f"{label} {value}".strip() for label, value in zip(labels, values, strict=True) if value]
            parts += [f"{self.names[3]} {where}"] if where else []
            yield Padding(Text(", ".join(parts)), (0, 0, 0, 4))


def _heading(name: str) -> str:
    """Heading of a column; that of numbers, which are not folded, stands in two lines."""
    return name.replace(" ± ", "\n± ").replace("rel. ", "rel.\n").replace("tol.: ", "tol.:\n")


def _widths(columns: Sequence[tuple[str, Sequence[str]]], room: int) -> list[int] | None:
    """Share out the width of a terminal: words and numbers stay whole. Nothing where they cannot."""
    natural = [max(map(len, [*_heading(name).split("\n"), *texts])) for name, texts in columns]
    least = [
        width if name in NUMBERS else max(len(word) for text in (name, *texts) for word in text.split())
        for width, (name, texts) in zip(natural, columns, strict=True)
    ]
    room -= 3 * len(columns) - 1  # borders, and a blank on both sides but at the edges
    if sum(least) > room:
        return None
    while sum(natural) > room:  # the widest that can gives way
        where = max((i for i in range(len(columns)) if natural[i] > least[i]), key=lambda i: natural[i])
        natural[where] -= 1
    return natural
