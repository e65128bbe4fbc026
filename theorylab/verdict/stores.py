"""Results against results: two versions of the library, two devices, two machines, two choices of seeds."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError
from theorylab.lab.metadata import FINISHED, FIRST_BAD_STEP, PROGRAM_OF
from theorylab.numerics.statistics import standard_error
from theorylab.verdict.summary import good_runs

if TYPE_CHECKING:
    import xarray

#: What of their provenance is named where it differs.
PROVENANCE = (
    "theorylab_version", "git_revision", "program", "jax_version", "python_version", "device", "precision", "base_seed",
)  # fmt: skip
#: Relative difference of means that counts as rounding.
ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class Difference:
    """One observable in two results.

    ``run`` is the largest relative difference of a run that both have (NaN where they share none), ``means`` and
    ``allowed`` the difference of two means over seeds that is nearest to failing, and what it may be, at ``at``.
    ``status`` is "identical" (to the last bit, in every run), "agrees", "differs", or "in neither" where no run of
    either has a value.
    """

    observable: str
    entries: int
    run: float
    means: float
    allowed: float
    at: dict[str, Any]
    status: str


def provenance(a: xarray.Dataset, b: xarray.Dataset) -> dict[str, tuple[Any, Any]]:
    """Return what two results say of where they come from, as far as it differs."""
    pairs = {name: (a.attrs.get(name), b.attrs.get(name)) for name in PROVENANCE}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def compare_results(
    a: xarray.Dataset, b: xarray.Dataset, *, z_max: float = 4.0, rounding: float = ROUNDING
) -> list[Difference]:
    """Compare two results of one setting, observable by observable, at the cells that both have.

    Means over seeds may differ by ``z_max`` of their joint standard error (by more where seeds are few, as rarely) and
    by ``rounding`` of their size. Runs of the same random numbers are far nearer than that. A mean that only one of
    them has, the other's runs having diverged, differs.

    Raises
    ------
    ConfigError
        If they are of two settings or configurations, or have no cell or no observable in common.
    """
    for data in (a, b):
        for name in ("setting", "config", "grid", "base_seed"):
            if name not in data.attrs:
                raise ConfigError(f"{name}: the data do not say theirs; they need the attributes of a sweep's results")
    if a.attrs["setting"] != b.attrs["setting"]:
        raise ConfigError(f"two settings cannot be compared: {a.attrs['setting']} and {b.attrs['setting']}")
    same_numbers = a.attrs["base_seed"] == b.attrs["base_seed"]
    a, b = _on_common_cells(a, b)
    names = [str(name) for name in a.data_vars if name in b and name not in (FINISHED, FIRST_BAD_STEP, PROGRAM_OF)]
    if not names:
        raise ConfigError("no observable is in both")
    good = good_runs(a), good_runs(b)
    return [
        _difference(a[name].where(good[0]), b[name].where(good[1]), same_numbers, z_max, rounding) for name in names
    ]


def _on_common_cells(a: xarray.Dataset, b: xarray.Dataset) -> tuple[xarray.Dataset, xarray.Dataset]:
    import xarray

    configs = [json.loads(data.attrs["config"]) for data in (a, b)]
    swept = {name: None for data in (a, b) for name in json.loads(data.attrs["grid"])}
    for name in sorted(configs[0].keys() & configs[1].keys() - swept.keys()):
        one, other = (config[name] for config in configs)
        if one != other:
            raise ConfigError(f"two configurations cannot be compared: {name} = {one} and {other}")
    found = []
    for data, config in zip((a, b), configs, strict=True):
        fixed = {name: [config[name]] for name in swept if name not in data.dims and name in config}
        found.append(data.drop_vars([name for name in fixed if name in data.coords]).expand_dims(fixed))
    for dim in sorted({*map(str, found[0].dims)} & {*map(str, found[1].dims)} - {"seed"}):
        one, other = (data[dim].values.tolist() for data in found)
        if not set(one) & set(other):
            raise ConfigError(
                f"no cell is in both: {dim} = {', '.join(map(str, one))} and {', '.join(map(str, other))}"
            )
    first, second = xarray.align(*found, join="inner", exclude=["seed"])
    return first, second


def _difference(
    x: xarray.DataArray, y: xarray.DataArray, same_numbers: bool, z_max: float, rounding: float
) -> Difference:
    from scipy import stats

    y = y.transpose(*x.dims)
    # Number of finite runs, their mean, and its standard error, of both.
    parts = [
        (v.count("seed"), v.mean("seed"), standard_error(v, "seed", of_finite=True))
        for v in (x.where(np.isfinite(x)), y.where(np.isfinite(y)))
    ]
    (many, one, spread), (more, other, scatter) = ([np.asarray(array.values) for array in part] for part in parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.hypot(np.nan_to_num(spread), np.nan_to_num(scatter))  # of a single run there is none
        rare = stats.t.isf(stats.norm.sf(z_max), np.maximum(many + more - 2, 1))
        gap, allowed = abs(one - other), rare * error + rounding * np.maximum(abs(one), abs(other))
        excess = np.where(gap == 0, 0.0, gap / allowed)
    excess = np.where((many == 0) & (more == 0), 0.0, np.where((many == 0) != (more == 0), math.inf, excess))
    run, identical = math.nan, False
    if same_numbers and (shared := np.intersect1d(x["seed"], y["seed"])).size:
        u, v = x.sel(seed=shared).values, y.sel(seed=shared).values
        equal = (u == v) | (np.isnan(u) & np.isnan(v))
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.where(equal, 0.0, abs(u - v) / np.maximum(abs(u), abs(v)))
        run = float(np.nan_to_num(relative, nan=math.inf).max())
        identical = bool(equal.all()) and len(shared) == x.sizes["seed"] == y.sizes["seed"]
    place = np.unravel_index(int(np.argmax(excess)), excess.shape)
    mean = parts[0][1]
    at = {str(dim): mean[dim].values[i].item() for dim, i in zip(mean.dims, place, strict=True)}
    status = "identical" if identical else "agrees" if excess[place] <= 1 else "differs"
    status = status if np.any(many + more) else "in neither"
    return Difference(str(x.name), excess.size, run, float(gap[place]), float(allowed[place]), at, status)
