"""``theorylab figures``: redraw the gallery, or compare the data behind it with the reference values."""

from __future__ import annotations

from typing import Any

from theorylab.catalogue import Preset
from theorylab.cli.options import flag, make, option, positional
from theorylab.cli.process import start


def options() -> type:
    """Build what ``figures`` understands."""
    which = "settings, or single figures such as xor/figure_1_grokking (default: all)"
    preset = "tiny (seconds a figure), default (the committed pictures), or paper (wants a GPU)"
    check = "write no picture, compare the data with paper_figures/SETTING/reference; exit code 1 if any drifted"
    output = "the picture of a single figure: .png, .pdf or .svg"
    return make(
        ("figures", positional(tuple[str, ...], which, "[SETTING[/FIGURE] ...]"), ()),
        ("preset", option(Preset, preset, "NAME", "default"), "default"),
        ("folder", option(str, "the results: read, continued, or run where missing", "FOLDER", "results"), "results"),
        ("check", flag(check), False),
        ("update", flag("draw, and rewrite the reference values of what was drawn"), False),
        ("output", option(str | None, output, "FILE", "beside its script, or beside its results"), None),
    )


def run(options: Any) -> int:
    """Draw and save each figure, or compare it; 1 if any drifted."""
    from theorylab.gallery.figures import run as draw

    chosen = dict(vars(options))
    return draw(chosen.pop("figures"), start=start, **chosen)
