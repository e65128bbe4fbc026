"""Grids over configuration fields, and the nested map that evaluates a function of (key, config) on one.

Seeds are the outer map, hyper-parameters the inner ones, one ``vmap`` per swept scalar: whatever does not
depend on a scalar (the data set, an eigendecomposition) is then computed once for all of its values.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import ConfigError, Setting, check_values, scalar_fields, static_fields
from theorylab.contract.fields import shown
from theorylab.lab import memory

Grid = Mapping[str, Sequence[Any]]
#: The generator of all keys.
KEYS = "threefry2x32"


@dataclasses.dataclass(frozen=True)
class Plan:
    """A validated sweep: the base configuration, and the grid split into static and traced fields.

    ``shape`` gives the lengths of all swept fields in the grid's own order.
    """

    config: Any
    grid: dict[str, tuple[Any, ...]]
    static: tuple[str, ...]
    scalar: tuple[str, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the swept fields, in the grid's order."""
        return tuple(self.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the swept fields, in the grid's order."""
        return tuple(len(values) for values in self.grid.values())

    def in_order(self, names: Sequence[str]) -> Plan:
        """Return the same sweep with its fields in another order, which is that of the axes of its results."""
        static, scalar = (tuple(name for name in names if name in kind) for kind in (self.static, self.scalar))
        return dataclasses.replace(self, grid={name: self.grid[name] for name in names}, static=static, scalar=scalar)

    def static_cells(self) -> Iterator[tuple[dict[str, int], Any]]:
        """Yield ``({static field: index}, config)`` for each combination of the static fields."""
        for index in itertools.product(*(range(len(self.grid[name])) for name in self.static)):
            chosen = dict(zip(self.static, index, strict=True))
            changes = {name: self.grid[name][i] for name, i in chosen.items()}
            yield chosen, dataclasses.replace(self.config, **changes)

    def cells(self) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Yield ``(index, config)`` for every cell, in C order of ``shape``."""
        # The grid's values are of their fields' types already: nothing is converted a second time for each cell.
        kind, base = type(self.config), vars(self.config)
        places = itertools.product(*map(range, self.shape))
        for index, values in zip(places, itertools.product(*self.grid.values()), strict=True):
            cell = object.__new__(kind)
            cell.__dict__.update(base)
            cell.__dict__.update(zip(self.dims, values, strict=True))
            yield index, cell


def make_plan(setting: Setting, config: Any, grid: Grid | None = None) -> Plan:
    """Validate a configuration and a grid over its fields.

    Raises
    ------
    ConfigError
        For an unknown field, an empty or repeated list of values, or any cell that the setting rejects.
    """
    expected: Any = setting.config
    if not isinstance(config, expected):
        raise ConfigError(f"{setting.name} needs a {expected.__qualname__}, not {type(config).__qualname__}")
    if not isinstance(grid, Mapping | None):
        raise ConfigError(f"grid = {shown(grid)} is not allowed: must be a dictionary of fields and lists of values")
    values_of = {name: check_values(config, name, values) for name, values in (grid or {}).items()}
    # Each cell is asked below: that takes its time.
    memory.check_results({each.name: () for each in setting.observables}, math.prod(map(len, values_of.values())))
    # A swept field's value in the base configuration is never used: it need not fit.
    first = {name: values[0] for name, values in values_of.items()}
    config = setting.validate(dataclasses.replace(config, **first))
    plan = Plan(
        config=config,
        grid=values_of,
        static=tuple(name for name in values_of if name in static_fields(setting.config)),
        scalar=tuple(name for name in values_of if name in scalar_fields(setting.config)),
    )
    for name in scalar_fields(setting.config):
        _refuse_if_rounded(name, plan.grid.get(name, (getattr(config, name),)))
    for _, cell in plan.cells():
        setting.check_rules(cell)
    return plan


def _refuse_if_rounded(name: str, values: Sequence[float]) -> None:
    """Refuse what the current precision rounds to infinity, to zero or to another swept value."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    if dtype == np.float64:
        return
    with np.errstate(all="ignore"):
        rounded = np.asarray(values, float).astype(dtype)
        squares = np.square(rounded)
    for value, found, square in zip(values, rounded, squares, strict=True):
        if not np.isfinite(found) or (found == 0) != (value == 0):
            raise ConfigError(f"{name} = {value!r} is not allowed: {dtype} holds no such number; float64 may")
        if not np.isfinite(square):
            raise ConfigError(f"{name} = {value!r} is not allowed: {dtype} does not hold its square; float64 may")
    if len(set(rounded.tolist())) < len(values):
        raise ConfigError(f"{name} = {shown(list(values))} is not allowed: values must be distinct in {dtype}")


def seed_keys(base_seed: Any, seeds: Any) -> jax.Array:
    """Keys of the given seed numbers: each depends on (base seed, seed number) alone, not on batching.

    The pair is the key's 64 bits: seed s of base seed 0 is ``jax.random.key(s)``. Threefry is a block cipher, so
    distinct keys need no hashing first, which would add a third of a second to every compilation.
    """
    seeds = jnp.asarray(seeds, dtype=jnp.uint32)
    words = jnp.stack([jnp.broadcast_to(jnp.asarray(base_seed, jnp.uint32), seeds.shape), seeds], axis=-1)
    return jax.random.wrap_key_data(words, impl=KEYS)


def nested_map(
    function: Callable[[jax.Array, Any], Any], config: Any, names: Sequence[str]
) -> Callable[[jax.Array, tuple[jax.Array, ...]], Any]:
    """Map ``function(key, config)`` over the scalar fields ``names``.

    Returns ``f(key, values)`` with ``values`` a tuple of 1-D arrays, one per name; each leaf of the result has leading
    axes (*names).
    """

    def at(key: jax.Array, values: tuple[jax.Array, ...]) -> Any:
        return function(key, dataclasses.replace(config, **dict(zip(names, values, strict=True))))

    mapped = at
    for axis in reversed(range(len(names))):
        mapped = jax.vmap(mapped, in_axes=(None, tuple(0 if i == axis else None for i in range(len(names)))))
    return mapped


def scalar_leaves(config: Any) -> Any:
    """Return the configuration with its scalar fields as strongly typed arrays of the default float dtype.

    Python floats and swept arrays then give the same dtypes, and one compiled program serves both.
    """
    # NumPy's arrays, since each of JAX's own conversions would compile a program.
    dtype = jax.dtypes.canonicalize_dtype(float)
    changes = {name: np.asarray(getattr(config, name), dtype) for name in scalar_fields(config)}
    return dataclasses.replace(config, **changes)


def scalar_values(plan: Plan) -> tuple[np.ndarray, ...]:
    """Values of the swept scalars, one float64 array per field of ``plan.scalar``."""
    return tuple(np.asarray(plan.grid[name], dtype=float) for name in plan.scalar)
