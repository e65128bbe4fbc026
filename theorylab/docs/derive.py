"""What the documents say twice is written from the catalogue: ``python -m theorylab.docs.derive``.

Writes, between their markers, the tables of settings (README.md and the first page), the first functions and the tables
of theories and of parameters of each setting's page, and the index of the gallery (paper_figures/README.md); and the
notebooks, from the scripts beside them. A setting without a page gets a first one, from the docstring of its module.
``--check`` writes nothing, and ends with exit code 1 where a document is not up to date.

The navigation and the first page of a setting come from the catalogue and from the source alone: MkDocs builds the site
without JAX (see hooks.py).
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import itertools
import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theorylab.catalogue import FAMILIES, SETTINGS, get, module_of, title_of

if TYPE_CHECKING:
    from theorylab.contract import Paper, Setting, Theory

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("exact", "instance", "ensemble")
NO_FIGURES = "no figures yet"


def documents(root: Path = ROOT) -> dict[Path, str]:
    """Return what every derived document of a checkout should read."""
    pages = root / "theorylab" / "docs" / "pages"
    readme, index = root / "README.md", pages / "index.md"
    parts = {readme: {"settings": short_table(root)}, index: {"settings": settings_table(index, pages)}}
    parts[root / "paper_figures" / "README.md"] = {"figures": gallery_index(root)}
    for name in own_settings():
        parts[pages / "settings" / f"{name}.md"] = tables_of(get(name), root)
    found = {}
    for path, tables in parts.items():
        text = path.read_text(encoding="utf-8") if path.exists() else first_page(path.stem, papers_of(get(path.stem)))
        for part, content in tables.items():
            text = insert(text, part, content, path=path)
        found[path] = text
    for script in sorted((pages / "notebooks").glob("*.py")):
        found[script.with_suffix(".ipynb")] = notebook(script.read_text(encoding="utf-8"))
    return found


def notebook(script: str) -> str:
    """Notebook of a script whose cells begin with ``# %%``, those of text with ``# %% [markdown]``."""
    cells: list[dict[str, Any]] = []
    for number, part in enumerate(re.split(r"^# %%", script, flags=re.MULTILINE)[1:]):
        kind, _, body = part.partition("\n")
        body = body.strip("\n")
        text = "markdown" in kind
        lines = (re.sub("^# ?", "", body, flags=re.MULTILINE) if text else body).splitlines(keepends=True)
        kind = "markdown" if text else "code"
        one: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines}
        cells.append(one if text else one | {"execution_count": None, "outputs": []})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def insert(text: str, name: str, content: str, *, path: Path) -> str:
    """Put content between the lines ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->`` of a document.

    Raises
    ------
    ValueError
        If the document, which ``path`` names, lacks these lines.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path} needs the lines {begin} and {end}, once each")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content.rstrip()}\n{end}{rest.partition(end)[2]}"


def own_settings() -> list[str]:
    """Names of this library's settings, by family."""
    return sorted(SETTINGS, key=lambda name: list(FAMILIES).index(SETTINGS[name]))


# --- tables ------------------------------------------------------------------------------------------------------


def settings_table(document: Path, pages: Path) -> str:
    """Table of the settings: name, title with its papers, theories by kind; links are relative to the document."""
    rows = [["setting", "what", "theories"]]
    for family, members in itertools.groupby(own_settings(), SETTINGS.__getitem__):
        rows.append([f"*{FAMILIES[family]}*", "", ""])
        for name in members:
            setting = get(name)
            page = os.path.relpath(pages / "settings" / f"{name}.md", document.parent)
            kinds = {kind: [f"`{t.name}`" for t in setting.theories if t.kind == kind] for kind in KINDS}
            theories = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in kinds.items() if found)
            cited = ", ".join(link(paper) for paper in setting.papers)
            rows.append([f"[`{name}`]({page})", f"{cell(setting.title)} ({cited})", theories])
    return table(rows)


def short_table(root: Path = ROOT) -> str:
    """Short table of the settings for README.md: name, title, number of theories, its first figure small."""
    from theorylab.gallery.figures import figures_of

    rows = [["setting", "what", "theories", ""]]
    for family, members in itertools.groupby(own_settings(), SETTINGS.__getitem__):
        rows.append([f"**{sentence(FAMILIES[family])}**", "", "", ""])
        for name in members:
            figure = next(iter(figures_of(root, name)), None)
            image = f'<img src="paper_figures/{figure}.png" width="140" alt="">'
            picture = f"[{image}](paper_figures/{name}/README.md)" if figure else NO_FIGURES
            page = f"[`{name}`](theorylab/docs/pages/settings/{name}.md)"
            rows.append([page, cell(title_of(name)), str(len(get(name).theories)), picture])
    return table(rows)


