"""The documentation: what a reader can run is run, files of the tutorial make a setting, links lead somewhere."""

import importlib
import re
import shlex
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab.catalogue import SETTINGS
from theorylab.cli import COMMANDS, main

ROOT = Path(theorylab.__file__).parents[1]
PAGES = ROOT / "theorylab" / "docs" / "pages"
# A page may be written before its setting is merged; it is read from then on.
ALL = sorted(p for p in PAGES.rglob("*.md") if p.parent.name != "settings" or p.stem in SETTINGS)
NAMES = [str(p.relative_to(PAGES)) for p in ALL]
FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')


def blocks(page):
    """(language, title or None, text) of every fenced block, in order."""
    for _, language, options, text in FENCE.findall((PAGES / page).read_text(encoding="utf-8")):
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
    listed = set(re.findall(r"[\w/]+\.md", (PAGES.parent / "mkdocs.yml").read_text(encoding="utf-8")))
    # The gallery is made from paper_figures/ when the site is built.
    assert listed == {"gallery.md"} | {str(p.relative_to(PAGES)) for p in PAGES.rglob("*.md")}
    assert {f"settings/{name}.md" for name in SETTINGS} <= listed


@pytest.mark.parametrize("page", NAMES)
def test_blocks_run(page, here, capsys):
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
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                if words:
                    assert words[0] == "theorylab", f"{page}: {line} is not run by this test: make it a text block"
                    assert main(words[1:]) == 0, line


def test_tutorial_tests(here):
    for _, title, text in blocks("adding_a_setting.md"):
        if title:
            (here / title).parent.mkdir(parents=True, exist_ok=True)
            (here / title).write_text(text, encoding="utf-8")
    module = importlib.import_module("test_sgd_noise")
    tests = [function for name, function in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


@pytest.mark.parametrize("name", SETTINGS)
def test_setting_page_lists_every_theory_and_paper(name):
    text = (PAGES / "settings" / f"{name}.md").read_text(encoding="utf-8")
    setting = theorylab.get(name)
    for theory in setting.theories:
        assert re.search(rf"^\| *`{theory.name}`", text, re.MULTILINE), f"{theory.name} is not in the table"
    for row in re.findall(r"^\| *`(\w+)`", text, re.MULTILINE):
        assert row in [t.name for t in setting.theories] + [o.name for o in setting.observables], row
    for paper in setting.papers:
        assert f"arxiv.org/abs/{paper.arxiv}" in text


# What a theory declares, and the words for it in its row: a page must not outlive a change of either.
DECLARED = [
    ("random_features", "gcv", "test_error", {"num_samples": 100, "num_features": 100}, 0.05, "5% at 100 samples"),
    ("random_features", "gcv", "test_error", {"model": "digits"}, 0.10, "10% on real data"),
    ("linear_attention", "minimum", "final_loss", {}, 1e-6, "exact loss: $10^{-6}$"),
    ("linear_attention", "one_step", "learned_rate", {"training": "statistics"}, 0.025, "statistics: step 2.5%"),
    ("linear_attention", "one_step", "preconditioner", {"training": "prompts"}, 0.12, "else 12%"),
    ("linear_attention", "context_length", "test_loss", {"training": "prompts"}, 0.02, "prompts 2%"),
    ("linear_attention", "gradient_flow", "loss", {"training": "flow", "learning_rate": 0.002}, 0.02, "10 × the time"),
    ("linear_attention", "gradient_steps", "step_sizes", {}, 0.03, "step sizes 3%"),
    ("linear_attention", "bayes", "bayes_loss", {}, 0.02 / 5, "$0.02/"),
    ("linear_attention", "pool_regression", "pool_error", {"dim": 20}, 0.1, "$2/d$"),
    ("matrix_sensing", "reduction", "recovery_error", {}, 1e-5, "$10^{-5}$"),
    ("matrix_sensing", "riccati_flow", "recovery_error", {}, 0.3, "$3\\,\\text{rate}\\,s_1$"),
    ("matrix_sensing", "universal_tail", "final_error", {}, 1e-3, "0.1%"),
    ("matrix_sensing", "exact_rank", "error_slope", {}, 1e-4, "$10^{-4}$"),
    ("matrix_sensing", "limit_rate", "error_slope", {}, 1e-3, "0.1%"),
    ("matrix_sensing", "initial_rate", "error_slope", {"init_scale": 0.2}, 0.06, "6% at $n = 50$, $\\alpha = 0.2$"),
    ("matrix_sensing", "balanced_rate", "error_slope", {}, 0.01, "1%"),
    ("matrix_sensing", "rebalanced_rate", "error_slope", {}, 0.01, "1%"),
    ("matrix_sensing", "tangent_kernel", "error_slope", {}, 0.05, "5%"),
    ("matrix_sensing", "wishart_rate", "error_slope", {}, 0.4, "40% per instance"),
    ("matrix_sensing", "sign_rip", "sign_rip_deviation", {}, 0.15, "deviation 15%"),
    ("matrix_sensing", "effective_rate", "error_slope", {}, 0.25, "slopes 25%"),
    ("matrix_sensing", "pair_sum", "pair_sum", {}, 0.05, "5%"),
    ("matrix_sensing", "corrupted_limit", "final_error", {}, 0.05, "5%"),
    ("xor", "reduction", "train_margin", {}, 1e-8, "$10^{-8}$"),
    ("xor", "first_step", "alignment_drift", {"width": 100}, 0.02, "mean $2/m$"),
    ("xor", "first_step", "alignment_variance", {"width": 100}, 0.15, "variance $1.5/\\sqrt m$"),
    ("xor", "first_step", "linear_ratio", {"width": 100}, 0.03, "linear part $3/m$"),
    ("xor", "memorisation", "train_accuracy", {}, 0.04, "4%"),
    ("xor", "cell_model", "train_accuracy", {}, 0.01, "train accuracy 1%"),
    ("xor", "cell_model", "test_accuracy", {}, 0.04, "test accuracy 4%"),
    ("xor", "cell_model", "other_alignment", {}, 0.25, "25% (other)"),
    ("xor", "late_rates", "other_slope", {}, 0.5, "50% (other)"),
    ("grokking", "lazy", "train_loss", {}, 1e-8, "$10^{-8}$"),
    ("grokking", "memorisation", "relative_train_loss", {"input_dim": 100}, 0.04, "$4/D$"),
    ("grokking", "population", "test_loss", {"input_dim": 10, "num_samples": 10_000}, 0.06, "$0.6\\,D/\\sqrt{P}$"),
    ("grokking", "noise_driven_mean_field", "train_loss", {"input_dim": 400}, 0.11, "train loss $40/D$"),
]


@pytest.mark.parametrize("name", SETTINGS)
def test_declared_errors_are_those_on_the_page(name):
    setting = theorylab.get(name)
    text = (PAGES / "settings" / f"{name}.md").read_text(encoding="utf-8")
    for _, theory, observable, fields, value, words in (entry for entry in DECLARED if entry[0] == name):
        declared = setting.theory(theory).relative_error(setting.config(**fields), observable)
        assert declared == pytest.approx(value), f"{theory}: {observable}"
        row = re.search(rf"^\| *`{theory}`.*$", text, re.MULTILINE)
        assert row, theory
        assert words in row[0], f"{theory}: {words}"


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


DOCUMENTS = [*ALL, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "paper_figures" / "README.md"]


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
