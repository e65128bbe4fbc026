"""Settings that the catalogue does not know: of installed packages, of modules and of files."""

import importlib
import json
import os
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab import catalogue
from theorylab.contract import ContractError
from theorylab.contract.testing import check_setting

TEMPLATE = (Path(theorylab.__file__).parent / "gallery" / "templates" / "setting.py").read_text(encoding="utf-8")


@pytest.fixture
def descent(installed):
    """A package that brings one setting, and runs nothing when its setting is listed."""
    installed(
        {
            "their_package/__init__.py": "import their_package.models\n",
            "their_package/models/__init__.py": "",
            "their_package/models/descent.py": TEMPLATE,
        },
        {"descent": "their_package.models.descent"},
    )


def test_a_setting_of_another_package_is_everywhere(run, descent, tmp_path, monkeypatch):
    """Its entry point is all that it needs: no file of the library is edited."""
    monkeypatch.chdir(tmp_path)
    assert catalogue.names()[-1] == "descent"
    # list
    code, out, _ = run("list")
    assert code == 0
    lines = out.splitlines()
    at = lines.index("  settings of other packages")
    assert lines[at + 1].split(maxsplit=1) == ["descent", "Noisy gradient descent on a quadratic"]
    code, out, _ = run("list", "--json")
    assert [item["family"] for item in json.loads(out) if item["setting"] == "descent"] == ["elsewhere"]
    # one setting
    code, out, _ = run("check", "descent", "--preset", "tiny")
    assert code == 0
    assert "agrees (3/3)" in out
    assert run("predict", "descent", "--num-steps", "3")[0] == 0
    assert run("run", "descent", "--num-steps", "3", "--seeds", "5")[0] == 0
    assert run("sweep", "descent", "--learning-rate", "0.1", "0.2", "--seeds", "2")[0] == 0
    assert (tmp_path / "results" / "descent.zarr").is_dir()
    assert "descent" in run("check")[2]
    assert "(did you mean descent?)" in run("check", "descnt")[2]
    # several: this one stands for all, whose tiny presets are tried elsewhere
    monkeypatch.setattr("theorylab.catalogue.SETTINGS", {})
    code, out, _ = run("reproduce", "--all")
    assert code == 0
    assert "descent.png" in out
    assert "Noisy gradient descent" in (tmp_path / "reports" / "report.html").read_text(encoding="utf-8")
    # in Python
    setting = theorylab.get("descent")
    assert setting.name == "descent"
    assert setting is importlib.import_module("their_package.models.descent").SETTING
    check_setting(setting)


def test_the_library_s_own_names_win(installed):
    installed({"theirs.py": TEMPLATE}, {"xor": "theirs", "theirs": "theirs:SETTING"})
    assert set(catalogue.others()) == {"theirs"}
    assert theorylab.get("xor").config.__module__.startswith("theorylab.")
    assert theorylab.get("theirs").name == "theirs"


def test_a_broken_package_does_not_hide_the_others(run, installed):
    installed({"broken.py": "x = (\n"}, {"gone": "no_such_module", "broken": "broken"})
    code, out, err = run("list")
    assert (code, err) == (0, "")
    [gone] = [line for line in out.splitlines() if line.split()[:1] == ["gone"]]
    assert "cannot be read: there is no module 'no_such_module'" in gone
    code, _, err = run("check", "gone")
    assert (code, err) == (2, "error: gone: there is no module 'no_such_module'\n")
    code, _, err = run("reproduce", "--all")
    assert code == 2
    assert "broken.py, line 1: '(' was never closed" in err


def test_an_entry_point_has_the_name_of_its_setting(installed):
    installed({"descent.py": TEMPLATE}, {"ascent": "descent"})
    with pytest.raises(ContractError, match="leads to a setting called 'descent'"):
        theorylab.get("ascent")


# --- files and modules ------------------------------------------------------------------------------------------------


def test_a_module_by_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "by_module.py").write_text(TEMPLATE.replace("SETTING = ", "MINE = "), encoding="utf-8")
    code, out, _ = run("list", "models.by_module:MINE")
    assert code == 0
    assert out.startswith("by_module: Noisy gradient descent on a quadratic\n")
    assert "there is no SETTING in it" in run("list", "models.by_module:SETTING")[2]


def test_a_file_hides_no_module(tmp_path, monkeypatch):
    """Its name may be any; what it imports from beside itself is found."""
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "rates_of_mine.py").write_text("RATES = {'learning_rate': (0.25,)}\n")
    file = tmp_path / "json.py"
    before = 'RATES = {"learning_rate": (0.3, 1.0, 1.5)}\n'
    assert before in TEMPLATE
    file.write_text(TEMPLATE.replace(before, "from rates_of_mine import RATES\n"), encoding="utf-8")
    setting = theorylab.get(file)
    assert setting.name == "json"
    assert setting.title == "Noisy gradient descent on a quadratic"
    assert setting.presets["tiny"][0].grid == {"learning_rate": (0.25,)}
    assert importlib.import_module("json") is json
    assert theorylab.get(str(file)) is setting
    # A notebook that edits it sees what it edited.
    file.write_text(TEMPLATE.replace("1.5", "1.6"), encoding="utf-8")
    os.utime(file, (0, 0))
    assert theorylab.get(file).presets["tiny"][0].grid == {"learning_rate": (0.3, 1.0, 1.6)}


def test_a_folder_is_a_package(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    head, _, tail = TEMPLATE.partition("RATES = ")
    package = tmp_path / "descent_rooms"
    package.mkdir()
    (package / "config.py").write_text(head, encoding="utf-8")
    names = "PAPER, Case, Config, Observable, Setting, check_config, second_moment, simulate"
    (package / "__init__.py").write_text(
        f'"""In rooms."""\nfrom .config import {names}\nRATES = {tail}', encoding="utf-8"
    )
    setting = theorylab.get(package)
    assert (setting.name, setting.title) == ("descent_rooms", "In rooms")
    assert theorylab.get(package / "__init__.py") is setting
