"""Results behind figures: run once, kept in stores, read again."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from theorylab.catalogue import Preset, get

if TYPE_CHECKING:
    import xarray

    from theorylab.contract import Setting


def store_of(folder: str | Path, preset: Preset, setting: str, name: str) -> Path:
    """Path of one case's results: ``folder/preset/setting/name.zarr``."""
    return Path(folder) / preset / setting / f"{name}.zarr"


def results(
    setting: str | Setting, name: str, preset: Preset, folder: str | Path = "results", *, ignore: str = ""
) -> xarray.Dataset:
    """Run a case of a setting into its store, continue it where it stopped, or read it if it is finished.

    Parameters
    ----------
    setting, name, preset
        The case: one of ``setting.presets[preset]`` or ``setting.sweeps[preset]``.
    folder
        Where results lie: see :func:`store_of`.
    ignore
        Beginning of a warning that is not shown, where what it warns of is what is studied.

    Raises
    ------
    KeyError
        If there is no such setting or case.
    """
    from theorylab.lab.sweep import sweep

    setting = get(setting) if isinstance(setting, str) else setting
    case = setting.case(preset, name)
    store = store_of(folder, preset, setting.name, name)
    store.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        if ignore:
            warnings.filterwarnings("ignore", message=ignore)
        show = sys.stderr is not None and sys.stderr.isatty()
        bar = f"{setting.name}: {name}" if show else False
        return sweep(setting, case.config, case.grid, seeds=case.seeds, store=store, progress=bar).load()
