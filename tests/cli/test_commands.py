"""The command line as a user meets it: exit codes, JSON, tables."""

import argparse
import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray

import theorylab
from theorylab import catalogue, runtime
from theorylab.cli import COMMANDS, help_text
from theorylab.cli.commands.sweep import stores_of

ROW_KEYS = {
    "observable", "theory", "empirical", "standard_error", "predicted", "z", "relative_error", "tolerance", "verdict",
}  # fmt: skip
HEAVY = "{'jax', 'numpy', 'matplotlib', 'tyro', 'xarray', 'optax', 'flax', 'ast', 'inspect'} & set(sys.modules)"


def test_help_is_light():
    """No library is imported; on a quiet machine it takes 0.04 s."""
    script = f"import sys, theorylab.cli as c; c.main(['--help']); heavy = {HEAVY}; assert not heavy, heavy"
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert command in done.stdout
    assert done.stdout.strip() == help_text().strip()


def test_importing_theorylab_is_light():
    script = "import sys, theorylab; assert not {'jax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_package_is_a_command():
    done = subprocess.run([sys.executable, "-m", "theorylab", "--version"], capture_output=True, text=True)
    assert done.stdout == f"theorylab {theorylab.__version__}\n"


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


# --- list -------------------------------------------------------------------------------------------------------------


