"""The figures of a checkout: their scripts, and the command that draws them, compares them and keeps their references.

A figure is the script ``paper_figures/SETTING/figure_N_name.py`` with two functions. ``data(preset, folder)`` returns
everything that is drawn as one :class:`xarray.Dataset`, simulation and theory under sibling names. ``draw(data)``
returns the matplotlib figure, and computes nothing. Its name is ``SETTING/figure_N_name``.
"""

from __future__ import annotations

import importlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from theorylab.catalogue import Preset, names, unknown
from theorylab.contract import ConfigError
from theorylab.gallery import reference
from theorylab.lab.store import user_path


def find_checkout() -> Path:
    """Return the folder that holds ``paper_figures/`` with its scripts: the current one, or the package's parent.

    Raises
    ------
    ConfigError
        If there is none; the message names the folders that were looked into.
    """
    here, beside = Path.cwd(), Path(__file__).resolve().parents[2]
    for folder in (here, beside):
        if any(folder.glob("paper_figures/*/figure_*.py")):
            return folder
    raise ConfigError(
        f"no scripts of figures: looked for paper_figures/SETTING/figure_*.py in {here} and {beside}. They come with "
        "the repository, not with an installed package: run this in the root of a checkout"
    )


def figures_of(checkout: Path, setting: str) -> list[str]:
    """Return the figures of a setting, by number: ``["xor/figure_1_grokking", ...]``."""
    stems = [path.stem for path in (checkout / "paper_figures" / setting).glob("figure_*.py")]
    return [f"{setting}/{stem}" for stem in sorted(stems, key=_number)]


def _number(stem: str) -> tuple[int, str]:
    found = re.match(r"figure_(\d+)", stem)
    return int(found[1]) if found else sys.maxsize, stem


def find_figures(checkout: Path, chosen: Sequence[str] = ()) -> list[str]:
    """Return the names of the figures of the ``chosen`` settings (or of single figures), in order; all if empty.

    Raises
    ------
    ConfigError
        For a name that is neither a setting nor a figure, and for a setting without figures.
    """
    figures = {setting: figures_of(checkout, setting) for setting in names()}
    every = [figure for part in figures.values() for figure in part]
    for name in chosen:
        if name in figures and not figures[name]:
            raise ConfigError(f"{name} has no figures: there is no paper_figures/{name}/figure_*.py in {checkout}")
        setting = name.partition("/")[0]
        if "/" in name and figures.get(setting) and name not in every:
            raise ConfigError(unknown("figure", name, figures[setting]))
        if name not in figures and name not in every:
            raise ConfigError(unknown("setting", name, figures) + f"; or a figure such as {every[0]}")
    return [figure for figure in every if figure in chosen or figure.partition("/")[0] in chosen or not chosen]


def script_path(checkout: Path, figure: str) -> Path:
    """Return the path of a figure's script."""
    return checkout / "paper_figures" / f"{figure}.py"


def load_script(checkout: Path, figure: str) -> Any:
    """Import the script of a figure.

    Raises
    ------
    ConfigError
        If it lacks one of the two functions of a figure.
    """
    if str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))
    module = importlib.import_module(f"paper_figures.{figure.replace('/', '.')}")
    for function in ("data", "draw"):
        if not callable(getattr(module, function, None)):
            raise ConfigError(
                f"{script_path(checkout, figure)} has no function {function}: a figure needs data(preset, folder) and "
                "draw(data)"
            )
    return module


def reference_path(checkout: Path, setting: str, preset: str) -> Path:
    """Return the file of the reference values of a setting's figures at a preset."""
    return checkout / "paper_figures" / setting / "reference" / f"{preset}.json"


# --- the command -------------------------------------------------------------------------------------------------


def run(
    chosen: Sequence[str] = (),
    *,
    preset: Preset = "default",
    folder: str | Path = "results",
    check: bool = False,
    update: bool = False,
    output: str | Path | None = None,
    start: Callable[[], None] = lambda: None,
) -> int:
    """Draw figures, or compare the data behind them with the reference values; ``theorylab figures``.

    Parameters
    ----------
    chosen
        Settings, or single figures such as ``xor/figure_1_grokking``; all if empty.
    preset, folder
        Which sweeps are drawn, and where their results lie: read, continued, or run where missing.
    check
        Write no picture; say what drifted.
    update
        Draw, and rewrite the reference values of what was drawn.
    output
        The picture of a single figure; its suffix is the format.
    start
        Called once the request is understood, before anything is drawn.

    Returns
    -------
    int
        Exit code: 1 if a figure drifted.

    Raises
    ------
    ConfigError
        If the request cannot be fulfilled; nothing is drawn then.
    """
    from theorylab.verdict import plotting

    if check and update:
        raise ConfigError("--check and --update exclude each other: compare with the reference, or rewrite it")
    if output is not None and (check or update):
        raise ConfigError("--output writes one picture: leave out --check and --update")
    checkout, folder = find_checkout(), user_path("folder", folder)
    figures = find_figures(checkout, chosen)
    if output is not None:
        output = user_path("output", output)
        plotting.check_format(output)
        if len(figures) != 1:
            raise ConfigError(f"--output writes one picture, not {len(figures)}: name one figure, such as {figures[0]}")
    settings = dict.fromkeys(figure.partition("/")[0] for figure in figures)
    paths = {setting: reference_path(checkout, setting, preset) for setting in settings}
    if check and (missing := [path for path in paths.values() if not path.exists()]):
        raise ConfigError(f"no reference values of the preset {preset}: --update would write {missing[0]}")
    start()
    then = {setting: reference.read_reference(path) for setting, path in paths.items()} if check else {}
    drawn: dict[str, dict[str, Any]] = {setting: {} for setting in settings}
    drifted: list[str] = []
    for name in figures:
        began = time.perf_counter()
        setting, _, stem = name.partition("/")
        module = load_script(checkout, name)
        with plotting.style():
            try:
                content = module.data(preset, folder)
            except ImportError as error:
                if "pip install" not in str(error):
                    raise
                print(f"{name}: not drawn, {error}", flush=True)
                continue
            figure = module.draw(content)
            data = reference.figure_data(figure, reference.KEPT[preset])
            if check:
                found = reference.check_figure(stem, data, then[setting], module, preset)
                drifted += [setting] * bool(found)
                said = "\n  ".join(["DRIFTED", *found]) if found else "as the reference"
                plotting.close(figure)
            else:
                drawn[setting][stem] = data
                target = output or plotting.picture_path(script_path(checkout, name), preset, folder)
                said = str(plotting.save(figure, target))
        print(f"{name} ({time.perf_counter() - began:.1f} s): {said}", flush=True)
    for setting in settings if update else ():
        keep = [figure.partition("/")[2] for figure in figures_of(checkout, setting)]
        reference.update_reference(paths[setting], drawn[setting], keep)
        print(f"reference values: {paths[setting]}")
    if drifted:
        changes = dict.fromkeys(reference.version_changes(then[setting]) for setting in drifted)
        print(f"{len(drifted)} of {len(figures)} figures drifted: {'; '.join(changes)}")
    return 1 if drifted else 0
