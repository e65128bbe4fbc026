"""Results on disk: one Zarr group per sweep, readable with plain ``xarray.open_zarr``.

Every observable is an array over (swept fields, ``seed``, inner dimensions). The arrays are allocated when the
sweep starts and filled block by block; ``finished`` is written after a block's data, so that a cell is either
finished or absent, whenever the run is killed. A finished cell is never changed again. ``first_bad_step`` is -1 for a
finite cell. Every chunk carries a checksum and its place, and one of a finished cell is there even where all of it is
missing values, so that no damage looks like a result: see :mod:`theorylab.lab.damage` and :mod:`theorylab.lab.places`.

Several processes may fill one store: see :mod:`theorylab.lab.locks`.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import platform
import re
import subprocess
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.contract import ConfigError
from theorylab.contract.fields import shown
from theorylab.lab import metadata
from theorylab.lab.metadata import (
    BASE_SEED,
    FINISHED,
    FIRST_BAD_STEP,
    PROGRAM_OF,
    SCHEMA,
    StoreError,
    damaged,
    open_group,
)
from theorylab.numerics.files import expanded, finish, local_path, written_whole
from theorylab.version import __version__

if TYPE_CHECKING:
    import xarray
    import zarr

__all__ = ["SCHEMA", "StoreError"]

#: Coordinates that are not named as their dimension.
COORD_DIMS = {BASE_SEED: "seed"}


def store_path(store: Any) -> Path:
    """Return the folder that a user named, resolved once; raises ``ConfigError`` where it can be none."""
    return _named("store", store, local_path)


def user_path(name: str, path: Any) -> Path:
    """Return a path that a user named for something else, as they wrote it but for ``~`` and ``$NAME``."""
    return _named(name, path, expanded)


def store_of_case(store: str, case: str) -> str:
    """Return the folder of one of several cases: ``store-CASE.zarr``, with hyphens for blanks, commas and brackets."""
    name = re.sub(r"[^\w.+=-]+", "-", case).strip("-")
    return f"{store.removesuffix('.zarr')}-{name}.zarr"


def _named(name: str, path: Any, read: Callable[[Any], Path]) -> Path:
    # A whole number would be a file that is open already.
    if not isinstance(path, (str, os.PathLike)):
        raise ConfigError(f"{name} = {shown(path)} is not allowed: must be a path")
    try:
        return read(path)
    except ValueError as error:
        raise ConfigError(f"{name} = {shown(os.fspath(path))} is not allowed: {error}") from None


def provenance() -> dict[str, str]:
    """Versions, device, git revision and start time of this process."""
    import jax

    try:
        revision = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        revision = "unknown"
    devices = jax.local_devices()
    return {
        "theorylab_version": __version__,
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


def from_json(value: Any, kind: type) -> Any:
    """Return a field's value as :func:`to_json` wrote it, infinities as text."""
    numbers = {"inf": float("inf"), "-inf": -float("inf"), "nan": float("nan")}
    return numbers.get(value, value) if isinstance(value, str) and kind in (int, float) else value


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

    def allocate() -> None:
        with written_whole(path) as scratch:
            _allocate(scratch, coords, variables, chunks, attributes)

    try:
        finish(allocate)
    except OSError as error:
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

    from theorylab.lab import places

    coding, identity = codecs(), places.new_identity()
    other = " ".join(name for name in coords if name in COORD_DIMS)
    # xarray's name for coordinates beside those of the dimensions.
    attributes = {**attributes, "theorylab_schema": SCHEMA, **({"coordinates": other} if other else {})}
    attributes |= {metadata.IDENTITY: identity} if identity else {}
    group = zarr.create_group(places.folder(path, identity), zarr_format=3, attributes=attributes)
    for name, values in coords.items():
        data = np.asarray(values)
        if data.dtype.kind in "US":
            data = data.astype(np.dtypes.StringDType())
        dims = (COORD_DIMS.get(name, name),)
        array = group.create_array(
            name, shape=data.shape, chunks=(max(1, len(data)),), dtype=data.dtype, dimension_names=dims, **coding
        )
        array[...] = data
    for name, (along, dtype, attrs) in variables.items():
        dtype = np.dtype(dtype)
        array = group.create_array(
            name,
            shape=tuple(len(coords[d]) for d in along),
            chunks=tuple(max(1, min(chunks.get(d, len(coords[d])), len(coords[d]))) for d in along),
            dtype=dtype,
            fill_value=_fill(name, dtype),
            dimension_names=along,
            attributes=dict(attrs),
            **coding,
        )
        if name == FINISHED:  # a flag that is not there is damage, rather than a cell to compute
            assign(group, name, {}, False)
    consolidate(path)


