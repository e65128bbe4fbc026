"""One self-contained HTML page: verdicts, figures, provenance and how to cite."""

from __future__ import annotations

import base64
import html
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from theorylab.catalogue import FAMILIES, family_of
from theorylab.contract import Setting
from theorylab.verdict.rows import Row, Status
from theorylab.verdict.table import number_with_error, place, summarise

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline';
script-src 'unsafe-inline'">
<link rel="icon" href="data:,"><title>theorylab report</title>
<style>
:root {{ color-scheme: light dark; --text: #1c1c1c; --page: #fff; --line: #d8d8d8; --soft: #666; --good: #00705a;
  --bad: #b3261e; --note: #8a5a00; }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: #e8e8e8; --page: #16181b; --line: #3a3d42; --soft: #a0a0a0;
  --good: #4cc9a5; --bad: #ff8a80; --note: #e0b050; }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 2rem auto;
  max-width: 75rem; padding: 0 1rem; overflow-wrap: anywhere; }}
h1, h2 {{ line-height: 1.2; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .85rem; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .45rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }}
th button {{ font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; text-align: inherit; }}
th[aria-sort=ascending] button::after {{ content: " ↑"; }} th[aria-sort=descending] button::after {{ content: " ↓"; }}
table {{ overflow-wrap: normal; }}
td:last-child {{ min-width: 12rem; }}
@media (max-width: 40rem) {{ th:last-child, td:last-child {{ position: sticky; right: 0; background: var(--page);
  min-width: 5.5rem; }} }} /* the verdict stays in view on a phone */
