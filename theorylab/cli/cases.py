"""From options to cases: a preset's, with the seeds and field values that the command line gives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theorylab.catalogue import unknown
from theorylab.cli.errors import UsageError
from theorylab.contract import Case

if TYPE_CHECKING:
    from theorylab.contract import Setting


def cases_of(setting: Setting, options: Any, command: str) -> list[Case]:
    """Cases of the preset, with the options' field values: one value changes the base, several make a grid.

    One value of a field that is swept in the store which is to grow is one more of its values.

    Raises
    ------
    UsageError
        For an unknown preset or theory, or several values where ``run`` takes one.
    """
    preset = options.preset or ("default" if command == "check" else None)
    if preset is not None and preset not in setting.presets:
        raise UsageError(f"unknown preset {preset!r} of {setting.name}: choose one of {', '.join(setting.presets)}")
    for name in getattr(options, "theory", ()):
        if name not in [theory.name for theory in setting.theories]:
            known = unknown("theory", name, [theory.name for theory in setting.theories])
            raise UsageError(f"{setting.name} has no theory {name!r}: {known.partition(': ')[2]}")
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(setting.config)}
    given = {name: values for name, values in given.items() if values}
    swept = _swept(options)
    several = {name: values for name, values in given.items() if len(values) > 1 or name in swept}
    single = {name: values[0] for name, values in given.items() if name not in several}
    if command == "run" and several:
        raise UsageError(f"`run` takes one value per field, not {several}: use `sweep`")
    cases = list(setting.presets[preset]) if preset else [Case(setting.name, setting.config(), seeds=20)]
    if given or command == "run":
        # Options describe one sweep: the preset's first.
        first = cases[0]
        kept = {} if command == "run" else {name: v for name, v in first.grid.items() if name not in given}
        config = dataclasses.replace(first.config, **single)
        cases = [dataclasses.replace(first, config=config, grid=kept | several)]
    if options.seeds is not None:
        cases = [dataclasses.replace(case, seeds=options.seeds) for case in cases]
    return cases


def _swept(options: Any) -> set[str]:
    """Fields that are swept in the store which the options name, to add to it."""
    if not (getattr(options, "extend", False) and options.store and Path(options.store).exists()):
        return set()
    from theorylab.lab.store import attributes_of

    return set(json.loads(attributes_of(options.store).get("grid", "{}")))
