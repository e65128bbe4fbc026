"""``theorylab new``: a setting of one's own."""

from __future__ import annotations

from typing import Any

from theorylab.cli.options import make, option, positional


def options() -> type:
    """Build what ``new`` understands."""
    return make(
        ("name", positional(str, "the setting's name, which a Python module could have", "NAME"), ...),
        ("folder", option(str, "where NAME.py and test_NAME.py are written", "FOLDER", "the current one"), "."),
    )


def run(options: Any) -> int:
    """Write the two files, and say how to check them."""
    from theorylab.gallery.scaffold import new_setting

    files = new_setting(options.name, options.folder)
    for path in files:
        print(path)
    where = files[0] if len(files[0].parts) > 1 else f"./{files[0]}"
    print(f"It works as it is: theorylab check {where} --preset tiny; pytest {files[1]}")
    return 0
