"""The contract, tried on every setting of the catalogue: a new one is tested by its line there."""

import re
import sys
from pathlib import Path

import pytest

import theorylab as tl
from theorylab.catalogue import family_of, module_of
from theorylab.contract.testing import CLAUSES, TRACED

ROOT = Path(tl.__file__).parents[1]
PAGES = ROOT / "theorylab" / "docs" / "pages" / "settings"
# UserWarnings are on what some cases study, but for those on float64 constants in single precision.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "error:Explicitly requested dtype")

#: Clauses that run something; they have a file, hence a worker, of their own: test_every_tiny_preset.py.
RUN = ("mapping", "agreement", "controls")


@pytest.mark.parametrize("clause", [name for name in CLAUSES if name not in RUN])
@pytest.mark.parametrize("name", tl.SETTINGS)
def test_contract(name, clause):
    presets = {"presets": ("tiny", "default")} if CLAUSES[clause] in TRACED else {}
    assert list(CLAUSES[clause](tl.get(name), **presets)) == []


@pytest.mark.slow
@pytest.mark.parametrize("clause", TRACED)
@pytest.mark.parametrize("name", tl.SETTINGS)
def test_contract_at_published_sizes(name, clause):
    assert list(clause(tl.get(name), presets=("paper",))) == []


@pytest.mark.parametrize("name", tl.SETTINGS)
def test_it_stands_where_its_name_says(name):
    setting = tl.get(name)
    assert setting.name == name
    assert setting.config.__module__.startswith(f"theorylab.settings.{family_of(name)}.{name}")
    assert sys.modules[module_of(name)].SETTING is setting
    for folder in (PAGES, ROOT / "paper_figures" / name):
        assert folder.exists()
    assert (PAGES / f"{name}.md").exists(), "a page of the documentation"
    scripts = list((ROOT / "paper_figures" / name).glob("figure_*.py"))
    assert scripts, "a figure in its folder of the gallery"
    for script in scripts:
        assert re.fullmatch(r"figure_\d+_\w+", script.stem)
        assert script.with_suffix(".png").exists(), f"the committed picture of {script.stem}"
