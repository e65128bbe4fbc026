"""Whether a store is as it was written: no chunk is missing, none has changed, and labels are those of the sweep.

Checksums find what has changed within a chunk, and places a chunk that belongs elsewhere. This module finds what is not
there, and names the chunk.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.lab.metadata import (
    ALLOW_NAN,
    BASE_SEED,
    FINISHED,
    FIRST_BAD_STEP,
    PROGRAM_OF,
    StoreError,
    arrays_of,
    damaged,
    open_group,
)

if TYPE_CHECKING:
    import xarray


def check_chunks(path: Path, content: Mapping[str, Any], names: Sequence[str]) -> None:
    """Make sure that the flags are whole, and that every chunk of a variable that holds a finished cell exists.

    A store of the first layout left out chunks in which all values are missing: there the lack of one is a warning.

    Raises
    ------
    StoreError
        Naming the first chunk that is not there.
    """
    arrays = arrays_of(content)
    old = content["attributes"]["theorylab_schema"] == 1
    if FINISHED not in arrays:
        return
    finished = arrays[FINISHED]
    if not old:
        for name in arrays:
            if name == FINISHED or len(arrays[name]["shape"]) < len(finished["shape"]):
                _first_missing(path, name, _keys(arrays[name], None))
    if not names:
        return
    flags = read_array(path, FINISHED)
    if "finished_at" in content["attributes"] and not flags.all():
        raise damaged(path, "it says that it is complete, but not all of its cells are flagged as finished")
    if old and FIRST_BAD_STEP in arrays:
        flags = flags & (read_array(path, FIRST_BAD_STEP) < 0)
    for name in names:
        if name == FINISHED or name not in arrays or arrays[name]["shape"][: flags.ndim] != list(flags.shape):
            continue
        if old and not np.issubdtype(arrays[name]["data_type"], np.floating):
            continue
        if name == PROGRAM_OF:
            continue
        try:
            _first_missing(path, name, _keys(arrays[name], flags))
        except StoreError as error:
            if not old:
                raise
            warnings.warn(f"{error}, unless all of its values are missing ones", stacklevel=4)


def _first_missing(path: Path, name: str, keys: Iterator[tuple[int, ...]]) -> None:
    folders: dict[str, set[str]] = {}
    for key in keys:
        *parents, last = (str(path), name, "c", *map(str, key))
        folder = os.path.join(*parents)
        if folder not in folders:
            try:
                folders[folder] = set(os.listdir(folder))
            except OSError:
                folders[folder] = set()
        if last not in folders[folder]:
            raise damaged(path, f"the chunk {'/'.join((name, 'c', *map(str, key)))} is missing")


def _keys(array: Mapping[str, Any], flags: np.ndarray | None) -> Iterator[tuple[int, ...]]:
    """Numbers of the chunks of an array; where ``flags`` over its first axes are given, of those that hold a true one.

    An array without entries has no chunks.
    """
    lengths = array["chunk_grid"]["configuration"]["chunk_shape"]
    counts = [-(-n // length) for n, length in zip(array["shape"], lengths, strict=True)]
    if flags is None:
        yield from itertools.product(*map(range, counts))
        return
    for axis, length in enumerate(lengths[: flags.ndim]):
        flags = np.logical_or.reduceat(flags, np.arange(0, flags.shape[axis], length), axis)
    for first in np.argwhere(flags):
        for rest in itertools.product(*map(range, counts[flags.ndim :])):
            yield (*map(int, first), *rest)


def read_array(path: Path, name: str) -> np.ndarray:
    """Return a whole array of a store; raises ``StoreError`` where a chunk is damaged."""
    array: Any = open_group(path)[name]
    try:
        return np.asarray(array[...])
    except Exception as error:
        raise damaged(path, _broken(array, name) or f"{name} cannot be read") from error


def which_chunk(path: Path, content: Mapping[str, Any], names: Sequence[str] | None = None) -> str | None:
    """Say which chunk cannot be read, after one could not."""
    for name in names or arrays_of(content):
        try:
            array: Any = open_group(path)[name]
        except Exception:
            return f"the metadata of {name} cannot be read"
        if found := _broken(array, name):
            return found
    return None


def _broken(array: Any, name: str) -> str | None:
    for key in np.ndindex(*(-(-n // length) for n, length in zip(array.shape, array.chunks, strict=True))):
        part = tuple(slice(i * n, (i + 1) * n) for i, n in zip(key, array.chunks, strict=True))
        try:
            array[part]
        except Exception:
            return f"the chunk {'/'.join((name, 'c', *map(str, key)))} does not match its checksum or its place"
    return None


def check_content(path: Path, content: Mapping[str, Any], data: xarray.Dataset) -> None:
    """Make sure that labels are those of the sweep, and that no finished cell lacks a value.

    Raises
    ------
    StoreError
        Naming the coordinate, or the chunk.
    """
    attributes = content["attributes"]
    _check_labels(path, attributes, data)
    if FINISHED not in data or FIRST_BAD_STEP not in data or attributes["theorylab_schema"] == 1:
        return
    whole = data[FINISHED].values & (data[FIRST_BAD_STEP].values < 0)
    for name, variable in data.data_vars.items():
        array, lead = variable.values, whole.ndim
        if array.dtype.kind != "f" or variable.attrs.get(ALLOW_NAN) or array.shape[:lead] != whole.shape:
            continue
        missing = whole & ~np.isfinite(array).all(axis=tuple(range(lead, array.ndim)))
        if missing.any():
            cell = np.argwhere(missing)[0]
            lengths = arrays_of(content)[str(name)]["chunk_grid"]["configuration"]["chunk_shape"]
            entry = (*cell, *np.argwhere(~np.isfinite(array[tuple(cell)]))[0])
            chunk = "/".join(str(int(i) // n) for i, n in zip(entry, lengths, strict=True))
            raise damaged(path, f"a finished cell lacks a value in the chunk {name}/c/{chunk}")


def _check_labels(path: Path, attributes: Mapping[str, Any], data: xarray.Dataset) -> None:
    try:
        expected = {name: values for name, values in json.loads(attributes["grid"]).items() if name in data.coords}
        if "seed" in data.coords:
            expected["seed"] = list(range(int(attributes["seeds"])))
        if BASE_SEED in data.coords:
            expected[BASE_SEED] = [attributes["base_seed"]] * int(attributes["seeds"])
    except KeyError:  # not a sweep's
        return
    for name, values in expected.items():
        stored = [str(v) if isinstance(v, float) and not np.isfinite(v) else v for v in data[name].values.tolist()]
        if stored != values:
            raise damaged(path, f"its coordinate {name!r} is not that of its grid")
