"""``theorylab plot``: one observable of a stored sweep, with the theories that are asked for."""

from __future__ import annotations

from typing import Any

from theorylab.catalogue import unknown
from theorylab.cli.errors import UsageError
from theorylab.cli.options import load, make, option, positional
from theorylab.cli.process import start


def options() -> type:
    """Build what ``plot`` understands."""
    x = "a swept field, or an inner dimension of the observable such as step; other swept fields get a colour a value"
    setting = "the setting of the results, where it is in no catalogue: a file or a module"
    return make(
        ("store", positional(str, "folder of a sweep's results", "STORE"), ...),
        ("x", option(str, x, "NAME"), ...),
        ("y", option(str | None, "the observable", "NAME", "the setting's first"), None),
        ("theory", option(tuple[str, ...], "theories to draw, or all", "NAME ...", "none"), ()),
        ("setting", option(str | None, setting, "SETTING", "as stored"), None),
        ("output", option(str | None, "the picture: .png, .pdf or .svg", "FILE", "STORE-Y.png", short="-o"), None),
    )


def run(options: Any) -> int:
    """Draw the picture, and print where it is."""
    from theorylab.lab.store import attributes_of, open_results, store_path, user_path
    from theorylab.verdict.plotting import check_format

    store = store_path(options.store)
    stored = attributes_of(store)["setting"]
    output = None if options.output is None else user_path("output", options.output)
    if output is not None:
        check_format(output)
    setting = setting_of(stored, options.setting, options.store)
    names = [theory.name for theory in setting.theories]
    chosen = names if options.theory == ("all",) else options.theory
    for theory in chosen:
        if theory not in names:
            raise UsageError(unknown("theory", theory, [*names, "all"]))
    start()
    from theorylab.verdict.overview import plot
    from theorylab.verdict.plotting import save, style

    data = open_results(store)
    y = options.y or next(o.name for o in setting.observables if o.name in data)
    target = output or store.with_name(f"{store.name.removesuffix('.zarr')}-{y}.png")
    with style():
        print(save(plot(setting, data, x=options.x, y=y, theories=chosen), target))
    return 0


def setting_of(stored: str, given: str | None, store: str) -> Any:
    """Return the setting of a store: the one that is given, else the one of the stored name."""
    if given is not None:
        return load(given)
    try:
        return load(stored)
    except UsageError:
        raise UsageError(
            f"{store} holds results of {stored!r}, which is in no catalogue: --setting names its file or module"
        ) from None
