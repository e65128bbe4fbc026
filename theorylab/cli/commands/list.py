"""``theorylab list``: one line a setting; details of those named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from theorylab.catalogue import FAMILIES, family_of, names
from theorylab.cli.options import flag, load_several, make, positional
from theorylab.cli.output import by_family

if TYPE_CHECKING:
    from theorylab.contract import Setting


def options() -> type:
    """Build what ``list`` understands."""
    return make(
        ("settings", positional(tuple[str, ...], "details of these (default: one line each)", "[SETTING ...]"), ()),
        ("json", flag("print a JSON document with the details of those named, or of all"), False),
    )


def run(options: Any) -> int:
    """Print the settings; without names nothing of them is imported."""
    if options.json:
        print(json.dumps([_as_json(setting) for setting in load_several(options.settings or names())], indent=2))
    elif options.settings:
        print("\n\n".join(_details(setting) for setting in load_several(options.settings)))
    else:
        print(by_family(names()))
        print("\n`theorylab list SETTING` shows a setting's papers, observables, theories and presets")
    return 0


def _as_json(setting: Setting) -> dict[str, Any]:
    return {
        "setting": setting.name,
        "title": setting.title,
        "family": family_of(setting.name),
        "paper": setting.papers[0].arxiv,
        "observables": [o.name for o in setting.observables],
        "theories": [{"name": t.name, "kind": t.kind, "source": str(t.source)} for t in setting.theories],
        "presets": {name: [case.name for case in cases] for name, cases in setting.presets.items()},
    }


def _details(setting: Setting) -> str:
    lines = [f"{setting.name}: {setting.title}", f"  family: {FAMILIES[family_of(setting.name)]}"]
    lines += [f"  paper: {paper.title} ({paper})" for paper in setting.papers]
    lines += [f"  observable {o.name}: {o.description}" for o in setting.observables]
    for theory in setting.theories:
        about = (theory.predict.__doc__ or "").strip().split("\n\n")[0].split()
        lines.append(f"  theory {theory.name} ({theory.kind}): {theory.source}")
        lines += [f"    {' '.join(about)}"] if about else []
    for name, cases in setting.presets.items():
        lines.append(f"  preset {name}: {'; '.join(f'{case.name} ({case.seeds} seeds)' for case in cases)}")
    return "\n".join(lines)
