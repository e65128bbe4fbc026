"""The command line: ``theorylab COMMAND [SETTING] [options]``.

The top level imports nothing heavy, so that ``theorylab --help`` is instant.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from theorylab.catalogue import SETTINGS, Preset, title_of, unknown

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting

COMMANDS = {
    "list": "show the settings: papers, observables, theories, presets",
    "run": "simulate one configuration and print what was measured",
    "sweep": "simulate a grid of configurations and store the results",
    "predict": "evaluate the theories, without simulating",
    "check": "simulate, predict, compare; exit code 1 if a row disagrees or diverged",
    "reproduce": "check every setting, draw a figure each, write one HTML report",
    "figures": "redraw the gallery's figures from stored results, or --check the data behind them",
    "new": "write a setting of your own, to fill in",
}

HELP = """usage: theorylab COMMAND [SETTING] [options]

Toy models of deep learning, each simulated and each predicted.

commands:
{commands}

settings:
{settings}

`theorylab COMMAND SETTING --help` lists every option, among them one per field of the setting's
configuration; several values make a grid:

  theorylab check random_features --preset tiny
  theorylab sweep random_features --ridge 0.01 0.1 1 --num-features 64 128 inf --store results/ridge.zarr

Exit codes: 0 fine; 1 a check failed, a run diverged, or a figure drifted; 2 the command line cannot be understood.
"""


class UsageError(Exception):
    """The command line cannot be understood; the message is all the user needs."""


def help_text() -> str:
    """Return the text of ``theorylab --help``."""
    commands = "\n".join(f"  {name:<11} {text}" for name, text in COMMANDS.items())
    settings = "\n".join(f"  {name:<17} {title_of(name)}" for name in SETTINGS)
    return HELP.format(commands=commands, settings=settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (0 fine, 1 a check failed, 2 bad input)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[0] in ("-h", "--help", "help"):
            print(help_text(), flush=True)
            return 0
        if arguments[0] in ("-V", "--version"):
            import theorylab

            print(f"theorylab {theorylab.__version__}")
            return 0
        command, rest = arguments[0], arguments[1:]
        if command not in COMMANDS:
            return _fail(unknown("command", command, COMMANDS))
        return _run(command, rest)
    except KeyboardInterrupt:
        print("interrupted; what was finished is stored and the same command continues it", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if _is_users(error):
            if isinstance(error, OSError) and error.filename is not None:
                return _fail(f"{error.filename}: {error.strerror}")
            return _fail(str(error.args[0]) if isinstance(error, KeyError) else str(error))
        raise


def _is_users(error: Exception) -> bool:
    """Whether an error is about what the user gave, so that its message suffices."""
    from theorylab.contract import ConfigError
    from theorylab.lab.store import StoreError

    if isinstance(error, ImportError):
        return "pip install" in str(error)  # an optional package is missing, and the message says which
    if isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)):
        return error.filename is not None  # a folder or file that the user named
    return isinstance(error, (UsageError, ConfigError, StoreError))


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _run(command: str, rest: list[str]) -> int:
    if command == "list":
        return _list(_parse(_list_options(), rest, "list", COMMANDS["list"]))
    if command == "reproduce":
        return _reproduce(_parse(_reproduce_options(), rest, "reproduce", COMMANDS["reproduce"]))
    if command == "figures":
        return _figures(_parse(_figures_options(), rest, "figures", COMMANDS["figures"]))
    if command == "new":
        return _new(_parse(_new_options(), rest, "new", COMMANDS["new"]))
    usage = f"usage: theorylab {command} SETTING [options]\n\n{COMMANDS[command]}\n\nsettings: {', '.join(SETTINGS)}"
    if not rest or rest[0] in ("-h", "--help"):
        more = f"\n\n`theorylab {command} SETTING --help` lists the options"
        print(usage + more, file=sys.stdout if rest else sys.stderr)
        return 0 if rest else 2
    name = rest[0]
    if name.startswith("-"):
        raise UsageError(f"the setting comes first: theorylab {command} SETTING {name} ...")
    _check_settings([name])
    from theorylab import get

    setting = get(name)
    options = _parse(_options_class(setting, command), rest[1:], f"{command} {name}", COMMANDS[command])
    cases = _cases(setting, options, command)
    return {"run": _simulate, "sweep": _sweep, "predict": _predict, "check": _check}[command](setting, cases, options)


# --- options -----------------------------------------------------------------------------------------------


def _check_settings(names: Iterable[str]) -> None:
    for name in names:
        if name not in SETTINGS:
            raise UsageError(unknown("setting", name, SETTINGS))


def _option(kind: Any, help: str, metavar: str | None = None, default: Any = None) -> Any:
    """Type of an option with its help; ``default`` is what the help says of it."""
    from typing import Annotated

    import tyro

    hint = "" if default is None else f"(default: {default})"
    return Annotated[kind, tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint=hint)]


def _flag(help: str) -> Any:
    return _option(bool, help, default="off")


def _positional(kind: Any, help: str, metavar: str) -> Any:
    from typing import Annotated

    import tyro

    return Annotated[kind, tyro.conf.Positional, tyro.conf.arg(help=help, metavar=metavar, help_behavior_hint="")]


def _make(*options: tuple[str, Any, Any]) -> type:
    """Make the class of a command's options: (name, type, default) each; a default of ``...`` is none."""
    fields = [
        (name, kind) if default is ... else (name, kind, dataclasses.field(default=default))
        for name, kind, default in options
    ]
    return dataclasses.make_dataclass("Options", fields, frozen=True)


