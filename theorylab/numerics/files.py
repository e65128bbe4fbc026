"""Files and folders that other processes see whole, or not at all; and which paths and folders may be trusted."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

_LOCK = ".lock"
_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
#: Scratch folders that this process is using: some systems' locks do not tell its threads apart.
_IN_USE: set[str] = set()
#: Seconds after which a scratch folder that nobody locked, or can lock, is litter.
_NEVER_LOCKED = 24 * 3600


def local_path(path: str | os.PathLike[str]) -> Path:
    """Resolve a path as a shell would: ``~``, ``$NAME`` and links, once, against the current folder.

    Raises
    ------
    ValueError
        With a sentence, if it is not the path of a local file or folder.
    """
    try:
        return expanded(path).resolve()
    except (OSError, RuntimeError):  # links that lead in a circle
        raise ValueError("its links lead in a circle") from None


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with its ``~`` and ``$NAME`` replaced, as a shell would; raises ``ValueError`` with a sentence."""
    text = os.fspath(path)
    if not isinstance(text, str):
        raise ValueError("must be text, not bytes")
    if not text.strip():
        raise ValueError("must be a path, not an empty text")
    if "\0" in text:
        raise ValueError("a path has no NUL character")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:(//|:)", text) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/[^/]", text):
        raise ValueError("must be a local path, not an address: copy it to a local folder, or mount it")
    full = os.path.expanduser(os.path.expandvars(text))
    if full.startswith("~"):
        raise ValueError(f"there is no user {full.partition('/')[0][1:]!r} on this machine; ./~... names a folder")
    if unknown := re.search(r"\$(\w+|\{\w+\})", full):
        raise ValueError(f"the environment has no variable {unknown.group(1).strip('{}')!r}")
    return Path(full)


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write a file or a folder to; when the block ends, it stands at ``path``, complete.

    Where the block fails, or the process dies in it, nothing is there that was not there before; what a process left
    that died is swept by the next one that writes to ``path``. A file is replaced; of two folders the first stays, and
    the second raises ``OSError``.
    """
    target = Path(os.path.abspath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_litter(target)
    # Beside the target, since a name is changed at once within one file system only.
    scratch, lock = _scratch(target)
    try:
        yield scratch / target.name
        os.replace(scratch / target.name, target)
    finally:
        # The folder goes before its lock, so that nobody takes it for litter meanwhile.
        shutil.rmtree(scratch, ignore_errors=True)
        if lock is not None:
            lock.close()
            shutil.rmtree(scratch, ignore_errors=True)  # some systems keep an open file
        _IN_USE.discard(str(scratch))


def _scratch(target: Path) -> tuple[Path, IO[bytes] | None]:
    """Make a new folder of an unpredictable name, and lock it for as long as this process works there."""
    while True:
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        _IN_USE.add(str(scratch))
        try:
            lock = open(scratch / _LOCK, "xb")  # noqa: SIM115 - closed by the caller
        except FileNotFoundError:
            continue
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            _IN_USE.discard(str(scratch))
            raise
        if _locked(lock) is not False and (scratch / _LOCK).exists():
            return scratch, lock
        lock.close()  # another process took it for litter, in the moment before it was locked


def _locked(handle: IO[bytes]) -> bool | None:
    """Lock an open file, unless another process has; ``None`` where the system knows no such locks."""
    try:
        _lock(handle)
    except ImportError:
        return None
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def _lock(handle: IO[bytes]) -> None:
    """Lock an open file until it is closed or its process ends; raises ``OSError``, without waiting."""
    try:
        import fcntl
    except ImportError:  # Windows, where a lock is on bytes from the position on, which need not be there
        import msvcrt

        system: Any = msvcrt  # type checkers know the names on Windows alone
        handle.seek(0)
        system.locking(handle.fileno(), system.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_litter(target: Path) -> None:
    """Remove the scratch folders of this target whose processes are dead."""
    with suppress(OSError):
        named = re.compile(re.escape(f".{target.name}.") + r"[a-z0-9_]{8}")
        for entry in os.scandir(target.parent):
            if named.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False) and entry.path not in _IN_USE:
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(scratch: Path) -> None:
    with suppress(OSError):
        free: bool | None = None
        if (scratch / _LOCK).exists():
            with open(scratch / _LOCK, "rb+") as lock:
                if free := _locked(lock):
                    shutil.rmtree(scratch, ignore_errors=True)
        if free:
            # Windows keeps an open file. Its owner may have come to life meanwhile: then it has the file open.
            (scratch / _LOCK).unlink()
            scratch.rmdir()
        elif free is None and time.time() - scratch.stat().st_mtime > _NEVER_LOCKED:
            shutil.rmtree(scratch, ignore_errors=True)


def finish(work: Callable[[], T]) -> T:
    """Do some work to its end, whatever interrupts the caller; the interruption is raised afterwards.

    A write that Ctrl-C leaves behind in another thread would end at some later time, when others may have written.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    worker = threading.Thread(target=run, name="theorylab-write")
    interruption: BaseException | None = None
    began = False
    while not done.is_set():
        try:
            if not began:
                began = True
                worker.start()
            done.wait()
        except BaseException as error:
            interruption = error
            if worker.ident is None:  # no thread can be started, or interrupted before it was
                done.wait(1)
                if worker.ident is None:
                    raise
    worker.join()
    if interruption is not None:
        raise interruption
    if errors:
        raise errors[0]
    return results[0]


def others_may_write(folder: str | os.PathLike[str]) -> str | None:
    """Say who else may put files into a folder or replace it, or ``None``; a missing folder is judged by its parents.

    Root and the user are trusted, and a group that has no other member.
    """
    if not hasattr(os, "geteuid"):
        return None
    own = Path(os.path.realpath(folder))
    trusted = (0, os.geteuid())
    for place in (own, *own.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        if status.st_uid not in trusted:
            return f"{place} belongs to another user"
        # In a folder with the sticky bit, nobody renames another's files; they may put in new ones.
        if place != own and status.st_mode & stat.S_ISVTX:
            continue
        if status.st_mode & stat.S_IWOTH:
            return f"everyone may write to {place}"
        if status.st_mode & stat.S_IWGRP and not _group_of_one(status.st_gid, status.st_uid):
            return f"a group may write to {place}"
    return None


def _group_of_one(group: int, user: int) -> bool:
    """Whether a group is a user's own, as many systems give one to each."""
    import grp
    import pwd

    try:
        entry, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return set(entry.gr_mem) <= {name} and (entry.gr_name == name or group == pwd.getpwuid(user).pw_gid == 0)
