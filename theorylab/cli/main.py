"""The command line: which command is meant, help, and exit codes.

The top level imports nothing heavy, so that ``theorylab --help`` is instant.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from theorylab.catalogue import SETTINGS, names, unknown
from theorylab.cli import interruption
from theorylab.cli.encoding import never_fail
from theorylab.cli.errors import UsageError, message_of
from theorylab.cli.output import by_family
from theorylab.version import __version__

#: Commands in the order of the help; each is a module of ``theorylab.cli.commands``.
COMMANDS = {
    "list": "show the settings by family; of those named: papers, observables, theories, presets",
    "describe": "symbols, normalisations, defaults and presets of a setting, and the source of every value",
    "run": "simulate one configuration and print what was measured",
    "sweep": "simulate a grid of configurations and store the results",
    "predict": "evaluate the theories, without simulating",
    "check": "simulate, predict, compare; exit code 1 if a row disagrees or diverged, or none was judged",
    "reproduce": "check several settings, draw a figure each, write one HTML report",
    "plot": "draw an observable of stored results against a field, with theories",
    "compare": "compare the results of two stores: two versions, devices or choices of seeds",
    "figures": "redraw the gallery's figures from stored results, or --check the data behind them",
    "curve": "predict and measure the learning curve of a kernel on data of your own",
    "new": "write a setting of your own: one file that works, to change",
}

#: Commands whose first argument is a setting, and whose options are its fields.
OF_A_SETTING = ("run", "sweep", "predict", "check")

HELP = """usage: theorylab COMMAND [SETTING] [options]

Toy models of deep learning, each simulated and each predicted.

commands:
{commands}

settings:
{settings}

SETTING may also be one of another package (`theorylab list` shows them), a file, or a module: ./mine.py,
package.module:SETTING. `theorylab COMMAND SETTING --help` lists every option, among them one per field of the
setting's configuration; several values make a grid:

  theorylab check random_features --preset tiny
  theorylab sweep random_features --ridge 0.01 0.1 1 --num-features 64 128 inf --store results/ridge.zarr

Exit codes: 0 fine; 1 a check failed or judged nothing, a run diverged, or a figure drifted; 2 the command line cannot
be understood.
"""


def help_text() -> str:
    """Return the text of ``theorylab --help``."""
    commands = "\n".join(f"  {name:<11} {text}" for name, text in COMMANDS.items())
    return HELP.format(commands=commands, settings=by_family(SETTINGS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 a check failed, 2 bad input)."""
    never_fail()
    as_python_does, warnings.formatwarning = warnings.formatwarning, _warning
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(given)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where its errors are caught
        return code
    except KeyboardInterrupt:
        return _interrupted(given)
    except BrokenPipeError:
        _discard(sys.stdout)
        return 0
    except Exception as error:
        if _was_interrupted(error):  # some imports turn Ctrl-C into an error of their own
            return _interrupted(given)
        message = message_of(error)
        if message is None:
            raise
        if isinstance(error, OSError):
            _discard(sys.stdout)
        _say(f"error: {message}")
        return 2
    finally:
        warnings.formatwarning = as_python_does


def _warning(message: Warning | str, *where: Any, **more: Any) -> str:
    """Write a warning as the command line does: its sentence, not the place in the source that says it."""
    return f"warning: {message}\n"


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text(), flush=True)
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"theorylab {__version__}")
        return 0
    command, rest = arguments[0], arguments[1:]
    if command not in COMMANDS:
        raise UsageError(unknown("command", command, COMMANDS))
    return _run_on_setting(command, rest) if command in OF_A_SETTING else _run(command, rest)


def _say(line: str) -> None:
    """Write a line to the terminal's errors, if there are any to write to."""
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _discard(sys.stderr)


def _interrupted(arguments: Sequence[str]) -> int:
    stored = any(_stores(arguments))
    _say("interrupted; what was finished is stored and the same command continues it" if stored else "interrupted")
    return 130


def _stores(arguments: Sequence[str]) -> Iterator[Path]:
    """Folders of results that are there, under the name that a command gives its own or under one with its case's."""
    named = [f"results/{Path(arguments[1]).stem}"] if arguments[:1] == ["sweep"] and arguments[1:] else []
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        name, equals, value = word.partition("=")
        named += [value if equals else following] if name == "--store" else []
    for path in map(Path, named[-1:]):
        yield from path.parent.glob(f"{path.name.removesuffix('.zarr')}*")


def _was_interrupted(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _discard(stream: Any) -> None:
    """Let the last words to a stream that cannot be written to go nowhere: an exit code depends on them."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(command: str, rest: Sequence[str]) -> int:
    from theorylab.cli.options import parse

    module = importlib.import_module(f"theorylab.cli.commands.{command}")
    options = parse(module.options(), rest, command, COMMANDS[command])
    interruption.raise_as_usual()
    code: int = module.run(options)
    return code


def _run_on_setting(command: str, rest: Sequence[str]) -> int:
    if not rest or rest[0] in ("-h", "--help"):
        usage = f"usage: theorylab {command} SETTING [options]\n\n{COMMANDS[command]}\n\nsettings: {', '.join(names())}"
        more = f"\n\n`theorylab {command} SETTING --help` lists the options"
        print(usage + more, file=sys.stdout if rest else sys.stderr)
        return 0 if rest else 2
    name = rest[0]
    if name.startswith("-"):
        raise UsageError(f"the setting comes first: theorylab {command} SETTING {name} ...")
    from theorylab.cli.cases import cases_of
    from theorylab.cli.options import load, parse

    setting = load(name)
    module = importlib.import_module(f"theorylab.cli.commands.{command}")
    options = parse(module.options(setting), rest[1:], f"{command} {name}", COMMANDS[command])
    cases = cases_of(setting, options, command)
    interruption.raise_as_usual()
    if getattr(options, "verbose", False):
        from theorylab.cli.output import speak

        speak()
    if getattr(options, "dry_run", False):
        from theorylab.cli.dry_run import report

        return report(setting, cases, options)
    if getattr(options, "slurm", None) is not None:
        from theorylab.cli.slurm import submit

        return submit(setting, cases, options, rest, main)
    code: int = module.run(setting, cases, options)
    return code
