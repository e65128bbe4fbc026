"""``theorylab reproduce``: check several settings, draw each, write one report."""

from __future__ import annotations

import itertools
import operator
import shlex
import sys
import time
from collections.abc import Sequence
from typing import Any

from theorylab.catalogue import FEATURED, Preset, names
from theorylab.cli.errors import UsageError
from theorylab.cli.options import flag, load_several, make, option, positional
from theorylab.cli.output import console, is_terminal, judge
from theorylab.cli.process import start


def options() -> type:
    """Build what ``reproduce`` understands."""
    which = f"these (default: {', '.join(FEATURED)})"
    preset = "of every setting: tiny, default, or paper (wants a GPU)"
    return make(
        ("settings", positional(tuple[str, ...], which, "[SETTING ...]"), ()),
        ("all", flag("every setting of the catalogue and of installed packages"), False),
        ("preset", option(Preset, preset, "NAME", "tiny"), "tiny"),
        ("output", option(str, "where the report and its figures go", "FOLDER", "reports"), "reports"),
    )


def run(options: Any) -> int:
    """Print the verdicts and write ``report.html``; 1 if a setting's check fails, or judged nothing."""
    from theorylab.lab.store import user_path
    from theorylab.verdict import plotting
    from theorylab.verdict.compare import checked
    from theorylab.verdict.overview import overview
    from theorylab.verdict.report import write_report
    from theorylab.verdict.table import terminal_table

    if options.all and options.settings:
        raise UsageError("--all means every setting: leave the names out, or leave --all out")
    settings = load_several(options.settings or (names() if options.all else FEATURED))
    output = user_path("output", options.output)
    start()
    shown = console()
    began = time.perf_counter()
    parts: list[Any] = []
    finished = 0
    code = 0
    pairs = [(setting, case) for setting in settings for case in setting.presets[options.preset]]
    results = checked(pairs, progress=is_terminal(sys.stderr))
    for setting, group in itertools.groupby(results, key=operator.itemgetter(0)):
        rows, done = [], []
        for _, case, data, part in group:
            rows += part
            finished += 1
            if not data:  # the row says what is missing
                print(f"{setting.name}: {case.name} not run ({part[0].verdict.reason})", file=sys.stderr)
                continue
            done.append((case, data))
            elapsed = time.perf_counter() - began
            left = elapsed / finished * (len(pairs) - finished)
            text = f"{finished} of {len(pairs)}, {elapsed:.0f} s" + (f", about {left:.0f} s left" if left else "")
            print(f"{setting.name}: {case.name} done ({text})", file=sys.stderr)
        shown.print(terminal_table(setting, rows))
        code = max(code, judge(setting.name, rows))
        if not done:
            parts.append((setting, rows, None, {}))
            continue
        with plotting.style():
            picture = plotting.save(overview(setting, done), output / f"{setting.name}.png")
            parts.append((setting, rows, picture, done[0][1].attrs))
        print(f"figure: {output / f'{setting.name}.png'}")
    print(f"report: {write_report(output / 'report.html', parts, about=_about(options, parts))}")
    print(f"{time.perf_counter() - began:.0f} s")
    return code


def _about(options: Any, parts: Sequence[Any]) -> dict[str, str]:
    """What made a report: the command, its preset, when, with which versions on what."""
    from theorylab.lab.store import now

    words = ["theorylab", "reproduce", *options.settings, *["--all"] * options.all, "--preset", options.preset]
    about = {"command": shlex.join(words), "preset": options.preset, "date": f"{now():.16} UTC".replace("T", " ", 1)}
    made: dict[str, Any] = next((provenance for *_, provenance in parts if provenance), {})
    names = {"theorylab": "theorylab_version", "JAX": "jax_version", "Python": "python_version"}
    about["versions"] = ", ".join(f"{name} {made[key]}" for name, key in names.items() if made.get(key))
    about["device"] = str(made.get("device", ""))
    return {name: text for name, text in about.items() if text}