td.n, th.n {{ text-align: right; white-space: nowrap; }}
.agrees {{ color: var(--good); }} .disagrees, .diverged {{ color: var(--bad); font-weight: 600; }}
.not {{ color: var(--note); }}
figure {{ margin: 1rem 0; }} figure img {{ max-width: 100%; background: #fff; border-radius: 4px; }}
figcaption, .soft {{ color: var(--soft); font-size: .85rem; }}
pre {{ overflow-x: auto; font-size: .8rem; border: 1px solid var(--line); padding: .6rem; border-radius: 4px; }}
</style></head><body>
<h1>theorylab report</h1>
<p>{lead}</p>
<p class="soft">A row agrees when the gap between simulation and theory is within four standard errors over seeds
plus the theory's declared finite-size error. Each line shows the cell nearest to failing.</p>
{contents}
{sections}
<script>
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {{
  const head = button.parentElement, body = head.closest("table").tBodies[0], column = head.cellIndex;
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  // Numbers by value with "inf" at the end and what is not a number beyond it; texts with the numbers in them by value.
  const number = row => {{ const text = row.cells[column].dataset.value; return text === undefined ? undefined :
    text === "inf" ? Infinity : text === "-inf" ? -Infinity : parseFloat(text); }};
  const order = (a, b) => {{ const x = number(a), y = number(b);
    if (x === undefined) return a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en",
      {{ numeric: true }}) * (down ? -1 : 1);
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); }};
  body.append(...[...body.rows].sort(order));
}});
</script>
</body></html>
"""

COLUMNS = (
    ("case", ""), ("observable", ""), ("theory", ""), ("nearest to failing at", ""), ("empirical ± s.e.", "n"),
    ("predicted", "n"), ("z", "n"), ("relative error", "n"), ("tolerance", "n"), ("verdict", ""),
)  # fmt: skip


def write_report(
    path: str | os.PathLike[str],
    parts: Sequence[tuple[Setting, Sequence[Row], Path | None, Mapping[str, Any]]],
    *,
    title: str = "",
) -> Path:
    """Write the report of several settings: ``(setting, rows, path of a PNG, provenance)`` each.

    The page needs nothing else: figures are inlined. Returns its path.
    """
    rows = [row for _, part, _, _ in parts for row in part]
    judged = [row for row in rows if row.status.judged]
    good = sum(row.status is Status.AGREES for row in judged)
    lead = html.escape(title or f"{good} of {len(judged)} comparisons of simulation with theory agree.")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    sections = "\n".join(_section(*part) for part in parts)
    target.write_text(PAGE.format(lead=lead, contents=contents(parts), sections=sections), encoding="utf-8")
    return target


def contents(parts: Sequence[tuple[Setting, Sequence[Row], Path | None, Mapping[str, Any]]]) -> str:
    """Table of contents: the settings by family, each with how many of its comparisons agree; empty for one setting."""
    if len(parts) < 2:
        return ""
    families: dict[str, list[str]] = {}
    for setting, rows, _, _ in parts:
        judged = [row for row in rows if row.status.judged]
        good = sum(row.status is Status.AGREES for row in judged)
        kind = "agrees" if judged and good == len(judged) else "disagrees" if any(row.failed for row in rows) else "not"
        line = f'<li><a href="#{setting.name}">{html.escape(setting.title)}</a>: '
        line += f'<span class="{kind}">{good} of {len(judged)}</span></li>'
        families.setdefault(FAMILIES[family_of(setting.name)], []).append(line)
    items = "".join(f"<li>{html.escape(family)}<ul>{''.join(lines)}</ul></li>" for family, lines in families.items())
    return f'<nav aria-label="settings"><ul>{items}</ul></nav>'


def _section(setting: Setting, rows: Sequence[Row], figure: Path | None, provenance: Mapping[str, Any]) -> str:
    paper = setting.papers[0]
    head = "".join(
        f'<th class="{kind}"><button type="button">{html.escape(name)}</button></th>' for name, kind in COLUMNS
    )
    lines = "\n".join(_line(summary.worst, summary.verdict) for summary in summarise(rows))
    sources = "".join(
        f"<li><b>{html.escape(theory.name)}</b> ({theory.kind}): {html.escape(str(theory.source))}</li>"
        for theory in setting.theories
    )
    picture = ""
    if figure is not None:
        caption = "Theory as lines, simulation as points with one standard error."
        picture = f'<figure><img alt="{html.escape(setting.title)}: {caption}" src="{inline(figure)}">'
        picture += f"<figcaption>{caption}</figcaption></figure>"
    facts = "\n".join(f"{name}: {value}" for name, value in provenance.items())
    bibtex = "\n\n".join(p.bibtex for p in setting.papers)
    return f"""<section id="{setting.name}"><h2>{html.escape(setting.title)}</h2>
<p>{html.escape(paper.authors)} ({paper.year}), <i>{html.escape(paper.title)}</i>, {html.escape(paper.venue)},
<a href="https://arxiv.org/abs/{paper.arxiv}">arXiv {paper.arxiv}</a>.</p>
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>
{lines}
</tbody></table></div>
{picture}
<details><summary>Theories and their sources</summary><ul>{sources}</ul></details>
<details><summary>Provenance</summary><pre>{html.escape(facts)}</pre></details>
<details><summary>How to cite</summary><pre>{html.escape(bibtex)}</pre></details></section>"""


def _line(row: Row, verdict: str) -> str:
    status = row.status.value.split(" ")[0]
    numbers = (
        (row.empirical, number_with_error(row.empirical, row.standard_error)),
        (row.predicted, f"{row.predicted:.5g}"),
        (row.z, "" if math.isnan(row.z) else f"{row.z:+.1f}"),
        (row.relative_error, "" if math.isnan(row.relative_error) else f"{row.relative_error:+.1%}"),
        (row.tolerance, f"{row.tolerance:.2g}"),
    )
    cells = "".join(f"<td>{html.escape(text)}</td>" for text in (row.case, row.observable, row.theory, place(row)))
    cells += "".join(f'<td class="n" data-value="{value}">{html.escape(text)}</td>' for value, text in numbers)
    return f'<tr>{cells}<td class="{status}">{html.escape(verdict)}</td></tr>'


def inline(picture: Path) -> str:
    """Return a PNG file as a data URL."""
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
