"""The documentation: what a reader can run is run, files of the tutorial make a setting, links lead somewhere."""

import ast
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab.catalogue import SETTINGS
from theorylab.cli import COMMANDS, main
from theorylab.docs import derive
from theorylab.docs.functions import WIDTH

ROOT = Path(theorylab.__file__).parents[1]
PAGES = ROOT / "theorylab" / "docs" / "pages"
# A page may be written before its setting is merged; it is read from then on.
ALL = sorted(p for p in PAGES.rglob("*.md") if p.parent.name != "settings" or p.stem in SETTINGS)
NAMES = [str(p.relative_to(PAGES)) for p in ALL]
#: Pages whose code takes more than four seconds of one core.
LONG = (
    "cookbook.md", "double_descent.md", "draw.md", "fitting.md", "instances.md", "learning_curves.md",
    "settings/catapult.md", "settings/ntk.md",
)  # fmt: skip
#: The code that a setting's page begins with, which a test of its own runs.
FUNCTIONS = re.compile(r"<!-- begin: functions -->.*?<!-- end: functions -->", re.DOTALL)
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')


def blocks(page):
    """(language, title or None, text) of every fenced block, in order."""
    found = FUNCTIONS.sub("", (PAGES / page).read_text(encoding="utf-8"))
    for _, language, options, text in FENCE.findall(found):
        title = TITLE.search(options)
        yield language, title and title[1], text


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Run in an empty folder from which packages can be imported, and forget them afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    # Applications choose their own cache; tests keep theirs.
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def test_every_page_is_in_the_navigation_and_every_setting_has_one():
    text = (PAGES.parent / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r"[\w/]+\.md", text))  # settings and gallery are derived
    assert text.count(": derived") == 2
    assert listed == {str(p.relative_to(PAGES)) for p in ALL if p.parent.name != "settings"}
    assert {p.stem for p in ALL if p.parent.name == "settings"} == set(SETTINGS)


@pytest.mark.parametrize(
    "page", [pytest.param(name, marks=[pytest.mark.slow, pytest.mark.tiny] if name in LONG else []) for name in NAMES]
)
def test_blocks_run(page, here, capsys, streams_kept):
    """Files are written, Python is run in one namespace, ``theorylab`` commands go through its main.

    Python blocks marked ``title`` are files; shell lines are run if they begin with ``theorylab``, and a ``text`` block
    is one that a reader need not run.
    """
    namespace = {}
    for language, title, text in blocks(page):
        assert language in ("python", "sh", "text"), f"{page}: a block of {language or 'no language'}"
        if title and language == "python":
            (here / title).parent.mkdir(parents=True, exist_ok=True)
            (here / title).write_text(text, encoding="utf-8")
        elif language == "python":
            exec(compile(text, page, "exec"), namespace)
        elif language == "sh":
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "theorylab", f"{page}: {line} is not run by this test: make it a text block"
                    assert main(words[1:]) == 0, line


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in ("numerical_collapse", "memorisation") else pytest.mark.slow) for n in SETTINGS],
)
def test_first_functions_run(name, here):
    """And the theory that they choose agrees."""
    page = (PAGES / "settings" / f"{name}.md").read_text(encoding="utf-8")
    [(_, language, _, code)] = FENCE.findall(FUNCTIONS.search(page)[0])
    assert language == "python"
    namespace = {}
    exec(compile(code, name, "exec"), namespace)
    verdicts = [row.status for row in namespace["rows"]]
    assert any(status.judged for status in verdicts)
    assert not any(row.failed for row in namespace["rows"])


SCRIPTS = sorted((PAGES / "notebooks").glob("*.py"))


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(s, id=s.stem, marks=[pytest.mark.slow, pytest.mark.tiny] * (s.stem == "first_sweep"))
        for s in SCRIPTS
    ],
)
def test_notebooks_run_and_are_derived(script, here):
    """A cell's last expression is evaluated, and shown as HTML where it can be."""
    content = json.loads(script.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert content == json.loads(derive.notebook(script.read_text(encoding="utf-8"))), (
        "run: python -m theorylab.docs.derive"
    )
    namespace, shown = {}, []
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            *body, last = ast.parse("".join(cell["source"])).body
            body, value = ([*body], ast.Expression(last.value)) if isinstance(last, ast.Expr) else ([*body, last], None)
            exec(compile(ast.Module(body, []), script.name, "exec"), namespace)
            shown += [eval(compile(value, script.name, "eval"), namespace)] if value else []
    assert sum(hasattr(value, "_repr_html_") for value in shown) >= 3
    verdicts = {row.theory: row.failed for row in namespace["rows"] if row.status.judged}
    assert verdicts.pop("textbook", True)  # the wrong one, where there is one, is rejected
    assert verdicts
    assert not any(verdicts.values())


@pytest.mark.parametrize("document", [*ALL, ROOT / "README.md"], ids=lambda path: str(path.relative_to(ROOT)))
def test_code_fits_its_box(document):
    for *_, text in FENCE.findall(document.read_text(encoding="utf-8")):
        assert not [line for line in text.splitlines() if len(line) > WIDTH]


def test_tutorial_tests(here):
    for _, title, text in blocks("adding_a_setting.md"):
        if title:
            (here / title).write_text(text, encoding="utf-8")
    importlib.import_module("test_sgd_minimum").test_contract()


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_page_names_its_papers(name):
    text = (PAGES / "settings" / f"{name}.md").read_text(encoding="utf-8")
    for paper in theorylab.get(name).papers:
        assert not paper.arxiv or f"arxiv.org/abs/{paper.arxiv}" in text


def test_commands_named_are_there():
    for page in ALL:
        for command in re.findall(r"`theorylab (\w+)", page.read_text(encoding="utf-8")):
            assert command in COMMANDS, f"{page.name}: theorylab {command}"


# --- links ------------------------------------------------------------------------------------------------------------


def anchor(heading):
    """The id that MkDocs gives a heading."""
    text = re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower(), flags=re.ASCII)
    return re.sub(r"[-\s]+", "-", text)


def targets(text):
    """Link targets outside code."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", FENCE.sub("", text)))


GALLERY = sorted((ROOT / "paper_figures").rglob("README.md"))
DOCUMENTS = [*ALL, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GALLERY]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links(document):
    for target in targets(document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        goal = (document.parent / path).resolve() if path else document
        assert goal.exists(), f"{target} leads nowhere"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", goal.read_text(encoding="utf-8")), re.MULTILINE)
            assert fragment in [anchor(heading) for heading in headings], f"{target}: no such heading"


def test_the_link_check_finds_broken_links(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](#one-two) [b](other.md) `[c](code.md)`\n")
    with pytest.raises(AssertionError, match=r"other\.md leads nowhere"):
        test_links(page)
    (tmp_path / "other.md").write_text("# x\n")
    test_links(page)
    page.write_text("# One two\n[a](#one-three)\n")
    with pytest.raises(AssertionError, match="no such heading"):
        test_links(page)
