"""What Windows and macOS lack, played on this system: encodings, locks, affinity, fork, names of files."""

import ast
import concurrent.futures
import errno
import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import spawned
import toy

import theorylab as tl
from theorylab.cli import encoding
from theorylab.lab import locks
from theorylab.lab.sweep import create_store, sweep
from theorylab.numerics.files import written_whole
from theorylab.runtime import cores, own_cores

ROOT = Path(tl.__file__).parents[1]
HERE = Path(__file__).parent


def environment(**more):
    # A file's own folder comes first on the path of a process; the library and the tests' helpers are named.
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", **more}


# --- output never dies of an encoding ---------------------------------------------------------------------------------


def test_commands_run_where_there_is_neither_fcntl_nor_a_unicode_terminal(tmp_path):
    """Lists, helps and a check with a store, redirected."""
    commands = ["list", *(f"list {name}" for name in tl.SETTINGS), "check xor --help", "reproduce --help"]
    commands += [f"check {ROOT / 'tests' / 'toy.py'} --preset tiny --store store.zarr"]
    commands += ["new mine --folder ~/made", "check ~/made/mine.py --help"]
    done = subprocess.run(
        [sys.executable, HERE / "windows.py", *" / ".join(commands).split()],
        env=environment(THEORYLAB_CACHE=str(tmp_path), HOME=str(tmp_path), USERPROFILE=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
    )
    out, err = done.stdout.decode("cp1252"), done.stderr.decode("cp1252")
    assert re.findall(r"exit code (.*?):", out) == ["0"] * len(commands), out + err
    assert "Traceback" not in err
    assert "lambda" in out or "alpha" in out  # a Greek letter that cp1252 lacks
    assert (tmp_path / "made" / "mine.py").exists()


@pytest.mark.parametrize("name", ["cp1252", "ascii", "cp437", "latin-1"])
def test_a_stream_writes_in_plain_letters_what_it_lacks(name, monkeypatch):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=name, errors="strict", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    encoding.never_fail()
    print("κ ≤ 10⁻³, Ŷ − w̄ → ∞, │ Ω")
    assert raw.getvalue().decode(name).rstrip().isprintable()
    assert "kappa" in raw.getvalue().decode(name)
    assert "Omega" in raw.getvalue().decode(name) or name == "cp437"


def test_a_strict_stream_would_die():
    """Negative control."""
    with pytest.raises(UnicodeEncodeError):
        io.TextIOWrapper(io.BytesIO(), encoding="cp1252", write_through=True).write("κ")


@pytest.mark.parametrize("path", sorted((ROOT / "theorylab").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_text_files_name_their_encoding(path):
    """Else Windows reads them, and writes them, in the encoding of the system."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        binary = any("b" in str(a.value) for a in node.args[1:2] if isinstance(a, ast.Constant))
        if name in ("read_text", "write_text") or (name == "open" and isinstance(node.func, ast.Name) and not binary):
            assert any(keyword.arg == "encoding" for keyword in node.keywords), f"{path}:{node.lineno}"


@pytest.mark.parametrize("name", tl.SETTINGS)
def test_names_of_cases_are_names_of_files(name):
    setting = tl.get(name)
    for kind in (setting.presets, setting.sweeps):
        for cases in kind.values():
            for case in cases:
                assert not re.search(r'[<>:"/\\|?*\x00-\x1f]', case.name), case.name


# --- locks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_fcntl(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)


@pytest.fixture
def msvcrt(no_fcntl, monkeypatch):
    """Windows' locks as documented: on bytes from the position on, also beyond the end, until the file is closed."""
    held = []

    def locking(file, mode, count):
        start = os.lseek(file, 0, os.SEEK_CUR)
        for _, begin, end in held:
            if start < end and begin < start + count:
                raise OSError(errno.EACCES, "Permission denied")
        held.append((file, start, start + count))

    module = types.SimpleNamespace(locking=locking, LK_NBLCK=2)
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    return held


@pytest.fixture
def store(tmp_path):
    create_store(toy.SETTING, store=tmp_path / "store", seeds=4)
    return tmp_path / "store"


def test_windows_locks_the_bytes_of_its_chunks(store, msvcrt):
    with locks.chunks_locked(store, range(3, 5), wait=False) as mine:
        assert mine
        assert [(begin, end) for _, begin, end in msvcrt] == [(3, 5)]
        with locks.chunks_locked(store, range(4, 6), wait=False) as theirs:
            assert not theirs
        with locks.chunks_locked(store, range(5, 6), wait=False) as others:
            assert others


def test_windows_waits_for_a_lock(store, msvcrt, monkeypatch):
    msvcrt.append((None, 0, 1))
    monkeypatch.setattr(locks.time, "sleep", lambda seconds: msvcrt.clear())
    with locks.chunks_locked(store, range(1), wait=True) as held:
        assert held


def test_a_sweep_without_any_locks_warns_and_is_right(tmp_path, no_fcntl, monkeypatch):
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    with pytest.warns(UserWarning, match="this Python has no file locks") as said:
        data = sweep(toy.SETTING, seeds=4, store=tmp_path / "store")
    assert Path(said[0].filename).name == "sweep.py"
    np.testing.assert_array_equal(data["sample_mean"], sweep(toy.SETTING, seeds=4)["sample_mean"])


# --- what dead processes left ---------------------------------------------------------------------------------------


def run_as_windows(*arguments, **options):
    return subprocess.Popen([sys.executable, HERE / "windows_files.py", *arguments], env=environment(), **options)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs to see who has a file open")
def test_windows_sweeps_what_dead_processes_left_and_nothing_else(tmp_path):
    target = tmp_path / "a.txt"
    assert run_as_windows(target, "die").wait(60) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with run_as_windows(target, "wait", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "ready\n"
        (working,) = tmp_path.iterdir()  # the dead one's is gone
        assert working != left
        assert run_as_windows(target, "write").wait(60) == 0
        assert sorted(tmp_path.iterdir()) == sorted([working, target])
        assert target.read_text() == "write"
        other.communicate("\n", timeout=60)
    assert [target] == list(tmp_path.iterdir())
    assert target.read_text() == "wait"


def test_without_any_locks_what_is_a_day_old_is_swept(tmp_path, no_fcntl, monkeypatch):
    monkeypatch.setitem(sys.modules, "msvcrt", None)
    old, young = tmp_path / ".a.txt.01234567", tmp_path / ".a.txt.76543210"
    for folder in (old, young):
        folder.mkdir()
        (folder / ".lock").touch()
    yesterday = time.time() - 25 * 3600
    os.utime(old, (yesterday, yesterday))
    with written_whole(tmp_path / "a.txt") as scratch:
        scratch.write_text("1")
    assert sorted(file.name for file in tmp_path.iterdir()) == [young.name, "a.txt"]


# --- processes, cores, paths ------------------------------------------------------------------------------------------


def test_cores_are_counted_where_processes_have_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == list(range(6))
    assert own_cores({}) == 6
    assert own_cores({"SLURM_LOCALID": "1", "SLURM_STEP_TASKS_PER_NODE": "3"}) == 2


def test_spawned_processes_share_a_sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    store = str(tmp_path / "store")
    whole = sweep(toy.SETTING, grid={"mean": (0.0, 1.0)}, seeds=8)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        finished = list(pool.map(spawned.share, [store, store], range(2)))
    assert max(finished) == 16
    data = tl.open_results(store)
    np.testing.assert_allclose(data["sample_mean"], whole["sample_mean"], rtol=1e-6, atol=1e-6)  # they were float32


def test_a_tilde_is_the_home_folder_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = sweep(toy.SETTING, seeds=2, store="~/results/toy.zarr")
    assert (tmp_path / "results" / "toy.zarr").is_dir()
    assert not (tmp_path / "~").exists()
    assert tl.open_results("~/results/toy.zarr").identical(data)
