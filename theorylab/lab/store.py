"""Results on disk: one Zarr group per sweep, readable with plain ``xarray.open_zarr``.

Every observable is an array over (swept fields, ``seed``, inner dimensions). The arrays are allocated when the
sweep starts and filled block by block; ``finished`` is written after a block's data, so that a cell is either
finished or absent, whenever the run is killed. A finished cell is never changed again. ``first_bad_step`` is -1 for a
finite cell.

Several processes may fill one store: see :mod:`theorylab.lab.locks`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.numerics.files import written_whole

if TYPE_CHECKING:
    import xarray
    import zarr

SCHEMA = 1
FINISHED = "finished"
FIRST_BAD_STEP = "first_bad_step"
#: Coordinate along ``seed``: what joins sweeps of several base seeds keeps each run's own.
BASE_SEED = "base_seed"
#: Coordinates that are not named as their dimension.
COORD_DIMS = {BASE_SEED: "seed"}
# When one of Zarr's writes fails, its threads that write other chunks go on: seconds until they are surely done.
_STRAGGLERS = 0.2


class StoreError(RuntimeError):
    """A results folder cannot be read, written or continued; nothing in it was touched."""


def provenance() -> dict[str, str]:
    """Versions, device, git revision and start time of this process."""
    import jax

    import theorylab

    try:
        revision = subprocess.run(
            ["git", "-C", str(Path(theorylab.__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        revision = "unknown"
    devices = jax.local_devices()
    return {
        "theorylab_version": theorylab.__version__,
        "jax_version": jax.__version__,
        "python_version": platform.python_version(),
        "device": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "precision": str(jax.dtypes.canonicalize_dtype(float)),
        "git_revision": revision,
        "started": now(),
    }


def now() -> str:
    """Return the current time, UTC, to the second, in ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def to_json(value: Any) -> str:
    """Serialise configurations and grids; ``inf`` is written as the string "inf"."""

    def plain(item: Any) -> Any:
        if isinstance(item, Mapping):
            return {str(k): plain(v) for k, v in item.items()}
        if isinstance(item, (list, tuple)):
            return [plain(v) for v in item]
        if isinstance(item, (np.generic, np.ndarray)) or hasattr(item, "dtype"):
            return plain(np.asarray(item).tolist())
        if isinstance(item, float) and not np.isfinite(item):
            return str(item)
        return item

    return json.dumps(plain(value), sort_keys=True)


def _fill(name: str, dtype: Any) -> Any:
    """Value of an absent cell: NaN where the type has one."""
    dtype = np.dtype(dtype)
    return dtype.type(np.nan if dtype.kind == "f" else (-1 if name == FIRST_BAD_STEP else 0))


def blank(coords: Mapping[str, Sequence[Any]], dims: Sequence[str], dtype: Any, name: str) -> np.ndarray:
    """Return an array over ``dims`` of absent cells, for results that stay in memory."""
    return np.full(tuple(len(coords[d]) for d in dims), _fill(name, dtype), dtype)


def create(
    path: str | os.PathLike[str],
    *,
    coords: Mapping[str, Sequence[Any]],
    variables: Mapping[str, tuple[tuple[str, ...], Any, Mapping[str, Any]]],
    chunks: Mapping[str, int],
    attributes: Mapping[str, Any],
) -> None:
    """Allocate a store: it appears at ``path`` complete, or not at all.

    Where another process has created one in the meantime, that one stays.

    Parameters
    ----------
    coords
        Coordinate values of every dimension, and those of :data:`COORD_DIMS`.
    variables
        ``{name: (dimensions, dtype, attributes)}``.
    chunks
        Chunk length per dimension (default: the whole dimension).
    attributes
        Attributes of the group.
    """
    try:
        with written_whole(path) as scratch:
            _allocate(scratch, coords, variables, chunks, attributes)
    except OSError as error:
        time.sleep(_STRAGGLERS)
        if not os.path.isdir(path):
            raise cannot_write(path, error) from error


def _allocate(
    path: Path,
    coords: Mapping[str, Sequence[Any]],
    variables: Mapping[str, tuple[tuple[str, ...], Any, Mapping[str, Any]]],
    chunks: Mapping[str, int],
    attributes: Mapping[str, Any],
) -> None:
    import zarr

    other = " ".join(name for name in coords if name in COORD_DIMS)
    # xarray's name for coordinates beside those of the dimensions.
    group = zarr.create_group(path, attributes={**attributes, **({"coordinates": other} if other else {})})
    for name, values in coords.items():
        data = np.asarray(values)
        if data.dtype.kind in "US":
            data = data.astype(np.dtypes.StringDType())
        dims = (COORD_DIMS.get(name, name),)
        array = group.create_array(name, shape=data.shape, dtype=data.dtype, dimension_names=dims)
        array[...] = data
    for name, (along, dtype, attrs) in variables.items():
        dtype = np.dtype(dtype)
        group.create_array(
            name,
            shape=tuple(len(coords[d]) for d in along),
            chunks=tuple(max(1, min(chunks.get(d, len(coords[d])), len(coords[d]))) for d in along),
            dtype=dtype,
            fill_value=_fill(name, dtype),
            dimension_names=along,
            attributes=dict(attrs),
        )
    _consolidate(path)


def cannot_write(path: str | os.PathLike[str], error: OSError) -> StoreError:
    """Return the error of a store that cannot be written."""
    return StoreError(f"cannot write results to {path}: {error.strerror or error}")


