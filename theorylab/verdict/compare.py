"""Empirical against theory: one row per observable, theory and cell, with a verdict that can be wrong.

The tolerance of a comparison is ``z_max`` standard errors over seeds plus the theory's declared
finite-size error times the size of the prediction; nothing else enters it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import Case, ConfigError, Setting, Theory
from theorylab.lab import store as results
from theorylab.lab.grid import Grid, Plan, make_plan
from theorylab.lab.predict import predictions, reasons
from theorylab.lab.sweep import sweep
from theorylab.verdict.rows import Row, Status, Verdict

if TYPE_CHECKING:
    import xarray

Z_MAX = 4.0


def compare(
    setting: Setting,
    data: xarray.Dataset,
    config: Any = None,
    grid: Grid | None = None,
    *,
    theories: Sequence[str | Theory] | None = None,
    z_max: float = Z_MAX,
    case: str = "",
) -> list[Row]:
    """Compare the results of a sweep with theories, cell by cell.

    What was simulated is read from the data: configuration, grid, seeds and base seed. Seeds and swept values may have
    been selected, dropped or reordered with xarray's own tools.

    Parameters
    ----------
    setting, data
        The sweep: its setting and its results.
    config, grid
        If given, they must be those that the data carry.
    theories
        Names or :class:`Theory` objects; default: all of the setting's.
    z_max
        Standard errors in the tolerance.
    case
        Label copied into the rows.

    Raises
    ------
    ConfigError
        If the data are of another setting, configuration or grid than what is given; the message names the field.

    Examples
    --------
    >>> import theorylab as tl
    >>> setting = tl.get("matrix_sensing")
    >>> config = setting.config(dim=6, target_rank=1, model_rank=2, num_steps=2000)
    >>> data = tl.sweep(setting, config, {"init_scale": (0.3, 0.5)}, seeds=3)
    >>> for row in tl.compare(setting, data, theories=["universal_tail"]):
    ...     print(row.observable, row.cell, row.verdict)
    final_error {'init_scale': 0.3} agrees
    final_error {'init_scale': 0.5} agrees
    tail_constant {'init_scale': 0.3} agrees
    tail_constant {'init_scale': 0.5} agrees
    """
    plan = plan_of(setting, data)
    _match(setting, plan, config, grid)
    rows: list[Row] = []
    for item in theories if theories is not None else setting.theories:
        theory = setting.theory(item) if isinstance(item, str) else item
        rows += _compare_one(setting, data, plan, theory, z_max, case)
    return rows


def plan_of(setting: Setting, data: xarray.Dataset) -> Plan:
    """Return the sweep that results describe: the configuration they carry, and the swept values that are left.

    Raises
    ------
    ConfigError
        If they are of another setting, or a swept field's values were dropped.
    """
    if data.attrs.get("setting") != setting.name:
        raise ConfigError(f"setting = {setting.name} is not that of the data: they are of {data.attrs.get('setting')}")
    if "seed" not in data.dims or "seed" not in data.coords:
        raise ConfigError("seed is no dimension of the data: select several seeds as data.isel(seed=[...])")
    fields, swept = json.loads(data.attrs["config"]), json.loads(data.attrs["grid"])
    config = setting.config(**{name: _number(setting, name, value) for name, value in fields.items()})
    grid: dict[str, Any] = {}
    for name in swept:
        if name not in data.coords:
            raise ConfigError(f"{name} was swept, but the data have lost its values: select them without drop=True")
        values = data[name].values
        grid[name] = values if data[name].ndim else [values.item()]
    return make_plan(setting, config, grid)


def _number(setting: Setting, name: str, value: Any) -> Any:
    """Undo :func:`theorylab.lab.store.to_json`, which writes infinities as text."""
    return float(value) if value in ("inf", "-inf", "nan") else value


def _match(setting: Setting, plan: Plan, config: Any, grid: Grid | None) -> None:
    """Refuse a configuration or a grid that is not the data's own."""
    if grid is not None:
        given = make_plan(setting, plan.config, grid).grid
        for name in {**given, **plan.grid}:
            if given.get(name) != plan.grid.get(name):
                raise ConfigError(
                    f"grid: {name} = {given.get(name, 'not swept')} is not that of the data: "
                    f"{plan.grid.get(name, 'not swept')}"
                )
    if config is not None:
        given = setting.config if isinstance(config, type) else type(config)
        if given is not setting.config:
            raise ConfigError(f"{setting.name} needs a {setting.config.__qualname__}, not {given.__qualname__}")
        first = {name: values[0] for name, values in plan.grid.items()}
        for name, value in vars(setting.validate(dataclasses.replace(config, **first))).items():
            if name not in plan.grid and value != getattr(plan.config, name):
                raise ConfigError(
                    f"config: {name} = {value!r} is not that of the data: {getattr(plan.config, name)!r}; "
                    "leave the configuration out, and it is read from the data"
                )


