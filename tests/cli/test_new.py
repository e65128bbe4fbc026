"""``theorylab new`` writes a setting that works as it is, in one file, and its test."""

import subprocess
import sys
from pathlib import Path

import pytest

import theorylab
from theorylab.contract.testing import check_setting

ROOT = Path(theorylab.__file__).parents[1]
TEMPLATES = ROOT / "theorylab" / "gallery" / "templates"


def test_a_new_setting_passes_its_check_at_once(run, tmp_path):
    code, out, _ = run("new", "my_model", "--folder", tmp_path / "mine")
    assert code == 0
    written = [tmp_path / "mine" / "my_model.py", tmp_path / "mine" / "test_my_model.py"]
    assert out.splitlines()[:2] == [str(path) for path in written]
    assert sorted((tmp_path / "mine").iterdir()) == written
    assert f"theorylab check {written[0]} --preset tiny" in out
    assert written[0].read_text(encoding="utf-8").count("\n") < 120
    assert "setting.py" not in written[1].read_text(encoding="utf-8")
    code, out, _ = run("check", written[0], "--preset", "tiny")
    assert code == 0
    assert "agrees (3/3)" in out
    setting = theorylab.get(written[0])
    assert setting.name == "my_model"
    check_setting(setting)


def test_its_test_runs_where_it_was_written(run, tmp_path):
    assert run("new", "tested_model", "--folder", tmp_path)[0] == 0
    namespace = {"__file__": str(tmp_path / "test_tested_model.py"), "__name__": "test_tested_model"}
    exec((tmp_path / "test_tested_model.py").read_text(encoding="utf-8"), namespace)
    assert namespace["SETTING"].name == "tested_model"
    namespace["test_contract"]()


def test_templates_and_what_is_written_pass_lint(run, tmp_path):
    pytest.importorskip("ruff")
    assert run("new", "my_model", "--folder", tmp_path)[0] == 0
    ruff = [sys.executable, "-m", "ruff"]
    for folder in (TEMPLATES, tmp_path):
        for command in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
            options = ["--config", str(ROOT / "pyproject.toml"), str(folder)]
            done = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My_model", "must be a Python module name in lower case"),
        ("my-model", "must be a Python module name"),
        ("class", "must be a Python module name"),
        ("2d", "must be a Python module name"),
        ("_hidden", "must be a Python module name"),
        ("random", "it would hide a module of Python's own library"),
        ("numpy", "it would hide another module"),
        ("theorylab", "it would hide another module"),
        ("xor", "this library has a setting of that name"),
    ],
)
def test_bad_names_are_refused(run, tmp_path, name, reason):
    code, _, err = run("new", name, "--folder", tmp_path)
    assert code == 2
    assert f"name = {name!r} is not allowed: {reason}" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["my_model.py", "test_my_model.py"])
def test_nothing_is_overwritten(run, tmp_path, file):
    (tmp_path / file).write_text("mine")
    code, _, err = run("new", "my_model", "--folder", tmp_path)
    assert code == 2
    assert "is there already" in err
    assert [path.name for path in tmp_path.iterdir()] == [file]
    assert (tmp_path / file).read_text() == "mine"


RETURNS = 'return {"loss": config.curvature / 2 * (decay + stationary * (1 - decay))}\n\n\nRATES'


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "    dim: int",
            "    extra: int = 3\n    dim: int",
            "the field extra is declared with neither size(...) nor",
        ),
        ('kind="ensemble"', 'kind="ensembel"', "kind = 'ensembel', choose one of exact, instance, ensemble"),
        ("error=0.0", 'error="small"', "error = 'small', declare a number, {observable: number}, or (config, obs"),
        ("error=0.0", "error=None", "error = None, declare a number"),
        ("holds=lambda config: None", "holds=0.3", "holds = 0.3, declare config -> None or a sentence"),
        ("RATES", RETURNS.replace("decay))}", "decay))[1:]}"), "returns loss of shape (29,), simulate of (30,)"),
        ("RATES", RETURNS.replace("loss", "los"), "returns 'los', which is no observable: loss"),
        ("RATES", "return decay\n\n\nRATES", "returns an array, not {observable: array}"),
        ('predicts=("loss",)', 'predicts=("los",)', "names 'los', which is no observable: loss"),
        ('return {"loss": jax.lax', 'return {"los": jax.lax', "returns 'los', no observable: loss"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_simulated(run, tmp_path, monkeypatch, right, wrong, message):
    text = (TEMPLATES / "setting.py").read_text(encoding="utf-8")
    right = RETURNS if right == "RATES" else right
    assert text.count(right) == 1
    (tmp_path / "mistaken.py").write_text(text.replace(right, wrong), encoding="utf-8")
    monkeypatch.setattr("theorylab.lab.program.Program.run", lambda *arguments: pytest.fail("simulated"))
    code, _, err = run("check", tmp_path / "mistaken.py", "--preset", "tiny")
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
