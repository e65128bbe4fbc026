"""What all experiments share: where results lie, how a sweep is run into its store, the command line."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from theorylab.catalogue import Preset

if TYPE_CHECKING:
    import xarray

    from theorylab.contract import Case, Setting


def store_of(folder: str | Path, preset: str, setting: str, name: str) -> Path:
    """Path of one experiment's results: ``folder/preset/setting/name.zarr``."""
    return Path(folder) / preset / setting / f"{name}.zarr"


def run_case(
    setting: Setting,
    case: Case,
    name: str,
    preset: str,
    folder: str | Path,
    *,
    ignore: str = "",
    within: str = "",
) -> xarray.Dataset:
    """Run a sweep into its store, continue it where it stopped, or read it if it is finished.

    Parameters
    ----------
    setting, case
        What is simulated.
    name, preset, folder
        Where its results lie: see :func:`store_of`.
    ignore
        Beginning of a warning that is not shown, where what it warns of is what is studied.
    within
        Setting whose results these are; by default ``setting``'s own name.
    """
    from theorylab.lab.sweep import sweep

    store = store_of(folder, preset, within or setting.name, name)
    store.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        if ignore:
            warnings.filterwarnings("ignore", message=ignore)
        show = sys.stderr.isatty()
        return sweep(setting, case.config, case.grid, seeds=case.seeds, store=store, progress=show).load()


def command(
    experiments: Callable[[Preset], Iterable[str]],
    results: Callable[[str, Preset, Path], xarray.Dataset],
    description: str | None,
) -> None:
    """Command line of a file of experiments: ``--preset``, ``--folder``, and ``--only`` some of them.

    ``experiments(preset)`` gives their names, ``results(name, preset, folder)`` runs one; ``description`` is the
    file's docstring, whose first line is shown.
    """
    import tyro

    from theorylab.runtime import configure

    def main(preset: Preset = "default", folder: Path = Path("results"), only: tuple[str, ...] = ()) -> None:
        """Run experiments.

        Parameters
        ----------
        preset
            "tiny" takes seconds, "default" minutes; "paper" has the published sizes and wants a GPU.
        folder
            Where the results are, and are continued.
        only
            Names of experiments; all if empty.
        """
        configure()
        known = list(experiments(preset))
        for name in only:
            if name not in known:
                print(f"error: unknown experiment {name!r}: choose one of {', '.join(known)}", file=sys.stderr)
                sys.exit(2)
        for name in only or known:
            start = time.perf_counter()
            sizes = ", ".join(f"{dim} {size}" for dim, size in results(name, preset, folder).sizes.items())
            print(f"{name}: {sizes}; {time.perf_counter() - start:.1f} s", flush=True)

    tyro.cli(main, description=(description or "").split("\n")[0])