def tables_of(setting: Setting, root: Path = ROOT) -> dict[str, str]:
    """Return what is derived of a setting's page, by the name of its lines."""
    from theorylab.docs.functions import functions_of

    theories = filter(None, (theories_table(setting), fidelity_table(setting, root)))
    tables = {"theories": "\n\n".join(theories), "parameters": numbers_of(setting)}
    return tables | {"functions": functions_of(setting)}


def theories_table(setting: Setting) -> str:
    """Table of a setting's theories: what each is and predicts, its kind, its declared error, its source."""
    rows = [["theory", "what", "observables", "kind", "declared error", "source"]]
    for theory in setting.theories:
        doc = (theory.predict.__doc__ or "").strip().splitlines()[:1]
        observables = ", ".join(f"`{name}`" for name in theory.predicts)
        source = source_of(theory)
        rows.append([f"`{theory.name}`", cell(*doc), observables, theory.kind, error_of(setting, theory), source])
    return table(rows)


def fidelity_table(setting: Setting, root: Path = ROOT) -> str:
    """Table of the worst deviation of each theory over its range, as ``python -m experiments.fidelity`` measured it.

    Empty where that was not measured yet.
    """
    path = root / "experiments" / "fidelity" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if setting.name not in results:
        return ""
    rows = [["theory", "comparisons", "declared", "worst seen", "of", "where"]]
    for theory in setting.theories:
        found = results[setting.name]["theories"].get(theory.name)
        if found is None:
            continue
        row = found["worst"]
        where = ", ".join(f"{name} = {shown(value)}" for name, value in (row["config"] | row["at"]).items())
        seen = percent(row["deviation"]) + (f" ± {percent(row['standard_error'])}" if row["standard_error"] else "")
        declared = percent(row["declared"]) if row["declared"] else "statistics alone"
        name = f"`{theory.name}`"
        rows.append([name, str(found["rows"]), declared, seen, f"`{row['observable']}`", cell(where)])
    points = results[setting.name]["points"]
    text = f"The worst of each over {points} configurations of a Latin hypercube (`experiments/fidelity`):"
    return f"{text}\n\n{table(rows)}"


def shown(value: Any) -> str:
    """Write a field's value, numbers to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def parameters_table(setting: Setting) -> str:
    """Table of a setting's fields: symbol, meaning, default, and where the default comes from.

    A source that begins with a value, ``1000: Xu et al. 2024``, has another default.
    """
    from theorylab.contract.describe import OUR_CHOICE
    from theorylab.contract.notebook import shown

    rows = [["parameter", "symbol", "what", "default", "source (its value, where it is another)"]]
    for field in dataclasses.fields(setting.config):
        about = field.metadata
        symbol = f"${about['symbol']}$" if about["symbol"] else ""
        kind = f"`{field.name}`" + ("" if about["static"] else " (scalar)")
        rows.append(
            [
                kind,
                symbol.replace(r"\|", r"\Vert "),
                cell(about["help"]),
                shown(field.default),
                cell(about["source"] or OUR_CHOICE),
            ]
        )
    return table(rows)


def numbers_of(setting: Setting) -> str:
    """Tables of a setting's parameters and of its presets' values, each with its source."""
    return "\n\n".join((parameters_table(setting), "### Values of the presets", presets_table(setting)))


def presets_table(setting: Setting) -> str:
    """Table of a setting's cases: every value that is no default, and where it comes from."""
    from theorylab.contract.describe import presets

    head, *rows = presets(setting)
    return table([head, *([f"`{preset}`", *map(cell, others)] for preset, *others in rows)])


def gallery_index(root: Path) -> str:
    """List of the figures of every setting, with what the first line of each script says."""
    from theorylab.gallery.figures import figures_of, script_path

    lines = []
    for family, members in itertools.groupby(own_settings(), SETTINGS.__getitem__):
        lines += [f"## {sentence(FAMILIES[family])}", ""]
        for name in members:
            readme, figures = root / "paper_figures" / name / "README.md", figures_of(root, name)
            head = f"[{title_of(name)}]({name}/README.md)" if readme.exists() else title_of(name)
            lines += [f"**{head}**" + ("" if figures else f": {NO_FIGURES}"), ""]
            for figure in figures:
                doc = docstring(script_path(root, figure)) or figure
                what = re.sub(r"^Figure \d+: ", "", doc.splitlines()[0])
                number = figure.partition("/figure_")[2].partition("_")[0]
                lines.append(f"- [Figure {number}]({figure}.png): {sentence(what)}")
            lines += [""] * bool(figures)
    return "\n".join(lines)


def docstring(path: Path) -> str:
    """Return the docstring of a file without importing it."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def table(rows: Iterable[Sequence[str]]) -> str:
    """Markdown of a table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * (lines[0].count(" | ") + 1) + "|", *lines[1:]])


