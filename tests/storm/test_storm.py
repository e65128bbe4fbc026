"""A storm of bad numbers, kills, flipped bits and command lines: no traceback, nothing silently wrong or lost.

``pytest -m slow tests/storm`` runs a breeze of minutes. All of it, by hand, some hours on two cores:
``THEORYLAB_STORM=1 pytest -m slow -n 0 -s tests/storm``. Each test prints its count. Runs at the edges have a file of
their own.
"""

import collections
import dataclasses
import fractions
import math
import os
import random
import sys
import typing

import jax
import numpy as np
import pytest
import toy
from edges import TEXTS, edges, limits, little, one_line, smallest
from forks import Forks

from theorylab import catalogue
from theorylab.cli import COMMANDS, main
from theorylab.cli.main import OF_A_SETTING
from theorylab.contract import ConfigError
from theorylab.lab import store as results
from theorylab.lab.grid import make_plan
from theorylab.lab.job import make_job
from theorylab.lab.layout import lay_out
from theorylab.lab.program import DEFAULT_MEMORY_BUDGET
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import sweep

pytestmark = pytest.mark.slow

FULL = bool(os.environ.get("THEORYLAB_STORM"))
CONFIGURATIONS, KILLS, LINES, LINES_EACH = (10_000, 60, 200, 20) if FULL else (1000, 12, 60, 2)
SETTINGS = catalogue.names()
#: What is no number of any field, or one only just.
ODD = (
    None, True, "", "1", "nan", b"1", 1j, [], [1.0], {}, object(), math.nan, math.inf, -math.inf, 10**400, -(10**400),
    1e308, -1e308, 1e200, 1e154, 1e-308, 5e-324, -0.0, 0, 1, -1, 2, 3, 0.5, 1.5, 1e9, 1e12, 2**31 - 1, 2**31 - 2, 2**63,
    fractions.Fraction(1, 3), np.float32(1.1), np.int8(3), np.array(2), np.array([2]), np.float64(4.0), np.bool_(True),
)  # fmt: skip
#: What no field of numbers takes.
NO_VALUES = ("", "nan", "inf", "1e200", "1e400", "1e12", "1j", "[/red]", "é", "None", "--json", "0.1 0.2")


def near(field, hint, value, draw):
    """A choice, a text, or a number at the field's edge or about its present one."""
    if typing.get_origin(hint) is typing.Literal:
        return draw.choice(typing.get_args(hint))
    if isinstance(value, (str, bool)):
        return draw.choice([value, *(TEXTS if isinstance(value, str) else (not value,))])
    whole, ends = field.metadata["whole"], limits(field)
    picks = [value, value * 2, value / 2, value + 1, 0, 1, *ends, *(end * 1.0001 for end in ends)]
    picked = draw.choice([*picks, *(end + (1 if whole else 1e-9) for end in ends)])
    return round(picked) if whole and math.isfinite(picked) and draw.random() < 0.9 else picked


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_configurations(name):
    setting, draw = catalogue.get(name), random.Random(name)
    cases = [case for preset in setting.presets.values() for case in preset]
    fields, hints = dataclasses.fields(setting.config), typing.get_type_hints(setting.config)
    seen = {"planned": 0, "refused": 0}
    for _ in range(CONFIGURATIONS):
        config = draw.choice(cases).config
        changes = {}
        for field in draw.sample(fields, draw.randint(1, min(3, len(fields)))):
            usual = draw.random() < 0.6
            value = near(field, hints[field.name], getattr(config, field.name), draw) if usual else draw.choice(ODD)
            changes[field.name] = value
        grid = {name: [changes.pop(name)] for name in list(changes) if draw.random() < 0.2}
        try:
            with little(gigabytes=4, seconds=60):
                make_plan(setting, dataclasses.replace(config, **changes), grid)
            seen["planned"] += 1
        except ConfigError as error:
            one_line(error)
            seen["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{changes} {grid}") from error
    print(name, seen)
    assert seen["planned"] > 0 < seen["refused"]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sizes_beyond_memory(name):
    """Refused in one line, or traced in seconds and little memory: all that comes before compiling and theories."""
    setting, draw = catalogue.get(name), random.Random(name)
    small = smallest(setting, setting.presets["tiny"][0])
    hints = typing.get_type_hints(setting.config)
    large = {int: (10**6, 10**9, 2**31 - 2), str: TEXTS}
    tried = [
        dataclasses.replace(small, **{field.name: size})
        for field in dataclasses.fields(small)
        if field.metadata["static"]
        for size in large.get(hints[field.name], ())
    ]
    sizes = {name: getattr(small, name) for name, kind in hints.items() if kind is int}
    tried += [dataclasses.replace(small, **{name: n * 10**power for name, n in sizes.items()}) for power in (4, 7)]
    seen = {"prepared": 0, "refused": 0}
    wrong = []
    for config in tried if FULL else draw.sample(tried, min(4, len(tried))):
        try:
            with little(gigabytes=4, seconds=30):
                prepare(setting, config)
            seen["prepared"] += 1
        except ConfigError as error:
            one_line(error)
            seen["refused"] += 1
        except Exception as error:
            wrong.append(f"{type(error).__name__}: {str(error)[:200]}: {config}")
        jax.clear_caches()
    print(name, seen, *wrong, sep="\n")
    assert wrong == []


