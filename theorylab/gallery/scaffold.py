"""A first version of a new setting: one file that works and passes its check, and its test."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
import sys
from pathlib import Path

from theorylab.catalogue import SETTINGS
from theorylab.contract import ConfigError
from theorylab.lab.store import user_path

#: Real files: they are linted and type-checked, and run as they stand.
TEMPLATES = Path(__file__).with_name("templates")


def new_setting(name: str, folder: str | os.PathLike[str] = ".") -> list[Path]:
    """Write ``NAME.py``, a whole small setting, and ``test_NAME.py`` into ``folder``; return the files.

    Raises
    ------
    ConfigError
        If the name cannot be a module's or is that of another one, or a file is there already. Nothing is written
        then.
    """
    folder = user_path("folder", folder)
    files = {folder / f"{name}.py": "setting.py", folder / f"test_{name}.py": "test_setting.py"}
    there = [path for path in files if path.exists()]
    if reason := f"{there[0]} is there already" if there else _refused(name):
        raise ConfigError(f"name = {name!r} is not allowed: {reason}")
    for path, template in files.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"\bsetting\.py\b", f"{name}.py", text), encoding="utf-8")
    return list(files)


def _refused(name: str) -> str:
    """Why a file must not be called so; empty if it may."""
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name.startswith("_"):
        return "must be a Python module name in lower case"
    if name in SETTINGS:
        return "this library has a setting of that name"
    if name in sys.stdlib_module_names:
        return "it would hide a module of Python's own library"
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None:
        return f"it would hide another module, {found.origin}"
    return ""
