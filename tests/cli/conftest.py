"""The command line run in this process: what it prints, and its exit code."""

import sys
from pathlib import Path

import pytest

from theorylab import catalogue
from theorylab.cli import main

TOY = str(Path(__file__).parents[1] / "toy.py")


@pytest.fixture
def toy():
    """Path of a setting that no catalogue knows."""
    return TOY


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line; returns exit code, output and errors."""
    # Applications choose their own cache; tests keep theirs. Files' folders stay on the path of a process.
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)

    def call(*arguments):
        capsys.readouterr()
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # how the option parser ends
            code = stop.code
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package: its modules by name, and the entry points of its settings."""

    def install(modules, entry_points):
        for name, text in modules.items():
            path = tmp_path / "site" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        info = tmp_path / "site" / "their_package-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[theorylab.settings]", *lines, ""]))
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        catalogue.others.cache_clear()

    yield install
    catalogue.others.cache_clear()
    forget(tmp_path)


def forget(folder):
    """Forget the modules of a folder, so that another test may have some of the same name."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "") or "").startswith(str(folder)):
            del sys.modules[name]
