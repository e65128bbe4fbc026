"""Empirical against theory: one row per observable, theory and cell, with a verdict that can be wrong.

The tolerance of a comparison is ``z_max`` standard errors over seeds plus the theory's declared
finite-size error times the size of the prediction; nothing else enters it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.lab import store as results
from theorylab.lab.grid import Grid, make_plan
from theorylab.lab.setting import Case, Setting, Theory
from theorylab.lab.sweep import predict, sweep

if TYPE_CHECKING:
    import xarray

Z_MAX = 4.0
AGREES, DISAGREES, NOT_APPLICABLE, DIVERGED = "agrees", "disagrees", "not applicable", "diverged"


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    ``empirical`` is the mean over the finite seeds, ``standard_error`` that of the mean (for a theory of the
    instance: of the mean paired difference), ``tolerance`` is absolute. With inner dimensions the numbers are
    those of the entry nearest to failing, named in ``at``; for an exact theory those of the worst seed.
    ``verdict`` is "agrees", "disagrees", "not applicable: why" or "diverged: seed s, step t".
    """

    observable: str
    theory: str
    empirical: float
    standard_error: float
    predicted: float
    z: float
    relative_error: float
    tolerance: float
    verdict: str
    case: str = ""
    cell: dict[str, Any] = dataclasses.field(default_factory=dict)
    at: dict[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = 0
    diverged_seeds: int = 0

    @property
    def status(self) -> str:
        """The verdict without its reason."""
        return self.verdict.split(":")[0]

    @property
    def failed(self) -> bool:
        """Whether this row makes a check fail."""
        return self.status in (DISAGREES, DIVERGED)


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

    Parameters
    ----------
    setting, data, config, grid
        The sweep: its setting, its results, and the configuration and grid it was run with.
    theories
        Names or :class:`Theory` objects; default: all of the setting's.
    z_max
        Standard errors in the tolerance.
    case
        Label copied into the rows.

    Examples
    --------
    >>> from theorylab import compare, sweep
    >>> from theorylab.matrix_sensing import SETTING, Config
    >>> config, grid = Config(dim=6, target_rank=1, model_rank=2, num_steps=2000), {"init_scale": (0.3, 0.5)}
    >>> data = sweep(SETTING, config, grid, seeds=3)
    >>> for row in compare(SETTING, data, config, grid, theories=["universal_tail"]):
    ...     print(row.observable, row.cell, row.verdict)
    tail_constant {'init_scale': 0.3} agrees
    final_error {'init_scale': 0.3} agrees
    tail_constant {'init_scale': 0.5} agrees
    final_error {'init_scale': 0.5} agrees
    """
    config = setting.config() if config is None else config
    plan = make_plan(setting, config, grid)
    rows: list[Row] = []
    for item in theories if theories is not None else setting.theories:
        theory = setting.theory(item) if isinstance(item, str) else item
        reasons = {index: theory.valid(cell) for index, cell in plan.cells()}
        if theory.estimates:
            # A variant may lack the estimate, as it may lack any observable.
            estimates = {v: k for k, v in theory.estimates.items() if v in data}
            predictions = data[list(estimates)].rename(estimates)
        else:
            base_seed = int(data.attrs["base_seed"])
            predictions = predict(setting, config, grid, seeds=data.sizes["seed"], base_seed=base_seed, theory=theory)
        names = [name for name in predictions.data_vars if name in data]
        if not theory.traceable and all(reasons.values()):
            names = [o for o in theory.predicts or [o.name for o in setting.observables] if o in data]
        for index, cell in plan.cells():
            swept = {name: plan.grid[name][i] for name, i in zip(plan.dims, index, strict=True)}
            for name in map(str, names):
                empirical = data[name].values[index]
                if np.isnan(empirical).all() and not (data[results.FIRST_BAD_STEP].values[index] >= 0).any():
                    continue  # this combination of sizes does not have this observable
                dims = setting.observable(name).dims
                row = _row(
                    empirical=empirical,
                    predicted=predictions[name].values[index]
                    if name in predictions
                    else np.full(empirical.shape[theory.kind == "ensemble" :], np.nan),
                    theory=theory,
                    finite_size=theory.finite_size(cell, name),
                    first_bad=data[results.FIRST_BAD_STEP].values[index],
                    allow_nan=setting.observable(name).allow_nan,
                    z_max=z_max,
                )
                at = {d: data[d].values[i].item() for d, i in zip(dims, row.pop("position"), strict=True)}
                verdict = row.pop("verdict")
                if reasons[index] is not None:
                    verdict = f"{NOT_APPLICABLE}: {reasons[index]}"
                rows.append(
                    Row(
                        observable=name,
                        theory=theory.name,
                        case=case,
                        cell=swept,
                        at=at,
                        verdict=verdict,
                        **row,
                    )
                )
    return rows


def _row(
    *,
    empirical: np.ndarray,
    predicted: np.ndarray,
    theory: Theory,
    finite_size: float,
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
        if theory.kind == "exact":
            # Every seed counts on its own: no averaging, no standard error.
            difference = np.abs(kept - paired)
            tolerance = finite_size * np.abs(paired)
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
            tolerance = z_max * errors + finite_size * np.abs(targets)
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
    if (~finite).any():
        seed = int(np.argmin(finite))
        row["verdict"] = f"{DIVERGED}: seed {seed}, step {max(int(first_bad[seed]), 0)}"
    elif not np.isfinite(target):
        row["verdict"] = f"{NOT_APPLICABLE}: the prediction is {target}"
    elif theory.kind != "exact" and not np.isfinite(error):
        missing = sum(not np.isfinite(seed[position]) for seed in empirical)
        why = f" ({missing} of {len(empirical)} have no value)" if missing else ""
        row["verdict"] = f"{NOT_APPLICABLE}: a standard error needs at least two seeds{why}"
    else:
        row["verdict"] = AGREES if gap <= allowed else DISAGREES
    return row


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
    ratio = np.where(np.isnan(ratio), -1.0, ratio)
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
        yield case, data, compare(setting, data, case.config, case.grid, theories=theories, case=case.name)


def predict_rows(
    setting: Setting, case: Case, *, theories: Sequence[str | Theory] | None = None, base_seed: int = 0
) -> list[Row]:
    """Predictions of a case as rows without simulation: one per cell, observable and inner coordinate.

    Theories of the instance are averaged over the case's seeds.
    """
    plan = make_plan(setting, case.config, case.grid)
    rows = []
    nan = float("nan")
    for item in theories if theories is not None else setting.theories:
        theory = setting.theory(item) if isinstance(item, str) else item
        data = predict(setting, case.config, case.grid, seeds=case.seeds, base_seed=base_seed, theory=theory)
        data = data.mean("seed") if "seed" in data.dims else data
        for index, cell in plan.cells():
            reason = theory.valid(cell)
            verdict = "predicted" if reason is None else f"{NOT_APPLICABLE}: {reason}"
            swept = {name: plan.grid[name][i] for name, i in zip(plan.dims, index, strict=True)}
            for name in map(str, data.data_vars):
                dims = setting.observable(name).dims
                values = data[name].values[index]
                for position in np.ndindex(*values.shape):
                    at = {d: data[d].values[i].item() for d, i in zip(dims, position, strict=True)}
                    numbers = (nan, nan, float(values[position]), nan, nan, nan)
                    rows.append(Row(name, theory.name, *numbers, verdict, case.name, swept, at))
    return rows
