"""What results say of themselves: the setting, configuration, grid and runs that a dataset carries.

Seeds and swept values may have been selected, dropped, reordered, repeated or joined with xarray's own tools: each run
carries its seed and base seed, each cell its swept values.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError, Setting, Theory
from theorylab.contract.fields import shown
from theorylab.lab import store as results
from theorylab.lab.grid import Grid, Plan, make_plan
from theorylab.lab.job import NUM_SEEDS
from theorylab.lab.predict import Reasons, predictions

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True)
class Carried:
    """Results, and the sweep that they describe.

    ``data`` has a dimension ``seed`` along which every run stands once; run i has the key of
    (``base_seeds[i]``, ``seeds[i]``). ``plan`` holds the swept values that are left.
    """

    setting: Setting
    data: xarray.Dataset
    plan: Plan
    seeds: np.ndarray
    base_seeds: np.ndarray

    def values(self, name: str) -> np.ndarray:
        """Return a variable with the axes (swept fields, seed, inner dimensions)."""
        dims = () if name in (results.FIRST_BAD_STEP, results.FINISHED) else self.setting.observable(name).dims
        return self._in_order(self.data[name], (*self.plan.dims, "seed", *dims))

    @functools.cached_property
    def simulated(self) -> dict[str, np.ndarray]:
        """All observables that the data hold, as :meth:`values` returns them."""
        return {o.name: self.values(o.name) for o in self.setting.observables if o.name in self.data}

    def finished(self) -> np.ndarray:
        """Return which runs have been computed, over (swept fields, seed)."""
        if results.FINISHED not in self.data:
            return np.ones((*self.plan.shape, len(self.seeds)), bool)
        return self.values(results.FINISHED) == True  # noqa: E712 - xarray fills gaps of its own with NaN

    def first_bad_step(self) -> np.ndarray:
        """Return the first non-finite step of each run, over (swept fields, seed); -1 where it is not known."""
        if results.FIRST_BAD_STEP not in self.data:
            return np.full((*self.plan.shape, len(self.seeds)), -1)
        return np.nan_to_num(self.values(results.FIRST_BAD_STEP).astype(float), nan=-1).astype(int)

    def inner(self, dim: str) -> np.ndarray:
        """Coordinate of an inner dimension, of which one value may have been selected."""
        return np.atleast_1d(self.data[dim].values)

    def estimated(self, theory: Theory) -> dict[str, np.ndarray]:
        """Return what a theory estimates from the simulated values, of the observables that the data hold."""
        simulated = self.simulated if theory.estimates else {}
        found = {}
        for name, other in theory.estimates.items():
            if name in simulated and callable(other):
                found[name] = np.asarray(other(simulated))
            elif name in simulated and other in simulated:
                found[name] = simulated[str(other)]
        return found

    def set_aside(self, theory: Theory) -> dict[str, np.ndarray]:
        """Return of which runs a theory does not speak, over (swept fields, seed), by the reason why."""
        if not theory.sets_aside:
            return {}
        try:
            return {why: np.asarray(which(self.simulated), bool) for why, which in theory.sets_aside.items()}
        except KeyError as error:
            why = f"the data have lost it, and {theory.name} is not for all runs"
            raise ConfigError(f"{error.args[0]}: {why}") from None

    def predicted(self, theory: Theory, names: Sequence[str], why: Reasons) -> dict[str, np.ndarray]:
        """Evaluate a theory for the same runs: axes (swept fields, seed, inner), without seed for an ensemble."""
        # Runs of one base seed are evaluated together; an ensemble has none.
        bases = [0] if theory.kind == "ensemble" else list(dict.fromkeys(self.base_seeds.tolist()))
        members = [np.flatnonzero(self.base_seeds == base) for base in bases]
        if theory.kind == "ensemble":
            members = [np.arange(1)]
        parts = [
            predictions(self.setting, self.plan, self.seeds[runs], base, theory, names, why)
            for base, runs in zip(bases, members, strict=True)
        ]
        seed, axis = () if theory.kind == "ensemble" else ("seed",), len(self.plan.dims)
        found = {}
        for name in map(str, parts[0].data_vars):
            inner = self.setting.observable(name).dims
            arrays = [
                self._in_order(self._aligned(part[name], inner), (*self.plan.dims, *seed, *inner)) for part in parts
            ]
            found[name] = arrays[0]
            if len(parts) > 1:
                found[name] = np.take(np.concatenate(arrays, axis), np.argsort(np.concatenate(members)), axis)
        return found

    def _aligned(self, array: xarray.DataArray, dims: Sequence[str]) -> xarray.DataArray:
        """Select those inner coordinates that the data have kept."""
        for dim in dims:
            if dim not in self.data.coords:
                raise ConfigError(f"{dim}: the data have lost this dimension of {array.name}")
            kept = self.inner(dim)
            if not np.array_equal(array[dim].values, kept):
                try:
                    array = array.sel({dim: kept})
                except KeyError:
                    raise ConfigError(f"{dim} = {shown(kept)} of the data are not the setting's own") from None
        return array

    def _in_order(self, array: xarray.DataArray, dims: tuple[str, ...]) -> np.ndarray:
        """Values with the axes ``dims``; a dimension of which one value was selected has an axis again."""
        for dim in dims:
            if dim not in array.dims and dim not in array.coords:
                raise ConfigError(f"{dim}: the data have lost this dimension of {array.name}")
        if other := [str(dim) for dim in array.dims if dim not in dims]:
            raise ConfigError(f"{other[0]} is a dimension of {array.name} that {self.setting.name} does not know")
        array = array.expand_dims([dim for dim in dims if dim not in array.dims])
        return np.asarray(array.transpose(*dims).values)


def read(setting: Setting, data: xarray.Dataset) -> Carried:
    """Return the sweep that results describe.

    Raises
    ------
    ConfigError
        If they are of another setting, or have lost what says of which cells and seeds they are; the message names it.
    """
    attributes = getattr(data, "attrs", {})
    for name in ("setting", "config", "grid", "base_seed"):
        if name not in attributes:
            raise ConfigError(
                f"{name}: the data do not say theirs; they need the attributes of a sweep's results, "
                "which xarray.set_options(keep_attrs=True) keeps"
            )
    if attributes["setting"] != setting.name:
        raise ConfigError(f"setting = {setting.name} is not that of the data: they are of {attributes['setting']}")
    config = _config(setting, json.loads(attributes["config"]))
    fields = [field.name for field in dataclasses.fields(config)]
    swept = dict.fromkeys([*json.loads(attributes["grid"]), *(str(dim) for dim in data.dims if dim in fields)])
    grid: dict[str, Any] = {}
    for name in swept:
        if name not in data.coords:
            raise ConfigError(f"{name} was swept, but the data have lost its values: select them without drop=True")
        if data[name].dims not in ((), (name,)):
            raise ConfigError(f"{name} was swept, but is no dimension of the data any more: unstack them")
        values = data[name].values
        grid[name] = values if data[name].ndim else [values.item()]
    plan = make_plan(setting, config, grid)
    if "seed" not in data.coords:
        raise ConfigError("seed is no coordinate of the data: a mean over seeds cannot be compared, the runs can")
    if data["seed"].ndim == 0:
        data = data.expand_dims("seed")
    if data["seed"].dims != ("seed",):
        raise ConfigError("seed is no dimension of the data any more: unstack them")
    return _each_run_once(setting, data, plan)


def _config(setting: Setting, fields: dict[str, Any]) -> Any:
    """Read a configuration as :func:`theorylab.lab.store.to_json` writes it."""
    hints = typing.get_type_hints(setting.config)
    for name in fields:
        if name not in hints:
            raise ConfigError(f"config: {name} of the data is no field of {setting.name}: another version wrote them")
    return setting.config(**{name: results.from_json(value, hints[name]) for name, value in fields.items()})


def _each_run_once(setting: Setting, data: xarray.Dataset, plan: Plan) -> Carried:
    """Drop repeated runs: they are no further evidence."""
    seeds = data["seed"].values
    base_seeds = np.full(seeds.shape, data.attrs["base_seed"])
    if results.BASE_SEED in data.coords:
        base_seeds = np.broadcast_to(data[results.BASE_SEED].values, seeds.shape)
        if (gaps := np.isnan(base_seeds.astype(float))).any():  # places that xarray has made, where there is no run
            return _each_run_once(setting, data.isel(seed=~gaps), plan)
    for name, numbers in (("seed", seeds), ("base_seed", base_seeds)):
        numbers = numbers.astype(float)
        if not ((numbers >= 0) & (numbers < NUM_SEEDS) & (numbers % 1 == 0)).all():
            raise ConfigError(
                f"{name} = {shown(numbers.tolist())} of the data: must be whole numbers from 0 to 2^32 - 1"
            )
    runs = np.stack([base_seeds, seeds]).astype(np.int64)
    _, first = np.unique(runs, axis=1, return_index=True)
    if len(first) < runs.shape[1]:
        data = data.isel(seed=np.sort(first))
        runs = runs[:, np.sort(first)]
    return Carried(setting, data, plan, seeds=runs[1], base_seeds=runs[0])


def match(carried: Carried, config: Any, grid: Grid | None) -> None:
    """Refuse a configuration or a grid that is not the data's own; raises ``ConfigError``, naming the field."""
    setting, plan = carried.setting, carried.plan
    if grid is not None:
        given = make_plan(setting, plan.config, grid).grid
        for name in {**given, **plan.grid}:
            theirs, ours = given.get(name, "not swept"), plan.grid.get(name, "not swept")
            if theirs != ours:
                raise ConfigError(f"grid: {name} = {shown(theirs)} is not that of the data: {shown(ours)}")
    if config is not None:
        own = make_plan(setting, config, plan.grid).config
        for name, value in vars(own).items():
            if name not in plan.grid and value != getattr(plan.config, name):
                raise ConfigError(
                    f"config: {name} = {shown(value)} is not that of the data: {shown(getattr(plan.config, name))}; "
                    "leave the configuration out, and it is read from the data"
                )
