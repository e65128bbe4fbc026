"""``theorylab new`` writes a setting whose check fails until its theory is filled in; ``cite`` gives BibTeX."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab.catalogue import SETTINGS
from theorylab.cli import main
from theorylab.verdict.compare import check

ROOT = Path(theorylab.__file__).parents[1]
TO_FILL_IN = "jnp.zeros(())"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)
    yield tmp_path
    forget(tmp_path)


def forget(folder):
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(folder)):
            del sys.modules[name]


def test_a_new_setting_fails_its_check_until_the_theory_is_filled_in(folder, capsys):
    assert main(["new", "my_model", "--folder", str(folder)]) == 0
    assert "my_model/predictions.py" in capsys.readouterr().out
    assert importlib.import_module("my_model.__main__").main() == 1
    setting = importlib.import_module("my_model").SETTING
    [(_, _, rows)] = check(setting, setting.presets["tiny"])
    assert [row.status for row in rows] == ["disagrees"] * 3

    predictions = folder / "my_model" / "predictions.py"
    text = predictions.read_text(encoding="utf-8")
    assert text.count(TO_FILL_IN) == 1
    right = text.replace(TO_FILL_IN, "jnp.asarray(config.scale**2 / config.num_samples)")
    predictions.write_text(right, encoding="utf-8")
    forget(folder)
    importlib.invalidate_caches()
    tests = importlib.import_module("test_my_model")
    setting = importlib.import_module("my_model").SETTING
    tests.test_theory_agrees_with_simulation(list(check(setting, setting.presets["tiny"])))
    tests.test_a_prediction_15_percent_off_is_rejected()


def test_a_new_setting_passes_lint(folder):
    assert main(["new", "my_model", "--folder", str(folder)]) == 0
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        options = ["--config", str(ROOT / "pyproject.toml"), str(folder)]
        done = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["My_model", "my-model", "class", "2d", "_hidden"])
def test_bad_names_are_refused(name, folder, capsys):
    assert main(["new", name, "--folder", str(folder)]) == 2
    assert f"name = {name!r} is not allowed" in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_nothing_is_overwritten(folder, capsys):
    (folder / "my_model").mkdir()
    (folder / "my_model" / "train.py").write_text("mine")
    assert main(["new", "my_model", "--folder", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (folder / "my_model").iterdir()] == ["train.py"]


# --- citations --------------------------------------------------------------------------------------------------------


def test_cite_gives_the_library_and_the_papers():
    text = theorylab.cite("linear_attention")
    assert text.count("\n@") == 3
    assert text.startswith("@software{theorylab,")
    assert f"version = {{{theorylab.__version__}}}" in text
    assert text == theorylab.cite(theorylab.get("linear_attention"))


def test_cite_everything_once_and_well_formed():
    text = theorylab.cite()
    for name in SETTINGS:
        for paper in theorylab.get(name).papers:
            assert text.count(paper.bibtex) == 1
    assert text.count("{") == text.count("}")


def test_cite_unknown():
    with pytest.raises(KeyError, match="choose one of random_features"):
        theorylab.cite("nothing")


@pytest.mark.parametrize(
    ("module", "examples"),
    [("catalogue", 3), ("lab.citation", 2), ("lab.compare", 5), ("lab.sweep", 11)],
)
def test_examples_in_docstrings(module, examples):
    found = doctest.testmod(importlib.import_module(f"theorylab.{module}"))
    assert (found.failed, found.attempted) == (0, examples)
