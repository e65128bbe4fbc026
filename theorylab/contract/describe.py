"""What a setting says of its numbers: symbols, normalisations, defaults, and where every value comes from."""

from __future__ import annotations

import dataclasses
from typing import Any

from theorylab.contract.fields import field_help
from theorylab.contract.notebook import shown
from theorylab.contract.setting import Case, Setting

OUR_CHOICE = "our choice"


def origin(field: dataclasses.Field[Any], value: Any) -> str:
    """Where a field's value comes from: its paper, or our choice.

    A field's ``source`` is that of its default; one that begins with a value, ``1000: Xu et al. 2024``, of that value.
    """
    source: str = field.metadata["source"]
    stated, colon, rest = source.partition(": ")
    if value == field.default:
        return source or OUR_CHOICE
    return rest if colon and stated == shown(value) else OUR_CHOICE


def parameters(setting: Setting) -> list[list[str]]:
    """Rows of a table of the fields: name, symbol, what it is with its range, default, where that comes from."""
    rows = [["parameter", "symbol", "what", "default", "source"]]
    for field in dataclasses.fields(setting.config):
        name = field.name + ("" if field.metadata["static"] else " (scalar)")
        what, source = field_help(setting.config, field.name), origin(field, field.default)
        rows.append([name, field.metadata["symbol"], what, shown(field.default), source])
    return rows


def observables(setting: Setting) -> list[list[str]]:
    """Rows of a table of what is measured: name, symbol, description with the normalisation, dimensions."""
    rows = [["observable", "symbol", "what", "along"]]
    return rows + [[o.name, o.symbol, o.description, ", ".join(o.dims)] for o in setting.observables]


def presets(setting: Setting) -> list[list[str]]:
    """Rows of a table of the presets' cases: every value that is no default, and where it comes from."""
    rows = [["preset", "case", "seeds", "values", "source"]]
    for preset, cases in setting.presets.items():
        rows += [[preset, case.name, str(case.seeds), *values_of(setting, case)] for case in cases]
    return rows


def values_of(setting: Setting, case: Case) -> tuple[str, str]:
    """Values of a case that are no defaults, and where they come from, those of our choice together."""
    texts: list[str] = []
    papers: list[str] = []
    ours = False
    for field in dataclasses.fields(setting.config):
        values = tuple(case.grid.get(field.name, (getattr(case.config, field.name),)))
        if values == (field.default,):
            continue
        texts.append(f"{field.name} = {', '.join(map(shown, values))}")
        found = {origin(field, value) for value in values}
        ours |= OUR_CHOICE in found
        papers += [f"{field.name}: {source}" for source in sorted(found - {OUR_CHOICE})]
    said = [case.note] * bool(case.note) + papers + [OUR_CHOICE] * ours
    return "; ".join(texts) or "the defaults", "; ".join(said) or "those of the defaults"
