"""Files as Windows has them, as far as another system can play it: a script for a process of its own.

No ``fcntl``; ``msvcrt`` locks bytes of an open file, for one handle; ``os.kill`` ends processes, whatever the signal;
an open file cannot be deleted. Arguments: a target, and what to do while a scratch folder for it is there.
"""

import errno
import fcntl
import os
import signal
import sys
import types
from pathlib import Path


def locking(handle, mode, count):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


def is_open(path):
    """Whether some process has a file open."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(entry) == str(path):
                return True
        except OSError:
            continue
    return False


unlink = os.unlink


def unlink_closed(path, *, dir_fd=None):
    folder = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
    if is_open(os.path.join(folder, os.fspath(path))):
        raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used")
    unlink(path, dir_fd=dir_fd)


def never(*arguments):
    raise AssertionError("on Windows this ends the process")


if __name__ == "__main__":
    # Before msvcrt is there, by which the standard library knows Windows.
    from theorylab.numerics.files import written_whole

    kill, os.kill = os.kill, never
    os.unlink = os.remove = unlink_closed
    sys.modules["fcntl"] = None
    sys.modules["msvcrt"] = types.SimpleNamespace(locking=locking, LK_NBLCK=2)

    target, do = sys.argv[1:]
    with written_whole(target) as scratch:
        scratch.write_text(do)
        if do == "die":
            kill(os.getpid(), signal.SIGKILL)
        if do == "wait":
            print("ready", flush=True)
            sys.stdin.readline()
