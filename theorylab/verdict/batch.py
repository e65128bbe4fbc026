"""Comparisons of many cells at a time, with the numbers and verdicts that :mod:`theorylab.verdict.judge` gives of each.

Only for the plain case: every run is finished and finite, and so is every prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from theorylab.contract.setting import Kind
from theorylab.numerics.statistics import standard_error
from theorylab.verdict.rows import Status, Verdict

_AGREES, _DISAGREES = Verdict(Status.AGREES), Verdict(Status.DISAGREES)


def plain(values: np.ndarray, predicted: np.ndarray, kind: Kind) -> np.ndarray:
    """Which cells can be judged together: values of shape (cell, seed, *inner), predictions alike or without seeds."""
    if not values.size or (kind != "exact" and values.shape[1] < 2):
        return np.zeros(len(values), bool)
    count = len(values)
    finite = np.isfinite(values.reshape(count, -1)).all(1)
    return np.asarray(finite & np.isfinite(predicted.reshape(count, -1)).all(1))


def judge_many(
    values: np.ndarray, predicted: np.ndarray, *, kind: Kind, declared: np.ndarray, z_max: float
) -> Iterator[dict[str, Any]]:
    """Compare cells that are :func:`plain`; yields for each what :func:`theorylab.verdict.judge.judge` returns.

    Parameters
    ----------
    values, predicted
        As in :func:`plain`.
    declared
        The theory's declared relative error at each cell.
    z_max
        Standard errors in the tolerance.
    """
    cells, seeds = values.shape[:2]
    inner = values.shape[2:]
    relative = declared.reshape(cells, *(1,) * (values.ndim - (1 if kind == "exact" else 2)))
    if kind == "exact":
        means, targets, errors = values, predicted, np.zeros(())
        tolerance = relative * np.abs(predicted)
    else:
        paired = kind != "ensemble"
        means, targets = values.mean(1), predicted.mean(1) if paired else predicted
        errors = standard_error(values - predicted if paired else values, 1)
        tolerance = z_max * errors + relative * np.abs(targets)
    gaps = np.abs(means - targets)
    with np.errstate(all="ignore"):
        ratio = np.where(gaps > 0, gaps / tolerance, 0.0)
    ratio = np.where(np.isnan(ratio), -1.0, ratio).reshape(cells, -1)
    worst = ratio.argmax(1)

    def at_worst(array: np.ndarray) -> list[float]:
        found: list[float] = np.take_along_axis(array.reshape(cells, -1), worst[:, None], 1)[:, 0].tolist()
        return found

    counts = {"seeds": seeds, "diverged_seeds": 0}
    positions = (worst % math.prod(inner)).tolist()
    spread = [0.0] * cells if kind == "exact" else at_worst(errors)
    columns = (at_worst(means), at_worst(targets), spread, at_worst(tolerance), at_worst(gaps), positions)
    for mean, target, error, allowed, gap, position in zip(*columns, strict=True):
        yield {
            **counts,
            "position": tuple(int(i) for i in np.unravel_index(position, inner)) if inner else (),
            "empirical": mean,
            "standard_error": error,
            "predicted": target,
            "z": (mean - target) / error if error else math.nan,
            "relative_error": (mean - target) / abs(target) if target else math.nan,
            "tolerance": allowed,
            "verdict": _AGREES if gap <= allowed else _DISAGREES,
        }