def _list_options() -> type:
    """Build what ``list`` understands."""
    return _make(
        ("settings", _positional(tuple[str, ...], "only these (default: all)", "[SETTING ...]"), ()),
        ("json", _flag("print a JSON document"), False),
    )


def _reproduce_options() -> type:
    """Build what ``reproduce`` understands."""
    return _make(
        ("settings", _positional(tuple[str, ...], "only these (default: all)", "[SETTING ...]"), ()),
        ("preset", _option(str, "of every setting: tiny, default, or paper (wants a GPU)", "NAME", "tiny"), "tiny"),
        ("output", _option(str, "where the report and its figures go", "FOLDER", "reports"), "reports"),
    )


def _new_options() -> type:
    """Build what ``new`` understands."""
    return _make(
        ("name", _positional(str, "the setting's name, which a Python module could have", "NAME"), ...),
        ("folder", _option(str, "where NAME/ and test_NAME.py are written", "FOLDER", "the current one"), "."),
    )


def _figures_options() -> type:
    """Build what ``figures`` understands."""
    which = "settings, or single figures such as xor/figure_1_grokking (default: all)"
    preset = "tiny (seconds a figure), default (the committed pictures), or paper (wants a GPU)"
    check = "write no picture, compare the data with paper_figures/SETTING/reference; exit code 1 if any drifted"
    output = "the picture of a single figure: .png, .pdf or .svg"
    return _make(
        ("figures", _positional(tuple[str, ...], which, "[SETTING[/FIGURE] ...]"), ()),
        ("preset", _option(Preset, preset, "NAME", "default"), "default"),
        ("folder", _option(str, "the results: read, continued, or run where missing", "FOLDER", "results"), "results"),
        ("check", _flag(check), False),
        ("update", _flag("draw, and rewrite the reference values of what was drawn"), False),
        ("output", _option(str | None, output, "FILE", "beside its script or its results"), None),
    )


