"""Comparisons of many cells at a time, with the numbers and verdicts that :mod:`theorylab.verdict.judge` gives of each.

Only for the plain case: every run is finished and finite, and so is every prediction.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from theorylab.contract.theory import Kind
from theorylab.numerics.statistics import standard_error
from theorylab.verdict.judge import failing_first, nearest, relative, root_mean_square, rounding
from theorylab.verdict.rows import Status, Verdict
from theorylab.verdict.slope import slopes

_AGREES, _DISAGREES = Verdict(Status.AGREES), Verdict(Status.DISAGREES)


def plain(values: np.ndarray, predicted: np.ndarray, kind: Kind) -> np.ndarray:
    """Which cells can be judged together: values of shape (cell, seed, *inner), predictions alike or without seeds."""
    if not values.size or (kind != "exact" and values.shape[1] < 2):
        return np.zeros(len(values), bool)
    count = len(values)
    finite = np.isfinite(values.reshape(count, -1)).all(1)
    return np.asarray(finite & np.isfinite(predicted.reshape(count, -1)).all(1))


def judge_many(
    values: np.ndarray,
    predicted: np.ndarray,
    *,
    kind: Kind,
    declared: np.ndarray,
    z_max: float,
    residual: np.ndarray | None = None,
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
    residual
        The theory's declared residual at each cell, see :func:`theorylab.verdict.slope.slopes`.
    """
    cells, seeds = values.shape[:2]
    inner = values.shape[2:]
    epsilon = declared.reshape(cells, *(1,) * (values.ndim - (1 if kind == "exact" else 2)))
    if kind == "exact":
        means, targets, errors = values, predicted, np.zeros(())
        tolerance = epsilon * np.abs(predicted)
        tolerance += rounding(np.abs(predicted).reshape(cells, -1).max(1), values.dtype).reshape(epsilon.shape)
    else:
        paired = kind != "ensemble"
        means, targets = values.mean(1), predicted.mean(1) if paired else predicted
        errors = standard_error(values - predicted if paired else values, 1)
        tolerance = z_max * errors + epsilon * np.abs(targets)
    gaps = np.abs(means - targets)
    sizes = np.abs(predicted) if kind != "instance" else root_mean_square(predicted, 1)
    scale = sizes.reshape(cells, -1).max(1)
    with np.errstate(all="ignore"):
        nearness = nearest(gaps, tolerance, targets, scale.reshape(cells, *(1,) * (gaps.ndim - 1)))
    fitted = None
    if kind == "instance":
        fitted = slopes(values, predicted, declared=declared, z_max=z_max, residual=residual)
        nearness = failing_first(nearness, fitted.ratio)
    worst = nearness.reshape(cells, -1).argmax(1)

    def at_worst(array: np.ndarray) -> list[float]:
        found: list[float] = np.take_along_axis(array.reshape(cells, -1), worst[:, None], 1)[:, 0].tolist()
        return found

    counts = {"seeds": seeds, "diverged_seeds": 0, "judged_seeds": seeds}
    positions = (worst % math.prod(inner)).tolist()
    spread = [0.0] * cells if kind == "exact" else at_worst(errors)
    slope = slope_error = [math.nan] * cells
    if fitted is not None:
        slope, slope_error = at_worst(fitted.slope), at_worst(fitted.error)
    columns = (
        at_worst(means), at_worst(targets), spread, at_worst(tolerance), at_worst(epsilon * np.abs(targets)),
        at_worst(gaps), positions, scale.tolist(), slope, slope_error,
    )  # fmt: skip
    for number, one in enumerate(zip(*columns, strict=True)):
        mean, target, error, allowed, theirs, gap, place, size, b, b_error = one
        position = tuple(int(i) for i in np.unravel_index(place, inner)) if inner else ()
        verdict = _AGREES if gap <= allowed else _DISAGREES
        if verdict is _AGREES and fitted is not None and fitted.ratio[(number, *position)] > 1:
            verdict = Verdict(Status.DISAGREES, fitted.said((number, *position)))
        yield {
            **counts,
            "position": position,
            "empirical": mean,
            "standard_error": error,
            "predicted": target,
            "z": (mean - target) / error if error else math.nan,
            "relative_error": relative(mean, target, size),
            "tolerance": allowed,
            "declared_error": theirs,
            "scale": size,
            "slope": b,
            "slope_error": b_error,
            "verdict": verdict,
        }
