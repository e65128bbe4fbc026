"""Shares of a sweep as jobs: submitit's own local executor stands in for a cluster."""

import os

import pytest
from toy import SETTING as TOY

import theorylab as tl
from theorylab.cli import slurm
from theorylab.lab.sweep import sweep

DIES_ONCE = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from toy import *

mark = Path({folder!r}) / "died"
if "SUBMITIT_EXECUTOR" in os.environ and not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def submitit(monkeypatch, streams_kept):
    monkeypatch.setattr(slurm, "PAUSE", 0.2)
    return pytest.importorskip("submitit")


@pytest.mark.slow
def test_a_job_that_is_lost_is_submitted_again(run, toy, tmp_path, submitit, monkeypatch):
    # So long a result may come late over a cluster's network disk.
    monkeypatch.setattr(submitit.core.core.Job, "_results_timeout_s", 0.5)
    file, store = tmp_path / "mine.py", tmp_path / "toy.zarr"
    file.write_text(DIES_ONCE.format(tests=toy.removesuffix("toy.py"), folder=str(tmp_path)), encoding="utf-8")
    arguments = ("sweep", file, "--mean", "0", "1", "2", "--seeds", "6", "--store", store)
    code, out, err = run(*arguments, "--slurm", "cluster=local,jobs=2,timeout_min=5")
    assert code == 0, out + err
    assert (tmp_path / "died").exists()
    assert out.count("submitted again") == 1
    assert "2 jobs: " in out
    assert out.rstrip().endswith("18 of 18 cells finished")
    whole = sweep(TOY, grid={"mean": (0.0, 1.0, 2.0)}, seeds=6)
    assert abs(tl.open_results(store)["sample_mean"] - whole["sample_mean"]).max() < 1e-6


def test_what_fails_every_time_is_said(run, toy, tmp_path, submitit, monkeypatch):
    monkeypatch.setattr(slurm, "ATTEMPTS", 1)
    (tmp_path / "toy.zarr").write_text("no store", encoding="utf-8")
    store = tmp_path / "toy.zarr"
    code, _, err = run("sweep", toy, "--seeds", "4", "--store", store, "--slurm", "cluster=local,jobs=1")
    assert code == 1
    assert "share 0 was lost 1 times" in err


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Slurm's commands, of which the first keeps the script that it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = f'#!/bin/sh\nfor last; do :; done\ncp "$last" {tmp_path}/script\necho Submitted batch job 123\n'
    for name in ("sbatch", "srun", "squeue", "sacct", "scancel"):
        (folder / name).write_text(script if name == "sbatch" else "#!/bin/sh\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "script"


def test_slurm_gets_one_array_job(run, toy, tmp_path, submitit, sbatch, monkeypatch):
    monkeypatch.setattr(slurm, "_follow", lambda *arguments: [])
    text = "partition=gpu,time=2:00:00,jobs=5,gpus_per_node=1,account=us"
    code, out, err = run("sweep", toy, "--store", tmp_path / "toy.zarr", "--slurm", text)
    assert code == 1, err  # no cell is finished
    assert "5 jobs: 123_0 to 123_4" in out
    lines = sbatch.read_text(encoding="utf-8").splitlines()
    for line in ("--array=0-4%5", "--partition=gpu", "--time=2:00:00", "--gpus-per-node=1", "--account=us"):
        assert any(line in found for found in lines), line
    code, _, err = run("sweep", toy, "--store", tmp_path / "toy.zarr", "--slurm", "time=5,no_such=1")
    assert code == 2
    assert "no_such" in err


def test_parameters_are_those_of_sbatch():
    text = "partition=gpu,time=2:00:00,gpus-per-node=2,jobs=16,mem=8G"
    assert slurm.parameters(text) == (
        16,
        None,
        {
            "name": "theorylab",
            "slurm_partition": "gpu",
            "slurm_time": "2:00:00",
            "gpus_per_node": 2,
            "slurm_mem": "8G",
        },
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition", "'partition' is not KEY=VALUE"),
        ("partition=gpu", "needs time="),
        ("time=10,jobs=0", "jobs=0 is not allowed"),
        ("time=10,jobs=²", "jobs=² is not allowed"),
        ("time=", "'time=' is not KEY=VALUE"),
    ],
)
def test_bad_parameters_are_one_error(run, toy, text, message):
    code, out, err = run("sweep", toy, "--slurm", text)
    assert (code, out) == (2, "")
    assert message in err


def test_numbers_of_processes_are_its_own(run, toy):
    code, _, err = run("sweep", toy, "--slurm", "time=5", "--process-id", "0", "--num-processes", "2")
    assert code == 2
    assert "numbers its processes itself" in err


def test_words_without_an_option():
    words = ["xor", "--slurm", "time=5", "--seeds", "3"]
    assert slurm._without(words, "--slurm") == ["xor", "--seeds", "3"]
    assert slurm._without(["xor", "--slurm=time=5", "--seeds", "3"], "--slurm") == ["xor", "--seeds", "3"]