def codecs() -> dict[str, Any]:
    """Compression, then the checksum of what lies on the disk; and no chunk is left out for being empty."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return {"compressors": [ZstdCodec(), Crc32cCodec()], "config": {"write_empty_chunks": True}}


def cannot_write(path: str | os.PathLike[str], error: OSError) -> StoreError:
    """Return the error of a store that cannot be written."""
    return StoreError(f"cannot write results to {path}: {error.strerror or error}")


def consolidate(path: str | os.PathLike[str]) -> None:
    """Gather the metadata in one file, which ``xarray.open_zarr`` looks for first, and seal it."""
    import zarr

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(zarr.storage.LocalStore(Path(path)), zarr_format=3)
    metadata.update(path)


def write_block(
    path: str | os.PathLike[str], index: Mapping[str, slice], values: Mapping[str, np.ndarray], program: int = 0
) -> None:
    """Write one block of every variable in ``values``, then mark it finished.

    ``index`` selects along the swept fields and ``seed``; dimensions that it does not name are whole. Cells of the
    block that are finished already keep their values. Nothing is being written any more when this returns or raises,
    so that the caller may give back its lock.

    Raises
    ------
    StoreError
        If the block cannot be written; its unfinished cells then stay unfinished.
    """

    def fill() -> None:
        group = open_group(path, "r+")
        finished = _select(group, FINISHED, index)
        everything = dict(values)
        if PROGRAM_OF in group:
            everything[PROGRAM_OF] = np.full(finished.shape, program)
        for name, value in everything.items():
            if finished.any():
                done = finished.reshape(finished.shape + (1,) * (value.ndim - finished.ndim))
                value = np.where(done, _select(group, name, index), value)
            assign(group, name, index, value)
        assign(group, FINISHED, index, True)

    write(path, fill)


def write(path: str | os.PathLike[str], work: Callable[[], None]) -> None:
    """Write to a store to the end, whatever interrupts; raises ``StoreError`` where it cannot be written, or read."""
    try:
        finish(work)
    except OSError as error:
        raise cannot_write(path, error) from error
    except (ValueError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        raise damaged(path, f"a chunk cannot be read ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _selection(array: Any, index: Mapping[str, slice]) -> tuple[slice, ...]:
    return tuple(index.get(dim, slice(None)) for dim in array.metadata.dimension_names)


def _select(group: zarr.Group, name: str, index: Mapping[str, slice]) -> np.ndarray:
    array: Any = group[name]
    return np.asarray(array[_selection(array, index)])


def assign(group: Any, name: str, index: Mapping[str, slice], value: Any) -> None:
    """Write a part of an array, one chunk after the other: of several at once, one may fail while others go on."""
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):  # read when an array is opened
        array: Any = group[name]
    bounds = [s.indices(n)[:2] for s, n in zip(_selection(array, index), array.shape, strict=True)]
    cuts = [
        [(max(first, c), min(last, c + length)) for c in range(first // length * length, last, length)]
        for (first, last), length in zip(bounds, array.chunks, strict=True)
    ]
    value = np.broadcast_to(value, [last - first for first, last in bounds])
    for part in itertools.product(*cuts):
        within = tuple(slice(a - first, b - first) for (a, b), (first, _) in zip(part, bounds, strict=True))
        array[tuple(slice(a, b) for a, b in part)] = value[within]


def arrays(path: Path, content: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
    """Open arrays of a store as they are described, which need not be what its metadata say of them."""
    import zarr

    from theorylab.lab import places

    folder = places.folder(path, content["attributes"].get(metadata.IDENTITY))
    with zarr.config.set({"array.write_empty_chunks": True}):
        return {
            name: zarr.Array.from_dict(zarr.storage.StorePath(folder, name), dict(array))
            for name, array in described.items()
        }


def set_attributes(path: str | os.PathLike[str], **attributes: Any) -> None:
    """Add attributes to a store (the end time, once every cell is finished)."""
    try:
        finish(lambda: metadata.update(path, **attributes))
    except OSError as error:
        raise cannot_write(path, error) from error


def attributes_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Attributes of a store; raises ``StoreError`` where there is none, or it is damaged."""
    found: dict[str, Any] = metadata.read(path)["attributes"]
    return found


