"""What a notebook shows of results: means with standard errors, and rows of a comparison as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract.setting import RESERVED
from theorylab.lab.metadata import FINISHED, FIRST_BAD_STEP
from theorylab.numerics.statistics import standard_error
from theorylab.verdict.rows import Row
from theorylab.verdict.table import number_with_error, place

if TYPE_CHECKING:
    import pandas
    import xarray


def summary(data: xarray.Dataset) -> xarray.Dataset:
    """Mean and standard error of every observable over the seeds that are finished and have not diverged.

    Returns
    -------
    xarray.Dataset
        The observables without ``seed``, along a new dimension ``statistic``: ``"mean"``, ``"standard error"``. A seed
        without a value ("never reached") is left out. ``seeds`` says how many runs entered.

    Examples
    --------
    >>> import theorylab as tl
    >>> setting = tl.get("matrix_sensing")
    >>> data = tl.sweep(setting, setting.config(dim=6, target_rank=1, model_rank=2, num_steps=50), seeds=4)
    >>> found = tl.summary(data)
    >>> found["final_error"].sizes["statistic"], int(found["seeds"])
    (2, 4)
    """
    import xarray

    good = good_runs(data)
    names = [str(name) for name, values in data.data_vars.items() if "seed" in values.dims and name not in RESERVED]
    parts: dict[str, Any] = {}
    for name in names:
        values = data[name].astype(float).where(good)
        values = values.where(np.isfinite(values))
        both = [values.mean("seed"), standard_error(values, "seed", of_finite=True)]
        parts[name] = xarray.concat(both, "statistic").assign_attrs(data[name].attrs)
    found = xarray.Dataset(parts, attrs=data.attrs).assign_coords(statistic=["mean", "standard error"])
    return found.assign(seeds=good.sum("seed"))


def good_runs(data: xarray.Dataset) -> xarray.DataArray:
    """Which runs are finished and have not diverged, as far as the data say."""
    import xarray

    good = xarray.ones_like(data["seed"], bool)
    if FINISHED in data:
        good = good & data[FINISHED]
    return good & (data[FIRST_BAD_STEP] < 0) if FIRST_BAD_STEP in data else good


def table(rows: Sequence[Row]) -> pandas.DataFrame:
    """Rows of a comparison as a table of pandas: where, both numbers, the two parts of the tolerance, the verdict.

    Columns without an entry are left out. :func:`latex` is the same for a paper.
    """
    import pandas

    swept = dict.fromkeys(name for row in rows for name in (*row.cell, *row.at))
    found = {
        "case": [row.case for row in rows],
        "observable": [row.observable for row in rows],
        "theory": [row.theory for row in rows],
        **{name: [{**row.cell, **row.at}.get(name) for row in rows] for name in swept},
        "empirical": [row.empirical for row in rows],
        "standard error": [row.standard_error for row in rows],
        "predicted": [row.predicted for row in rows],
        "z": [row.z for row in rows],
        "relative error": [row.relative_error for row in rows],
        "tolerance: s.e.": [row.from_seeds for row in rows],
        "tolerance: declared": [row.declared_error for row in rows],
        "verdict": [str(row.verdict) + (", weakly" if row.weak else "") for row in rows],
    }
    frame = pandas.DataFrame(found)
    return frame.loc[:, [bool(((frame[name] != "") & frame[name].notna()).any()) for name in frame.columns]]


def latex(rows: Sequence[Row]) -> str:
    """Rows of a comparison as a LaTeX table (of the package booktabs), numbers to the digits of their errors."""
    head = ("observable", "theory", "at", "simulation", "theory", "verdict")
    lines = [r"\begin{tabular}{lllrrl}", r"\toprule", " & ".join(head) + r" \\", r"\midrule"]
    for row in rows:
        where = ", ".join(filter(None, (row.case, place(row))))
        texts = [*map(_plain, (row.observable, row.theory, where)), *_numbers(row), _plain(row.status.value)]
        lines.append(" & ".join(texts) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _numbers(row: Row) -> tuple[str, str]:
    def text(value: float, error: float) -> str:
        return "" if math.isnan(value) else "$" + number_with_error(value, error).replace("±", r"\pm") + "$"

    return text(row.empirical, row.standard_error), text(row.predicted, 0.0)


def _plain(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
