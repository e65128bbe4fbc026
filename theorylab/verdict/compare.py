"""Empirical against theory: one row per observable, theory and cell, with a verdict that can be wrong.

The tolerance of a comparison is ``z_max`` standard errors over seeds plus the theory's declared
finite-size error times the size of the prediction; nothing else enters it. Agreement within more than the prediction
itself is none, and not judged. A theory of the instance is judged by its
slope over seeds too (:mod:`theorylab.verdict.slope`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.catalogue import SETTINGS
from theorylab.contract import Case, Setting, Theory
from theorylab.lab.ahead import ahead
from theorylab.lab.grid import Grid, make_plan
from theorylab.lab.job import check_base_seed, check_seeds, make_job
from theorylab.lab.predict import Reasons, predictions, reasons, try_out
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET
from theorylab.lab.progress import Progress, by_default, reporter
from theorylab.lab.store import store_of_case
from theorylab.lab.sweep import prepare, run_in_memory, sweep
from theorylab.verdict.batch import judge_many, plain
from theorylab.verdict.carried import Carried, match, read
from theorylab.verdict.judge import NUMBERS, Runs, judge, not_compared
from theorylab.verdict.rows import Row, Rows, Status, Verdict, honest

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
    been selected, dropped, reordered or joined with xarray's own tools. A run that stands in them twice counts once,
    and one that is not finished does not count.

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
        If the data are of another setting, configuration or grid than what is given, or have lost what says of which
        cells and seeds they are; the message names the field.

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
    carried = read(setting, data)
    match(carried, config, grid)
    return Rows(row for theory in _chosen(setting, theories) for row in _compare_one(carried, theory, z_max, case))


def _chosen(setting: Setting, theories: Sequence[str | Theory] | None) -> list[Theory]:
    if isinstance(theories, (str, Theory)):  # a single one is no list of letters
        theories = [theories]
    chosen = setting.theories if theories is None else theories
    return [setting.theory(item) if isinstance(item, str) else item for item in chosen]


def _compare_one(carried: Carried, theory: Theory, z_max: float, case: str) -> list[Row]:
    """Rows of one theory: of every observable that it predicts and the data hold, one per cell."""
    setting, plan = carried.setting, carried.plan
    why = reasons(plan, theory)
    if theory.estimates:
        predicted = carried.estimated(theory)
        names = list(predicted)
    else:
        names = [name for name in theory.predicts if name in carried.data]
        predicted = carried.predicted(theory, names, why) if names else {}
    bad, finished, aside = carried.first_bad_step(), carried.finished(), carried.set_aside(theory)
    judged = finished & ~np.any(list(aside.values()), axis=0) if aside else finished
    rows = []
    for name in names:
        observable = setting.observable(name)
        values = carried.values(name)
        inner = {dim: carried.inner(dim) for dim in observable.dims}
        together = _judged_together(carried, theory, name, values, predicted.get(name), judged, why, z_max)
        for index, cell in plan.cells():
            swept = {field: plan.grid[field][i] for field, i in zip(plan.dims, index, strict=True)}
            identity: dict[str, Any] = {"observable": name, "theory": theory.name, "case": case, "cell": swept}
            if index in together:
                row = together[index]
                at = {dim: inner[dim][i].item() for dim, i in zip(inner, row.pop("position"), strict=True)}
                rows.append(honest(Row(**identity, at=at, **row)))
                continue
            runs = Runs(values[index], carried.seeds, bad[index], observable.allow_nan).only(judged[index])
            left = {text: int(np.sum(which[index] & finished[index])) for text, which in aside.items()}
            said = ", ".join(f"{count} {text}" for text, count in left.items() if count)
            target = predicted[name][index] if name in predicted else None
            reason = why[index]
            if reason is None and not len(runs.seeds):
                reason = f"no run is left to judge ({said})" if said else "no run is finished"
            if reason is None and (target is None or np.isnan(target).all()):
                reason = "the theory predicts no value here"
            if reason is not None:
                rows.append(not_compared(runs, reason, identity))
                continue
            if theory.kind != "ensemble" and not judged[index].all():
                target = target[judged[index]]  # type: ignore[index]
            declared = theory.relative_error(cell, name)
            residual = theory.relative_residual(cell, name)
            row = judge(runs, target, kind=theory.kind, declared=declared, z_max=z_max, residual=residual)  # type: ignore[arg-type]
            at = {dim: inner[dim][i].item() for dim, i in zip(inner, row.pop("position"), strict=True)}
            row |= {"seeds": int(finished[index].sum()), "set_aside": said}
            rows.append(honest(Row(**identity, at=at, **row)))
    return rows


def _judged_together(
    carried: Carried,
    theory: Theory,
    name: str,
    values: np.ndarray,
    predicted: np.ndarray | None,
    whole: np.ndarray,
    why: Reasons,
    z_max: float,
) -> dict[tuple[int, ...], dict[str, Any]]:
    """Judge all cells at once in which nothing is missing; the others stay to be judged one by one."""
    if predicted is None:
        return {}
    shape = carried.plan.shape
    count = math.prod(shape)
    values, predicted = (array.reshape(count, *array.shape[len(shape) :]) for array in (values, predicted))
    chosen = plain(values, predicted, theory.kind) & whole.reshape(count, -1).all(1)
    chosen &= np.array([reason is None for reason in why.values()])
    (numbers,) = np.nonzero(chosen)
    if not len(numbers):
        return {}
    indices = [tuple(index) for index in np.stack(np.unravel_index(numbers, shape), 1).tolist()] if shape else [()]
    cells = [carried.plan.config] * len(numbers)
    if callable(theory.error) or callable(theory.residual):
        wanted = dict.fromkeys(indices)
        cells = [cell for index, cell in carried.plan.cells() if index in wanted]
    first = theory.relative_error(cells[0], name), theory.relative_residual(cells[0], name)
    declared = [theory.relative_error(cell, name) for cell in cells] if callable(theory.error) else first[0]
    residual = [theory.relative_residual(cell, name) for cell in cells] if callable(theory.residual) else first[1]
    rows = judge_many(
        values[numbers],
        predicted[numbers],
        kind=theory.kind,
        declared=np.broadcast_to(np.array(declared, float), len(numbers)),
        z_max=z_max,
        residual=np.broadcast_to(np.array(residual, float), len(numbers)),
    )
    return dict(zip(indices, rows, strict=True))


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

    With ``store``, results are kept: the folder itself for one case, ``store-CASE.zarr`` for several, with hyphens
    for the blanks, commas and brackets of their names. A case that needs
    a package which is not installed is not run: its results are an empty dataset, and one row says what to install.
    """
    pairs = [(setting, case) for case in cases]
    for _, case, data, rows in checked(pairs, theories=theories, base_seed=base_seed, store=store, **sweep_options):
        yield case, data, rows