def _compare_one(
    setting: Setting, data: xarray.Dataset, plan: Plan, theory: Theory, z_max: float, case: str
) -> list[Row]:
    """Rows of one theory: of every observable that it predicts and the data hold, one per cell."""
    names = [name for name in theory.estimates or theory.predicts if name in data]
    why = reasons(plan, theory)
    if theory.estimates:
        estimated = data[[theory.estimates[name] for name in names]]
        predicted = estimated.rename({theory.estimates[name]: name for name in names})
    else:
        seeds, base_seed = data["seed"].values, int(data.attrs["base_seed"])
        predicted = predictions(setting, plan, seeds, base_seed, theory, names)
    lead = (*plan.dims, "seed")
    rows = []
    for name in names:
        observable = setting.observable(name)
        values = _in_order(data[name], plan, (*lead, *observable.dims))
        bad = _in_order(data[results.FIRST_BAD_STEP], plan, lead)
        targets = None
        if name in predicted:
            dims = (*plan.dims, *observable.dims) if theory.kind == "ensemble" else (*lead, *observable.dims)
            targets = _in_order(predicted[name], plan, dims)
        for index, cell in plan.cells():
            swept = {field: plan.grid[field][i] for field, i in zip(plan.dims, index, strict=True)}
            identity = {"observable": name, "theory": theory.name, "case": case, "cell": swept}
            reason = why[index]
            if reason is None and (targets is None or np.isnan(targets[index]).all()):
                reason = "the theory predicts no value here"
            if reason is not None:
                rows.append(_not_compared(values[index], reason, identity, observable.allow_nan))
                continue
            row = _row(
                empirical=values[index],
                predicted=targets[index],  # type: ignore[index]
                theory=theory,
                declared=theory.relative_error(cell, name),
                first_bad=bad[index],
                allow_nan=observable.allow_nan,
                z_max=z_max,
            )
            at = zip(observable.dims, row.pop("position"), strict=True)
            rows.append(Row(**identity, at={d: data[d].values[i].item() for d, i in at}, **row))
    return rows


def _in_order(array: xarray.DataArray, plan: Plan, dims: tuple[str, ...]) -> np.ndarray:
    """Values with the axes ``dims``; a swept field of which one value was selected has an axis again."""
    array = array.expand_dims([name for name in plan.dims if name not in array.dims])
    return np.asarray(array.transpose(*dims).values)


def _not_compared(values: np.ndarray, reason: str, identity: dict[str, Any], allow_nan: bool) -> Row:
    nan = float("nan")
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim))) | allow_nan
    counts = {"seeds": int(finite.sum()), "diverged_seeds": int((~finite).sum())}
    return Row(**identity, **counts, **dict.fromkeys(NUMBERS, nan), verdict=Verdict(Status.NOT_APPLICABLE, reason))


NUMBERS = ("empirical", "standard_error", "predicted", "z", "relative_error", "tolerance")


def _row(
    *,
    empirical: np.ndarray,
    predicted: np.ndarray,
    theory: Theory,
    declared: float,
    first_bad: np.ndarray,
    allow_nan: bool,
    z_max: float,
) -> dict[str, Any]:
    """Numbers and verdict of one comparison; ``empirical`` has shape (seed, *inner)."""
    finite = np.ones(len(empirical), bool)
    if not allow_nan:
        finite = np.isfinite(empirical).all(axis=tuple(range(1, empirical.ndim)))
    kept = empirical[finite]
    count = len(kept)
    row: dict[str, Any] = {"seeds": count, "diverged_seeds": int((~finite).sum())}
    paired = np.broadcast_to(predicted, kept.shape) if theory.kind == "ensemble" else predicted[finite]
    with np.errstate(all="ignore"):
        if theory.kind == "exact" and count:
            # Every seed counts on its own: no averaging, no standard error.
            difference = np.abs(kept - paired)
            tolerance = declared * np.abs(paired)
            worst = _worst(difference, tolerance)
            position = worst[1:]
            mean, target, error = kept[worst], paired[worst], 0.0
            allowed, gap = tolerance[worst], difference[worst]
        elif count:
            if theory.kind == "instance":
                # A seed without a value ("never reached") has no pair and is left out; an ensemble's mean would be
                # biased by that, and stays NaN.
                both = np.isfinite(kept) & np.isfinite(paired)
                kept, paired = np.where(both, kept, np.nan), np.where(both, paired, np.nan)
                means, targets = _mean(kept), _mean(paired)
                errors = _standard_error(kept - paired)
            else:
                means, targets = kept.mean(0), paired.mean(0)
                errors = kept.std(0, ddof=1) / np.sqrt(count) if count > 1 else np.full(means.shape, np.nan)
            tolerance = z_max * errors + declared * np.abs(targets)
            position = _worst(np.abs(means - targets), tolerance)
            mean, target, error = means[position], targets[position], errors[position]
            allowed, gap = tolerance[position], abs(mean - target)
        else:
            position = (0,) * (empirical.ndim - 1)
            mean = target = error = allowed = gap = np.nan
            if theory.kind == "ensemble":
                target = predicted[position]
        row |= {
            "position": position,
            "empirical": float(mean),
            "standard_error": float(error),
            "predicted": float(target),
            "z": float((mean - target) / error) if error else float("nan"),
            "relative_error": float((mean - target) / np.abs(target)) if target else float("nan"),
            "tolerance": float(allowed),
        }
    row["verdict"] = _verdict(row, gap, theory, empirical[(slice(None), *position)], finite, first_bad)
    return row


