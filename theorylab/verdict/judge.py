"""The numbers of one comparison, and its verdict: runs of one cell against the prediction for it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from theorylab.contract.setting import Kind
from theorylab.numerics.statistics import mean_of_finite, standard_error
from theorylab.verdict.rows import Row, Status, Verdict

#: The numbers of a row that a comparison alone can fill.
NUMBERS = ("empirical", "standard_error", "predicted", "z", "relative_error", "tolerance")


@dataclasses.dataclass(frozen=True)
class Runs:
    """An observable of one cell: ``values`` of shape (seed, *inner), the seeds' numbers and first non-finite steps."""

    values: np.ndarray
    seeds: np.ndarray
    first_bad: np.ndarray
    allow_nan: bool

    def only(self, kept: np.ndarray) -> Runs:
        """Return some of the runs."""
        if kept.all():
            return self
        return Runs(self.values[kept], self.seeds[kept], self.first_bad[kept], self.allow_nan)

    @functools.cached_property
    def finite(self) -> np.ndarray:
        """Which runs have not diverged; all of them, where NaN is a result."""
        if self.allow_nan:
            return np.ones(len(self.values), bool)
        return np.isfinite(self.values).all(axis=tuple(range(1, self.values.ndim)))

    @property
    def counts(self) -> dict[str, Any]:
        """Numbers of finite and of diverged runs."""
        finite = int(self.finite.sum())
        return {"seeds": finite, "diverged_seeds": len(self.values) - finite}


def not_compared(runs: Runs, reason: str, identity: dict[str, Any]) -> Row:
    """Row of a comparison that was not made."""
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS, float("nan"))
    return Row(**identity, **runs.counts, **numbers, verdict=Verdict(Status.NOT_APPLICABLE, reason))


def judge(runs: Runs, predicted: np.ndarray, *, kind: Kind, declared: float, z_max: float) -> dict[str, Any]:
    """Compare runs of one cell with their prediction, at that entry of the observable which is nearest to failing.

    Returns the fields of a :class:`~theorylab.verdict.rows.Row`, and the ``position`` of the entry.

    Parameters
    ----------
    predicted
        Of shape (seed, *inner), or (*inner) for the mean of an ensemble.
    declared
        The theory's declared relative error.
    z_max
        Standard errors in the tolerance.
    """
    finite = runs.finite
    kept = runs.values[finite]
    with np.errstate(all="ignore"):
        if not len(kept):
            position: tuple[int, ...] = (0,) * (runs.values.ndim - 1)
            mean = error = allowed = gap = np.nan
            target = predicted[position] if kind == "ensemble" else np.nan
        elif kind == "exact":
            # Every seed counts on its own: no averaging, no standard error.
            paired = predicted[finite]
            difference, tolerance = np.abs(kept - paired), declared * np.abs(paired)
            # A seed without a value ("never reached") is left out; where none has one, the theory's is not confirmed.
            worst = _worst(difference, tolerance)
            position = worst[1:]
            mean, target, error = kept[worst], paired[worst], 0.0
            allowed, gap = tolerance[worst], difference[worst]
        else:
            means, targets, errors = _averages(kept, predicted if kind == "ensemble" else predicted[finite], kind)
            tolerance = z_max * errors + declared * np.abs(targets)
            position = _worst(np.abs(means - targets), tolerance)
            mean, target, error = means[position], targets[position], errors[position]
            allowed, gap = tolerance[position], abs(mean - target)
        row: dict[str, Any] = {
            **runs.counts,
            "position": position,
            "empirical": float(mean),
            "standard_error": float(error),
            "predicted": float(target),
            "z": float((mean - target) / error) if error else float("nan"),
            "relative_error": float((mean - target) / np.abs(target)) if target else float("nan"),
            "tolerance": float(allowed),
        }
    row["verdict"] = _verdict(row, float(gap), kind, runs)
    return row


def _averages(kept: np.ndarray, predicted: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means over seeds of simulation and theory, and the standard error of their difference."""
    if kind == "ensemble":
        # A seed without a value would bias the mean, which stays NaN.
        return kept.mean(0), predicted, standard_error(kept)
    # A seed without a value ("never reached") has no pair, and is left out.
    both = np.isfinite(kept) & np.isfinite(predicted)
    kept, predicted = np.where(both, kept, np.nan), np.where(both, predicted, np.nan)
    return mean_of_finite(kept), mean_of_finite(predicted), standard_error(kept - predicted, of_finite=True)


def _verdict(row: dict[str, Any], gap: float, kind: Kind, runs: Runs) -> Verdict:
    finite = runs.finite
    if not finite.all():
        first = int(np.argmin(finite))
        return Verdict(Status.DIVERGED, f"seed {runs.seeds[first]}, step {max(int(runs.first_bad[first]), 0)}")
    values = runs.values[(slice(None), *row["position"])]
    if kind != "exact" and not np.isfinite(values).any():
        return Verdict(Status.NOT_APPLICABLE, f"none of {len(values)} runs has a value")
    if not np.isfinite(row["predicted"]):
        return Verdict(Status.NOT_APPLICABLE, f"the prediction is {row['predicted']}")
    if kind != "exact" and not np.isfinite(row["standard_error"]):
        missing = int((~np.isfinite(values)).sum())
        why = f" ({missing} of {len(values)} have no value)" if missing else ""
        return Verdict(Status.NOT_APPLICABLE, f"a standard error needs at least two seeds{why}")
    return Verdict(Status.AGREES if gap <= row["tolerance"] else Status.DISAGREES)


def _worst(difference: np.ndarray, tolerance: np.ndarray) -> tuple[int, ...]:
    """Index of the entry nearest to failing (or failing worst)."""
    with np.errstate(all="ignore"):
        ratio = np.where(difference > 0, difference / tolerance, 0.0)
    # An entry without a prediction decides nothing, not even where all others are met exactly.
    ratio = np.where(np.isnan(difference) | np.isnan(ratio), -1.0, ratio)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape)) if ratio.ndim else ()
