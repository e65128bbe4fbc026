"""The sweeps behind the figures of a setting: ``python -m experiments SETTING [--preset P] [--only NAME ...]``.

Runs the cases of the preset, those that a check judges and those that figures alone draw, into
``results/PRESET/SETTING/NAME.zarr``. What is finished is read, what was interrupted continues where it stopped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from theorylab.catalogue import Preset, get, unknown
from theorylab.contract import ContractError
from theorylab.gallery.results import results
from theorylab.runtime import configure


def main(
    setting: Annotated[str, tyro.conf.Positional],
    preset: Preset = "default",
    folder: Path = Path("results"),
    only: tuple[str, ...] = (),
) -> int:
    """Run the sweeps behind a setting's figures.

    Parameters
    ----------
    setting
        Its name, or a file such as ./mine.py.
    preset
        "tiny" takes seconds, "default" minutes; "paper" has the published sizes and wants a GPU.
    folder
        Where the results are, and are continued.
    only
        Names of cases; all if empty.
    """
    try:
        chosen = get(setting)
        known = [case.name for case in (*chosen.presets[preset], *chosen.sweeps.get(preset, ()))]
        for name in only:
            if name not in known:
                raise KeyError(unknown("case", name, known))
    except (KeyError, ContractError) as error:
        print(f"error: {error.args[0]}", file=sys.stderr)
        return 2
    configure()
    for name in only or known:
        start = time.perf_counter()
        sizes = ", ".join(f"{dim} {size}" for dim, size in results(chosen, name, preset, folder).sizes.items())
        print(f"{name}: {sizes}; {time.perf_counter() - start:.1f} s", flush=True)
    return 0


def command(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return tyro.cli(main, prog="python -m experiments", args=arguments)


if __name__ == "__main__":
    sys.exit(command())
