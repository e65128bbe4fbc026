"""Bad input on the command line: exit code 2, one clear line, nothing written, no traceback."""

import errno
import importlib
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from theorylab import cli
from theorylab.cli.commands import check as check_command
from theorylab.cli.commands import run as run_command
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
        ("run {toy} --memory-budget nan", "memory_budget = nan is not allowed: must be > 0 bytes, and finite"),
        ("check {toy} --memory-budget inf", "memory_budget = inf is not allowed"),
        ("sweep {toy} --store-timeout nan", "store_timeout = nan is not allowed"),
        ("run {toy} --scale 0.1 0.2", "one value per field"),
        ("run {toy} --scale", "error: --scale needs a value"),
        ("run {toy} --scale --seeds 2", "error: --scale needs a value"),
        ("run {toy} --scale= --seeds 2", "error: --scale needs a value"),
        ("run {toy} --num_samples --seeds 2", "error: --num_samples needs a value"),
        ("check {toy} --theory --json", "error: --theory needs a value"),
        ("check {toy} --store", "error: --store needs a value"),
        ("check {toy} --seeds --preset tiny", "error: --seeds needs a value"),
        ("reproduce {toy} --output", "error: --output needs a value"),
        ("run {toy} --scale 1e200", "scale = 1e+200 is not allowed: its square is beyond all floats"),
        ("predict {toy} --seeds 0", "seeds = 0 is not allowed: must be a whole number from 1 to 2^32 - 1"),
        ("predict {toy} --base-seed -1", "base_seed = -1 is not allowed: must be a whole number from 0 to"),
        ("predict {toy} --base-seed 4294967296", "base_seed = 4294967296 is not allowed"),
        ("run {toy} --num-steps 1000000000 --seeds 4294967295", "the results need 34.4 EB, more than this machine's"),
        ("predict {toy} --num-steps 1000000 --seeds 1000000", "the results need 8 TB, more than this machine's"),
        ("sweep {toy} --store s3://bucket/a.zarr", "must be a local path, not an address"),
        ("check {toy} --store ~nobody_of_that_name/a", "there is no user 'nobody_of_that_name'"),
        ("check ~nobody_of_that_name/a.py", "there is no file ~nobody_of_that_name/a.py"),
        ("reproduce {toy} --output s3://bucket/a", "output = 's3://bucket/a' is not allowed: must be a local path"),
        ("reproduce {toy} --output ~nobody_of_that_name/a", "there is no user 'nobody_of_that_name'"),
        ("figures --folder $NO_SUCH_VARIABLE/a", "the environment has no variable 'NO_SUCH_VARIABLE'"),
        ("figures xor/figure_1_grokking --output ~nobody_of_that_name/a.png", "there is no user"),
        ("new mine --folder ~nobody_of_that_name", "there is no user 'nobody_of_that_name'"),
        ("new mine --folder /proc", "/proc/"),
        ("sweep {toy} --coordinator nonsense --process-id 0 --num-processes 1", "--coordinator nonsense"),
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


# --- what the machine refuses ---------------------------------------------------------------------------------------


class JaxRuntimeError(RuntimeError):
    """As JAX calls its own."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            MemoryError("Unable to allocate 8.00 TiB"),
            "out of memory: Unable to allocate 8.00 TiB; choose",
        ),
        (MemoryError(), "out of memory; choose smaller sizes"),
        (
            JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\n  on device"),
            "out of memory: RESOURCE_EXHAUSTED: ",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: No space left on device"),
        (OSError(errno.EMFILE, "Too many open files", "a.zarr/x"), "error: a.zarr/x: Too many open files"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/mine.py"), "/proc/mine.py: No such file"),
    ],
)
@pytest.mark.parametrize("command", ["check", "predict", "run", "sweep", "reproduce", "list", "new", "figures"])
def test_what_the_machine_refuses_is_one_line_in_every_command(run, toy, monkeypatch, command, error, message):
    def fail(*arguments, **options):
        raise error

    module = importlib.import_module(f"theorylab.cli.commands.{command}")
    monkeypatch.setattr(module, "run", fail)
    arguments = {"new": ["mine"], "figures": []}.get(command, [toy])
    code, out, err = run(command, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_other_errors_keep_their_traceback(run, toy, monkeypatch):
    for error in (
        JaxRuntimeError("INTERNAL: a bug"),
        KeyError("x"),
        FileNotFoundError(2, "", cli.__file__),
    ):
        monkeypatch.setattr(run_command, "run", lambda *a, e=error: (_ for _ in ()).throw(e))
        with pytest.raises(type(error)):
            run("run", toy)


def test_ctrl_c_that_an_import_hides_is_one_line(run, toy, monkeypatch):
    def interrupted(*arguments):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ImportError("cannot import name 'x'")  # noqa: B904 - as C extensions do

    monkeypatch.setattr(run_command, "run", interrupted)
    code, _, err = run("run", toy)
    assert (code, err.count("\n")) == (130, 1)


@pytest.mark.parametrize(("folder", "stored"), [("a.zarr", True), ("a-tiny-one-case.zarr", True), ("b.zarr", False)])
def test_ctrl_c_says_stored_where_something_is(run, toy, tmp_path, monkeypatch, folder, stored):
    def interrupted(*arguments):
        (tmp_path / folder).mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(check_command, "run", interrupted)
    code, _, err = run("check", toy, f"--store={tmp_path / 'a.zarr'}")
    assert (code, "what was finished is stored" in err) == (130, stored)


def test_a_warning_is_its_sentence(run, toy, monkeypatch):
    def warn(*arguments):
        print(warnings.formatwarning("too large", UserWarning, "program.py", 206), end="")
        return 0

    monkeypatch.setattr(run_command, "run", warn)
    as_python_does = warnings.formatwarning
    assert run("run", toy) == (0, "warning: too large\n", "")
    assert warnings.formatwarning is as_python_does


PROCESS = "import sys; from theorylab.__main__ import start; sys.exit(start())"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"], ["run", "nothing"]])
@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "| true", "2>/dev/full"])
def test_no_closed_or_full_stream_gives_a_traceback(tmp_path, arguments, redirection):
    if "/dev/full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("there is no such device")
    words = shlex.join([sys.executable, "-c", PROCESS, *arguments])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("PYTHONUNBUFFERED", None)  # what is kept back is written when the process ends, or not
    done = subprocess.run(f"{words} {redirection}", shell=True, capture_output=True, text=True, env=environment)
    wrong = arguments == ["run", "nothing"]
    full = redirection == ">/dev/full" and not wrong
    assert done.returncode == (0 if redirection == "| true" else 2 if wrong or full else 0)
    said = done.stderr.splitlines()
    if full:
        assert said == ["error: No space left on device"]
    else:
        assert len(said) == (wrong and "2>" not in redirection)


def test_markup_in_a_name_is_text(run, toy, tmp_path):
    file = tmp_path / "mine.py"
    text = Path(toy).read_text(encoding="utf-8").replace('Case("toy"', 'Case("[/red] [bold]x"')
    file.write_text(text.replace("The sample mean", "A [/b] mean [link]"), encoding="utf-8")
    code, out, _ = run("check", file, "--preset", "tiny")
    assert code == 0
    assert "[/red] [bold]x" in out
    assert "A [/b] mean [link]" in out
