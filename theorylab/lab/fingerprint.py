"""Which program computed some results: a fingerprint of the text of the modules behind a setting's simulator."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from theorylab.contract import Setting

# Rooms of this library whose code is part of a simulation.
_OURS = ("theorylab.settings", "theorylab.numerics", "theorylab.training")
_LABELS = ("__doc__", "__annotations__")


def fingerprint(setting: Setting) -> str:
    """Hash of the simulator's name and of the source of every module that it uses, comments and blank lines apart.

    Modules of the standard library and of other packages do not count; JAX's version is kept apart.
    """
    simulate = inspect.unwrap(setting.simulate)
    while isinstance(simulate, functools.partial):
        simulate = simulate.func
    digest = hashlib.sha256()
    digest.update(str(getattr(simulate, "__qualname__", "")).encode())
    start = [getattr(thing, "__module__", None) for thing in (simulate, setting.config, setting.coords)]
    for name, text in sorted(_sources(name for name in start if name)):
        digest.update(f"\n# {name}\n{text}".encode())
    if not _file(sys.modules.get(getattr(simulate, "__module__", ""))):  # typed into a notebook
        digest.update(_code(simulate))
    return digest.hexdigest()[:16]


def _sources(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Name and stripped text of some modules, and of those of the same package that they use."""
    todo, seen = list(names), set()
    while todo:
        name = todo.pop()
        module = sys.modules.get(name)
        if name in seen or module is None:
            continue
        seen.add(name)
        file = _file(module)
        if file is None:
            continue
        # A file of one's own may have been moved.
        yield (name if name.startswith(_OURS) else "", _stripped(file, file.stat().st_mtime_ns))
        todo += [used for used in _used_by(module) if _belongs(used, name, file)]


def _used_by(module: types.ModuleType) -> Iterator[str]:
    for label, value in vars(module).items():
        if label in _LABELS:
            continue
        if isinstance(value, types.ModuleType):
            yield value.__name__
        elif isinstance(value, (types.FunctionType, type)) or hasattr(value, "__wrapped__"):
            yield str(getattr(value, "__module__", ""))


def _belongs(used: str, user: str, file: Path) -> bool:
    """Whether a module is of the same package, of this library's mathematics, or lies beside a file of one's own."""
    if used.startswith(_OURS):
        return True
    if used.partition(".")[0] == "theorylab":
        return False
    if "." in user and used.partition(".")[0] == user.partition(".")[0]:
        return True
    other = _file(sys.modules.get(used))
    return other is not None and other.parent == file.parent and not used.startswith("test")


def _file(module: types.ModuleType | None) -> Path | None:
    name = getattr(module, "__file__", None)
    return Path(name) if name and name.endswith(".py") and Path(name).is_file() else None


@functools.lru_cache(maxsize=512)
def _stripped(file: Path, changed: int) -> str:
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _code(function: Any) -> bytes:
    """Bytes of a function's code, and of the functions inside it."""
    code = getattr(function, "__code__", None)
    if code is None:
        return b""
    inner = b"".join(_code(types.SimpleNamespace(__code__=c)) for c in code.co_consts if isinstance(c, types.CodeType))
    plain = [c for c in code.co_consts if not isinstance(c, types.CodeType)]
    return code.co_code + repr((plain, code.co_names)).encode() + inner