def _consolidate(path: str | os.PathLike[str]) -> None:
    """Gather the metadata in one file, which ``xarray.open_zarr`` looks for first."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(path)


def write_block(path: str | os.PathLike[str], index: Mapping[str, slice], values: Mapping[str, np.ndarray]) -> None:
    """Write one block of every variable in ``values``, then mark it finished.

    ``index`` selects along the swept fields and ``seed``; dimensions that it does not name are whole. Cells of the
    block that are finished already keep their values.

    Raises
    ------
    StoreError
        If the block cannot be written; its unfinished cells then stay unfinished.
    """
    import zarr

    try:
        group = zarr.open_group(path, mode="r+")
        finished = _select(group, FINISHED, index)
        for name, value in values.items():
            if finished.any():
                done = finished.reshape(finished.shape + (1,) * (value.ndim - finished.ndim))
                value = np.where(done, _select(group, name, index), value)
            _assign(group, name, index, value)
        _assign(group, FINISHED, index, True)
    except OSError as error:
        time.sleep(_STRAGGLERS)
        raise cannot_write(path, error) from error


def _selection(array: Any, index: Mapping[str, slice]) -> tuple[slice, ...]:
    return tuple(index.get(dim, slice(None)) for dim in array.metadata.dimension_names)


def _select(group: zarr.Group, name: str, index: Mapping[str, slice]) -> np.ndarray:
    array: Any = group[name]
    return np.asarray(array[_selection(array, index)])


def _assign(group: zarr.Group, name: str, index: Mapping[str, slice], value: Any) -> None:
    array: Any = group[name]
    array[_selection(array, index)] = value


def set_attributes(path: str | os.PathLike[str], **attributes: Any) -> None:
    """Add attributes to a store (the end time, once every cell is finished)."""
    import zarr

    try:
        zarr.open_group(path, mode="r+").attrs.update(attributes)
    except OSError as error:
        raise cannot_write(path, error) from error


def open_results(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Open a store as an ``xarray.Dataset``, loaded into memory.

    Raises
    ------
    StoreError
        If there is nothing at ``path``, or it is not a results folder of this library.
    """
    with _opened(path) as lazy:
        try:
            return lazy.load()
        except Exception as error:
            raise _not_readable(path, error) from error


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[xarray.Dataset]:
    """Open a store without loading its arrays; errors as for :func:`open_results`."""
    import xarray

    target = Path(path).expanduser()
    if not target.exists():
        raise StoreError(f"no results at {target}")
    try:
        lazy = xarray.open_zarr(target)
    except Exception as error:
        raise _not_readable(path, error) from error
    with lazy:
        if lazy.attrs.get("theorylab_schema") != SCHEMA:
            raise StoreError(f"{target} was not written by this version of theorylab; nothing in it was touched")
        yield lazy


def _not_readable(path: str | os.PathLike[str], error: Exception) -> StoreError:
    return StoreError(f"{path} is not a readable results folder: {type(error).__name__}: {error}")


def attributes_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Attributes of a store, without loading its arrays; errors as for :func:`open_results`."""
    with _opened(path) as lazy:
        return dict(lazy.attrs)


def check_same_sweep(path: str | os.PathLike[str], attributes: Mapping[str, Any]) -> None:
    """Make sure that an existing store belongs to the sweep described by ``attributes``.

    Raises
    ------
    StoreError
        Naming the first attribute that differs, with both values; the store is left as it was.
    """
    stored = attributes_of(path)
    for name in ("setting", "grid", "config", "seeds", "base_seed", "precision", "theorylab_version"):
        then, now = (_comparable(kind, name) for kind in (stored, attributes))
        if then != now:
            raise StoreError(
                f"{path} holds another sweep: its {name} is {stored.get(name)!r}, not {attributes[name]!r}; "
                "choose another folder or remove that one"
            )


def _comparable(attributes: Mapping[str, Any], name: str) -> Any:
    """Return an attribute so that equal sweeps are equal: numbers by value, and without what a grid replaces."""
    value = attributes.get(name)
    if name not in ("config", "grid") or value is None:
        return value
    swept = json.loads(attributes["grid"])
    content = json.loads(value)
    return content if name == "grid" else {field: v for field, v in content.items() if field not in swept}


def finished_cells(path: str | os.PathLike[str], index: Mapping[str, slice] | None = None) -> np.ndarray:
    """Boolean array over (swept fields, seed) of the cells that are finished, or of those that ``index`` selects."""
    import zarr

    return _select(zarr.open_group(path, mode="r"), FINISHED, index or {})


def seeds_per_chunk(path: str | os.PathLike[str]) -> int:
    """Number of seeds in one chunk of a store."""
    import zarr

    array: Any = zarr.open_group(path, mode="r")[FINISHED]
    return int(array.chunks[-1])


def wait_until_created(path: str | os.PathLike[str], timeout: float) -> None:
    """Wait until another process has created the store; it then is complete.

    Raises
    ------
    StoreError
        After ``timeout`` seconds.
    """
    give_up = time.monotonic() + timeout
    while not os.path.exists(path):
        if time.monotonic() > give_up:
            raise StoreError(
                f"process 0 has not created {path} within {timeout:g} s: has it failed, "
                "or is this folder not shared by all processes?"
            )
        time.sleep(0.1)