def open_results(path: str | os.PathLike[str], variables: Sequence[str] | None = None) -> xarray.Dataset:
    """Open a store as an ``xarray.Dataset``, loaded into memory.

    Parameters
    ----------
    variables
        Names of those that are wanted, ``finished`` and ``first_bad_step`` apart, which always come along; the others
        are not read. Default: all.

    Raises
    ------
    StoreError
        If there is nothing at ``path``, it is not a results folder of this library, it is damaged, or it has no such
        variable.
    """
    from theorylab.lab import damage

    path = store_path(path)
    content = metadata.read(path)
    lazy = _lazy(path, content)
    with lazy:
        if variables is not None:
            always = [name for name in (FINISHED, FIRST_BAD_STEP) if name in lazy]
            wanted = list(dict.fromkeys([*([variables] if isinstance(variables, str) else variables), *always]))
            if missing := [name for name in wanted if name not in lazy]:
                raise StoreError(f"{path} has no {missing[0]!r}: choose among {', '.join(map(str, lazy.data_vars))}")
            lazy = lazy[wanted]
        damage.check_chunks(path, content, [str(name) for name in lazy.data_vars])
        try:
            data = lazy.load()
        except Exception as error:
            raise damaged(path, damage.which_chunk(path, content) or _one_line(error)) from error
    damage.check_content(path, content, data)
    for name in (metadata.CHECKSUM, metadata.IDENTITY):
        data.attrs.pop(name, None)
    return data


def _lazy(path: Path, content: Mapping[str, Any]) -> xarray.Dataset:
    import xarray

    from theorylab.lab import damage, places

    folder = places.folder(path, content["attributes"].get(metadata.IDENTITY), read_only=True)
    try:
        return xarray.open_zarr(folder, zarr_format=3, consolidated=True, chunks=None)
    except Exception as error:
        raise damaged(path, damage.which_chunk(path, content) or _one_line(error)) from error


def finished_cells(path: str | os.PathLike[str], index: Mapping[str, slice] | None = None) -> np.ndarray:
    """Boolean array over (swept fields, seed) of the cells that are finished, or of those that ``index`` selects."""
    from theorylab.lab import damage

    content = metadata.read(path)
    try:
        damage.check_chunks(Path(path), content, [])
        return _select(open_group(path), FINISHED, index or {})
    except StoreError:
        raise
    except Exception as error:
        raise damaged(path, damage.which_chunk(Path(path), content, [FINISHED]) or _one_line(error)) from error


def shape_of(path: str | os.PathLike[str]) -> tuple[list[str], int]:
    """Return the swept fields of a store in the order of its axes, and the number of seeds in one chunk."""
    try:
        array = metadata.arrays_of(metadata.read(path))[FINISHED]
        return array["dimension_names"][:-1], int(array["chunk_grid"]["configuration"]["chunk_shape"][-1])
    except (KeyError, IndexError, TypeError) as error:
        raise metadata.not_readable(path, f"it has no {FINISHED!r}") from error


def remove_litter(path: Path, chosen: Mapping[str, int], seeds: range) -> None:
    """Remove what a process that died while it wrote has left of some chunks, for which the caller holds the lock."""
    for name, array in metadata.arrays_of(metadata.read(path)).items():
        dims, lengths = array.get("dimension_names") or (), array["chunk_grid"]["configuration"]["chunk_shape"]
        if "seed" not in dims or name in COORD_DIMS or name in dims:
            continue
        axis = dims.index("seed")
        lead = [str(chosen[dim]) if dim in chosen else "*" for dim in dims[:axis]]
        own = {str(seed // lengths[axis]) for seed in (seeds.start, *seeds)}
        for folder in (path / name).glob("/".join(["c", *lead])):
            places = [folder] if axis == len(dims) - 1 else [folder / number for number in own]
            for place in places:
                for file in place.rglob("*.partial"):
                    if file.relative_to(folder).parts[0].partition(".")[0] in own:
                        file.unlink(missing_ok=True)


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
