"""What commands understand: settings by name, the building blocks of options, and those of a setting's fields."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from theorylab.catalogue import get
from theorylab.cli.errors import UsageError

if TYPE_CHECKING:
    from theorylab.contract import Setting

#: An option of a command: its name, type and default; a default of ``...`` is none.
Option = tuple[str, Any, Any]


def load(name: str) -> Setting:
    """Return the setting of a name, a path or a module.

    Raises
    ------
    UsageError
        If there is no such setting.
    ContractError
        If it is another package's, and broken.
    """
    try:
        return get(name)
    except KeyError as error:
        raise UsageError(str(error.args[0])) from None


def load_several(names: Sequence[str]) -> list[Setting]:
    """Return the settings of several names, which must be different settings."""
    settings = [load(name) for name in names]
    called = [setting.name for setting in settings]
    if twice := sorted({name for name in called if called.count(name) > 1}):
        raise UsageError(f"two of the settings are called {twice[0]!r}")
    return settings


def parse(options: type, arguments: Sequence[str], command: str, description: str) -> Any:
    """Read a command's arguments into an instance of its class of options; exits as option parsers do.

    Raises
    ------
    UsageError
        If an option has no value: an empty variable of the shell must not choose the default.
    """
    _refuse_without_value(options, arguments)
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(options, prog=f"theorylab {command}", description=description, args=list(arguments), config=config)


def _refuse_without_value(options: Any, arguments: Sequence[str]) -> None:
    flags: set[str] = set()
    names: set[str] = set()
    for field in dataclasses.fields(options):
        name = field.name.replace("_", "-")
        kind = typing.get_args(field.type)[0] if hasattr(field.type, "__metadata__") else field.type
        (flags if kind is bool else names).add(f"--{name}")
    for argument, following in itertools.zip_longest(arguments, arguments[1:]):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") not in names:
            continue
        known = following is not None and following.partition("=")[0].replace("_", "-") in names | flags
        if (equals and not value) or (not equals and (not following or known or following.startswith("--"))):
            raise UsageError(f"{name} needs a value")


# --- building blocks -----------------------------------------------------------------------------------------


def option(kind: Any, help: str, metavar: str | None = None, default: Any = None, *, short: str = "") -> Any:
    """Type of an option with its help; ``default`` is what the help says of it, ``short`` another name, such as -o."""
    hint = "" if default is None else f"(default: {default})"
    aliases = (short,) if short else None
    return Annotated[kind, tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint=hint, aliases=aliases)]


def flag(help: str) -> Any:
    """Type of an option without a value."""
    return option(bool, help, default="off")


def positional(kind: Any, help: str, metavar: str) -> Any:
    """Type of an argument that has no name."""
    return Annotated[kind, tyro.conf.Positional, tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint="")]


def make(*options: Option) -> type:
    """Make the class of a command's options."""
    fields = [
        (name, kind) if default is ... else (name, kind, dataclasses.field(default=default))
        for name, kind, default in options
    ]
    return dataclasses.make_dataclass("Options", fields, frozen=True)


# --- commands on one setting ---------------------------------------------------------------------------------


def which(setting: Setting, no_preset: str) -> list[Option]:
    """Options that choose the cases, their seeds and their random numbers."""
    return [
        ("preset", option(str | None, f"one of {', '.join(setting.presets)}", "NAME", no_preset), None),
        ("seeds", option(int | None, "instances per cell", "N", "the preset's, else 20"), None),
        ("base_seed", option(int, "changes all random numbers", "N", 0), 0),
    ]


def theories() -> list[Option]:
    """Options of what asks theories."""
    return [
        ("json", flag("print a JSON document"), False),
        ("theory", option(tuple[str, ...], "only these theories", "NAME ...", "all"), ()),
    ]


def store(default: str) -> list[Option]:
    """Options of where results are kept."""
    text = "folder of the results (Zarr); an existing one is continued"
    accept = "continue a store that another program began: a changed simulator, another JAX or device"
    return [
        ("store", option(str | None, text, "FOLDER", default), None),
        ("accept_changes", flag(accept), False),
        ("extend", flag("add seeds and values of swept fields to a finished store"), False),
    ]


def simulation() -> list[Option]:
    """Options of what simulates."""
    return [
        ("memory_budget", option(float, "GB that one compiled batch may take", "GB", 4), 4.0),
        ("progress", option(bool, "do not show a progress bar", default="shown in a terminal"), True),
        (
            "verbose",
            flag("say what is compiled and run, how long it takes and how much memory, in place of the bar"),
            False,
        ),
        (
            "dry_run",
            flag("compile alone: say how many cells, how much memory and about how much time it would take"),
            False,
        ),
    ]


def fields(setting: Setting, *, several: bool = True, preset: str = "") -> list[Option]:
    """One option per field of the configuration; its default is the field's, or that of a preset's first case."""
    from theorylab.contract import Case, field_help

    first = setting.presets[preset][0] if preset else Case("", setting.config())
    hints = typing.get_type_hints(setting.config)
    found: list[Option] = []
    for field in dataclasses.fields(setting.config):
        kind = hints[field.name]
        # Whole numbers are read as numbers, so that 2.5 meets the same error text as in Python.
        shown = {int: "INT", float: "NUMBER"}.get(kind, "NAME") + (" ..." if several else "")
        help = field_help(setting.config, field.name)
        if typing.get_origin(kind) is Literal:
            help += f": {', '.join(map(str, typing.get_args(kind)))}"
        values: Any = tuple
        values_there = first.grid.get(field.name, [getattr(first.config, field.name)])
        default = " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values_there)
        default = f"the preset's; in {preset!r} {default}" if preset else default
        found.append((field.name, option(values[float if kind is int else kind, ...], help, shown, default), ()))
    return found


def make_for(setting: Setting, command: Sequence[Option], *, several: bool = True, preset: str = "") -> type:
    """Make the class of a command's own options, followed by one per field of the setting's configuration.

    ``preset`` is the one that the command takes where none is given.

    Raises
    ------
    UsageError
        If a field has the name of another option.
    """
    own = fields(setting, several=several, preset=preset)
    if clash := {name for name, _, _ in command} & {name for name, _, _ in own}:
        raise UsageError(f"{setting.name}: the field {min(clash)!r} has the name of an option of the command line")
    return make(*command, *own)
