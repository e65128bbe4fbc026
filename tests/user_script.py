"""A user's script, as a type checker reads it: every name of the public face has its type. ``mypy`` runs over it."""

from __future__ import annotations

import sys
from typing import assert_type

import xarray

import theorylab as tl


def main(path: str = "xor") -> list[tl.verdict.rows.Row]:
    """Sweep, predict, compare, check."""
    setting = assert_type(tl.get(path), tl.Setting)
    case = assert_type(setting.presets["tiny"][0], tl.Case)
    data = assert_type(tl.sweep(setting, case.config, case.grid, seeds=4), xarray.Dataset)
    theory = assert_type(setting.theories[0], tl.Theory)
    assert_type(tl.predict(setting, case.config, case.grid, seeds=4, theory=theory), xarray.Dataset)
    rows = assert_type(tl.compare(setting, data), list[tl.verdict.rows.Row])
    for checked, results, found in tl.check(setting, [case]):
        assert_type(checked, tl.Case)
        assert_type(results, xarray.Dataset)
        assert_type(found, list[tl.verdict.rows.Row])
    assert_type(tl.cite(setting), str)
    if path == "never":
        tl.sweeep(setting)  # type: ignore[attr-defined] # a misspelt name is an error, which mypy must find
    return rows


if __name__ == "__main__":
    tl.configure()
    main(*sys.argv[1:])
