"""The command line as a user meets it: exit codes, JSON, error texts."""

# ruff: noqa: E501

import json
import os
import subprocess
import sys

import pytest
import xarray

from theorylab import runtime
from theorylab.cli import COMMANDS, help_text, main

SMALL = ["--num-samples", "30", "--num-modes", "60", "--num-features", "45", "--seeds", "8", "--ridge", "1"]
ROW_KEYS = {
    "observable", "theory", "empirical", "standard_error", "predicted", "z", "relative_error", "tolerance", "verdict",
}  # fmt: skip


def run(capsys, *arguments):
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:  # how the option parser ends
        code = stop.code
    out, err = capsys.readouterr()
    return code, out, err


def test_help_is_light():
    script = (
        "import sys, theorylab.cli as c; c.main(['--help']); "
        "heavy = {'jax', 'numpy', 'matplotlib', 'tyro', 'xarray', 'optax', 'flax'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout
    assert done.stdout.strip() == help_text().strip()


def test_importing_theorylab_is_light():
    script = "import sys, theorylab; assert not {'jax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_list(capsys):
    code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    settings = {item["setting"]: item for item in json.loads(out)}
    assert {t["name"] for t in settings["random_features"]["theories"]} >= {"effective_ridge", "power_law", "gcv"}
    code, out, _ = run(capsys, "list", "random_features")
    assert code == 0
    assert "arXiv 2311.14646" in out
    assert "arXiv 2310.02541" not in out


def test_every_field_is_an_option_with_help(capsys):
    code, out, _ = run(capsys, "check", "random_features", "--help")
    assert code == 0
    import dataclasses

    from theorylab.settings.kernels.random_features import Config

    text = " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(Config):
        assert "--" + field.name.replace("_", "-") in text
        assert " ".join(field.metadata["help"].split()[:3]) in text


def test_check_json(capsys):
    code, out, _ = run(capsys, "check", "random_features", *SMALL, "--json")
    document = json.loads(out)
    assert set(document) == {"setting", "config", "seeds", "rows"}
    assert document["setting"] == "random_features"
    assert document["config"]["num_samples"] == 30
    assert document["config"]["num_features"] == 45
    assert document["seeds"] == 8
    assert all(set(row) >= ROW_KEYS for row in document["rows"])
    assert code == int(any(row["verdict"].startswith(("disagrees", "diverged")) for row in document["rows"]))
    assert {row["theory"] for row in document["rows"]} == {"effective_ridge", "power_law", "gcv"}


def test_check_fails_where_theory_fails(capsys, monkeypatch):
    import dataclasses

    from theorylab.settings.kernels.random_features import SETTING

    def wrong(key, config):
        doubled = dataclasses.replace(config, noise_variance=4 * config.noise_variance)
        return SETTING.theories[0].predict(key, doubled)

    broken = dataclasses.replace(SETTING, theories=(dataclasses.replace(SETTING.theories[0], predict=wrong),))
    monkeypatch.setattr("theorylab.settings.kernels.random_features.SETTING", broken)
    code, out, _ = run(capsys, "check", "random_features", *SMALL, "--seeds", "30", "--noise-variance", "0.5")
    assert code == 1
    assert "disagrees" in out


def test_predict_json_has_no_simulation(capsys):
    code, out, _ = run(
        capsys, "predict", "random_features", "--ridge", "0.1", "1", "--theory", "effective_ridge", "--json"
    )
    assert code == 0
    rows = [row for row in json.loads(out)["rows"] if row["observable"] == "test_error"]
    assert [row["cell"] for row in rows] == [{"ridge": 0.1}, {"ridge": 1.0}]
    assert all(row["empirical"] is None and row["predicted"] > 0 for row in rows)


def test_run_prints_means_with_errors(capsys):
    code, out, _ = run(capsys, "run", "random_features", *SMALL)
    assert code == 0
    assert "test_error" in out
    assert "±" in out
    assert "learned_coefficients [mode 5]" in out


def test_sweep_stores_and_continues(capsys, tmp_path):
    arguments = ["sweep", "random_features", *SMALL[:-2], "--ridge", "0.1", "1", "--store", tmp_path / "r.zarr"]
    assert run(capsys, *arguments)[0] == 0
    data = xarray.open_zarr(tmp_path / "r.zarr")
    assert data["test_error"].sizes == {"ridge": 2, "seed": 8}
    assert run(capsys, *arguments)[0] == 0
    code, _, err = run(capsys, *arguments, "--noise-variance", "0.2")
    assert code == 2
    assert "holds another sweep: its config is" in err


def test_two_processes_share_a_sweep(capsys, tmp_path, monkeypatch):
    arguments = ["sweep", "random_features", *SMALL[:-2], "--ridge", "0.1", "1", "--store", tmp_path / "r.zarr"]
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    code, _, err = run(capsys, *arguments, "--store-timeout", "0.1")
    assert code == 2
    assert "process 0 has not created" in err
    code, out, _ = run(capsys, *arguments, "--process-id", "0", "--num-processes", "2")
    assert code == 0
    assert "process 0 of 2, ridge 2 x seed 8 in" in out
    assert "8 of 16 cells finished so far" in out
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "process 1 of 2" in out
    assert "so far" not in out
    assert xarray.open_zarr(tmp_path / "r.zarr")["finished"].all()


@pytest.mark.slow
def test_two_processes_with_a_coordinator(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "theorylab.cli", "sweep", "random_features", *SMALL[:-2], "--ridge", "0.1", "1"]
    command += ["--store", str(tmp_path / "r.zarr"), "--coordinator", f"127.0.0.1:{port}", "--num-processes", "2"]
    processes = [subprocess.Popen([*command, "--process-id", str(index)]) for index in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    data = xarray.open_zarr(tmp_path / "r.zarr")
    assert data["finished"].all()
    # Its own devices, not those of both.
    assert data.attrs["device"].startswith(f"{runtime.own_cores(os.environ)} x cpu")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sweep random_features --process-id 1", "--process-id and --num-processes go together"),
        ("sweep random_features --process-id 2 --num-processes 2", "--process-id 2 is not allowed: must be from 0 to 1"),
        ("sweep random_features --process-id 0 --num-processes 0", "--num-processes 0 is not allowed: must be >= 1"),
        ("run random_features --ridge -1", "ridge = -1.0 is not allowed: must be a finite number >= 0"),
        ("run random_features --num-samples 0", "num_samples = 0 is not allowed: must be a whole number >= 1"),
        ("run random_features --num-samples 2.5", "num_samples = 2.5 is not allowed: must be a whole number >= 1"),
        ("run random_features --num-features 2.5", "num_features = 2.5 is not allowed: must be a whole number >= 1 (or inf)"),
        ("run random_features --ridge nan", "ridge = nan is not allowed"),
        ("run random_features --eigenvalue-exponent 1", "eigenvalue_exponent = 1.0 is not allowed: must be a finite number > 1"),
        ("run random_features --seeds 0", "seeds = 0 is not allowed"),
        ("run random_features --memory-budget 0", "memory_budget"),
        ("check random_features --model digits --num-samples 600", "num_samples = 600 is not allowed: must be below population"),
        ("check random_features --model digits --population 2000", "population = 2000 is not allowed: digits has 1797 points"),
        ("check random_features --preset huge", "unknown preset 'huge' of random_features: choose one of tiny, default, paper"),
        ("check random_features --theory magic", "no theory 'magic'"),
        ("run nothing", "unknown setting 'nothing': choose one of random_features"),
        ("frobnicate", "unknown command 'frobnicate'"),
        ("run random_features --ridge 0.1 0.2", "one value per field"),
        ("run random_features --rigde 0.1", "Unrecognized options"),
        ("reproduce --preset huge", "unknown preset 'huge'"),
        ("reproduce nothing", "unknown setting 'nothing'"),
        ("list nothing", "unknown setting 'nothing'"),
        ("figures nothing", "unknown setting 'nothing'"),
        ("chek xor", "(did you mean check?)"),
        ("check xr", "(did you mean xor?)"),
        ("check --preset tiny", "the setting comes first: theorylab check SETTING --preset ..."),
        ("check", "usage: theorylab check SETTING [options]"),
        ("new a_name --folder /dev/null", "/dev/null"),
        ("sweep random_features --store {tmp}", "not a readable results folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(capsys, tmp_path, arguments, message):
    code, out, err = run(capsys, *arguments.format(tmp=tmp_path).split())
    assert code == 2
    assert message in " ".join((out + err).replace("│", " ").split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_optional_package_is_one_clear_error(capsys, monkeypatch):
    from theorylab.numerics import datasets

    datasets.load.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    code, _, err = run(
        capsys,
        "run",
        "random_features",
        "--model",
        "digits",
        "--population",
        "50",
        "--num-samples",
        "9",
        "--num-features",
        "5",
    )
    assert code == 2
    assert 'pip install "theorylab[data]"' in err


def test_reproduce_writes_one_report(capsys, tmp_path, monkeypatch):
    """The whole path on one small case; the presets themselves are the user's to run."""
    import dataclasses

    from theorylab.contract import Case
    from theorylab.settings.kernels.random_features import SETTING, Config

    config = Config(num_samples=30, num_modes=60, num_features=45, ridge=1.0)
    case = Case("small", config, {"ridge": (0.5, 1.0, 2.0)}, seeds=8)
    monkeypatch.setattr(
        "theorylab.settings.kernels.random_features.SETTING", dataclasses.replace(SETTING, presets={"tiny": (case,)})
    )
    code, out, _ = run(capsys, "reproduce", "random_features", "--output", tmp_path)
    assert code in (0, 1)
    assert "effective_ridge" in out
    report = (tmp_path / "report.html").read_text()
    assert report.count("<img ") == 1
    assert "data:image/png;base64," in report
    assert "http" not in report.replace("https://arxiv.org", "").replace("http-equiv", "")
    assert "simon2024more" in report
    assert (tmp_path / "random_features.png").stat().st_size < 150_000