def _options_class(setting: Setting, command: str) -> type:
    """Build the options of a command: the common ones, then one per configuration field."""
    import typing

    from theorylab.contract import field_help

    no_preset = "default" if command == "check" else "none, the field values below"
    common: list[tuple[str, Any, Any]] = [
        ("preset", _option(str | None, f"one of {', '.join(setting.presets)}", "NAME", no_preset), None),
        ("seeds", _option(int | None, "instances per cell", "N", "the preset's, else 20"), None),
        ("base_seed", _option(int, "changes all random numbers", "N", 0), 0),
    ]
    if command in ("predict", "check"):
        common.append(("json", _flag("print a JSON document"), False))
        common.append(("theory", _option(tuple[str, ...], "only these theories", "NAME ...", "all"), ()))
    if command == "check":
        common.append(("every_row", _flag("print every cell, not one line per theory and observable"), False))
    if command in ("sweep", "check"):
        where = "in memory" if command == "check" else f"results/{setting.name}-CASE.zarr"
        text = "folder of the results (Zarr); an existing one is continued"
        common.append(("store", _option(str | None, text, "FOLDER", where), None))
    if command == "sweep":
        common.append(
            ("process_id", _option(int | None, "number of this process, from 0", "I", "Slurm's, MPI's, or 0"), None)
        )
        common.append(
            ("num_processes", _option(int | None, "processes that share the store", "N", "Slurm's, MPI's, or 1"), None)
        )
        text = "also join jax.distributed there (not needed: the processes share the store alone)"
        common.append(("coordinator", _option(str | None, text, "HOST:PORT", "none"), None))
        text = "how long the other processes wait for process 0 to create the store"
        common.append(("store_timeout", _option(float, text, "SECONDS", 600), 600.0))
    if command != "predict":
        common.append(("memory_budget", _option(float, "GB that one compiled batch may take", "GB", 4), 4.0))
        common.append(("progress", _option(bool, "do not show a progress bar", default="shown in a terminal"), True))
    hints = typing.get_type_hints(setting.config)
    fields: list[tuple[str, Any, Any]] = []
    several: Any = tuple
    for field in dataclasses.fields(setting.config):
        kind = hints[field.name]
        several_shown = "" if command == "run" else " ..."
        # Whole numbers are read as numbers, so that 2.5 meets the same error text as in Python.
        shown = {int: "INT", float: "NUMBER"}.get(kind, "NAME") + several_shown
        kind = several[float if kind is int else kind, ...]
        help = field_help(setting.config, field.name)
        if typing.get_origin(hints[field.name]) is typing.Literal:
            help += f": {', '.join(typing.get_args(hints[field.name]))}"
        fields.append((field.name, _option(kind, help, shown, field.default), ()))
    return _make(*common, *fields)


def _field_values(setting: Setting, options: Any) -> dict[str, tuple[Any, ...]]:
    """Values of the fields that the command line names, whole numbers as such."""
    import typing

    hints = typing.get_type_hints(setting.config)

    def whole(value: Any, kind: Any) -> Any:
        return int(value) if kind is int and value == value and abs(value) != float("inf") and value % 1 == 0 else value

    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(setting.config)}
    return {name: tuple(whole(v, hints[name]) for v in values) for name, values in given.items() if values != ()}


def _parse(options: type, arguments: list[str], name: str, description: str) -> Any:
    import tyro

    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(options, prog=f"theorylab {name}", description=description, args=arguments, config=config)


def _cases(setting: Setting, options: Any, command: str) -> list[Case]:
    """Cases of the preset, with the options' field values: one value changes the base, several make a grid."""
    from theorylab.contract import Case

    preset = options.preset or ("default" if command == "check" else None)
    if preset is not None and preset not in setting.presets:
        raise UsageError(f"unknown preset {preset!r} of {setting.name}: choose one of {', '.join(setting.presets)}")
    cases = list(setting.presets[preset]) if preset else [Case(setting.name, setting.config(), seeds=20)]
    given = _field_values(setting, options)
    if given:
        # Options describe one sweep: the preset's first.
        first = cases[0]
        single = {name: values[0] for name, values in given.items() if len(values) == 1}
        grid = {name: values for name, values in first.grid.items() if name not in given}
        grid |= {name: values for name, values in given.items() if len(values) > 1}
        cases = [dataclasses.replace(first, config=dataclasses.replace(first.config, **single), grid=grid)]
    for name in getattr(options, "theory", ()):
        if name not in [theory.name for theory in setting.theories]:
            known = ", ".join(theory.name for theory in setting.theories)
            raise UsageError(f"{setting.name} has no theory {name!r}: choose one of {known}")
    if options.seeds is not None:
        cases = [dataclasses.replace(case, seeds=options.seeds) for case in cases]
    if command == "run":
        cases = [dataclasses.replace(cases[0], grid={n: v for n, v in given.items() if len(v) > 1})]
        if cases[0].grid:
            raise UsageError(f"`run` takes one value per field, not {cases[0].grid}: use `sweep`")
    return cases


# --- commands ------------------------------------------------------------------------------------------------


def _start() -> None:
    from theorylab.cli.process import start

    start()


