"""How a setting and a configuration look in a notebook."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def html_table(rows: Iterable[Sequence[object]]) -> str:
    """HTML of a table of texts, which are escaped; the first row is its head."""
    head, *lines = [list(map(str, row)) for row in rows]
    cells = [("th", head), *(("td", line) for line in lines)]
    parts = ["".join(f'<{tag} style="text-align:left">{escape(text)}</{tag}>' for text in line) for tag, line in cells]
    return f"<table>{''.join(f'<tr>{part}</tr>' for part in parts)}</table>"


def shown(value: Any) -> str:
    """Write a field's value, numbers to six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def config_html(config: Any) -> str:
    """Fields of a configuration with symbols (LaTeX, which notebooks typeset), values and meanings."""
    rows: list[list[object]] = [["field", "symbol", "value", "what"]]
    for field in dataclasses.fields(config):
        symbol = field.metadata["symbol"]
        value = shown(getattr(config, field.name))
        rows.append([field.name, f"${symbol}$" if symbol else "", value, field.metadata["help"]])
    return html_table(rows)


def setting_html(setting: Any) -> str:
    """Title of a setting, its papers, observables, theories and parameters."""
    observables: list[list[object]] = [["observable", "symbol", "what"]]
    observables += [[o.name, f"${o.symbol}$" if o.symbol else "", o.description] for o in setting.observables]
    theories: list[list[object]] = [["theory", "kind", "predicts", "source"]]
    theories += [[t.name, t.kind, ", ".join(t.predicts), t.source] for t in setting.theories]
    papers = "; ".join(f"{escape(p.authors)} ({p.year}), <i>{escape(p.title)}</i>" for p in setting.papers)
    folded = f"<details><summary>parameters</summary>{config_html(setting.config())}</details>"
    title = f"<b>{escape(setting.name)}: {escape(setting.title)}</b>"
    return f"{title}<br>{papers}{html_table(observables)}{html_table(theories)}{folded}"
