"""The catalogue of settings: one line each. Importing it imports no numerical library.

Settings of other packages join through the entry-point group ``theorylab.settings`` (``name = "package.module"``, or
``"package.module:SETTING"``), and by a path or a module wherever a setting is named: ``get("./mine.py")``,
``get("package.module:SETTING")``.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from theorylab.contract import Setting

#: ``tiny`` takes seconds, ``default`` minutes (the committed pictures), ``paper`` has published sizes and wants a GPU.
Preset = Literal["tiny", "default", "paper"]

#: Families, in the order in which they are shown, and what their settings have in common.
FAMILIES = {
    "kernels": "kernels and random features",
    "wide_networks": "wide networks at initialisation",
    "in_context": "in-context learning",
    "factorisation": "products of matrices",
    "two_layer": "two-layer networks that learn features",
    "step_size": "finite step sizes",
    "statistics": "sums, energies, memories",
    "elsewhere": "settings of other packages",
}

#: name -> family; the module is ``theorylab.settings.FAMILY.NAME``, and the first line of its docstring is the title.
SETTINGS = {
    "random_features": "kernels",
    "linear_attention": "in_context",
    "matrix_sensing": "factorisation",
    "xor": "two_layer",
    "grokking": "two_layer",
    "grokking_networks": "two_layer",
}

ENTRY_POINTS = "theorylab.settings"


@functools.cache
def others() -> dict[str, str]:
    """Settings of installed packages: name -> ``module`` or ``module:SETTING``; the catalogue's own names win."""
    from importlib.metadata import entry_points

    found = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return {name: value for name, value in sorted(found.items()) if name not in SETTINGS}


def names() -> list[str]:
    """Names of all settings, this library's and those of installed packages, by family."""
    own = sorted(SETTINGS, key=lambda name: list(FAMILIES).index(SETTINGS[name]))
    return [*own, *others()]


def family_of(name: str) -> str:
    """Return the family of a setting by its name."""
    return SETTINGS.get(name, "elsewhere")


def module_of(name: str) -> str:
    """Return the module of a setting by its name."""
    return f"theorylab.settings.{SETTINGS[name]}.{name}" if name in SETTINGS else others()[name].partition(":")[0]


def title_of(name: str) -> str:
    """Return the title of a setting, read from its module without importing it."""
    try:
        found = importlib.util.find_spec(module_of(name))
        text = Path(str(found and found.origin)).read_text(encoding="utf-8")
        return (ast.get_docstring(ast.parse(text)) or name).splitlines()[0].rstrip(".")
    except (ImportError, OSError, SyntaxError, ValueError) as error:  # another package's is broken: get() says how
        return f"cannot be read: {error}"


def get(name: str) -> Setting:
    """Return a setting: by name, by a path (``./mine.py``), or by module (``package.module:SETTING``).

    Raises
    ------
    KeyError
        If there is no such setting; the message lists those there are.
    ContractError
        If a setting of another package breaks the contract; the message names the clause.

    Examples
    --------
    >>> from theorylab import get
    >>> setting = get("xor")
    >>> setting.papers[0].arxiv, list(setting.presets)
    ('2310.02541', ['tiny', 'default', 'paper'])
    """
    if name in SETTINGS:
        return _setting_of(importlib.import_module(module_of(name)), "SETTING", name)
    if name in others():
        return get(others()[name] if ":" in others()[name] else f"{others()[name]}:SETTING")
    if name.endswith(".py"):
        return _setting_of(_load_file(Path(name)), "SETTING", name)
    if ":" in name:
        module, _, attribute = name.partition(":")
        if str(Path.cwd()) not in sys.path and "" not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        try:
            return _setting_of(importlib.import_module(module), attribute, name)
        except ModuleNotFoundError as error:
            if error.name != module and not module.startswith(f"{error.name}."):
                raise
            raise KeyError(f"there is no module {module!r} (for the setting {name!r})") from None
    raise KeyError(unknown("setting", name, names()) + "; or a file ./mine.py, or package.module:SETTING")


def _setting_of(module: Any, attribute: str, name: str) -> Setting:
    from theorylab.contract import ContractError, Setting

    setting = getattr(module, attribute, None)
    if not isinstance(setting, Setting):
        raise ContractError(f"{name}: {module.__name__} has no {attribute} that is a theorylab.Setting")
    return setting


def _load_file(path: Path) -> Any:
    """Import a file as a module under its own name, once."""
    path = path.expanduser().resolve()
    if not path.is_file():
        raise KeyError(f"there is no file {path}")
    known = sys.modules.get(path.stem)
    if known is not None:
        if Path(str(getattr(known, "__file__", None))).resolve() == path:
            return known
        raise KeyError(f"{path}: a module {path.stem!r} is loaded already; give the file another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such thing, which ones there are, and what may have been meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown {kind} {name!r}: choose one of {', '.join(known)}{meant}"
