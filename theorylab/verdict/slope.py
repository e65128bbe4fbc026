"""Whether simulation follows a theory of the instance from seed to seed, which the mean difference cannot say.

A quantity of random sign has the mean 0 in right and in wrong theories. So the regression over seeds is judged too: the
slope b of simulation y on prediction p, and b' of p on y. Either side may have noise of its own (measurement, sampled
theory), and what they share is between nothing and all of each: b >= 0, b <= 1 and b' <= 1.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

#: Predictions that vary by less, relative to their size, do not vary: this is rounding.
CONSTANT = 1e-8
#: Two more than the parameters of a regression: below, its standard error says nothing.
FEWEST = 4
#: Seeds further from the median than this many deviations are left out of a regression.
FAR = 3.0


class Slopes(NamedTuple):
    """Regressions over seeds, an array entry for each cell and position.

    ``slope`` with its ``error`` is that of y on p, ``reverse`` with ``reverse_error`` that of p on y, ``residual`` the
    standard deviation of y − p relative to that of p. ``ratio`` is the worst of all departures over what is allowed:
    above 1 it fails; −1 where nothing is judged. ``broken`` numbers the condition that is departed from most.
    """

    slope: np.ndarray
    error: np.ndarray
    reverse: np.ndarray
    reverse_error: np.ndarray
    residual: np.ndarray
    ratio: np.ndarray
    broken: np.ndarray

    def said(self, position: tuple[int, ...]) -> str:
        """Say in words what is wrong at a position."""
        slope = (
            f"over seeds the slope of simulation on theory is {self.slope[position]:.3g} ± {self.error[position]:.2g}"
        )
        reverse = f"over seeds the slope of theory on simulation is {self.reverse[position]:.3g} ± "
        texts = (
            f"{slope}, above 1",
            f"{slope}, below 0",
            f"{reverse}, above 1",
            f"{slope}, below 1",
            f"over seeds simulation scatters about theory by {self.residual[position]:.3g} of what theory varies",
        )
        return texts[int(self.broken[position])]


def slopes(
    values: np.ndarray, predicted: np.ndarray, *, declared: np.ndarray, z_max: float, residual: np.ndarray | None = None
) -> Slopes:
    """Regress simulation on theory, and theory on simulation, over seeds.

    Parameters
    ----------
    values, predicted
        Of shape (cell, seed, *inner); pairs that are not finite are left out.
    declared
        The theory's declared relative error at each cell. It may tilt the slope by no more than
        ε Σ|p||p − p̄| / Σ(p − p̄)², which is ε for a quantity of random sign.
    z_max
        Standard errors in the tolerance, as the normal distribution counts them: Student's quantile of the same level
        multiplies the standard error (HC3, which allows for a seed of great weight and for a residual that grows).
    residual
        The declared residual at each cell, NaN where there is none: the standard deviation over seeds of y − p relative
        to that of p. With it the slope of y on p must be 1 (but for residual², which the theory's own noise may take;
        more where the seeds of the regression vary less than all of them, as the noise does not), and the residual
        itself is judged, by the quantile of F. Infinity says that p does not follow y: nothing is judged.

    A right theory with normal residuals is rejected 1e-4 to 2e-4 of the time, from 4 seeds on (measured, 1e5
    repetitions): the conditions' level at 4. Where the residual grows in proportion to p it is 1e-3 at 8 seeds, 4e-4
    at 40; where p is log-normal besides, or an accuracy that saturates, up to 1e-2. No test without assumptions has a
    level below 2^-seeds.

    Where the predictions are constant, or vary by less than the residual of the regression, no slope is judged.
    """
    from scipy.special import fdtri, ndtr, stdtrit

    epsilon = np.asarray(declared, float).reshape(-1, *(1,) * (values.ndim - 1))
    width = np.full(len(values), np.nan) if residual is None else np.asarray(residual, float)
    width = width.reshape(-1, *(1,) * (values.ndim - 2))
    with np.errstate(all="ignore"):
        both = np.isfinite(values) & np.isfinite(predicted)
        count = both.sum(1)
        size = np.where(both, np.abs(predicted), 0.0)
        level = ndtr(z_max)
        # Seeds are chosen by the variable on which is regressed, never by the other one: that leaves a slope as it is.
        forth, back = _near_the_median(predicted, both), _near_the_median(values, both)
        slope, error, allowed, spread, left = _regression(values, predicted, forth, epsilon * size, level, stdtrit)
        reverse, reverse_error, reverse_allowed, *_ = _regression(
            predicted, values, back, epsilon * size, level, stdtrit
        )
        varies = (forth.sum(1) >= FEWEST) & (spread > CONSTANT * size.max(1)) & (spread > left)
        departures = [(slope - 1) / allowed, -slope / allowed, (reverse - 1) / reverse_allowed]
        departures = [np.where(varies, departure, np.nan) for departure in departures]
        # The differences' own spread against that of the predictions; rounding is none.
        scatter, whole = (_deviation(array, both) for array in (values - predicted, predicted))
        scatter = np.where(scatter > CONSTANT * size.max(1), scatter, 0.0)
        relative = np.where(scatter > 0, scatter / whole, 0.0)
        # The declared residual is a part of the deviation of all seeds, and noise takes the more of a smaller one.
        taken = (width * whole / spread) ** 2
        departures.append(np.where(varies, (1 - taken - slope) / allowed, np.nan))
        freedom = np.maximum(count - 1, 1)
        bound = width * np.sqrt(fdtri(freedom, freedom, level))
        scattered = np.where(relative > 0, relative / bound, 0.0)
        departures.append(np.where((count >= FEWEST) & np.isfinite(width), scattered, np.nan))
        departures = [np.where(np.isinf(width), np.nan, departure) for departure in departures]
        stacked = np.stack([np.where(np.isnan(departure), -1.0, departure) for departure in departures])
    judged = np.isfinite(np.stack(departures)).any(0) | (stacked > 1).any(0)
    slope, error, reverse, reverse_error = (
        np.where(varies, array, np.nan) for array in (slope, error, reverse, reverse_error)
    )
    return Slopes(
        slope,
        error,
        reverse,
        reverse_error,
        relative,
        np.where(judged, stacked.max(0), -1.0),
        stacked.argmax(0),
    )


def _near_the_median(array: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Seeds within :data:`FAR` deviations of the median (by the median deviation): few great ones decide no slope."""
    kept = np.where(both, array, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an entry without any pair
        distance = np.abs(kept - np.nanmedian(kept, axis=1, keepdims=True))
        middle = np.nanmedian(distance, axis=1, keepdims=True)
    near: np.ndarray = both & (distance <= FAR * 1.4826 * middle)
    return near


def _centred(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    mean = np.where(kept, array, 0.0).sum(1) / kept.sum(1)
    return np.where(kept, array - mean[:, None], 0.0)


def _deviation(array: np.ndarray, kept: np.ndarray) -> np.ndarray:
    deviation: np.ndarray = np.sqrt((_centred(array, kept) ** 2).sum(1) / (kept.sum(1) - 1))
    return deviation


def _regression(
    values: np.ndarray, of: np.ndarray, kept: np.ndarray, slack: np.ndarray, level: float, student: Any
) -> tuple[np.ndarray, ...]:
    """Regress on ``of``: slope, standard error (HC3), allowed departure, deviations of ``of`` and of the residual."""
    count = kept.sum(1)
    y, x = _centred(values, kept), _centred(of, kept)
    square = (x**2).sum(1)
    slope = (x * y).sum(1) / square
    left = np.where(kept, y - slope[:, None] * x, 0.0)
    leverage = 1 / count[:, None] + x**2 / square[:, None]
    error = np.sqrt(((x * left / (1 - leverage)) ** 2).sum(1)) / square
    tilt = (np.where(kept, slack, 0.0) * np.abs(x)).sum(1) / square
    allowed = tilt + student(np.maximum(count - 2, 1), level) * error
    return slope, error, allowed, np.sqrt(square / (count - 1)), np.sqrt((left**2).sum(1) / (count - 2))
