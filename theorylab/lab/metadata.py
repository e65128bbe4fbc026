"""What a store says of itself: its file ``zarr.json``, read and checked before Zarr is asked anything.

The file holds the attributes and, consolidated, the metadata of every array. Its own checksum is one of the attributes,
so that a damaged label, chunk shape or fill value is noticed as a damaged number is.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theorylab.numerics.files import written_whole

if TYPE_CHECKING:
    import zarr

#: Version of the layout. 1 had no checksums, 2 no places of chunks; such stores stay readable.
SCHEMA = 3
READABLE = (1, 2, SCHEMA)
CHECKSUM = "theorylab_checksum"
#: Attribute that no other store has the same value of: see :mod:`theorylab.lab.places`.
IDENTITY = "theorylab_identity"
FILE = "zarr.json"

# Names of the arrays and attributes that every store has.
FINISHED = "finished"
FIRST_BAD_STEP = "first_bad_step"
#: Coordinate along ``seed``: what joins sweeps of several base seeds keeps each run's own.
BASE_SEED = "base_seed"
#: Attribute of a variable in which NaN is a result.
ALLOW_NAN = "allow_nan"
#: Which program computed a cell, where several did: an index into the attribute ``changes``, 0 for the first.
PROGRAM_OF = "program_of"
# A folder from elsewhere must not choose the code that decodes it: these only transform bytes.
_CODECS = {"bytes", "zstd", "crc32c", "vlen-utf8", "gzip", "blosc", "transpose"}


class StoreError(RuntimeError):
    """A results folder cannot be read, written or continued; nothing in it was touched."""


def not_readable(path: str | os.PathLike[str], why: object) -> StoreError:
    """Return the error of a folder that does not hold readable results."""
    return StoreError(f"{os.fspath(path)} is not a readable results folder: {why}")


def damaged(path: str | os.PathLike[str], what: str) -> StoreError:
    """Return the error of a store of ours that is not as it was written."""
    return StoreError(
        f"{os.fspath(path)} is damaged: {what}; restore it from a copy, or remove the folder and run again"
    )


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the metadata of a store of this library.

    Raises
    ------
    StoreError
        If there is no such folder, it is not one of ours, or its metadata are not as they were written.
    """
    target = Path(path)
    if not target.exists():
        raise StoreError(f"no results at {target}")
    try:
        content = json.loads((target / FILE).read_bytes())
    except FileNotFoundError:
        raise not_readable(target, f"there is no {FILE} in it") from None
    except OSError as error:
        raise not_readable(target, error.strerror or error) from error
    except (ValueError, RecursionError) as error:
        raise not_readable(target, f"its {FILE} is no JSON") from error
    attributes = content.get("attributes") if isinstance(content, dict) else None
    if not isinstance(attributes, dict) or content.get("zarr_format") != 3 or content.get("node_type") != "group":
        raise not_readable(target, f"its {FILE} is not that of a group of Zarr's format 3")
    schema = attributes.get("theorylab_schema")
    if isinstance(schema, bool) or schema not in READABLE:
        raise StoreError(f"{target} was not written by this version of theorylab; nothing in it was touched")
    # A checksum is asked for by whoever has one too: a single bit makes 1 of 3.
    if (schema > 1 or CHECKSUM in attributes) and attributes.get(CHECKSUM) != _checksum(content):
        raise damaged(target, f"its {FILE} does not match its checksum")
    _check_codecs(target, content)
    return content


def arrays_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the arrays by name."""
    found: dict[str, Any] = (content.get("consolidated_metadata") or {}).get("metadata") or {}
    return found


def _check_codecs(path: Path, content: Mapping[str, Any]) -> None:
    try:
        arrays = arrays_of(content)
        names = {codec["name"] for array in arrays.values() for codec in array["codecs"]}
        formats = {array["zarr_format"] for array in arrays.values()}
    except (KeyError, TypeError, AttributeError) as error:
        raise not_readable(path, f"its {FILE} does not describe its arrays") from error
    if not arrays or formats != {3}:
        raise not_readable(path, f"its {FILE} does not describe its arrays")
    if other := names - _CODECS:
        raise not_readable(path, f"its arrays need the codec {min(other)!r}, which this library never writes")


def identity_of(path: Path) -> str | None:
    """Return the identity of a store; ``None`` for one of an older layout, whose chunks know no place."""
    status = (path / FILE).stat()
    return _identity(path, status.st_ino, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)  # asked for with every block that is written
def _identity(path: Path, file: int, changed: int) -> str | None:
    found: str | None = json.loads((path / FILE).read_bytes())["attributes"].get(IDENTITY)
    return found


def open_group(path: str | os.PathLike[str], mode: Any = "r") -> zarr.Group:
    """Open a store with Zarr; what it is has been asked before."""
    import zarr

    from theorylab.lab import places

    store = places.folder(Path(path), identity_of(Path(path)), read_only=mode == "r")
    return zarr.open_group(store, mode=mode, zarr_format=3)


def update(path: str | os.PathLike[str], arrays: Mapping[str, Any] | None = None, **attributes: Any) -> None:
    """Add attributes to a store (``None`` removes one) and metadata of arrays, and renew its checksum, at once.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target = Path(path) / FILE
    content = json.loads(target.read_bytes())
    content["attributes"].update(attributes)
    content["attributes"] = {name: value for name, value in content["attributes"].items() if value is not None}
    if arrays:
        content["consolidated_metadata"]["metadata"].update(arrays)
    content["attributes"][CHECKSUM] = _checksum(content)
    with written_whole(target) as scratch:
        scratch.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _checksum(content: Mapping[str, Any]) -> str:
    """Hash everything but the checksum itself."""
    attributes = {name: value for name, value in content["attributes"].items() if name != CHECKSUM}
    text = json.dumps({**content, "attributes": attributes}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
