"""The inverse problem: which parameters of a theory explain measured curves, and how well the curves tell them.

Parameters minimise χ² = Σ ((measured - predicted)/standard error)², the likelihood of independent Gaussian errors, in
coordinates without bounds: ln θ above 0, the logit between two bounds. Slopes are JAX's, the search is SciPy's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from theorylab.contract import ConfigError, Setting, Theory, check_value, check_values, field_of, scalar_fields
from theorylab.contract.fields import shown
from theorylab.verdict.coordinates import combination
from theorylab.verdict.measured import of_arrays, of_sweep
from theorylab.verdict.search import FitError, Search, rounding
from theorylab.verdict.table import number_with_error

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Fit:
    """Parameters that explain measured curves best.

    Attributes
    ----------
    values, standard_errors
        ``{field: number}``. Errors are statistical. A person's own arrays: from the inverse information matrix, their
        errors taken as independent. A sweep: by the jackknife over its runs, whatever the correlations of points along
        a curve and between sizes.
    systematic
        The largest shift of each value, to first order, were every prediction wrong by as much as the theory declares,
        whatever the signs. It is a bound, and not part of the standard errors.
    covariance
        Of the values, ``[fields, fields]``.
    chi_square, degrees_of_freedom
        χ² at the values; points less fields. Points of one sweep are correlated: there χ² scatters more than its law.
    condition
        Condition number of the information matrix, with each field in units of its own precision: 1 where no field is
        confused with another.
    weakest
        ``({field: weight}, standard deviation)`` of the combination that is known worst, in the coordinates of the
        search: ln of a positive field.
    edge
        Empty; or what stopped the search before a minimum. The errors then mean nothing.
    points, left_out
        Points fitted; points and runs that were not, for want of a number or because the theory does not hold there.
    config
        The configuration with the values in it.
    """

    setting: str
    theory: str
    values: dict[str, float]
    standard_errors: dict[str, float]
    systematic: dict[str, float]
    covariance: np.ndarray
    chi_square: float
    degrees_of_freedom: int
    condition: float
    weakest: tuple[dict[str, float], float]
    edge: str
    points: int
    left_out: str
    config: Any
    search: Search

    def __repr__(self) -> str:
        """Return a table of the values, and how far to trust it."""
        width = max(map(len, self.values))
        lines = [", ".join(filter(None, (f"{self.theory} of {self.setting}", f"{self.points} points", self.left_out)))]
        for name, value in self.values.items():
            found = number_with_error(value, self.standard_errors[name])
            lines.append(f"  {name:{width}}  {found}  (theory: at most {self.systematic[name]:.1g} off)")
        dof = self.degrees_of_freedom
        each = f", {self.chi_square / dof:.2f} each" if dof else ""
        lines.append(f"  chi-square {self.chi_square:.4g} with {dof} degrees of freedom{each}")
        names, deviation = self.weakest
        lines.append(f"  condition {self.condition:.3g}; known worst: {combination(names)}, ± {deviation:.2g}")
        return "\n".join([*lines, f"  NO MINIMUM: {self.edge}"] if self.edge else lines)

    def profile(self, field: str, values: Sequence[float] | None = None) -> Profile:
        """Fix one field at each of some values, and fit the others again.

        Parameters
        ----------
        field
            One of those fitted.
        values
            Default: 21, up to three standard errors to either side.
        """
        if field not in self.values:
            raise ConfigError(f"{shown(field)} was not fitted: choose one of {', '.join(self.values)}")
        if values is not None:
            values = check_values(self.config, field, values)
        places, smallest = self.search.profile(list(self.values).index(field), self.standard_errors[field], values)
        return Profile(field, places, smallest, self.chi_square)


@dataclasses.dataclass(frozen=True, eq=False)
class Profile:
    """The smallest χ² at each value of one field, the others fitted: ``values`` and ``chi_square`` in order."""

    field: str
    values: np.ndarray
    chi_square: np.ndarray
    smallest: float

    def interval(self, rise: float = 1.0) -> tuple[float, float]:
        """Return where χ² has risen by ``rise`` (1: 68 %, 3.84: 95 %), infinite where it has not within the values."""
        above = self.chi_square - self.smallest - rise
        best = int(np.argmin(above))
        ends = []
        for side in (range(best, 0, -1), range(best, len(above) - 1)):
            end = math.inf if side.step > 0 else -math.inf
            for i in side:
                j = i + side.step
                if above[i] <= 0 < above[j]:
                    share = -above[i] / (above[j] - above[i])
                    end = float(self.values[i] + share * (self.values[j] - self.values[i]))
                    break
            ends.append(end)
        return ends[0], ends[1]


def fit(
    setting: Setting,
    theory: str | Theory,
    measured: xarray.Dataset | Mapping[str, Sequence[Any]],
    fields: Sequence[str],
    *,
    config: Any = None,
    along: str = "",
    start: Mapping[str, float] | None = None,
    observables: Sequence[str] | None = None,
    seeds: int | Sequence[int] = 20,
    base_seed: int = 0,
) -> Fit:
    """Estimate scalar fields of a configuration from measured curves, by maximum likelihood through a theory.

    Parameters
    ----------
    setting, theory
        The model, and one of its traceable theories.
    measured
        Results of :func:`~theorylab.lab.sweep.sweep`: means over seeds with their standard errors, for a theory of the
        instance paired with its predictions seed by seed. Or ``{observable: (x, values, standard errors)}``.
    fields
        Names of the scalar fields to estimate.
    config
        All other fields, with arrays; with a sweep those of its results.
    along
        With arrays, what ``x`` is: a field, or a dimension of the observables such as ``"step"``.
    start
        Where the search begins, ``{field: value}``; default: the configuration's values. If that does not fit, starts
        20 times smaller and larger are tried.
    observables
        With a sweep, which to fit; default: all that the theory predicts.
    seeds, base_seed
        With arrays, the instances over which a theory of the instance is averaged.

    Raises
    ------
    ConfigError
        For bad input, before anything is compiled: static or unknown fields, a theory without gradients, arrays of
        wrong lengths.
    FitError
        If the curves do not tell the fields apart, naming the combination that they leave open; or if the search fails.

    Examples
    --------
    >>> import theorylab as tl
    >>> setting = tl.get("estimators")
    >>> data = tl.sweep(setting, setting.config(noise_variance=0.5, num_test=200), seeds=20)
    >>> found = tl.fit(setting, "bayes", data, ["noise_variance"], start={"noise_variance": 2.0})
    >>> abs(found.values["noise_variance"] - 0.5) < 3 * found.standard_errors["noise_variance"]
    True
    """
    import xarray

    theory = setting.theory(theory) if isinstance(theory, str) else theory
    fields = (fields,) if isinstance(fields, str) else tuple(fields)
    _check_fields(setting, fields, start or {})
    if not theory.traceable:
        known = [other.name for other in setting.theories if other.traceable] or ["none"]
        raise ConfigError(f"theory = {theory.name} has no gradients: choose one that is traceable, {', '.join(known)}")
    if isinstance(measured, xarray.Dataset):  # a mapping too
        points = of_sweep(setting, theory, measured, config, observables)
    elif isinstance(measured, Mapping):
        points = of_arrays(setting, theory, cast("Mapping[str, Any]", measured), along, config, seeds, base_seed)
    else:
        raise ConfigError(f"measured = {shown(measured)} is not allowed: give the results of a sweep, or a dictionary")
    if swept := [name for name in fields if name in points.plan.grid]:
        raise ConfigError(f"{swept[0]} is swept in what was measured: it is known there, and cannot be fitted")
    own = {name: float(getattr(points.plan.config, name)) for name in fields} | {
        name: check_value(field_of(setting.config, name), float, value) for name, value in (start or {}).items()
    }
    search = Search(setting, theory, points, fields, [own[name] for name in fields])
    search.run()
    return _summary(search)


def _check_fields(setting: Setting, fields: tuple[str, ...], start: Mapping[str, float]) -> None:
    scalars = scalar_fields(setting.config)
    for name in fields:
        if field_of(setting.config, name).metadata["static"]:
            raise ConfigError(f"{name} is a size or a choice, and has no gradient: fit some of {', '.join(scalars)}")
    if not fields or len(set(fields)) < len(fields):
        raise ConfigError(f"fields = {shown(list(fields))} is not allowed: name one or more, each once")
    if unknown := [name for name in start if name not in fields]:
        raise ConfigError(f"start: {unknown[0]} is not fitted, {', '.join(fields)} are")


def _summary(search: Search) -> Fit:
    """Read the values off a minimum, and what it tells of them; raises :class:`FitError`."""
    found = search.at(search.u)
    assert found is not None
    measured, kept, fields = search.measured, search.kept, search.fields
    theta, slope = search.theta(search.u)
    slopes, residuals = search.jacobian(search.u), search.residuals(search.u)
    norms = np.linalg.norm(slopes, axis=0)
    predicted = np.linalg.norm(found[0].mean(0)[kept] / search.errors[kept])
    names = " and ".join(measured.positions)
    for i in np.flatnonzero(~(norms > rounding() * predicted)):
        for end in (search.coordinates[i].low, search.coordinates[i].high):
            if end is not None and abs(theta[i] - end) < 1e-6 * max(1.0, abs(end)):
                raise FitError(f"{fields[i]} goes to the end of its range, {end:g}, and means nothing there: fix it")
        raise FitError(f"{fields[i]} cannot be told from {names}: the prediction does not depend on it")
    left, singular, right = np.linalg.svd(slopes / norms, full_matrices=False)
    if singular[-1] <= math.sqrt(rounding()) * singular[0]:
        along = right[-1] / norms
        raise FitError(
            f"{', '.join(fields)} cannot be told apart from {names}: nothing changes along "
            f"{combination(_labelled(search, along / np.abs(along).max()))}; fix one of these fields"
        )
    # θ moves by inverse @ (measured - predicted).
    inverse = (slope / norms)[:, None] * ((right.T / singular) @ left.T) / search.errors[kept]
    if measured.errors is None:
        covariance = search.jackknife(slope / norms)
    else:
        covariance = (inverse * search.errors[kept] ** 2) @ inverse.T
    declared = search.of_cells(lambda cell, name: search.theory.relative_error(search.changed(cell, search.u), name))
    largest = np.abs(inverse) @ (declared * np.abs(found[0].mean(0)))[kept]
    spread, directions = np.linalg.eigh(covariance / np.outer(slope, slope))
    worst = directions[:, -1] / directions[np.abs(directions[:, -1]).argmax(), -1]
    deviation = math.sqrt(max(spread[-1], 0)) * float(np.linalg.norm(worst))
    chi_square, freedom = float(residuals @ residuals), int(kept.sum()) - len(fields)
    gain = float(np.sum((left.T @ residuals) ** 2))
    edge = ""
    if gain > 0.01 * max(1.0, chi_square / max(freedom, 1)):
        edge = _edge(search, theta - inverse @ (residuals * search.errors[kept]))
    by_field = lambda numbers: dict(zip(fields, map(float, numbers), strict=True))  # noqa: E731
    dropped, runs = int((~kept & np.isfinite(measured.values).all(0)).sum()), measured.left_out
    said = [f"{n} {what} left out" for n, what in ((dropped, "points"), (runs, "runs")) if n]
    return Fit(
        setting=search.setting.name,
        theory=search.theory.name,
        search=search,
        values=by_field(theta),
        standard_errors=by_field(np.sqrt(np.diagonal(covariance))),
        systematic=by_field(largest),
        covariance=covariance,
        chi_square=chi_square,
        degrees_of_freedom=freedom,
        condition=float((singular[0] / singular[-1]) ** 2),
        weakest=(_labelled(search, worst), deviation),
        edge=edge,
        points=int(kept.sum()),
        left_out=", ".join(said),
        config=search.changed(measured.plan.config, search.u),
    )


def _labelled(search: Search, weights: np.ndarray) -> dict[str, float]:
    return {c.label: float(weight) for c, weight in zip(search.coordinates, weights, strict=True)}


def _edge(search: Search, goal: np.ndarray) -> str:
    """Say which field the next step takes out of its range, or what else stops it."""
    for coordinate, value in zip(search.coordinates, goal, strict=True):
        for end, beyond in ((coordinate.low, -1), (coordinate.high, 1)):
            if end is not None and (value - end) * beyond > 0:
                return f"{coordinate.name} is at the end of its range, {end:g}"
    return search.stopped or "the search did not converge"
