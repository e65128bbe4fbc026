"""Results on disk: one Zarr group per sweep, readable with plain ``xarray.open_zarr``.

Every observable is an array over (swept fields, ``seed``, inner dimensions). The arrays are allocated when the
sweep starts and filled block by block; ``finished`` is written after a block's data, so that a cell is either
finished or absent, whenever the run is killed. ``first_bad_step`` is -1 for a finite cell.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray
    import zarr

SCHEMA = 1
FINISHED = "finished"
FIRST_BAD_STEP = "first_bad_step"


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
    device = jax.devices()[0]
    return {
        "theorylab_version": theorylab.__version__,
        "jax_version": jax.__version__,
        "python_version": platform.python_version(),
        "device": f"{len(jax.devices())} x {device.device_kind} ({device.platform})",
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

    Parameters
    ----------
    coords
        Coordinate values of every dimension.
    variables
        ``{name: (dimensions, dtype, attributes)}``.
    chunks
        Chunk length per dimension (default: the whole dimension).
    attributes
        Attributes of the group.
    """
    import zarr

    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise StoreError(f"cannot write results to {target}: {error.strerror}") from error
    try:
        group = zarr.create_group(scratch, attributes=dict(attributes))
        for name, values in coords.items():
            data = np.asarray(values)
            if data.dtype.kind in "US":
                data = data.astype(np.dtypes.StringDType())
            array = group.create_array(name, shape=data.shape, dtype=data.dtype, dimension_names=(name,))
            array[...] = data
        for name, (dims, dtype, attrs) in variables.items():
            dtype = np.dtype(dtype)
            group.create_array(
                name,
                shape=tuple(len(coords[d]) for d in dims),
                chunks=tuple(max(1, min(chunks.get(d, len(coords[d])), len(coords[d]))) for d in dims),
                dtype=dtype,
                fill_value=_fill(name, dtype),
                dimension_names=dims,
                attributes=dict(attrs),
            )
        _consolidate(scratch)
        os.chmod(scratch, 0o755)
        os.rename(scratch, target)
    except OSError as error:
        raise StoreError(f"cannot write results to {target}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _consolidate(path: str | os.PathLike[str]) -> None:
    """Gather the metadata in one file, which ``xarray.open_zarr`` looks for first."""
    import warnings

    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(path)


def write_block(path: str | os.PathLike[str], index: Mapping[str, slice], values: Mapping[str, np.ndarray]) -> None:
    """Write one block of every variable in ``values``, then mark it finished.

    ``index`` selects along the swept fields and ``seed``; dimensions that it does not name are whole.
    """
    import zarr

    try:
        group = zarr.open_group(path, mode="r+")
        for name, value in values.items():
            _assign(group, name, index, value)
        _assign(group, FINISHED, index, True)
    except OSError as error:
        raise StoreError(f"cannot write results to {path}: {error.strerror or error}") from error


def _assign(group: zarr.Group, name: str, index: Mapping[str, slice], value: Any) -> None:
    array: Any = group[name]
    selection = tuple(index.get(dim, slice(None)) for dim in array.metadata.dimension_names)
    array[selection] = value


def set_attributes(path: str | os.PathLike[str], **attributes: Any) -> None:
    """Add attributes to a store (the end time, once every cell is finished)."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    group.attrs.update(attributes)
    _consolidate(path)


def open_results(path: str | os.PathLike[str]) -> xarray.Dataset:
    """Open a store as an ``xarray.Dataset``, loaded into memory.

    Raises
    ------
    StoreError
        If there is nothing at ``path``, or it is not a results folder of this library.
    """
    import xarray

    target = Path(path)
    if not target.exists():
        raise StoreError(f"no results at {target}")
    try:
        with xarray.open_zarr(target) as lazy:
            dataset = lazy.load()
    except Exception as error:
        raise StoreError(f"{target} is not a readable results folder: {type(error).__name__}: {error}") from error
    if dataset.attrs.get("theorylab_schema") != SCHEMA:
        raise StoreError(f"{target} was not written by this version of theorylab; nothing in it was touched")
    return dataset


def check_same_sweep(path: str | os.PathLike[str], attributes: Mapping[str, Any]) -> None:
    """Make sure that an existing store belongs to the sweep described by ``attributes``.

    Raises
    ------
    StoreError
        Naming the first attribute that differs, with both values; the store is left as it was.
    """
    stored = open_results(path).attrs
    for name in ("setting", "config", "grid", "seeds", "base_seed", "precision", "theorylab_version"):
        if stored.get(name) != attributes[name]:
            raise StoreError(
                f"{path} holds another sweep: its {name} is {stored.get(name)!r}, not {attributes[name]!r}; "
                "choose another folder or remove that one"
            )


def finished_cells(path: str | os.PathLike[str]) -> np.ndarray:
    """Boolean array over (swept fields, seed) of the cells that are finished."""
    import zarr

    array: Any = zarr.open_group(path, mode="r")[FINISHED]
    return np.asarray(array[...])