def _sweep_options(options: Any) -> dict[str, Any]:
    show = options.progress and sys.stderr.isatty()
    return {"base_seed": options.base_seed, "memory_budget": int(options.memory_budget * 2**30), "progress": show}


def _list(options: Any) -> int:
    from theorylab import get

    _check_settings(options.settings)
    settings = [get(name) for name in options.settings or SETTINGS]
    if options.json:
        import json

        content = [
            {
                "setting": s.name,
                "title": s.title,
                "paper": s.papers[0].arxiv,
                "observables": [o.name for o in s.observables],
                "theories": [{"name": t.name, "kind": t.kind, "source": str(t.source)} for t in s.theories],
                "presets": {name: [case.name for case in cases] for name, cases in s.presets.items()},
            }
            for s in settings
        ]
        print(json.dumps(content, indent=2))
        return 0
    for s in settings:
        print(f"{s.name}: {s.title}\n  paper: {s.papers[0].title}, arXiv {s.papers[0].arxiv}")
        for o in s.observables:
            print(f"  observable {o.name}: {o.description}")
        for t in s.theories:
            print(f"  theory {t.name} ({t.kind}): {t.source}")
        for name, cases in s.presets.items():
            print(f"  preset {name}: {'; '.join(f'{case.name} ({case.seeds} seeds)' for case in cases)}")
    return 0


def _new(options: Any) -> int:
    from theorylab.gallery.scaffold import new_setting

    for path in new_setting(options.name, options.folder):
        print(path)
    print(f"Fill in {options.name}/predictions.py; in {options.folder}: python -m {options.name}, and pytest")
    return 0


def _simulate(setting: Setting, cases: list[Case], options: Any) -> int:
    from theorylab.lab.sweep import sweep
    from theorylab.verdict.table import number_with_error

    _start()
    case = cases[0]
    data = sweep(setting, case.config, seeds=case.seeds, **_sweep_options(options))
    for observable in setting.observables:
        if observable.name not in data:
            continue
        values = data[observable.name]
        error = values.std("seed", ddof=1) / values.sizes["seed"] ** 0.5
        mean = values.mean("seed")
        if not observable.dims:
            print(f"{observable.name:<24} {number_with_error(float(mean), float(error))}")
            continue
        stacked = mean.stack(at=observable.dims)
        for at, value, spread in zip(
            stacked["at"].values, stacked.values, error.stack(at=observable.dims).values, strict=True
        ):
            place = ", ".join(f"{d} {v}" for d, v in zip(observable.dims, at, strict=True))
            print(f"{observable.name} [{place}]".ljust(40), number_with_error(value, spread))
    return _report_divergence(data)


def _report_divergence(data: Any) -> int:
    bad = data["first_bad_step"].where(data["first_bad_step"] >= 0, drop=True)
    for cell in bad.stack(cell=bad.dims).dropna("cell") if bad.size else ():
        place = ", ".join(f"{d} {cell[d].item()}" for d in bad.dims)
        print(f"diverged: {place}, step {int(cell)}", file=sys.stderr)
    return 1 if bad.size else 0


def _sweep(setting: Setting, cases: list[Case], options: Any) -> int:
    from theorylab.lab.sweep import create_store, sweep
    from theorylab.runtime import start_processes

    index, count = processes = _processes(options)
    start_processes(options.coordinator, processes)
    _start()
    shared = _sweep_options(options)
    stores = []
    for case in cases:
        store = options.store or f"results/{setting.name}-{case.name}.zarr"
        if options.store and len(cases) > 1:
            store = f"{options.store.removesuffix('.zarr')}-{case.name}.zarr"
        stores.append(store)
    if index == 0 and count > 1 and len(cases) > 1:  # before the first sweep, since the others wait for them
        limits = {"base_seed": options.base_seed, "memory_budget": shared["memory_budget"], "processes": processes}
        for case, store in zip(cases, stores, strict=True):
            create_store(setting, case.config, case.grid, seeds=case.seeds, store=store, **limits)
    shared |= {"processes": processes, "store_timeout": options.store_timeout}
    for case, store in zip(cases, stores, strict=True):
        start = time.perf_counter()
        data = sweep(setting, case.config, case.grid, seeds=case.seeds, store=store, **shared)
        cells = " x ".join(f"{name} {size}" for name, size in data["finished"].sizes.items())
        who = f"process {index} of {count}, " if count > 1 else ""
        finished = data["finished"].values
        missing = "" if finished.all() else f", {finished.sum()} of {finished.size} cells finished so far"
        print(f"{store}: {who}{cells} in {time.perf_counter() - start:.1f} s{missing}")
        if finished.all():
            _report_divergence(data)
    return 0


