"""Ctrl-C is one line, from the command line's first import to the end of its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import theorylab as tl
from theorylab.cli import main

TESTS = Path(__file__).parents[1]

#: Python imports this before anything else of a process: a signal comes when a certain module is looked for.
HOOK = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "module",
    [
        "theorylab.cli",
        "theorylab.catalogue",
        "numpy._array_api_info",  # the start of NumPy's extension prints what it is interrupted by, and raises another
        "jax._src.core",
        "zarr",  # at work
    ],
)
def test_ctrl_c_is_one_line_at_any_import(tmp_path, module):
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    paths = [str(tmp_path), str(Path(tl.__file__).parents[1]), str(TESTS)]
    done = subprocess.run(
        [sys.executable, "-m", "theorylab", "sweep", TESTS / "toy.py", "--seeds", "2", "--store", "a.zarr"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "INTERRUPT_AT": module},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.startswith("interrupted")
    assert done.stderr.count("\n") == 1


def test_the_first_moments_are_short():
    """Until the command line can catch it, Ctrl-C shows Python's own traceback: nothing heavy may be imported there."""
    code = "import sys; before = set(sys.modules); import theorylab.__main__; print(*set(sys.modules) - before)"
    environment = {**os.environ, "PYTHONPATH": str(Path(tl.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, env=environment)
    assert "theorylab.__main__" in done.stdout.split(), done.stderr
    assert not {"typing", "re", "theorylab.cli"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("command", "stored"),
    [("sweep toy", True), ("check toy --store=a.zarr", True), ("check toy", False), ("reproduce", False)],
)
def test_only_what_stores_says_so(tmp_path, monkeypatch, capsys, command, stored):
    """And only where something is stored."""

    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)

    # The module's name in the package is that of its function.
    monkeypatch.setattr(sys.modules["theorylab.cli.main"], "_dispatch", interrupt)
    assert main(command.split()) == 130
    assert "stored" not in capsys.readouterr().err
    for folder in ("a-tiny-one.zarr", "results/toy-tiny-one.zarr"):
        (tmp_path / folder).mkdir(parents=True)
    assert main(command.split()) == 130
    assert ("stored" in capsys.readouterr().err) == stored