def test_list_has_one_line_a_setting_and_imports_none():
    script = (
        "import sys, theorylab.cli as c; c.main(['list']); "
        "found = [m for m in sys.modules if m == 'jax' or m.startswith('theorylab.settings.')]; assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for name, family in theorylab.SETTINGS.items():
        [at] = [number for number, line in enumerate(lines) if line.split()[:1] == [name]]
        title = theorylab.catalogue.title_of(name)
        assert lines[at].endswith(f"  {title}")
        above = [line for line in lines[:at] if not line.startswith("    ")]
        assert above[-1].strip() == theorylab.catalogue.FAMILIES[family]


@pytest.mark.parametrize("name", theorylab.SETTINGS)
def test_the_title_that_is_read_is_the_setting_s(name):
    assert theorylab.catalogue.title_of(name) == theorylab.get(name).title


def test_list_shows_details_of_those_named(run, toy):
    code, out, _ = run("list", toy, "xor")
    assert code == 0
    assert "toy: The sample mean" in out
    assert "observable sample_mean: mean of the sample" in out
    assert "theory on_host (ensemble): the same, in Python" in out
    assert "preset tiny: toy (20 seeds)" in out
    assert "arXiv 2310.02541" in out
    assert "arXiv 2311.14646" not in out


def test_list_as_json(run):
    code, out, _ = run("list", "--json")
    assert code == 0
    settings = {item["setting"]: item for item in json.loads(out)}
    assert set(settings) >= set(theorylab.SETTINGS)
    assert settings["xor"]["family"] == "two_layer"
    for item in settings.values():
        assert set(item["presets"]) == {"tiny", "default", "paper"}
        assert all(set(theory) == {"name", "kind", "source"} for theory in item["theories"])


# --- one setting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "sweep", "predict", "check"])
def test_every_field_is_an_option_with_help(run, toy, command):
    code, out, _ = run(command, toy, "--help")
    assert code == 0
    text = " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(theorylab.get(toy).config):
        assert "--" + field.name.replace("_", "-") in text
        assert " ".join(field.metadata["help"].split()[:3]) in text


def test_run_prints_means_with_errors(run, toy):
    code, out, _ = run("run", toy, "--mean", "2", "--num-steps", "2")
    assert code == 0
    assert "sample_mean" in out
    assert "±" in out
    assert "path [step 1]" in out


def test_run_names_what_diverged(run, toy):
    code, _, err = run("run", toy, "--blow-up", "1e-9", "--seeds", "8")
    assert code == 1
    assert "diverged: seed " in err


def test_a_run_that_diverged_is_in_no_mean(run, toy):
    """Here it is finite at the first step, and not from the second on; all of its observables are left out."""
    from theorylab import sweep

    setting = catalogue.get(toy)
    data = sweep(setting, setting.config(blow_up=1e-9), seeds=8)
    fine = data["first_bad_step"].values < 0
    assert 1 < fine.sum() < 8
    code, out, err = run("run", toy, "--blow-up", "1e-9", "--seeds", "8")
    assert (code, err.count("diverged: seed ")) == (1, 8 - fine.sum())
    shown = {line.rsplit(maxsplit=3)[0].strip(): float(line.split()[-3]) for line in out.splitlines()}
    for name in ("sample_mean", "second_moment"):
        assert shown[name] == pytest.approx(float(data[name].values[fine].mean()), abs=0.02)
        assert abs(float(data[name].values.mean()) - shown[name]) > 0.03
    assert shown["path [step 0]"] == shown["sample_mean"]


def test_a_sweep_that_diverged_has_exit_code_1(run, toy, tmp_path):
    arguments = ["sweep", toy, "--blow-up", "0", "1e-9", "--seeds", "8", "--store", tmp_path / "r.zarr"]
    for _ in range(2):  # computed, and read again
        code, _, err = run(*arguments)
        assert code == 1
        assert "diverged: blow_up 1e-09, seed " in err
    assert run("run", toy, "--blow-up", "1e-9", "--seeds", "1")[0] in (0, 1)


def test_a_check_in_which_runs_diverged_fails_whatever_its_theories_say(run, toy):
    """This theory knows nothing of the observable that diverges."""
    arguments = ["check", toy, "--theory", "ensemble", "--seeds", "40", "--mean", "1", "--blow-up", "1e-9"]
    code, _, err = run(*arguments)
    assert code == 1
    assert "diverged: seed " in err


def test_every_seed_diverged(run, toy):
    """Nothing is left to average: no number is shown that is none, and nothing crashes."""
    code, out, err = run("run", toy, "--blow-up", "1e-9", "--seeds", "1", "--base-seed", "1")
    assert (code, "nan" in out) in ((0, False), (1, True))
    assert "Warning" not in err


def test_a_change_of_the_simulator_is_accepted_on_request(run, toy, tmp_path):
    file = tmp_path / "mine.py"
    text = Path(toy).read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    arguments = ["sweep", file, "--num-samples", "10", "20", "--seeds", "2", "--store", tmp_path / "r.zarr"]
    assert run(*arguments, "--process-id", "0", "--num-processes", "2")[0] == 0
    file.write_text(text.replace("(x**2).mean()", "(x * x).mean()"), encoding="utf-8")
    code, _, err = run(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert "the source of its simulator has changed" in err
    assert run(*arguments, "--accept-changes")[0] == 0


def test_check_json(run, toy):
    code, out, _ = run("check", toy, "--num-samples", "30", "--seeds", "8", "--json")
    document = json.loads(out)
    assert set(document) == {"setting", "config", "seeds", "rows"}
    assert document["setting"] == "toy"
    assert document["config"]["num_samples"] == 30
    assert document["seeds"] == 8
    assert all(set(row) >= ROW_KEYS for row in document["rows"])
    assert code == int(any(row["verdict"].startswith(("disagrees", "diverged")) for row in document["rows"]))
    assert {row["theory"] for row in document["rows"]} == {"exact", "ensemble", "on_host"}


def test_check_fails_where_theory_fails(run, tmp_path):
    """Half of the variance is forgotten in the theory of a new setting."""
    assert run("new", "noisy", "--folder", tmp_path)[0] == 0
    file = tmp_path / "noisy.py"
    right = "(config.learning_rate * config.noise_scale) ** 2 / (1 - factor)"
    text = file.read_text(encoding="utf-8")
    assert right in text
    file.write_text(text.replace(right, f"{right} / 2"), encoding="utf-8")
    code, out, _ = run("check", file, "--preset", "tiny")
    assert code == 1
    assert "disagrees" in out


def test_a_check_that_judges_nothing_fails(run, toy):
    code, out, err = run("check", toy, "--theory", "on_host", "--num-samples", "10", "--mean", "1")
    assert code == 1
    assert "num_samples = 10 is below 20" in out
    assert "toy: nothing was judged" in err
    code, out, err = run("check", toy, "--theory", "on_host", "--num-samples", "10", "--json")
    assert code == 1
    assert {row["verdict"] for row in json.loads(out)["rows"]} == {"not applicable: num_samples = 10 is below 20"}
    assert "nothing was judged" in err
    # One theory that speaks is enough.
    assert run("check", toy, "--theory", "on_host", "exact", "--num-samples", "10", "--mean", "1")[0] == 0


def test_predict_json_has_no_simulation(run, toy):
    code, out, _ = run("predict", toy, "--scale", "0.1", "1", "--theory", "ensemble", "--json")
    assert code == 0
    rows = [row for row in json.loads(out)["rows"] if row["observable"] == "second_moment"]
    assert [row["cell"] for row in rows] == [{"scale": 0.1}, {"scale": 1.0}]
    assert all(row["empirical"] is None and row["predicted"] > 0 for row in rows)


def test_predict_says_why_a_theory_is_silent(run, toy):
    code, out, _ = run("predict", toy, "--theory", "on_host", "--num-samples", "10", "15", "30")
    assert code == 0
    assert "1.25" in out  # the table of what it predicts
    [line] = [line for line in out.splitlines() if line.startswith("on_host ")]
    assert line == (
        "on_host does not hold at 2 of 3 cells: num_samples = 10 is below 20 "
        "(other reasons elsewhere: --json lists all 2)"
    )
    code, out, _ = run("predict", toy, "--theory", "on_host", "--num-samples", "10")
    assert code == 0
    assert out == "on_host does not hold: num_samples = 10 is below 20\n"


def test_sweep_stores_and_continues(run, toy, tmp_path):
    arguments = ["sweep", toy, "--scale", "0.1", "1", "--seeds", "8", "--store", tmp_path / "r.zarr"]
    assert run(*arguments)[0] == 0
    data = xarray.open_zarr(tmp_path / "r.zarr")
    assert data["sample_mean"].sizes == {"scale": 2, "seed": 8}
    assert run(*arguments)[0] == 0
    code, _, err = run(*arguments, "--mean", "0.2")
    assert code == 2
    assert "holds another sweep: its mean is 1.0, not 0.2; choose another folder" in err
    code, _, err = run(*arguments[:-4], "--seeds", "10", *arguments[-2:])
    assert (code, "its seeds is 8, not 10; add to it with --extend" in err) == (2, True)
    assert run(*arguments[:-4], "--seeds", "10", *arguments[-2:], "--extend")[0] == 0
    assert xarray.open_zarr(tmp_path / "r.zarr")["sample_mean"].sizes == {"scale": 2, "seed": 10}
    # One value more is one more value, not another base.
    assert run("sweep", toy, "--scale", "0.3", "--seeds", "10", *arguments[-2:], "--extend")[0] == 0
    assert xarray.open_zarr(tmp_path / "r.zarr")["scale"].values.tolist() == [0.1, 1, 0.3]


@pytest.mark.parametrize("name", catalogue.SETTINGS)
def test_a_store_is_called_as_a_shell_likes_it(name):
    """With the preset, without blanks, commas and brackets, and no two cases alike."""
    setting = catalogue.get(name)
    for preset, cases in setting.presets.items():
        options = argparse.Namespace(preset=preset, store=None)
        for options.store in (None, "mine.zarr"):
            stores = stores_of(setting, list(cases), options)
            assert len(set(stores)) == len(cases)
            stem = "mine" if options.store else f"results/{name}"
            for store in stores:
                assert re.fullmatch(rf"{stem}-{preset}-[A-Za-z0-9.=_-]+\.zarr", store) or stores == ["mine.zarr"]


def test_a_check_keeps_each_case_under_its_name(run, toy, tmp_path):
    two = 'presets=dict.fromkeys(PRESETS, (CASE, dataclasses.replace(CASE, name="toy, (again)")))'
    text, toys = Path(toy).read_text(encoding="utf-8"), tmp_path / "toys.py"
    toys.write_text(text.replace("presets=dict.fromkeys(PRESETS, (CASE,))", two), encoding="utf-8")
    run("check", toys, "--preset", "tiny", "--theory", "exact", "--store", tmp_path / "r.zarr")
    assert sorted(path.name for path in tmp_path.glob("*.zarr")) == ["r-tiny-toy-again.zarr", "r-tiny-toy.zarr"]


@pytest.mark.parametrize("command", ["sweep", "check"])
def test_the_bar_names_the_case_that_runs(run, toy, tmp_path, monkeypatch, command):
    text, toys = Path(toy).read_text(encoding="utf-8"), tmp_path / "toys.py"
    two = 'presets=dict.fromkeys(PRESETS, (CASE, dataclasses.replace(CASE, name="again")))'
    toys.write_text(text.replace("presets=dict.fromkeys(PRESETS, (CASE,))", two), encoding="utf-8")
    named = []

    @contextlib.contextmanager
    def bar(name, total):
        named.append(name)
        yield lambda *shown: None

    monkeypatch.setattr("theorylab.lab.progress._bar", bar)
    monkeypatch.setattr("theorylab.cli.output.is_terminal", lambda stream: True)
    run(command, toys, "--preset", "tiny", "--store", tmp_path / "r.zarr")
    assert list(dict.fromkeys(named)) == ["toys: toy", "toys: again"]


def test_two_processes_share_a_sweep(run, toy, tmp_path, monkeypatch):
    arguments = ["sweep", toy, "--scale", "0.1", "1", "--seeds", "8", "--store", tmp_path / "r.zarr"]
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    code, _, err = run(*arguments, "--store-timeout", "0.1")
    assert code == 2
    assert "process 0 has not created" in err
    code, out, _ = run(*arguments, "--process-id", "0", "--num-processes", "2")
    assert code == 0
    assert "process 0 of 2, scale 2 x seed 8 in" in out
    assert "8 of 16 cells finished so far" in out
    code, out, _ = run(*arguments)
    assert code == 0
    assert "process 1 of 2" in out
    assert "so far" not in out
    assert xarray.open_zarr(tmp_path / "r.zarr")["finished"].all()


@pytest.mark.slow
def test_two_processes_with_a_coordinator(toy, tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "theorylab", "sweep", toy, "--scale", "0.1", "1", "--seeds", "8"]
    command += ["--store", str(tmp_path / "r.zarr"), "--coordinator", f"127.0.0.1:{port}", "--num-processes", "2"]
    processes = [subprocess.Popen([*command, "--process-id", str(index)]) for index in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    data = xarray.open_zarr(tmp_path / "r.zarr")
    assert data["finished"].all()
    # Its own devices, not those of both.
    assert data.attrs["device"].startswith(f"{runtime.own_cores(os.environ)} x cpu")


# --- several settings -------------------------------------------------------------------------------------------------


def test_reproduce_writes_one_report(run, toy, tmp_path):
    """The whole path on one small setting; the library's are the user's to run."""
    code, out, err = run("reproduce", toy, "--output", tmp_path)
    assert code == 0
    assert "on_host" in out
    assert "toy: toy done (1 of 1" in err
    report = (tmp_path / "report.html").read_text()
    assert report.count("<img ") == 1
    assert "data:image/png;base64," in report
    assert "http" not in report.replace("https://arxiv.org", "").replace("http-equiv", "")
    assert "@article{a}" in report
    assert (tmp_path / "toy.png").stat().st_size < 150_000


def test_reproduce_shows_the_featured_settings(run, tmp_path, monkeypatch):
    asked = []

    def stop(settings):
        asked.append(list(settings))
        raise theorylab.ConfigError("enough")

    monkeypatch.setattr("theorylab.cli.commands.reproduce.load_several", stop)
    for arguments in ((), ("--all",), ("xor",)):
        assert run("reproduce", *arguments)[0] == 2
    assert asked[0] == list(theorylab.catalogue.FEATURED)
    assert set(asked[1]) == set(theorylab.catalogue.names())
    assert asked[2] == ["xor"]
    assert set(theorylab.catalogue.FEATURED) <= set(theorylab.SETTINGS)


def test_help_of_check_shows_what_its_preset_uses(run):
    def words(command):
        return " ".join(run(command, "random_features", "--help")[1].replace("│", " ").split())

    first = theorylab.get("random_features").presets["default"][0]
    ridges = " ".join(f"{ridge:g}" for ridge in first.grid["ridge"])
    assert f"(default: the preset's; in 'default' {ridges})" in words("check")
    assert "absolute ridge [a finite number >= 0] (default: 0.1)" in words("run")