def _verdict(
    row: dict[str, Any], gap: float, theory: Theory, values: np.ndarray, finite: np.ndarray, first_bad: np.ndarray
) -> Verdict:
    """Judge one comparison; ``values`` are those of all seeds at the entry that decides."""
    if not finite.all():
        seed = int(np.argmin(finite))
        return Verdict(Status.DIVERGED, f"seed {seed}, step {max(int(first_bad[seed]), 0)}")
    if not np.isfinite(row["predicted"]):
        return Verdict(Status.NOT_APPLICABLE, f"the prediction is {row['predicted']}")
    if theory.kind != "exact" and not np.isfinite(row["standard_error"]):
        missing = int((~np.isfinite(values)).sum())
        why = f" ({missing} of {len(values)} have no value)" if missing else ""
        return Verdict(Status.NOT_APPLICABLE, f"a standard error needs at least two seeds{why}")
    return Verdict(Status.AGREES if gap <= row["tolerance"] else Status.DISAGREES)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over seeds of the finite values; NaN where there are none."""
    count = np.isfinite(values).sum(0)
    return np.where(count > 0, np.nansum(values, 0) / np.maximum(count, 1), np.nan)


def _standard_error(values: np.ndarray) -> np.ndarray:
    """Standard error over seeds of the mean of the finite values; NaN where there are fewer than two."""
    count = np.isfinite(values).sum(0)
    squares = np.nansum((values - _mean(values)) ** 2, 0)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1) / np.maximum(count, 1)), np.nan)


def _worst(difference: np.ndarray, tolerance: np.ndarray) -> tuple[int, ...]:
    """Index of the entry nearest to failing (or failing worst)."""
    with np.errstate(all="ignore"):
        ratio = np.where(difference > 0, difference / tolerance, 0.0)
    # An entry without a prediction decides nothing, not even where all others are met exactly.
    ratio = np.where(np.isnan(difference) | np.isnan(ratio), -1.0, ratio)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape)) if ratio.ndim else ()


def check(
    setting: Setting,
    cases: Sequence[Case],
    *,
    theories: Sequence[str | Theory] | None = None,
    base_seed: int = 0,
    store: str | None = None,
    **sweep_options: Any,
) -> Iterator[tuple[Case, xarray.Dataset, list[Row]]]:
    """Sweep each case and compare it; yields ``(case, results, rows)`` as each one is done.

    With ``store``, results are kept: the folder itself for one case, ``store-CASE.zarr`` for several.
    """
    for case in cases:
        path = store
        if store is not None and len(cases) > 1:
            path = f"{store.removesuffix('.zarr')}-{case.name}.zarr"
        data = sweep(
            setting, case.config, case.grid, seeds=case.seeds, base_seed=base_seed, store=path, **sweep_options
        )
        yield case, data, compare(setting, data, theories=theories, case=case.name)


def predict_rows(
    setting: Setting, case: Case, *, theories: Sequence[str | Theory] | None = None, base_seed: int = 0
) -> list[Row]:
    """Predictions of a case as rows without simulation: one per cell, observable and inner coordinate.

    Theories of the instance are averaged over the case's seeds. Where a theory does not hold there is one row for
    each observable, which says why.
    """
    plan = make_plan(setting, case.config, case.grid)
    numbers = dict.fromkeys(NUMBERS, float("nan"))
    rows = []
    for item in theories if theories is not None else setting.theories:
        theory = setting.theory(item) if isinstance(item, str) else item
        data = predictions(setting, plan, np.arange(case.seeds), base_seed, theory, theory.predicts)
        data = data.mean("seed") if "seed" in data.dims else data
        why = reasons(plan, theory)
        for name in theory.predicts:
            dims = setting.observable(name).dims
            for index in why:
                swept = {field: plan.grid[field][i] for field, i in zip(plan.dims, index, strict=True)}
                identity = {"observable": name, "theory": theory.name, "case": case.name, "cell": swept}
                values = data[name].values[index] if name in data else np.array(np.nan)
                if why[index] is not None or np.isnan(values).all():
                    reason = why[index] or "the theory predicts no value here"
                    rows.append(Row(**identity, **numbers, verdict=Verdict(Status.NOT_APPLICABLE, reason)))
                    continue
                for position in np.ndindex(*values.shape):
                    at = {d: data[d].values[i].item() for d, i in zip(dims, position, strict=True)}
                    shown = numbers | {"predicted": float(values[position])}
                    rows.append(Row(**identity, **shown, at=at, verdict=Verdict(Status.PREDICTED)))
    return rows
