"""Bad input on the command line: exit code 2, one clear line, nothing written, no traceback."""

import sys

import pytest

from theorylab.numerics import datasets


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sweep {toy} --process-id 1", "--process-id and --num-processes go together"),
        ("sweep {toy} --process-id 2 --num-processes 2", "--process-id 2 is not allowed: must be from 0 to 1"),
        ("sweep {toy} --process-id 0 --num-processes 0", "--num-processes 0 is not allowed: must be >= 1"),
        ("run {toy} --scale -1", "scale = -1.0 is not allowed: must be a finite number >= 0"),
        ("run {toy} --num-samples 0", "num_samples = 0 is not allowed: must be a whole number >= 1"),
        ("run {toy} --num-samples 2.5", "num_samples = 2.5 is not allowed: must be a whole number >= 1"),
        ("run {toy} --num-samples inf", "num_samples = inf is not allowed: must be a whole number >= 1"),
        ("run {toy} --num-samples 13", "num_samples = 13 is not allowed: must not be unlucky"),
        ("sweep {toy} --num-samples 10 10.5", "num_samples = 10.5 is not allowed: must be a whole number"),
        ("sweep {toy} --scale 1 1", "values must be distinct"),
        ("run {toy} --scale nan", "scale = nan is not allowed"),
        ("run {toy} --seeds 0", "seeds = 0 is not allowed"),
        ("run {toy} --memory-budget 0", "memory_budget"),
        ("run {toy} --scale 0.1 0.2", "one value per field"),
        ("run {toy} --sclae 0.1", "Unrecognized options"),
        ("check {toy} --preset huge", "unknown preset 'huge' of toy: choose one of tiny, default, paper"),
        ("check {toy} --theory magic", "toy has no theory 'magic': choose one of exact, ensemble, on_host"),
        ("check {toy} --theory on_hots", "(did you mean on_host?)"),
        ("run nothing", "unknown setting 'nothing': choose one of random_features"),
        ("frobnicate", "unknown command 'frobnicate'"),
        ("reproduce --preset huge", "invalid choice 'huge'"),
        ("reproduce nothing", "unknown setting 'nothing'"),
        ("reproduce --all xor", "--all means every setting"),
        ("reproduce {toy} {toy}", "two of the settings are called 'toy'"),
        ("list nothing", "unknown setting 'nothing'"),
        ("figures nothing", "unknown setting 'nothing'"),
        ("chek xor", "(did you mean check?)"),
        ("check xr", "(did you mean xor?)"),
        ("check --preset tiny", "the setting comes first: theorylab check SETTING --preset ..."),
        ("check", "usage: theorylab check SETTING [options]"),
        ("check {tmp}/none.py", "there is no file {tmp}/none.py"),
        ("check {tmp}", "there is no file {tmp}"),
        ("check no_such_package.module:SETTING", "there is no module 'no_such_package.module'"),
        ("check theorylab.runtime:SETTING", "there is no SETTING in it that is a theorylab.Setting"),
        ("new a_name --folder /dev/null", "/dev/null"),
        ("sweep {toy} --store {tmp}", "not a readable results folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(run, toy, tmp_path, arguments, message):
    words = [word.format(tmp=tmp_path, toy=toy) for word in arguments.split()]
    code, out, err = run(*words)
    assert code == 2
    assert message.format(tmp=tmp_path) in " ".join((out + err).replace("│", " ").split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_optional_package_is_one_clear_error(run, tmp_path, monkeypatch):
    run("new", "mnist_model", "--folder", tmp_path)
    file = tmp_path / "mnist_model.py"
    text = file.read_text(encoding="utf-8").replace("noises = ", "datasets.load('mnist', 50)\n    noises = ")
    file.write_text(text.replace("import random", "import datasets, random"), encoding="utf-8")
    datasets.load.cache_clear()
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    code, _, err = run("run", file)
    assert code == 2
    assert 'pip install "theorylab[data]"' in err


# --- files and packages of others -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "line 1: '(' was never closed"),
        ("\n\nx = y\n", "line 3: NameError: name 'y' is not defined"),
        ("import nothing_of_that_name\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = 1\n", "there is no SETTING in it that is a theorylab.Setting"),
        ("SETTING = 'xor'\n", "there is no SETTING in it that is a theorylab.Setting"),
    ],
)
@pytest.mark.parametrize("command", ["check", "predict", "run", "sweep", "list", "reproduce"])
def test_a_broken_file_is_one_line(run, tmp_path, command, text, message):
    file = tmp_path / "mine.py"
    file.write_text(text)
    code, out, err = run(command, file)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert str(file) in err
    assert message in err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('        "paper": (Case(', '        "pap": (Case(', "setting mine: the preset 'paper' is missing"),
        ('predicts=("loss",)', 'predicts=("los",)', "theory second_moment names 'los', which is no observable"),
        ('kind="ensemble"', 'kind="average"', "kind = 'average', choose one of exact, instance, ensemble"),
        ('Observable("loss"', 'Observable("dim"', "'dim'"),
        (
            "    dim: int = size(",
            '    seeds: int = size(default=1, help="")\n    dim: int = size(',
            "mine: the field 'seeds' has the name of an option of the command line",
        ),
    ],
)
def test_a_broken_contract_is_named(run, tmp_path, old, new, message):
    run("new", "mine", "--folder", tmp_path)
    file = tmp_path / "mine.py"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    code, out, err = run("check", file, "--preset", "tiny")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
