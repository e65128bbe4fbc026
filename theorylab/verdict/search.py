"""The search behind a fit: predictions with their slopes, their weights, and the way to the smallest χ²."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from theorylab.contract import ConfigError, Setting, Theory, check_value, field_of
from theorylab.contract.theory import Predictor
from theorylab.lab.grid import nested_map, scalar_leaves, scalar_values, seed_keys
from theorylab.lab.layout import ordered
from theorylab.numerics.statistics import standard_error
from theorylab.verdict.coordinates import Coordinate
from theorylab.verdict.measured import Measured

#: Weights depend on the estimate (paired differences, points without a prediction): at most so often taken anew.
ROUNDS = 8
#: Starts lie this far apart in the coordinates of the search: a factor of 20.
APART = 3.0


class FitError(ValueError):
    """Parameters that the curves do not tell, or a search that found no minimum; the message says which and why."""


@functools.lru_cache(maxsize=128)  # one object for each choice, so that JAX finds what it has compiled
def _program(predict: Predictor, fields: tuple[str, ...], names: tuple[str, ...], swept: tuple[str, ...]) -> Any:
    """Predictions ``{name: [seeds, *swept, *inner]}``, and their slopes in the fields along one more axis."""

    def curves(theta: Any, keys: Any, values: Any, config: Any) -> Any:
        config = dataclasses.replace(config, **{name: theta[i] for i, name in enumerate(fields)})
        found = jax.vmap(nested_map(predict, config, swept), in_axes=(0, None))(keys, values)
        return {name: found[name] for name in names if name in found}

    def both(theta: Any, *others: Any) -> Any:
        # Forward: few parameters, many points, and through loops of any length.
        slopes, values = jax.jacfwd(lambda t: (curves(t, *others),) * 2, has_aux=True)(theta)
        return values, slopes

    return jax.jit(both)


class Search:
    """The least-squares problem of a fit, and where it has come to: ``u``, the points ``kept``, their ``errors``."""

    def __init__(
        self, setting: Setting, theory: Theory, measured: Measured, fields: tuple[str, ...], start: Sequence[float]
    ):
        self.setting, self.theory, self.measured, self.fields = setting, theory, measured, fields
        self.coordinates = [Coordinate.of(setting.config, name) for name in fields]
        self.u = np.array([c.of_value(value) for c, value in zip(self.coordinates, start, strict=True)])
        self.kept, self.errors = np.zeros(0, bool), np.zeros(0)
        self._last: tuple[bytes, Any] = (b"", None)
        self.stopped = ""
        self.cells: dict[tuple[int, ...], Any] = {}
        why = ""
        for index, cell in measured.plan.cells():
            if refusal := self.refusal(self.u, [cell]):
                why = why or refusal
            else:
                self.cells[index] = cell
        if not self.cells:
            raise ConfigError(f"{theory.name} cannot be fitted to what was measured: {why}")
        self.holds = np.zeros(measured.plan.shape, bool)
        for index in self.cells:
            self.holds[index] = True
        for i in range(len(fields)):  # a whole number, or the only value that a rule allows
            nudged = [self.u + sign * 0.01 * np.eye(len(fields))[i] for sign in (1, -1)]
            if all(refusals := [self.refusal(u, list(self.cells.values())) for u in nudged]):
                raise ConfigError(f"{fields[i]} cannot be varied: {refusals[0]}")

    # --- predictions --------------------------------------------------------------------------------------------------

    def theta(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the fields' values and dθ/du."""
        pairs = np.array([c.value(float(x)) for c, x in zip(self.coordinates, u, strict=True)])
        return pairs[:, 0], pairs[:, 1]

    def changed(self, cell: Any, u: np.ndarray) -> Any:
        """Return a configuration with the fields' values in it."""
        return dataclasses.replace(cell, **dict(zip(self.fields, map(float, self.theta(u)[0]), strict=True)))

    def refusal(self, u: np.ndarray, cells: Sequence[Any]) -> str:
        """Say why values are not allowed, or where the theory does not hold; empty where all is well."""
        try:
            for name, value in zip(self.fields, self.theta(u)[0], strict=True):
                check_value(field_of(self.setting.config, name), float, float(value))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                for cell in cells:
                    changed = self.changed(cell, u)
                    self.setting.check_rules(changed)
                    if (why := self.theory.holds(changed)) is not None:
                        return why
        except ConfigError as error:
            return str(error)
        return ""

    @functools.cached_property
    def keys(self) -> Any:
        """Keys of the instances; one for an ensemble."""
        measured, count = self.measured, 1 if self.theory.kind == "ensemble" else None
        return seed_keys(measured.base_seeds[:count].astype(np.uint32), measured.seeds[:count])

    def at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Return predictions ``[seeds, points]`` and their slopes in θ, one more axis; None where they are refused."""
        mark = u.tobytes()
        if self._last[0] != mark:
            refused = self.refusal(u, list(self.cells.values()))
            self.stopped = refused or self.stopped
            self._last = mark, None if refused else self._evaluate(self.theta(u)[0])
        return self._last[1]

    def _evaluate(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        plan, where = self.measured.plan, self.measured.positions
        run = _program(self.theory.predict, self.fields, tuple(where), plan.scalar)
        found: dict[tuple[str, int], np.ndarray] = {}
        for chosen, cell in plan.static_cells():
            place = tuple(slice(chosen[d], chosen[d] + 1) if d in chosen else slice(None) for d in plan.dims)
            if not self.holds[place].any():
                continue
            for kind, arrays in enumerate(run(theta, self.keys, scalar_values(plan), scalar_leaves(cell))):
                for name, array in arrays.items():
                    value = ordered(plan, np.asarray(array, float))
                    for axis, chosen_places in enumerate(where[name], len(plan.dims) + 1):
                        value = np.take(value, chosen_places, axis)
                    value = np.moveaxis(value, len(plan.dims), 0)
                    whole = (len(value), *plan.shape, *value.shape[1 + len(plan.dims) :])
                    found.setdefault((name, kind), np.full(whole, np.nan))[(slice(None), *place)] = value
        seeds, rows = len(self.keys), []
        for kind, last in enumerate(((), (len(self.fields),))):
            parts = []
            for name, size in self.measured.sizes().items():
                array = found.get((name, kind), np.full((), np.nan))
                parts.append(np.broadcast_to(array, array.shape or (seeds, size, *last)).reshape(seeds, size, *last))
            rows.append(np.concatenate(parts, 1))
        return rows[0], rows[1]

    def of_cells(self, number: Any) -> np.ndarray:
        """Return ``number(cell, observable)`` at every point; NaN in cells where the theory does not hold."""
        rows = []
        for name, size in self.measured.sizes().items():
            array = np.full(self.holds.shape, np.nan)
            for index, cell in self.cells.items():
                array[index] = number(cell, name)
            rows.append(np.repeat(array.ravel(), size // array.size))
        return np.concatenate(rows)

    # --- the search ---------------------------------------------------------------------------------------------------

    def weigh(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which points have a measured and a predicted number, and their standard errors."""
        found = self.at(u)
        measured, width = self.measured, len(self.fields)
        if found is None:
            return np.zeros(measured.values.shape[1], bool), np.ones(measured.values.shape[1])
        values, slopes = found
        kept = np.isfinite(measured.values).all(0) & np.isfinite(values).all(0) & np.isfinite(slopes).all((0, 2))
        kept &= np.isfinite(self.of_cells(lambda cell, name: 0.0))
        errors = self.scatter(values - measured.values, kept) if measured.errors is None else measured.errors
        with np.errstate(invalid="ignore"):
            kept &= errors > 0
        return (kept if kept.sum() >= width else np.zeros_like(kept)), errors

    def scatter(self, gaps: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Standard errors of the means of gaps ``[runs, points]``, at least a hundredth of what is usual.

        Where all runs agree, such as before the first step, one point would be all that counts.
        """
        with np.errstate(all="ignore"):
            size, errors = np.abs(self.measured.values.mean(0)), standard_error(gaps)
            usual = np.nanmedian((errors / size)[kept]) if kept.any() else 0.0
            return np.maximum(errors, size * max(usual / 100, math.sqrt(rounding())))

    def residuals(self, u: np.ndarray) -> np.ndarray:
        """(Predicted - measured)/standard error of the points kept; infinite where they are refused or not finite."""
        found, count = self.at(u), int(self.kept.sum())
        if found is None or not np.isfinite(found[1][:, self.kept]).all():
            return np.full(count, np.inf)
        gaps = found[0].mean(0)[self.kept] - self.measured.values.mean(0)[self.kept]
        return np.asarray(gaps / self.errors[self.kept])

    def jacobian(self, u: np.ndarray) -> np.ndarray:
        """Slopes of the residuals in u."""
        found = self.at(u)
        assert found is not None  # asked for where residuals are finite alone
        return np.asarray(found[1].mean(0)[self.kept] / self.errors[self.kept, None] * self.theta(u)[1])

    def descend(self, u: np.ndarray, fixed: int | None = None) -> np.ndarray:
        """Return the minimum near u of χ² in all coordinates, or in all but one."""
        from scipy.optimize import least_squares

        free = [i for i in range(len(u)) if i != fixed]
        if not free:
            return u

        def whole(part: np.ndarray) -> np.ndarray:
            full = u.copy()
            full[free] = part
            return full

        tolerance = rounding() ** 0.6
        found = least_squares(
            lambda part: self.residuals(whole(part)), u[free], lambda part: self.jacobian(whole(part))[:, free],
            method="trf", x_scale="jac", xtol=tolerance, ftol=tolerance, gtol=tolerance,
        )  # fmt: skip
        return whole(found.x)

    def chi_square(self, u: np.ndarray) -> float:
        """χ² of the points kept; infinite where the values are refused."""
        with np.errstate(over="ignore"):
            return float(np.sum(self.residuals(u) ** 2))

    def run(self) -> None:
        """Search from the given start, and from the best of others where that does not fit; the best minimum stays."""
        best: tuple[float, Any] = (math.inf, None)
        for u in self._starts():
            self.kept, self.errors = self.weigh(u)
            if not self.kept.any():
                continue
            for _ in range(ROUNDS):
                u = self.descend(u)
                kept, errors = self.weigh(u)
                if np.array_equal(kept, self.kept) and np.allclose(errors[kept], self.errors[kept], rtol=0.01):
                    break
                if not kept.any():
                    break
                self.kept, self.errors = kept, errors
            chi_square, count = self.chi_square(u), int(self.kept.sum())
            if chi_square / count < best[0]:
                best = chi_square / count, (u, self.kept, self.errors)
            freedom = count - len(u)
            if chi_square <= freedom + 5 * math.sqrt(2 * freedom):
                break
        if best[1] is None:
            raise FitError(f"{self.theory.name} predicts fewer points than there are fields to fit, from any start")
        self.u, self.kept, self.errors = best[1]

    def _starts(self) -> Iterator[np.ndarray]:
        """Yield the given start, then the three best of those around it."""
        yield self.u
        steps = np.array(list(itertools.product((0, -1, 1), repeat=len(self.fields)))[1:])
        if len(self.fields) > 3:
            steps = steps[np.abs(steps).sum(1) <= 1]
        scored = []
        for u in self.u + APART * steps:
            self.kept, self.errors = self.weigh(u)
            if self.kept.any():
                scored.append((self.chi_square(u) / self.kept.sum(), u))
        yield from (u for _, u in sorted(scored, key=lambda pair: pair[0])[:3])

    def jackknife(self, units: np.ndarray) -> np.ndarray:
        """Covariance of the values from what leaving out each run makes of them, to first order; weights change too."""
        values, slopes = self._evaluate(self.theta(self.u)[0])
        gaps, kept, shifts = values - self.measured.values, self.kept, []
        for run in range(len(gaps)):
            rest = np.arange(len(gaps)) != run
            errors = self.scatter(gaps[rest], kept)[kept]
            scaled = (slopes[rest] if len(slopes) > 1 else slopes).mean(0)[kept] * units / errors[:, None]
            shifts.append(-units * np.linalg.lstsq(scaled, gaps[rest].mean(0)[kept] / errors)[0])
        spread = np.array(shifts) - np.mean(shifts, 0)
        return np.asarray((len(gaps) - 1) / len(gaps) * spread.T @ spread)

    def profile(self, place: int, deviation: float, values: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
        """Return values of one field, and the smallest χ² at each, the others fitted from the neighbour's values on."""
        coordinate, centre = self.coordinates[place], self.u[place]
        if values is None:
            reach = 3 * deviation / self.theta(self.u)[1][place]
            places = centre + np.linspace(-reach, reach, 21)
        else:
            places = np.array([coordinate.of_value(value) for value in sorted(values)])
        smallest = np.full(len(places), np.inf)
        sides = np.flatnonzero(places >= centre), np.flatnonzero(places < centre)[::-1]
        for side in sides:
            u = self.u
            for i in side:
                u = u.copy()
                u[place] = places[i]
                if not np.isfinite(self.chi_square(u)):
                    break
                u = self.descend(u, fixed=place)
                smallest[i] = self.chi_square(u)
        return np.array([coordinate.value(float(x))[0] for x in places]), smallest


def rounding() -> float:
    """Relative rounding of the current precision."""
    return float(np.finfo(jax.dtypes.canonicalize_dtype(float)).eps)