def cell(text: str = "") -> str:
    """Text of a docstring as Markdown in a table: no bars, roles as code."""
    return re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text).replace("``", "`").replace("|", r"\|")


def sentence(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]


def link(paper: Paper) -> str:
    """Short name of a paper, a link to its preprint where there is one."""
    return f"[{paper.short}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else paper.short


def papers_of(setting: Setting) -> str:
    """Papers of a setting, a line each."""
    lines = []
    for paper in setting.papers:
        preprint = f", [arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv})" if paper.arxiv else ""
        lines.append(f"- {paper.authors}, *{paper.title}*, {paper.venue}{preprint}.")
    return "\n".join(lines)


def source_of(theory: Theory) -> str:
    """Source of a theory: a link and the place in the paper, or its sentence."""
    source = theory.source
    return cell(source) if isinstance(source, str) else f"{link(source.paper)}, {cell(source.place)}"


# --- declared errors ---------------------------------------------------------------------------------------------


def error_of(setting: Setting, theory: Theory) -> str:
    """Declared relative errors, from the least to the largest in the cases of the default preset (else of tiny).

    Observables of the same errors stand together; where the error is a function, its docstring says the rest.
    """
    ranges: dict[tuple[str, str], list[str]] = {}
    for preset in ("default", "tiny"):
        cells = [one for one in cells_of(setting, preset) if theory.holds(one) is None]
        for name in theory.predicts if cells else ():
            values = [theory.relative_error(one, name) for one in cells]
            ranges.setdefault((percent(min(values)), percent(max(values))), []).append(name)
        if ranges:
            break
    texts = {names[0]: low if low == high else f"{low} to {high}" for (low, high), names in ranges.items()}
    parts = [f"{', '.join(f'`{n}`' for n in names)}: {texts[names[0]]}" for names in ranges.values()]
    text = next(iter(texts.values())) if len(ranges) == 1 else "; ".join(parts)
    doc = theory.error.__doc__ if callable(theory.error) else None
    return f"{text} ({cell(doc.strip().splitlines()[0].rstrip('.'))})" if doc else text


def cells_of(setting: Setting, preset: str) -> list[Any]:
    """Return the configurations of all cases that a check of the preset runs."""
    from theorylab.lab.grid import make_plan

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases are beyond a theory's range on purpose
        plans = [make_plan(setting, case.config, case.grid) for case in setting.presets[preset]]
        return [one for plan in plans for _, one in plan.cells()]


def percent(value: float) -> str:
    """Write a relative error with two digits: ``2%``, ``1e-8``, or ``none``."""
    if value == 0:
        return "none"
    return f"{float(f'{100 * value:.2g}'):g}%" if value >= 1e-5 else f"{value:.2g}".replace("e-0", "e-")


# --- pages and navigation: from the source alone -----------------------------------------------------------------


def first_page(name: str, papers: str = "") -> str:
    """First page of a setting that has none yet, from its module's docstring; the table of theories comes later."""
    module = module_of(name)
    found = importlib.util.find_spec(module)
    title, _, rest = (docstring(Path(str(found and found.origin))) or name).partition("\n")
    parts = [
        f"# {title.rstrip('.')}",
        rest.strip(),
        papers,
        "## The functions you want first",
        "<!-- begin: functions -->\n<!-- end: functions -->",
        "## Theories",
        "<!-- begin: theories -->\n<!-- end: theories -->",
        "## Parameters",
        "<!-- begin: parameters -->\n<!-- end: parameters -->",
        "## API",
        f"::: {module}\n    options: {{members: [Config, simulate], show_root_heading: false}}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def navigation() -> list[dict[str, list[dict[str, str]]]]:
    """Return MkDocs' navigation of the settings' pages, by family."""
    families = itertools.groupby(own_settings(), SETTINGS.__getitem__)
    return [
        {sentence(FAMILIES[family]): [{short_title(name): f"settings/{name}.md"} for name in members]}
        for family, members in families
    ]


def gallery_navigation(gallery: Path) -> list[dict[str, str]]:
    """Return MkDocs' navigation of the gallery: the index, then the settings' own galleries."""
    there = [name for name in own_settings() if (gallery / name / "README.md").exists()]
    return [{"All figures": "gallery.md"}, *({short_title(name): f"gallery/{name}.md"} for name in there)]


def short_title(name: str) -> str:
    """Title of a setting before its colon."""
    return title_of(name).partition(":")[0]


# --- the command -------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] = (), root: Path = ROOT) -> int:
    """Write the derived documents, or check them; returns the exit code."""
    old = 0
    for path, text in documents(root).items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        old += 1
        print(f"{path.relative_to(root)}: {'is not up to date' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    return 1 if old and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
