"""The catalogue of settings: one line each. Importing it imports no numerical library.

Settings of other packages join through the entry-point group ``theorylab.settings`` (``name = "package.module"``, or
``"package.module:SETTING"``), and by a path or a module wherever a setting is named: ``get("./mine.py")``,
``get("package.module:SETTING")``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from theorylab.version import __version__

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
    "finite_population": "kernels",
    "ntk": "kernels",
    "scaling_laws": "kernels",
    "signal_propagation": "wide_networks",
    "linear_attention": "in_context",
    "gradient_flow": "in_context",
    "estimators": "in_context",
    "task_diversity": "in_context",
    "deep_layers": "in_context",
    "matrix_sensing": "factorisation",
    "robust_recovery": "factorisation",
    "linear_networks": "factorisation",
    "catapult": "factorisation",
    "neural_collapse": "factorisation",
    "xor": "two_layer",
    "grokking": "two_layer",
    "grokking_networks": "two_layer",
    "sgd_stability": "step_size",
    "benign_oscillation": "step_size",
    "numerical_collapse": "step_size",
    "random_energy": "statistics",
    "memorisation": "statistics",
}

#: What ``theorylab reproduce`` shows to a newcomer: five settings of five kinds.
FEATURED = ("random_features", "linear_attention", "matrix_sensing", "xor", "grokking")

ENTRY_POINTS = "theorylab.settings"

#: Library's own entry of :func:`cite`; the version is filled in.
SOFTWARE = """@software{{theorylab,
  title = {{theorylab: theoretical toy models of deep learning, each simulated and each predicted}},
  author = {{{{The theorylab developers}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}"""


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
    """Return the title of a setting: the first line of its module, which is read and not imported."""
    try:
        return _first_line(_file_of(module_of(name)).read_text(encoding="utf-8")) or name
    except (ImportError, OSError, ValueError) as error:  # another package's is broken: get() says how
        return f"cannot be read: {error}"


def _file_of(module: str) -> Path:
    """Path of a module's file. ``importlib.util.find_spec`` alone would import the packages around it."""
    from importlib.machinery import PathFinder

    top, *inner = module.split(".")
    spec = importlib.util.find_spec(top)
    for depth in range(len(inner)):
        places = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(".".join([top, *inner[: depth + 1]]), places) if places else None
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"there is no module {module!r}")
    return Path(spec.origin)


def _first_line(text: str) -> str:
    """First line of a module's docstring, as :class:`~theorylab.contract.Setting` takes it for its title."""
    found = re.match(r'''(?:[ \t]*(?:\#[^\n]*)?\n)*[rR]?("""|\'\'\'|"|\')\s*(.*?)(?:\1|\n)''', text)
    return found[2].strip().rstrip(".") if found else ""


def get(name: str | os.PathLike[str]) -> Setting:
    """Return a setting: by name, by a path (``./mine.py``), or by module (``package.module:SETTING``).

    A file is imported once, and again when it has changed; modules beside it can be imported by it.

    Raises
    ------
    KeyError
        If there is no such setting; the message lists those there are.
    ContractError
        If a setting of another package cannot be imported or breaks the contract; the message names the line or the
        clause.

    Examples
    --------
    >>> from theorylab import get
    >>> setting = get("xor")
    >>> setting.papers[0].arxiv, list(setting.presets)
    ('2310.02541', ['tiny', 'default', 'paper'])
    """
    name = os.fspath(name)
    if name in SETTINGS:
        return _setting_in(importlib.import_module(module_of(name)), "SETTING", name)
    if name.endswith(".py") or os.sep in name or "/" in name:
        return _setting_in(_load_file(Path(name)), "SETTING", name)
    if ":" in name:
        return _setting_by_module(name, name)
    if name in others():
        value = others()[name]
        setting = _setting_by_module(value if ":" in value else f"{value}:SETTING", name)
        if setting.name != name:
            from theorylab.contract import ContractError

            raise ContractError(f"{name}: its entry point leads to a setting called {setting.name!r}: rename one")
        return setting
    raise KeyError(unknown("setting", name, names()) + "; or a file ./mine.py, or package.module:SETTING")


def _setting_in(module: Any, attribute: str, name: str) -> Setting:
    from theorylab.contract import ContractError, Setting

    setting = getattr(module, attribute, None)
    if not isinstance(setting, Setting):
        raise ContractError(f"{name}: there is no {attribute} in it that is a theorylab.Setting")
    return setting


def _setting_by_module(value: str, name: str) -> Setting:
    module, _, attribute = value.partition(":")
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as for ``python -m``
    try:
        _file_of(module)
    except (ModuleNotFoundError, ValueError):
        raise KeyError(f"{name}: there is no module {module!r}") from None
    found = _import(lambda: importlib.import_module(module), name)
    return _setting_in(found, attribute or "SETTING", name)


#: Files imported so far: when each was changed, and its module.
_files: dict[Path, tuple[int, Any]] = {}
_count = itertools.count()


def _load_file(given: Path) -> Any:
    """Import a file (or a folder with an ``__init__.py``) under a name that hides no other module."""
    try:
        path = given.expanduser().resolve()
    except (OSError, RuntimeError, ValueError):  # no such user, links in a circle, a NUL character
        raise KeyError(f"there is no file {given}") from None
    path = path / "__init__.py" if path.is_dir() else path
    if not path.is_file():
        raise KeyError(f"there is no file {given}")
    changed = path.stat().st_mtime_ns
    if path in _files and _files[path][0] == changed:
        return _files[path][1]
    package = path.name == "__init__.py"
    home = path.parent if package else path
    # A setting is called like the last part of its module's name.
    module_name = f"theorylab_file_{next(_count)}.{home.stem}"
    places = [str(home)] if package else None
    spec = importlib.util.spec_from_file_location(module_name, path, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise KeyError(f"{given} is no file of Python")
    if str(home.parent) not in sys.path:
        sys.path.append(str(home.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        _import(functools.partial(spec.loader.exec_module, module), str(given))
    except BaseException:
        del sys.modules[module_name]
        raise
    _files[path] = changed, module
    return module


def _import(load: Callable[[], Any], name: str) -> Any:
    """Import what another wrote: whatever goes wrong there becomes one line, with the place."""
    from theorylab.contract import ContractError

    try:
        return load()
    except ContractError:
        raise
    except Exception as error:
        if isinstance(error, SyntaxError):
            raise ContractError(f"{name}: {error.filename}, line {error.lineno}: {error.msg}") from error
        raise ContractError(f"{name}: {_place(error)}{type(error).__name__}: {error}") from error


def _place(error: Exception) -> str:
    """Where an error comes from: the innermost line outside the installed packages."""
    import traceback

    places = traceback.extract_tb(error.__traceback__)
    foreign = ("<frozen", sys.prefix, str(Path(__file__).parent))
    written = [place for place in places if not place.filename.startswith(foreign)]
    return f"{written[-1].filename}, line {written[-1].lineno}: " if written else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such thing, which ones there are, and what may have been meant."""
    import difflib

    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    return f"unknown {kind} {name!r}: choose one of {', '.join(known)}{meant}"


def cite(setting: str | Setting | None = None) -> str:
    """Return BibTeX: this library, then the papers of a setting (a name or a setting), or of every one.

    Raises
    ------
    KeyError
        If there is no setting of that name; the message lists those there are.

    Examples
    --------
    >>> import theorylab
    >>> [line for line in theorylab.cite("random_features").splitlines() if line.startswith("@")]
    ['@software{theorylab,', '@inproceedings{simon2024more,']
    """
    chosen = list(SETTINGS) if setting is None else [setting]
    settings = [get(item) if isinstance(item, str) else item for item in chosen]
    entries = [SOFTWARE.format(version=__version__)]
    entries += [paper.bibtex for item in settings for paper in item.references]
    return "\n\n".join(dict.fromkeys(entries)) + "\n"
