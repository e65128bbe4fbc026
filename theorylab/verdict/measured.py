"""Measured curves as a fit needs them: a sweep's runs, or a person's own arrays, in one row of points."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError, Setting, Theory, check_values
from theorylab.contract.fields import shown
from theorylab.lab.grid import Plan, make_plan
from theorylab.lab.job import check_base_seed, check_seeds
from theorylab.lab.layout import join_coords
from theorylab.verdict.carried import match, read

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True)
class Measured:
    """Observables on the cells of a plan, flattened over (observable, *swept fields, *inner dimensions).

    Attributes
    ----------
    plan
        Which cells.
    positions
        ``{observable: positions along each of its inner dimensions}`` of the setting's own coordinates.
    values
        ``[runs, points]``; a person's own arrays are one run. NaN: not measured.
    errors
        Standard errors ``[points]``; None: of the mean over runs.
    seeds, base_seeds
        Of the instances that a theory of the instance speaks of.
    left_out
        Runs that are not finished, or of which the theory does not speak.
    """

    plan: Plan
    positions: Mapping[str, tuple[np.ndarray, ...]]
    values: np.ndarray
    errors: np.ndarray | None
    seeds: np.ndarray
    base_seeds: np.ndarray
    left_out: int = 0

    def sizes(self) -> dict[str, int]:
        """Points of each observable, in their order."""
        cells = int(np.prod(self.plan.shape, dtype=int))
        inner = {name: [len(places) for places in where] for name, where in self.positions.items()}
        return {name: cells * int(np.prod(lengths, dtype=int)) for name, lengths in inner.items()}


def of_sweep(
    setting: Setting, theory: Theory, data: xarray.Dataset, config: Any, observables: Sequence[str] | None
) -> Measured:
    """Read a sweep's results; a configuration, if given, must be theirs.

    Raises
    ------
    ConfigError
        As :func:`theorylab.verdict.carried.read`; or where no observable is left, or fewer than three runs.
    """
    carried = read(setting, data)
    names = [name for name in _wanted(setting, theory, observables) if name in data]
    if not names:
        raise ConfigError(f"the data hold no observable that {theory.name} predicts: {', '.join(theory.predicts)}")
    match(carried, config, None)
    plan = carried.plan
    own = setting.coords(plan.config)
    positions = {
        name: tuple(_positions(own[dim], carried.inner(dim), dim) for dim in setting.observable(name).dims)
        for name in names
    }
    judged = carried.finished()
    for which in carried.set_aside(theory).values():
        judged = judged & ~which
    runs = judged.reshape(-1, len(carried.seeds)).all(0)
    if runs.sum() < 3:
        raise ConfigError(f"{runs.sum()} runs are left to fit: standard errors of a fit need at least three seeds")
    axis = len(plan.dims)
    rows = [np.moveaxis(carried.values(name), axis, 0)[runs].reshape(runs.sum(), -1) for name in names]
    return Measured(
        plan,
        positions,
        np.concatenate(rows, 1).astype(float),
        None,
        carried.seeds[runs],
        carried.base_seeds[runs],
        int((~runs).sum()),
    )


def of_arrays(
    setting: Setting,
    theory: Theory,
    curves: Mapping[Any, Any],
    along: str,
    config: Any,
    seeds: int | Sequence[int],
    base_seed: int,
) -> Measured:
    """Read ``{observable: (x, values, standard errors)}``, with x along a field or a dimension of the observables.

    Raises
    ------
    ConfigError
        Naming the array, and what is wrong with it.
    """
    config = setting.validate(setting.config() if config is None else config)
    fields, own = {field.name for field in dataclasses.fields(config)}, setting.coords(config)
    names = _wanted(setting, theory, list(curves))
    if along not in fields and along not in own:
        known = ", ".join([*own, *fields])
        raise ConfigError(f"along = {shown(along)} is not allowed: name what x is, one of {known}")
    parts: dict[str, tuple[Any, np.ndarray, np.ndarray]] = {}
    for name in names:
        if not isinstance(curves[name], Sequence) or len(curves[name]) != 3:
            raise ConfigError(f"{name}: give (x, values, standard errors)")
        x, values, errors = curves[name]
        dims = setting.observable(name).dims
        if along not in fields and dims != (along,):
            raise ConfigError(f"{name} is no curve along {along}: it has {', '.join(dims) or 'one value a cell'}")
        x = check_values(config, along, x) if along in fields else _positions(own[along], np.asarray(x), along)
        shape = (len(x), *(len(own[dim]) for dim in dims)) if along in fields else (len(x),)
        parts[name] = x, _checked(name, "values", values, shape), _checked(name, "standard errors", errors, shape)
        if not (parts[name][2] > 0).all():
            raise ConfigError(f"{name}: standard errors must be above 0, the smallest is {parts[name][2].min():g}")
    grid = list(dict.fromkeys(value for x, _, _ in parts.values() for value in x)) if along in fields else []
    plan = make_plan(setting, config, {along: grid} if grid else {})
    for _, cell in plan.static_cells():
        for dim in {dim for name in names for dim in setting.observable(name).dims}:
            join_coords(plan, {dim: np.asarray(own[dim])}, {dim: np.asarray(setting.coords(cell)[dim])}, dim)
    positions, rows = {}, []
    for name, (x, values, errors) in parts.items():
        pair = np.stack([values, errors])
        positions[name] = tuple(np.arange(len(own[dim])) for dim in setting.observable(name).dims) if grid else (x,)
        if grid:
            whole = np.full((2, len(grid), *values.shape[1:]), np.nan)
            whole[:, [grid.index(value) for value in x]] = pair
            pair = whole
        rows.append(pair.reshape(2, -1))
    values, errors = np.concatenate(rows, 1)
    numbers = check_seeds(seeds)
    return Measured(plan, positions, values[None], errors, numbers, np.full(numbers.shape, check_base_seed(base_seed)))


def _wanted(setting: Setting, theory: Theory, observables: Sequence[str] | None) -> list[str]:
    """Names of observables to fit, all of which the theory predicts."""
    for name in observables or ():
        if name not in theory.predicts:
            raise ConfigError(f"{theory.name} does not predict {shown(name)}: it does {', '.join(theory.predicts)}")
    return [name for name in theory.predicts if observables is None or name in observables]


def _positions(own: Sequence[Any], wanted: np.ndarray, dim: str) -> np.ndarray:
    """Where coordinates stand among the setting's own."""
    places = np.asarray(own)
    found = places[None] == np.atleast_1d(wanted)[:, None]
    if not found.any(1).all():
        missing = np.atleast_1d(wanted)[~found.any(1)][0]
        raise ConfigError(f"{dim} = {shown(missing)} is none of the setting's own: {shown(places.tolist())}")
    return found.argmax(1)


def _checked(name: str, what: str, array: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        values = np.asarray(array, float)
    except (TypeError, ValueError):
        raise ConfigError(f"{name}: the {what} must be numbers") from None
    if values.shape != shape:
        raise ConfigError(f"{name}: the {what} have shape {values.shape}, must be {shape}")
    if not np.isfinite(values).all():
        raise ConfigError(f"{name}: the {what} must be finite")
    return values
