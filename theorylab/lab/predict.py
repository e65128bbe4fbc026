"""Theories on the cells of a sweep: each is asked first whether it holds, and is called only where it does."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from theorylab.contract import ContractError, Setting, Theory
from theorylab.contract.fields import shown
from theorylab.contract.theory import Predictor, always
from theorylab.lab import memory
from theorylab.lab.grid import KEYS, Grid, Plan, make_plan, scalar_leaves
from theorylab.lab.job import check_base_seed, check_seeds
from theorylab.lab.layout import block_index, join_coords, ordered
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET, Program

if TYPE_CHECKING:
    import xarray

Reasons = dict[tuple[int, ...], str | None]
Blocks = Iterator[tuple[dict[str, slice], dict[str, np.ndarray]]]


def predict(
    setting: Setting,
    config: Any = None,
    grid: Grid | None = None,
    *,
    seeds: int | Sequence[int] = 20,
    base_seed: int = 0,
    theory: str | Theory,
    observables: Sequence[str] | None = None,
) -> xarray.Dataset:
    """Evaluate one theory on every cell of a grid (and, for theories of the instance, on every seed).

    Arguments are those of :func:`~theorylab.lab.sweep.sweep`; ``seeds`` may also be a list of seed numbers. Of
    ``observables``, where given, those that the theory predicts are returned, and nothing is computed if these are
    none. An ensemble theory's variables have no ``seed`` dimension. Where the theory does not hold, values are NaN and
    its formula is not evaluated; :func:`reasons` says why.

    Examples
    --------
    The same runs as in the example of ``sweep``, of which this theory needs the initialisation alone:

    >>> import theorylab as tl
    >>> setting = tl.get("matrix_sensing")
    >>> config = setting.config(dim=6, target_rank=1, model_rank=2, num_steps=2000)
    >>> theory = tl.predict(setting, config, {"init_scale": (0.3, 0.5)}, seeds=3, theory="universal_tail")
    >>> sorted(theory.data_vars), theory["final_error"].shape
    (['final_error', 'tail_constant'], (2, 3))
    """
    plan = make_plan(setting, setting.config() if config is None else config, grid)
    theory = setting.theory(theory) if isinstance(theory, str) else theory
    wanted = theory.predicts
    if observables is not None:
        names = {setting.observable(name).name for name in observables}
        wanted = tuple(name for name in wanted if name in names)
    return predictions(setting, plan, check_seeds(seeds), check_base_seed(base_seed), theory, wanted)


def reasons(plan: Plan, theory: Theory) -> Reasons:
    """Ask a theory at every cell: ``{index: None where it holds, else the sentence that says why not}``.

    Where the arithmetic of the question itself leaves the floats, the theory does not hold.
    """
    if theory.holds is always:
        return dict.fromkeys(itertools.product(*map(range, plan.shape)))
    return {index: _why_not(theory, cell) for index, cell in plan.cells()}


def _why_not(theory: Theory, cell: Any) -> str | None:
    try:
        return theory.holds(cell)
    except (OverflowError, ZeroDivisionError) as error:
        return f"a formula of where it holds leaves the range of floats here ({error})"


def predictions(
    setting: Setting,
    plan: Plan,
    seeds: np.ndarray,
    base_seed: int,
    theory: Theory,
    observables: Sequence[str],
    why: Reasons | None = None,
    at_once: Mapping[str, int] | None = None,
) -> xarray.Dataset:
    """Evaluate a theory's predictions of some observables for given seed numbers; see :func:`predict`.

    ``why`` are the theory's :func:`reasons`, if they are known already; ``at_once`` how many values of a swept scalar
    one run of the program takes: as many as in an earlier call, and its program serves again.
    """
    import xarray

    seeds = seeds[:1] if theory.kind == "ensemble" else seeds
    coords: dict[str, Any] = {name: list(values) for name, values in plan.grid.items()}
    coords["seed"] = seeds
    lead = (*plan.dims, "seed")
    arrays: dict[str, np.ndarray] = {}
    restricted = _only(theory.predict, frozenset(observables), theory.name, _names(setting))
    evaluate = functools.partial(_compiled, at_once or {}) if theory.traceable else _on_host
    why = reasons(plan, theory) if why is None else why
    applies = np.array([reason is None for reason in why.values()]).reshape(plan.shape)
    for chosen, cell in plan.static_cells() if observables else ():
        holds = applies[tuple(chosen.get(name, slice(None)) for name in plan.dims)]
        if not holds.any():
            continue
        listed = setting.coords(cell)
        dims_of = {name: setting.observable(name).dims for name in observables}
        shapes = {name: [len(listed[dim]) for dim in dims] for name, dims in dims_of.items()}
        memory.check_results(shapes, applies.size * len(seeds))
        inner = {name: np.asarray(values) for name, values in listed.items()}
        known: set[str] = set()
        for index, values in evaluate(restricted, plan, cell, chosen, seeds, base_seed, holds):
            for name, value in values.items():
                dims = dims_of[name]
                if name not in known:
                    known.add(name)
                    join_coords(plan, coords, {dim: inner[dim] for dim in dims}, name)
                if name not in arrays:
                    arrays[name] = np.full((*plan.shape, len(seeds), *(len(inner[dim]) for dim in dims)), np.nan)
                try:
                    arrays[name][tuple(index[dim] for dim in lead)] = value
                except ValueError:
                    raise _other_shape(theory, name, value.shape[value.ndim - len(dims) :], shapes[name]) from None
    for array in arrays.values():
        array[~applies] = np.nan
    dataset = xarray.Dataset(
        {name: ((*lead, *setting.observable(name).dims), array) for name, array in arrays.items()},
        coords=coords,
        attrs={"theory": theory.name, "kind": theory.kind, "source": str(theory.source)},
    )
    return dataset.isel(seed=0, drop=True) if theory.kind == "ensemble" else dataset


@functools.lru_cache(maxsize=128)  # one object per predictor: what JAX has compiled of it serves the next case
def _only(function: Predictor, names: frozenset[str], theory: str, known: tuple[str, ...]) -> Predictor:
    def chosen(key: Any, config: Any) -> dict[str, Any]:
        found = function(key, config)
        if not isinstance(found, Mapping):
            what = "an array" if hasattr(found, "shape") else shown(found)
            raise ContractError(f"theory {theory} returns {what}, not {{observable: array}}")
        if unknown := [name for name in found if name not in known]:
            raise ContractError(f"theory {theory} returns {unknown[0]!r}, which is no observable: {', '.join(known)}")
        return {name: value for name, value in found.items() if name in names}

    return chosen


def _names(setting: Setting) -> tuple[str, ...]:
    return tuple(observable.name for observable in setting.observables)


def _other_shape(theory: Theory, name: str, shape: Sequence[int], wanted: Sequence[int]) -> ContractError:
    return ContractError(f"theory {theory.name} returns {name} of shape {tuple(shape)}, simulate of {tuple(wanted)}")


def try_out(setting: Setting, config: Any, grid: Grid | None, theory: Theory) -> None:
    """Trace a theory at the first cell where it holds, before anything is simulated; nothing for one on the host.

    Raises
    ------
    ContractError
        If it returns other observables, or other shapes, than it must.
    """
    plan = make_plan(setting, config, grid)
    for _, cell in plan.cells() if theory.traceable and not theory.estimates else ():
        if _why_not(theory, cell) is None:
            traced = _only(theory.predict, frozenset(theory.predicts), theory.name, _names(setting))
            listed = setting.coords(cell)
            for name, value in jax.eval_shape(traced, jax.random.key(0), scalar_leaves(cell)).items():
                wanted = tuple(len(listed[dim]) for dim in setting.observable(name).dims)
                if value.shape != wanted:
                    raise _other_shape(theory, name, value.shape, wanted)
            return


def _compiled(
    at_once: Mapping[str, int],
    function: Predictor,
    plan: Plan,
    cell: Any,
    chosen: dict[str, int],
    seeds: np.ndarray,
    base_seed: int,
    holds: Any,
) -> Blocks:
    """All swept scalars in one program. Their grid is a product, so it may hold cells at which the theory does not."""
    program = Program(function, cell, plan, seeds)
    lengths = dict(zip(plan.scalar, program.lengths[1:], strict=True))
    program.block = (len(seeds), *(min(n, at_once.get(name, n)) for name, n in lengths.items()))
    if not program.outputs:
        return
    program.fit(DEFAULT_MEMORY_BUDGET)
    for block in program.blocks():
        outputs = program.run(base_seed, block)
        yield block_index(plan, chosen, block), {name: ordered(plan, value) for name, value in outputs.items()}


def _on_host(
    function: Predictor, plan: Plan, cell: Any, chosen: dict[str, int], seeds: np.ndarray, base_seed: int, holds: Any
) -> Blocks:
    # One by one from words of the host: taking an array of keys apart compiles a program for every number of seeds.
    words = np.array([(base_seed, seed) for seed in seeds], np.uint32)
    keys = [jax.random.wrap_key_data(pair, impl=KEYS) for pair in words]
    for position in map(tuple, np.argwhere(holds).tolist()):
        values = {name: plan.grid[name][i] for name, i in zip(plan.scalar, position, strict=True)}
        here = chosen | dict(zip(plan.scalar, position, strict=True))
        for number, key in enumerate(keys):
            index = {name: slice(i, i + 1) for name, i in (here | {"seed": number}).items()}
            outputs = function(key, dataclasses.replace(cell, **values))
            yield index, {name: np.asarray(value) for name, value in outputs.items()}
