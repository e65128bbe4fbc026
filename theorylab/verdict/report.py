"""One self-contained HTML page: verdicts, figures, provenance and how to cite.

The page is ``report.html`` beside this file, a setting's part ``report_section.html``; whatever fills them is escaped.
"""

from __future__ import annotations

import base64
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from theorylab.catalogue import FAMILIES, family_of
from theorylab.contract import Paper, Setting
from theorylab.numerics.files import written_whole
from theorylab.verdict.rows import Row, Status, judged_nothing
from theorylab.verdict.table import NUMBERS, counted, not_judged, numbers, place, summarise

TEXTS = ("case", "observable", "theory", "nearest to failing at")
CAPTION = (
    "Simulation as points with one standard error over seeds, theory as lines; the band is the theory's declared error."
)


def write_report(
    path: str | os.PathLike[str],
    parts: Sequence[tuple[Setting, Sequence[Row], Path | None, Mapping[str, Any]]],
    *,
    title: str = "",
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write the report of several settings: ``(setting, rows, path of a PNG, provenance)`` each.

    ``about`` says what made it: the command, the preset, the date, versions. The page needs nothing else: figures are
    inlined. Returns its path.
    """
    every = [row for _, rows, _, _ in parts for row in rows]
    page = _template("report.html").substitute(
        lead=escape(title or judged_nothing(every) or counted(every)),
        about="".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in (about or {}).items()),
        contents=contents(parts),
        sections="\n".join(_section(*part) for part in parts),
    )
    target = Path(path)
    with written_whole(target) as scratch:
        scratch.write_text(page, encoding="utf-8")
    return target


def _template(name: str) -> Template:
    return Template((resources.files("theorylab.verdict") / name).read_text(encoding="utf-8"))


def contents(parts: Sequence[tuple[Setting, Sequence[Row], Path | None, Mapping[str, Any]]]) -> str:
    """Table of contents: the settings by family, each with how many of its comparisons agree; empty for one setting."""
    if len(parts) < 2:
        return ""
    families: dict[str, list[str]] = {}
    for setting, rows, _, _ in parts:
        line = f'<li><a href="#{escape(setting.name)}">{escape(setting.title)}</a>: {_said(rows)}</li>'
        families.setdefault(FAMILIES[family_of(setting.name)], []).append(line)
    items = "".join(f"<li>{escape(family)}<ul>{''.join(lines)}</ul></li>" for family, lines in families.items())
    return f'<nav aria-label="settings"><ul>{items}</ul></nav>'


def _said(rows: Sequence[Row]) -> str:
    """Say what a setting's comparisons came to, in the colour of it."""
    failed, good = any(row.failed for row in rows), any(row.status is Status.AGREES for row in rows)
    kind = "disagrees" if failed else "agrees" if good else "not"
    return f'<span class="{kind}">{escape(counted(rows))}</span>'


def _section(setting: Setting, rows: Sequence[Row], figure: Path | None, provenance: Mapping[str, Any]) -> str:
    picture = ""
    if figure is not None:
        alt = escape(f"{setting.title}: {CAPTION}")
        picture = f'<figure><img alt="{alt}" src="{inline(figure)}"><figcaption>{escape(CAPTION)}</figcaption></figure>'
    return _template("report_section.html").substitute(
        name=escape(setting.name),
        title=escape(setting.title),
        paper=_reference(setting.papers[0]) if setting.papers else "",
        said=_said(rows),
        table=_table(rows),
        silent=_silent([row for row in rows if row.status is Status.NOT_APPLICABLE]),
        picture=picture,
        sources="".join(
            f"<li><b>{escape(theory.name)}</b> ({escape(theory.kind)}): {escape(str(theory.source))}</li>"
            for theory in setting.theories
        ),
        provenance=escape("\n".join(f"{name}: {value}" for name, value in provenance.items())),
        bibtex=escape("\n\n".join(paper.bibtex for paper in setting.references)),
    )


def _reference(paper: Paper) -> str:
    text = f"{escape(paper.authors)} ({paper.year}), <i>{escape(paper.title)}</i>, {escape(paper.venue)}"
    if paper.arxiv:
        text += f', <a href="https://arxiv.org/abs/{escape(paper.arxiv)}">arXiv {escape(paper.arxiv)}</a>'
    return f"{text}."


def rows_html(rows: Sequence[Row]) -> str:
    """Rows as a notebook shows them: one line each (case, observable, theory), the rest folded."""
    silent = [row for row in rows if row.status is Status.NOT_APPLICABLE]
    table = _table(rows, button="{}")
    return f"<p>{_said(rows)}</p>{table}{_silent(silent)}"


def _table(rows: Sequence[Row], button: str = '<button type="button">{}</button>') -> str:
    columns = [(name, "n" if name in NUMBERS else "") for name in (*TEXTS, *NUMBERS, "verdict")]
    head = "".join(f'<th class="{kind}">{button.format(escape(name))}</th>' for name, kind in columns)
    shown = [one for one in summarise(rows) if one.status is not Status.NOT_APPLICABLE]
    lines = "\n".join(_line(summary.worst, summary.verdict) for summary in shown)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table>" if lines else ""


def _line(row: Row, verdict: str) -> str:
    status = row.status.value.split(" ")[0]
    values = (row.empirical, row.predicted, row.z, row.relative_error, row.from_seeds, row.declared_error)
    texts = zip(TEXTS, (row.case, row.observable, row.theory, place(row)), strict=True)
    cells = "".join(f'<td data-label="{name}">{escape(text)}</td>' for name, text in texts)
    for name, value, text in zip(NUMBERS, values, numbers(row), strict=True):
        cells += f'<td class="n" data-label="{name}" data-value="{float(value)}">{escape(text)}</td>'
    return f'<tr>{cells}<td class="{status}" data-label="verdict">{escape(verdict)}</td></tr>'


def _silent(rows: Sequence[Row]) -> str:
    """What was not compared, folded to one line a theory."""
    folded = []
    for theory, count, why in not_judged(rows):
        found = Counter((row.case, row.observable, row.verdict.reason) for row in rows if row.theory == theory)
        items = (
            f"<li>{escape(', '.join(filter(None, (case, name))))} ({number}): {escape(reason)}</li>"
            for (case, name, reason), number in found.items()
        )
        head = f"{escape(theory or 'not run')}: {count} not applicable: {escape(why)}"
        folded.append(f'<details class="not"><summary>{head}</summary><ul>{"".join(items)}</ul></details>')
    return "".join(folded)


def inline(picture: Path) -> str:
    """Return a PNG file as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