def _processes(options: Any) -> tuple[int, int]:
    """Index and number of the processes: those given, else the launcher's."""
    from theorylab.runtime import find_processes

    index, count = options.process_id, options.num_processes
    if (index is None) != (count is None):
        raise UsageError("--process-id and --num-processes go together: give both, or leave both to Slurm or MPI")
    if index is None:
        index, count = find_processes()
    if count < 1:
        raise UsageError(f"--num-processes {count} is not allowed: must be >= 1")
    if not 0 <= index < count:
        raise UsageError(
            f"--process-id {index} is not allowed: must be from 0 to {count - 1} (--num-processes {count})"
        )
    return index, count


def _predict(setting: Setting, cases: list[Case], options: Any) -> int:
    from theorylab.verdict.compare import predict_rows
    from theorylab.verdict.table import document, terminal_table

    _start()
    rows = []
    for case in cases:
        rows += predict_rows(setting, case, theories=options.theory or None, base_seed=options.base_seed)
    if options.json:
        print(document(setting, cases[0].config, cases[0].seeds, rows))
    else:
        _console().print(terminal_table(setting, rows, every_row=True))
    return 0


def _check(setting: Setting, cases: list[Case], options: Any) -> int:
    from theorylab.verdict.compare import check
    from theorylab.verdict.table import document, terminal_table

    _start()
    rows = []
    for _, _, part in check(
        setting, cases, theories=options.theory or None, store=options.store, **_sweep_options(options)
    ):
        rows += part
    if options.json:
        print(document(setting, cases[0].config, cases[0].seeds, rows))
    else:
        _console().print(terminal_table(setting, rows, every_row=options.every_row))
    return 1 if any(row.failed for row in rows) else 0


def _reproduce(options: Any) -> int:
    from pathlib import Path

    from theorylab import get
    from theorylab.verdict import plotting
    from theorylab.verdict.compare import check
    from theorylab.verdict.overview import overview
    from theorylab.verdict.report import write_report
    from theorylab.verdict.table import terminal_table

    _check_settings(options.settings)
    settings = [get(name) for name in options.settings or SETTINGS]
    for setting in settings:
        if options.preset not in setting.presets:
            raise UsageError(f"unknown preset {options.preset!r}: choose one of {', '.join(setting.presets)}")
    _start()
    console = _console()
    start = time.perf_counter()
    output = Path(options.output)
    parts = []
    finished, total = 0, sum(len(setting.presets[options.preset]) for setting in settings)
    for setting in settings:
        rows, done = [], []
        for case, data, part in check(setting, setting.presets[options.preset], progress=sys.stderr.isatty()):
            rows += part
            done.append((case, data))
            finished += 1
            elapsed = time.perf_counter() - start
            left = elapsed / finished * (total - finished)
            text = f"{finished} of {total}, {elapsed:.0f} s" + (f", about {left:.0f} s left" if left else "")
            print(f"{setting.name}: {case.name} done ({text})", file=sys.stderr)
        console.print(terminal_table(setting, rows))
        with plotting.style():
            picture = plotting.save(overview(setting, done), output / f"{setting.name}.png")
            parts.append((setting, rows, picture, done[0][1].attrs))
        print(f"figure: {output / f'{setting.name}.png'}")
    print(f"report: {write_report(output / 'report.html', parts)}")
    print(f"{time.perf_counter() - start:.0f} s")
    return 1 if any(row.failed for _, rows, _, _ in parts for row in rows) else 0


def _figures(options: Any) -> int:
    from theorylab.gallery.figures import run

    chosen = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    return run(chosen.pop("figures"), start=_start, **chosen)


def _console() -> Any:
    from rich.console import Console

    # A table in a file or a pipe must not be folded to 80 columns.
    return Console(width=None if sys.stdout.isatty() else 200)


if __name__ == "__main__":
    sys.exit(main())
