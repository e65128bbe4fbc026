"""Which run may write to which chunks of a store.

A chunk is rewritten whole even where a part of it changes, so that two processes must never work on one chunk at a
time: a process holds a lock on the chunks that it is filling. The locks are the operating system's, on bytes of a file
beside the flags; they end with the process that holds them, however it ends, and nothing is left to clean up.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from theorylab.lab.store import FINISHED, cannot_write

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


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
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        yield True
        return
    try:
        handle = open(Path(path) / FINISHED / ".lock", "ab")  # noqa: SIM115 - closed below, on every path
    except OSError as error:
        raise cannot_write(path, error) from error
    with handle:
        held = True
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), len(chunks), chunks.start)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                warnings.warn(f"{path} is on a file system without locks: let no other run write to it", stacklevel=3)
            elif error.errno in (errno.EACCES, errno.EAGAIN):
                held = False
            else:
                raise cannot_write(path, error) from error
        yield held
