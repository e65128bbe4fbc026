"""Chunks that know their place: one that was swapped for another, or comes from another store, does not fit.

A checksum says that the bytes of a chunk are as they were written, not that they were written there. So each chunk ends
with a hash of its store's identity and of its own key. The hash stands in a skippable frame of Zstandard, which every
decoder passes over: other readers of Zarr see plain arrays. The checksum that follows covers it.
"""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from zarr.storage import LocalStore

_CHUNK = re.compile(r"[^/]+/c(/\d+)*")
_MAGIC, _BYTES = 0x184D2A50, 16
_HEAD = struct.pack("<II", _MAGIC, _BYTES)
#: Bytes of a frame and of the checksum behind it.
_TAIL, _SUM = len(_HEAD) + _BYTES, 4
#: The polynomial of CRC-32C, its bits reversed.
_POLYNOMIAL = 0x82F63B78


class PlaceError(ValueError):
    """A chunk was not written where it lies, or has changed."""


def new_identity() -> str | None:
    """Return a name for a new store, which no other has."""
    return uuid.uuid4().hex


def folder(path: Path, identity: str | None, *, read_only: bool = False) -> LocalStore:
    """Return the folder of a store as Zarr needs it."""
    if identity is None:
        return LocalStore(path, read_only=read_only)
    return PlacedStore(path, read_only=read_only, identity=identity)


class PlacedStore(LocalStore):
    """A folder whose chunks carry their place: it is added when one is written, and asked for when one is read."""

    def __init__(self, root: Any, *, read_only: bool = False, identity: str = "") -> None:
        super().__init__(root, read_only=read_only)
        self.identity = identity

    def with_read_only(self, read_only: bool = False) -> PlacedStore:
        """Return the same folder, to be read alone or also to be written."""
        return type(self)(self.root, read_only=read_only, identity=self.identity)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file; a chunk must be in its place."""
        return self._checked(key, await super().get(key, prototype, byte_range), byte_range)

    async def set(self, key: str, value: Any) -> None:
        """Write a file; a chunk with its place."""
        await super().set(key, self._placed(key, value))

    # Newer versions of Zarr also ask outside of their event loop.

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file; a chunk must be in its place."""
        read: Any = super()
        return self._checked(key, read.get_sync(key, prototype=prototype, byte_range=byte_range), byte_range)

    def set_sync(self, key: str, value: Any) -> None:
        """Write a file; a chunk with its place."""
        write: Any = super()
        write.set_sync(key, self._placed(key, value))

    def _frame(self, key: str) -> bytes:
        return _HEAD + hashlib.blake2b(f"{self.identity}/{key}".encode(), digest_size=_BYTES).digest()

    def _placed(self, key: str, value: Any) -> Any:
        if not _CHUNK.fullmatch(key):
            return value
        content = value.as_numpy_array()
        frame = self._frame(key)
        checksum = continued(int.from_bytes(content[-_SUM:].tobytes(), "little"), frame)
        if not (content.flags.owndata and content.flags.writeable):
            content = content.copy()
        # It was made for this write, and grows where it stands: one more copy would cost as much as the checksum.
        content.resize(len(content) + _TAIL, refcheck=False)
        content[-_TAIL - _SUM :] = np.frombuffer(frame + checksum.to_bytes(_SUM, "little"), content.dtype)
        return type(value).from_array_like(content)

    def _checked(self, key: str, value: Any, byte_range: Any) -> Any:
        if value is None or byte_range is not None or not _CHUNK.fullmatch(key):
            return value
        if bytes(value.as_numpy_array()[-_TAIL - _SUM : -_SUM]) != self._frame(key):
            raise PlaceError(f"the chunk {key} is not as it was written there: its checksum or its place does not fit")
        return value


def continued(checksum: int, more: bytes) -> int:
    """Return the CRC-32C of some bytes and those that follow, from that of the first alone."""
    state = checksum ^ 0xFFFFFFFF
    for byte in more:
        state = _TABLE[(state ^ byte) & 0xFF] ^ state >> 8
    return state ^ 0xFFFFFFFF


def _table() -> list[int]:
    rows = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ (_POLYNOMIAL if row & 1 else 0)
        rows.append(row)
    return rows


_TABLE = _table()