def prepare(setting, config):
    """What is done before anything is compiled."""
    job = make_job(setting, config, None, 1, 0, DEFAULT_MEMORY_BUDGET)
    program = job.program(job.plan.config, 1)
    lay_out(job, [job.plan.config], [program.outputs])
    program.refuse_if_too_large()
    for theory in setting.theories:
        if theory.holds(job.plan.config) is None:
            for observable in theory.predicts:
                theory.relative_error(job.plan.config, observable)


CELLWISE = {"grid": {"num_samples": (10,), "mean": (0.0, 1.0, 2.0)}, "seeds": 8, "memory_budget": 1}


def test_kills(tmp_path):
    """Finished cells keep their values whoever is killed; nothing is left behind."""
    reference, draw, forks = sweep(toy.SETTING, **CELLWISE), random.Random(KILLS), None
    try:
        forks = Forks(jax.config.jax_compilation_cache_dir)
        _, seconds = forks.run(tmp_path / "unbroken.zarr", [None], **CELLWISE)
        kills = stores = 0
        path = tmp_path / "0.zarr"
        while kills < KILLS:
            codes, _ = forks.run(path, [draw.uniform(0, seconds) for _ in range(draw.choice((1, 2, 3)))], **CELLWISE)
            assert set(codes) <= {0, -9}
            kills += codes.count(-9)
            if path.exists():
                data = open_results(path)
                done = data["finished"].values
                for name in reference.data_vars:
                    if name != "finished":
                        np.testing.assert_array_equal(data[name].values[done], reference[name].values[done])
                if done.all():
                    stores += 1
                    path = tmp_path / f"{stores}.zarr"
        assert forks.run(path, [None], **CELLWISE)[0] == [0]
        assert open_results(path)["finished"].values.all()
        print("kills", kills, "stores", stores + 1)
        litter = [file for file in path.rglob("*") if file.name.endswith(".partial") or file.name.startswith(".z")]
        assert litter == []
        assert not [file for file in tmp_path.iterdir() if file.name.startswith(f".{path.name}")]
    finally:
        if forks is not None:
            forks.close()


OPENED: list[str] = []


def note(event, arguments):
    """Note which files Python opens: an audit hook, which stays."""
    if event == "open" and isinstance(arguments[0], str):
        OPENED.append(arguments[0])


