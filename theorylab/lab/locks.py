"""Which run may write to which chunks of a store.

A chunk is rewritten whole even where a part of it changes, so that two processes must never work on one chunk at a
time: a process holds a lock on the chunks that it is filling. The locks are the operating system's, on bytes of a file
beside the flags; they end with the process that holds them, however it ends, and nothing is left to clean up.
"""

from __future__ import annotations

import errno
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from theorylab.lab.metadata import FINISHED
from theorylab.lab.store import cannot_write

#: Locks the bytes of a file that chunks have, if no other process has any of them; does not wait.
Lock = Callable[[int, range], bool]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
#: Seconds between two questions for a lock.
_PAUSE = 0.2


@contextmanager
def chunks_locked(path: str | os.PathLike[str], chunks: range, *, wait: bool) -> Iterator[bool]:
    """Hold the right to write some chunks, numbered by (combination of static fields, seeds), or yield ``False``.

    The lock ends with the process that holds it. It tells processes apart, also those of other nodes where the file
    system does (NFS and Lustre with locks turned on), but not threads of one process. A system without such locks
    warns: nothing then stands between two runs on one store at the same time, while the processes of one run never
    share a chunk anyway.

    Parameters
    ----------
    chunks
        Consecutive numbers.
    wait
        Wait for the process that has one of them to finish or to die, instead of yielding ``False``.

    Raises
    ------
    StoreError
        If the store cannot be written.
    """
    lock = _fcntl() or _msvcrt()
    if lock is None:
        _warn(path, "this Python has no file locks")
        yield True
        return
    try:
        handle = open(Path(path) / FINISHED / ".lock", "ab")  # noqa: SIM115 - closed below, on every path
    except OSError as error:
        raise cannot_write(path, error) from error
    with handle:
        held = True
        try:
            while not (held := lock(handle.fileno(), chunks)) and wait:
                time.sleep(_PAUSE)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise cannot_write(path, error) from error
            _warn(path, "it is on a file system without locks")
            held = True
        yield held  # closing the file gives the lock back


def _warn(path: str | os.PathLike[str], why: str) -> None:
    # The frames between are chunks_locked, contextlib's and the sweep's.
    warnings.warn(f"{path}: {why}, so that no other run must write to it at the same time", stacklevel=4)


def _fcntl() -> Lock | None:
    """Locks of POSIX systems."""
    try:
        import fcntl
    except ImportError:
        return None

    def lock(file: int, chunks: range) -> bool:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(chunks), chunks.start)
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    return lock


def _msvcrt() -> Lock | None:
    """Locks of Windows, on the bytes from the file's position on; they may lie beyond its end."""
    try:
        import msvcrt
    except ImportError:
        return None
    system: Any = msvcrt  # type checkers know the names on Windows alone

    def lock(file: int, chunks: range) -> bool:
        os.lseek(file, chunks.start, os.SEEK_SET)
        try:
            system.locking(file, system.LK_NBLCK, len(chunks))
        except OSError as error:
            if error.errno in _HELD:
                return False
            raise
        return True

    return lock