def checked(
    pairs: Sequence[tuple[Setting, Case]],
    *,
    theories: Sequence[str | Theory] | None = None,
    base_seed: int = 0,
    store: str | None = None,
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    progress: bool | str | Progress | None = None,
    **store_options: Any,
) -> Iterator[tuple[Setting, Case, xarray.Dataset, list[Row]]]:
    """As :func:`check`, for cases of several settings. The next case is compiled while one runs and is judged."""
    import xarray

    progress = by_default(progress)
    lacking = [(setting, case, setting.lacks(case)) for setting, case in pairs]
    for setting, case, lack in lacking:
        if setting.name not in SETTINGS and lack is None:  # those of the catalogue are tested
            for theory in _chosen(setting, theories):
                try_out(setting, case.config, case.grid, theory)

    here = threading.get_ident()

    def prepared(one: tuple[Setting, Case, str | None]) -> tuple[Setting, Case, Any]:
        setting, case, lack = one
        if lack is not None or store is not None:
            return setting, case, lack
        job = make_job(setting, case.config, case.grid, case.seeds, base_seed, memory_budget)
        # The first case alone: the others are compiled under the bar of the one that runs.
        shown = named(progress, setting, case) if threading.get_ident() == here else False
        with reporter(shown, job.cells(job.seeds)):
            return setting, case, (job, prepare(job))

    for setting, case, ready in ahead(prepared, lacking):
        if isinstance(ready, str):
            yield setting, case, xarray.Dataset(), [not_run(case, ready)]
            continue
        if ready is not None:
            job, programs = ready
            data = run_in_memory(job, programs, named(progress, setting, case))
            del programs, ready
        else:
            path = store_of_case(store, case.name) if store and len(pairs) > 1 else store
            options = {"memory_budget": memory_budget, "progress": named(progress, setting, case), **store_options}
            data = sweep(setting, case.config, case.grid, seeds=case.seeds, base_seed=base_seed, store=path, **options)
        yield setting, case, data, compare(setting, data, theories=theories, case=case.name)


def named(progress: bool | str | Progress, setting: Setting, case: Case) -> bool | str | Progress:
    """A bar that names what it is of, where one is wanted."""
    return f"{setting.name}: {case.name}" if progress is True else progress


def not_run(case: Case, why: str) -> Row:
    """Return the one row of a case that this machine cannot run."""
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS, float("nan"))
    return Row(observable="", theory="", case=case.name, **numbers, verdict=Verdict(Status.NOT_APPLICABLE, why))


def predict_rows(
    setting: Setting, case: Case, *, theories: Sequence[str | Theory] | None = None, base_seed: int = 0
) -> list[Row]:
    """Predictions of a case as rows without simulation: one per cell, observable and inner coordinate.

    Theories of the instance are averaged over the case's seeds. Where a theory does not hold there is one row for
    each observable, which says why.
    """
    if (lack := setting.lacks(case)) is not None:
        return [not_run(case, lack)]
    plan = make_plan(setting, case.config, case.grid)
    numbers: dict[str, Any] = dict.fromkeys(NUMBERS, float("nan"))
    rows = []
    seeds, base_seed = check_seeds(case.seeds), check_base_seed(base_seed)
    for theory in _chosen(setting, theories):
        why = reasons(plan, theory)
        data = predictions(setting, plan, seeds, base_seed, theory, theory.predicts, why)
        data = data.mean("seed") if "seed" in data.dims else data
        for name in theory.predicts:
            dims = setting.observable(name).dims
            for index in why:
                swept = {field: plan.grid[field][i] for field, i in zip(plan.dims, index, strict=True)}
                identity: dict[str, Any] = {"observable": name, "theory": theory.name, "case": case.name, "cell": swept}
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
