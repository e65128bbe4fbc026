"""The numbers of one comparison, and its verdict: runs of one cell against the prediction for it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from theorylab.contract.theory import Kind
from theorylab.numerics.statistics import mean_of_finite, standard_error
from theorylab.verdict.rows import Row, Status, Verdict
from theorylab.verdict.slope import Slopes, slopes

#: The numbers of a row that a comparison alone can fill.
NUMBERS = ("empirical", "standard_error", "predicted", "z", "relative_error", "tolerance")
#: A prediction below this part of the largest in its row says nothing in relative terms.
NEGLIGIBLE = 0.01
#: Why what no run could measure is not compared.
NO_VALUE = "no seed has a value (too few steps?)"


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
        """Numbers of runs, and of diverged ones."""
        return {"seeds": len(self.values), "diverged_seeds": int((~self.finite).sum())}


def not_compared(runs: Runs, reason: str, identity: dict[str, Any]) -> Row:
    """Row of a comparison that was not made."""
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS, float("nan"))
    return Row(**identity, **runs.counts, **numbers, verdict=Verdict(Status.NOT_APPLICABLE, reason))


def judge(
    runs: Runs, predicted: np.ndarray, *, kind: Kind, declared: float, z_max: float, residual: float = np.nan
) -> dict[str, Any]:
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
    residual
        The theory's declared residual, see :func:`theorylab.verdict.slope.slopes`.
    """
    finite = runs.finite
    kept = runs.values[finite]
    used = predicted if kind == "ensemble" else predicted[finite]
    fitted: Slopes | None = None
    scale = error = theirs = np.nan
    with np.errstate(all="ignore"):
        if not len(kept):
            position: tuple[int, ...] = (0,) * (runs.values.ndim - 1)
            mean = allowed = gap = np.nan
            target = predicted[position] if kind == "ensemble" else np.nan
        elif kind == "exact":
            # Every seed counts on its own: no averaging, no standard error.
            scale = largest(np.abs(used))
            difference, tolerance = np.abs(kept - used), declared * np.abs(used) + rounding(scale, kept.dtype)
            # A seed without a value ("never reached") is left out.
            worst = _index(nearest(difference, tolerance, used, scale))
            position = worst[1:]
            mean, target, error = kept[worst], used[worst], 0.0
            allowed, gap = tolerance[worst], difference[worst]
            theirs = declared * abs(target)
        else:
            means, targets, errors = _averages(kept, used, kind)
            tolerance = z_max * errors + declared * np.abs(targets)
            scale = largest(np.abs(used) if kind == "ensemble" else root_mean_square(used))
            nearness = nearest(np.abs(means - targets), tolerance, targets, scale)
            if kind == "instance":
                fitted = slopes(
                    kept[None], used[None], declared=np.array([declared]), z_max=z_max, residual=np.array([residual])
                )
                nearness = failing_first(nearness, fitted.ratio[0])
            position = _index(nearness)
            mean, target, error = means[position], targets[position], errors[position]
            allowed, gap = tolerance[position], abs(mean - target)
            theirs = declared * abs(target)
        every: tuple[Any, ...] = (slice(None), *position)
        judged = np.isfinite(kept[every])
        if kind != "ensemble":
            judged &= np.isfinite(used[every])
        row: dict[str, Any] = {
            **runs.counts,
            "judged_seeds": int(judged.sum()),
            "position": position,
            "empirical": float(mean),
            "standard_error": float(error),
            "predicted": float(target),
            "z": float((mean - target) / error) if error else float("nan"),
            "relative_error": relative(float(mean), float(target), float(scale)),
            "tolerance": float(allowed),
            "declared_error": float(theirs),
            "scale": float(scale),
        }
    at = (0, *position)
    row |= {"slope": float("nan"), "slope_error": float("nan")}
    if fitted is not None:
        row |= {"slope": float(fitted.slope[at]), "slope_error": float(fitted.error[at])}
    row["verdict"] = _verdict(row, float(gap), kind, runs)
    if row["verdict"].status is Status.AGREES and fitted is not None and fitted.ratio[at] > 1:
        row["verdict"] = Verdict(Status.DISAGREES, fitted.said(at))
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
    if not np.isfinite(values).any():
        return Verdict(Status.NOT_APPLICABLE, NO_VALUE)
    if not np.isfinite(row["predicted"]):
        return Verdict(Status.NOT_APPLICABLE, f"the prediction is {row['predicted']}")
    if kind != "exact" and not np.isfinite(row["standard_error"]):
        missing = int((~np.isfinite(values)).sum())
        why = f" ({missing} of {len(values)} have no value)" if missing else ""
        return Verdict(Status.NOT_APPLICABLE, f"a standard error needs at least two seeds{why}")
    return Verdict(Status.AGREES if gap <= row["tolerance"] else Status.DISAGREES)


# --- shared with theorylab.verdict.batch --------------------------------------------------------------------------


def root_mean_square(predicted: np.ndarray, axis: int = 0) -> np.ndarray:
    """Size of a prediction over seeds; NaN where there is none."""
    found: np.ndarray = np.sqrt(mean_of_finite(predicted**2, axis))
    return found


def largest(sizes: np.ndarray) -> float:
    """Largest finite number; NaN without one."""
    return float(np.max(sizes, where=np.isfinite(sizes), initial=-np.inf)) if np.isfinite(sizes).any() else np.nan


def rounding(scale: Any, dtype: np.dtype) -> Any:
    """What adding up numbers of a row's size leaves of an entry that should be zero (an eigenvalue, an imbalance)."""
    return 8 * np.finfo(dtype if np.issubdtype(dtype, np.inexact) else float).eps * np.nan_to_num(scale)


def relative(mean: float, target: float, scale: float) -> float:
    """Relative error, where the prediction is not negligible against the largest of its row."""
    return (mean - target) / abs(target) if abs(target) > NEGLIGIBLE * scale else float("nan")


def nearest(gaps: np.ndarray, tolerance: np.ndarray, targets: np.ndarray, scale: Any) -> np.ndarray:
    """How near each entry is to failing, for the largest to be shown.

    Above 1 it fails. Of those that do not, entries with a negligible prediction come after the others (below −1):
    there the comparison says little. An entry without a prediction decides nothing (−4), not even where all others
    are met exactly.
    """
    ratio = np.where(gaps > 0, gaps / tolerance, 0.0)
    little = ~(np.abs(targets) > NEGLIGIBLE * scale) & ~(ratio > 1)
    ratio = np.where(little, ratio - 2, ratio)
    return np.where(np.isnan(gaps) | np.isnan(ratio), -4.0, ratio)


def failing_first(nearness: np.ndarray, of_slope: np.ndarray) -> np.ndarray:
    """Entries whose slope fails count as failing, after those whose mean does."""
    return np.where((of_slope > 1) & ~(nearness > 1), 2 - 1 / np.maximum(of_slope, 1), nearness)


def _index(nearness: np.ndarray) -> tuple[int, ...]:
    """Index of the largest."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(nearness)), nearness.shape)) if nearness.ndim else ()
