"""Ctrl-C at any moment, in a slow write too: no finished cell is lost, nobody writes without the lock, no litter."""

import _thread
import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import toy
from zarr.storage import LocalStore

from theorylab.lab import store as results
from theorylab.lab.locks import chunks_locked
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import create_store, sweep
from theorylab.numerics.files import finish, others_may_write, written_whole

#: One cell a block, three cells a chunk: each block rewrites what the ones before it wrote.
CELLWISE = {"grid": {"mean": (0.0, 1.0, 2.0)}, "seeds": 1, "memory_budget": 1}


@pytest.fixture(autouse=True)
def ctrl_c_is_heard():
    """A shell's background jobs ignore it, and their children with them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def slow(monkeypatch):
    """Delays of the coming writes in seconds, and an event that is set when a delayed one begins."""
    write = LocalStore.set
    delays: list[float] = []
    begun = threading.Event()

    async def delayed(self, key, *arguments, **keywords):
        if delays and key.startswith("sample_mean/c"):
            begun.set()
            await asyncio.sleep(delays.pop())
        return await write(self, key, *arguments, **keywords)

    monkeypatch.setattr(LocalStore, "set", delayed)
    return delays, begun


def interrupt_when(begun, times=1):
    def wait():
        assert begun.wait(60)
        for _ in range(times):
            time.sleep(0.1)
            _thread.interrupt_main()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupted_run_ends_when_its_writes_have_ended(tmp_path, slow, times):
    path = tmp_path / "a.zarr"
    delays, begun = slow
    create_store(toy.SETTING, store=path, **CELLWISE)
    delays.append(1.0)
    thread = interrupt_when(begun, times)
    with pytest.raises(KeyboardInterrupt):
        sweep(toy.SETTING, store=path, **CELLWISE)
    thread.join()
    first = open_results(path)
    assert first["finished"].values.sum() == 1  # the block that was being written is whole
    data = sweep(toy.SETTING, store=path, **CELLWISE)
    time.sleep(1.2)  # by now a forgotten write would have come
    again = open_results(path)
    expected = sweep(toy.SETTING, **CELLWISE)
    for found in (data, again):
        assert found["finished"].values.all()
        np.testing.assert_array_equal(found["sample_mean"], expected["sample_mean"])


def test_the_lock_is_held_until_the_write_has_ended(tmp_path, slow):
    """A second process waits for it, and then finds the first one's cell."""
    path = tmp_path / "a.zarr"
    delays, begun = slow
    create_store(toy.SETTING, store=path, **CELLWISE)
    delays.append(1.5)
    second = f"""
        import sys, time
        sys.path.insert(0, {os.path.dirname(toy.__file__)!r})
        from theorylab.lab.locks import chunks_locked
        from theorylab.lab.store import finished_cells
        print("ready", flush=True)
        sys.stdin.readline()
        with chunks_locked({str(path)!r}, range(0, 1), wait=False) as held:
            print(held, flush=True)
        with chunks_locked({str(path)!r}, range(0, 1), wait=True):
            print(finished_cells({str(path)!r}).sum(), flush=True)
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(second)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert other.stdout.readline() == "ready\n"

    def signal_both():
        assert begun.wait(60)
        _thread.interrupt_main()
        time.sleep(0.2)
        print(file=other.stdin, flush=True)

    thread = threading.Thread(target=signal_both)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        sweep(toy.SETTING, store=path, **CELLWISE)
    thread.join()
    out, _ = other.communicate(timeout=60)
    assert out.split() == ["False", "1"]


def test_of_several_chunks_one_fails_and_none_is_written_later(tmp_path, monkeypatch):
    """Zarr writes chunks side by side, and goes on with the others when one fails."""
    path = tmp_path / "a.zarr"
    kinds = {"x": (("seed",), np.float64, {}), "finished": (("seed",), np.bool_, {})}
    results.create(path, coords={"seed": range(4)}, variables=kinds, chunks={"seed": 1}, attributes={})
    write, done = LocalStore.set, []

    async def failing(self, key, *arguments, **keywords):
        if key == "x/c/1":
            raise OSError(5, "Input/output error")
        if key.startswith("x/c"):
            await asyncio.sleep(0.3)
        done.append(key)
        return await write(self, key, *arguments, **keywords)

    monkeypatch.setattr(LocalStore, "set", failing)
    with pytest.raises(StoreError, match="Input/output error"):
        results.write_block(path, {"seed": slice(0, 4)}, {"x": np.ones(4)})
    seen = list(done)
    time.sleep(0.7)
    assert done == seen == ["x/c/0"]


def test_work_is_finished_whatever_interrupts():
    steps = []

    def work():
        steps.append("begun")
        time.sleep(0.5)
        steps.append("ended")
        return 3

    assert finish(work) == 3
    begun = threading.Event()
    begun.set()
    steps.clear()
    thread = interrupt_when(begun, 2)
    with pytest.raises(KeyboardInterrupt):
        finish(work)
    assert steps == ["begun", "ended"]
    thread.join()
    with pytest.raises(ZeroDivisionError):
        finish(lambda: 1 / 0)


# --- litter -----------------------------------------------------------------------------------------------------


def die_in(folder, code):
    """Run code in a process that is killed when it says so."""
    text = f"import os, signal\nfrom theorylab.numerics.files import written_whole\n{textwrap.dedent(code)}"
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    assert done.returncode == -signal.SIGKILL


def test_what_a_dead_process_left_is_swept_by_the_next(tmp_path):
    die_in(tmp_path, "with written_whole('a.zarr') as scratch:\n    scratch.mkdir(); os.kill(os.getpid(), 9)")
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / ".a.zarr.mine").mkdir()  # another's name
    with written_whole(tmp_path / "a.zarr") as alive:
        with written_whole(tmp_path / "a.zarr") as second:  # of a thread, say: the first is not litter
            second.write_text("2")
        assert alive.parent.exists()
        alive.write_text("1")
    assert sorted(file.name for file in tmp_path.iterdir()) == [".a.zarr.mine", "a.zarr"]
    assert (tmp_path / "a.zarr").read_text() == "1"


def test_scratch_folders_of_living_processes_stay(tmp_path):
    code = "import sys\nfrom theorylab.numerics.files import written_whole\nwith written_whole('a') as s:\n"
    code += "    s.write_text('theirs'); print('ready', flush=True); sys.stdin.readline()"
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert other.stdout.readline() == "ready\n"
    with written_whole(tmp_path / "a") as scratch:
        scratch.write_text("ours")
    other.communicate("\n", timeout=60)
    assert (tmp_path / "a").read_text() == "theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_half_written_chunks_of_a_dead_process_are_swept_when_a_run_goes_on(tmp_path):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, store=path, grid={"num_samples": (10, 20)}, seeds=2)
    for place in ("sample_mean/c/0", "path/c/1/0", "finished/c/1"):
        (path / place).mkdir(parents=True, exist_ok=True)
        (path / place / "0.0123456789abcdef.partial").write_text("half")
    sweep(toy.SETTING, store=path, grid={"num_samples": (10, 20)}, seeds=2)
    assert not list(path.rglob("*.partial"))
    assert not [file for file in path.rglob(".*") if file.name != ".lock"]


def test_temporary_files_never_follow_a_link(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "report.html"
    target.symlink_to(victim)
    with written_whole(target) as scratch:
        assert scratch.parent.stat().st_mode & 0o077 == 0
        scratch.write_text("report")
    assert victim.read_text() == "precious"
    assert target.read_text() == "report"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_folders_that_others_can_write_are_named(tmp_path):
    folder = tmp_path / "cache" / "compiled"
    assert others_may_write(folder) is None  # not there yet
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert others_may_write(folder) == f"everyone may write to {folder}"
    folder.chmod(0o1777)
    assert others_may_write(folder) == f"everyone may write to {folder}"
    folder.chmod(0o755)
    assert others_may_write(folder) is None
    folder.parent.chmod(0o777)
    assert others_may_write(folder) == f"everyone may write to {folder.parent}"
    folder.parent.chmod(0o1777)
    assert others_may_write(folder) is None
    folder.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, 12345, -1)
        assert others_may_write(folder) == f"{folder} belongs to another user"
        os.chown(folder, 0, 54321)
        folder.chmod(0o775)
        assert others_may_write(folder) == f"a group may write to {folder}"


def test_the_lock_is_free_after_an_error(tmp_path):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, store=path, **CELLWISE)
    with pytest.raises(ZeroDivisionError), chunks_locked(path, range(1), wait=False):
        raise ZeroDivisionError
    with chunks_locked(path, range(1), wait=False) as held:
        assert held