def test_flipped_bits(tmp_path):
    """Of every file of a small store; each is noticed, or harmless. A file that nothing opens cannot harm."""
    path = tmp_path / "a.zarr"
    reference = sweep(toy.SETTING, toy.Config(num_steps=2), {"num_samples": (10, 20)}, seeds=2, store=path)
    sys.addaudithook(note)
    OPENED.clear()
    assert open_results(path).identical(reference)
    assert results.finished_cells(path).all()
    opened = {file for file in OPENED if file.startswith(str(path))}
    draw = random.Random(0)
    seen = {"noticed": 0, "harmless": 0, "silently wrong": 0}
    kinds = {"chunks": dict(seen), "zarr.json": dict(seen), "files that nothing opens": dict(seen)}
    wrong = []
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        kind = "chunks" if "/c/" in file.as_posix() else "zarr.json"
        if str(file) not in opened:
            kind = "files that nothing opens"
        whole = file.read_bytes()
        bits = range(8 * len(whole))
        every = FULL and str(file) in opened
        for bit in bits if every else draw.sample(bits, min(len(bits), 25)):
            content = bytearray(whole)
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
            try:
                data = open_results(path)
                assert results.finished_cells(path).all()
            except StoreError as error:
                one_line(error)
                found = "noticed"
            except Exception as error:
                raise AssertionError(f"bit {bit} of {file}") from error
            else:
                found = "harmless" if data.identical(reference) else "silently wrong"
                wrong += [(file, bit)] if found == "silently wrong" else []
            kinds[kind][found] += 1
        file.write_bytes(whole)
    print("bits", kinds)
    assert wrong == []
    assert kinds["chunks"]["harmless"] == 0 < kinds["chunks"]["noticed"]
    assert kinds["zarr.json"]["noticed"] > 0 == kinds["files that nothing opens"]["noticed"]


def test_command_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)
    draw = random.Random(0)
    options = (
        "--seeds", "--base-seed", "--num-samples", "--scale", "--mean", "--blow-up", "--memory-budget", "--store",
        "--theory", "--preset", "--json", "--every-row", "--process-id", "--num-processes", "--store-timeout", "--help",
        "--accept-changes", "--extend", "--nothing", "--no-progress", "--output", "--folder", "--check",
    )  # fmt: skip
    values = (
        "1", "2", "0", "-1", "nan", "inf", "-inf", "1e400", "1e200", "0.1 0.2", "", "a b", "[/red]", "~nobody/a", "$X",
        "tiny", "default", "exact", "toy", "s3://a/b", "/proc/x", "\udcff", "é", "10", "20 30", "4294967296", "../../a",
        "/dev/null", "x" * 300,
    )  # fmt: skip
    codes = collections.Counter()
    for _ in range(LINES):
        command = draw.choice([*[name for name in COMMANDS if name != "figures"], "nothing"])
        line = [command]
        if command not in ("new", "nothing") or draw.random() < 0.5:
            line.append(draw.choice([toy.__file__] * 6 + ["xor.py", "nothing", "a:b", ""]))
        else:
            line.append(draw.choice(["mine", "class", "", "é", "../x", "a b"]))
        if command == "reproduce":
            line += ["--output", "out"]
        for option in draw.sample(options, draw.randint(0, 3)):
            line.append(option)
            if draw.random() < 0.8:
                line += draw.choice(values).split(" ")
        codes[exit_code(line, capsys)] += 1
    with capsys.disabled():
        print("command lines", dict(codes))
    assert codes[0] > 0 < codes[2]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
def test_command_lines_of_every_setting(name, tmp_path, monkeypatch, capsys):
    """At the smallest sizes, with a value or two at the edges, or no number at all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)
    setting, draw = catalogue.get(name), random.Random(name)
    small = smallest(setting, setting.presets["tiny"][0])
    codes = collections.Counter()
    for number in range(LINES_EACH):
        command = draw.choice(OF_A_SETTING)
        fields = dataclasses.fields(small)
        given = vars(small) | {
            field.name: draw.choice([*edges(small, field), *(() if draw.random() < 0.7 else NO_VALUES)])
            for field in draw.sample(fields, draw.randint(0, 2))
        }
        line = [command, name, "--seeds", "2", *(("--store", f"{number}.zarr") if command == "sweep" else ())]
        for field, value in given.items():
            line += [f"--{field.replace('_', '-')}", str(value)]
        codes[exit_code(line, capsys)] += 1
    with capsys.disabled():
        print(name, "command lines", dict(codes), flush=True)
    assert sum(codes.values()) == LINES_EACH


def exit_code(line, capsys):
    """Run a command line; whatever is wrong is one line."""
    try:
        code = main(line)
    except SystemExit as stop:
        code = stop.code
    except BaseException as error:
        raise AssertionError(f"{line}") from error
    out, err = capsys.readouterr()
    assert code in (0, 1, 2), line
    assert "Traceback" not in out + err, line
    assert not err.startswith("error: ") or err.count("\n") == 1, (line, err)
    return code
