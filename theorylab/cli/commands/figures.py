"""``theorylab figures``: redraw the gallery, or compare the data behind it with the reference values."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from theorylab.catalogue import SETTINGS, Preset
from theorylab.cli.errors import UsageError
from theorylab.cli.options import flag, make, option, positional
from theorylab.cli.process import start


def options() -> type:
    """Build what ``figures`` understands."""
    which = "settings, or single figures such as xor_1_grokking (default: all)"
    preset = "tiny (seconds a figure), default (the committed pictures), or paper (wants a GPU)"
    check = "write no picture, compare the data with paper_figures/reference/PRESET.json; exit code 1 if any drifted"
    return make(
        ("figures", positional(tuple[str, ...], which, "[SETTING ...]"), ()),
        ("preset", option(Preset, preset, "NAME", "default"), "default"),
        ("folder", option(str, "the results: read, continued, or run where missing", "FOLDER", "results"), "results"),
        ("check", flag(check), False),
        ("update", flag("draw, and rewrite the reference values of what was drawn"), False),
    )


def run(options: Any) -> int:
    """Draw and save each figure, or compare it; 1 if any drifted."""
    from theorylab.gallery import figures
    from theorylab.verdict import plotting

    if options.check and options.update:
        raise UsageError("--check and --update exclude each other: compare with the reference, or rewrite it")
    checkout, folder = figures.find_checkout(), Path(options.folder)
    names = figures.find_figures(checkout, options.figures, list(SETTINGS))
    path = figures.reference_path(checkout, options.preset)
    if options.check and not path.exists():
        raise UsageError(f"no reference values of the preset {options.preset}: --update would write {path}")
    reference = figures.read_reference(path) if options.check else {}
    start()
    drifted, drawn = 0, {}
    for name in names:
        began = time.perf_counter()
        module = figures.load_script(checkout, name)
        with plotting.style():
            figure = module.draw(options.preset, folder)
            data = figures.figure_data(figure, figures.KEPT[options.preset])
            if options.check:
                found = figures.check_figure(name, data, reference, module, options.preset)
                drifted += bool(found)
                said = "\n  ".join(["DRIFTED", *found]) if found else "as the reference"
                plotting.close(figure)
            else:
                drawn[name] = data
                script = checkout / "paper_figures" / f"{name}.py"
                said = str(plotting.save(figure, figures.picture_path(script, options.preset, folder)))
        print(f"{name} ({time.perf_counter() - began:.1f} s): {said}", flush=True)
    if options.update:
        figures.update_reference(path, drawn, keep=figures.find_figures(checkout, (), ()))
        print(f"reference values: {path}")
    if drifted:
        print(f"{drifted} of {len(names)} figures drifted: {figures.version_changes(reference)}")
    return 1 if drifted else 0
