"""One self-contained HTML page: verdicts, figures, provenance and how to cite.

The page is ``report.html`` beside this file, a setting's part ``report_section.html``; whatever fills them is escaped.
"""

from __future__ import annotations

import base64
import math
import os
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
from theorylab.verdict.table import number_with_error, place, summarise

COLUMNS = (
    ("case", ""), ("observable", ""), ("theory", ""), ("nearest to failing at", ""), ("empirical ± s.e.", "n"),
    ("predicted", "n"), ("z", "n"), ("relative error", "n"), ("tolerance", "n"), ("verdict", ""),
)  # fmt: skip
CAPTION = "Theory as lines, simulation as points with one standard error."


def write_report(
    path: str | os.PathLike[str],
    parts: Sequence[tuple[Setting, Sequence[Row], Path | None, Mapping[str, Any]]],
    *,
    title: str = "",
) -> Path:
    """Write the report of several settings: ``(setting, rows, path of a PNG, provenance)`` each.

    The page needs nothing else: figures are inlined. Returns its path.
    """
    every = [row for _, rows, _, _ in parts for row in rows]
    judged = [row for row in every if row.status.judged]
    good = sum(row.status is Status.AGREES for row in judged)
    said = judged_nothing(every) or f"{good} of {len(judged)} comparisons of simulation with theory agree."
    page = _template("report.html").substitute(
        lead=escape(title or said),
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
        judged = [row for row in rows if row.status.judged]
        good = sum(row.status is Status.AGREES for row in judged)
        kind = "agrees" if judged and good == len(judged) else "disagrees" if any(row.failed for row in rows) else "not"
        line = f'<li><a href="#{escape(setting.name)}">{escape(setting.title)}</a>: '
        line += f'<span class="{kind}">{good} of {len(judged)}</span></li>'
        families.setdefault(FAMILIES[family_of(setting.name)], []).append(line)
    items = "".join(f"<li>{escape(family)}<ul>{''.join(lines)}</ul></li>" for family, lines in families.items())
    return f'<nav aria-label="settings"><ul>{items}</ul></nav>'


def _section(setting: Setting, rows: Sequence[Row], figure: Path | None, provenance: Mapping[str, Any]) -> str:
    head = "".join(f'<th class="{kind}"><button type="button">{escape(name)}</button></th>' for name, kind in COLUMNS)
    picture = ""
    if figure is not None:
        alt = escape(f"{setting.title}: {CAPTION}")
        picture = f'<figure><img alt="{alt}" src="{inline(figure)}"><figcaption>{escape(CAPTION)}</figcaption></figure>'
    return _template("report_section.html").substitute(
        name=escape(setting.name),
        title=escape(setting.title),
        paper=_reference(setting.papers[0]) if setting.papers else "",
        head=head,
        lines="\n".join(_line(summary.worst, summary.verdict) for summary in summarise(rows)),
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


def _line(row: Row, verdict: str) -> str:
    status = row.status.value.split(" ")[0]
    numbers = (
        (row.empirical, number_with_error(row.empirical, row.standard_error)),
        (row.predicted, f"{row.predicted:.5g}"),
        (row.z, "" if math.isnan(row.z) else f"{row.z:+.1f}"),
        (row.relative_error, "" if math.isnan(row.relative_error) else f"{row.relative_error:+.1%}"),
        (row.tolerance, f"{row.tolerance:.2g}"),
    )
    cells = "".join(f"<td>{escape(text)}</td>" for text in (row.case, row.observable, row.theory, place(row)))
    cells += "".join(f'<td class="n" data-value="{float(value)}">{escape(text)}</td>' for value, text in numbers)
    return f'<tr>{cells}<td class="{status}">{escape(verdict)}</td></tr>'


def inline(picture: Path) -> str:
    """Return a PNG file as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
