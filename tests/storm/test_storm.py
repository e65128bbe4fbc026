"""A storm of bad numbers, kills, flipped bits and command lines: no traceback, nothing silently wrong or lost.

``pytest -m slow tests/storm`` runs a breeze of minutes. All of it, by hand, some hours on two cores:
``THEORYLAB_STORM=1 pytest -m slow -n 0 -s tests/storm``. Each test prints its count. Runs at the edges have a file of
their own.
"""

import dataclasses
import fractions
import math
import os
import random
import typing

import jax
import numpy as np
import pytest
import toy
from forks import Forks

from theorylab import catalogue
from theorylab.cli import COMMANDS, main
from theorylab.contract import ConfigError
from theorylab.lab import store as results
from theorylab.lab.grid import make_plan
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import sweep

pytestmark = pytest.mark.slow

FULL = bool(os.environ.get("THEORYLAB_STORM"))
CONFIGURATIONS, KILLS, LINES = (10_000, 60, 200) if FULL else (1000, 12, 60)
SETTINGS = catalogue.names()
#: What is no number of any field, or one only just.
ODD = (
    None, True, "", "1", "nan", b"1", 1j, [], [1.0], {}, object(), math.nan, math.inf, -math.inf, 10**400, -(10**400),
    1e308, -1e308, 1e200, 1e154, 1e-308, 5e-324, -0.0, 0, 1, -1, 2, 3, 0.5, 1.5, 1e9, 1e12, 2**31 - 1, 2**31 - 2, 2**63,
    fractions.Fraction(1, 3), np.float32(1.1), np.int8(3), np.array(2), np.array([2]), np.float64(4.0), np.bool_(True),
)  # fmt: skip


def near(field, value, draw):
    """A value at a field's edge, or about its present one."""
    metadata = field.metadata
    limits = [metadata[name] for name in ("at_least", "at_most", "above", "below") if metadata[name] is not None]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    picks = [value, value * 2, value / 2, value + 1, 0, 1, *limits, *(limit * 1.0001 for limit in limits)]
    picks += [limit + 1 for limit in limits] if metadata["whole"] else [limit + 1e-9 for limit in limits]
    picked = draw.choice(picks)
    return round(picked) if metadata["whole"] and math.isfinite(picked) and draw.random() < 0.9 else picked


def one_line(error):
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 1000


@pytest.mark.parametrize("name", SETTINGS)
def test_configurations(name):
    setting, draw = catalogue.get(name), random.Random(name)
    cases = [case for preset in setting.presets.values() for case in preset]
    seen = {"planned": 0, "refused": 0}
    for _ in range(CONFIGURATIONS):
        config = draw.choice(cases).config
        fields = dataclasses.fields(config)
        changes = {}
        for field in draw.sample(fields, draw.randint(1, min(3, len(fields)))):
            hint = typing.get_type_hints(setting.config)[field.name]
            choices = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
            value = near(field, getattr(config, field.name), draw) if draw.random() < 0.5 else draw.choice(ODD)
            changes[field.name] = draw.choice(choices) if choices and draw.random() < 0.5 else value
        grid = {name: [changes.pop(name)] for name in list(changes) if draw.random() < 0.2}
        try:
            make_plan(setting, dataclasses.replace(config, **changes), grid)
            seen["planned"] += 1
        except ConfigError as error:
            one_line(error)
            seen["refused"] += 1
        except TypeError as error:  # a configuration is hashed nowhere before it is checked
            raise AssertionError(f"{changes} {grid}") from error
    print(name, seen)
    assert seen["planned"] > 0 < seen["refused"]


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


def test_flipped_bits(tmp_path):
    """Of every file of a small store; each is noticed, or harmless."""
    path = tmp_path / "a.zarr"
    reference = sweep(toy.SETTING, toy.Config(num_steps=2), {"num_samples": (10, 20)}, seeds=2, store=path)
    draw = random.Random(0)
    seen = {"noticed": 0, "harmless": 0, "silently wrong": 0}
    kinds = {"chunks": dict(seen), "metadata": dict(seen)}
    wrong = []
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        bits = range(8 * len(whole))
        for bit in bits if FULL else draw.sample(bits, min(len(bits), 25)):
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
            kinds["chunks" if "/c" in file.relative_to(path).as_posix() else "metadata"][found] += 1
        file.write_bytes(whole)
    print("bits", kinds)
    assert wrong == []
    assert kinds["chunks"]["harmless"] == 0 < kinds["chunks"]["noticed"]
    assert kinds["metadata"]["noticed"] > 0


def test_command_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("theorylab.runtime.configure", lambda **options: None)
    draw = random.Random(0)
    options = (
        "--seeds", "--base-seed", "--num-samples", "--scale", "--mean", "--blow-up", "--memory-budget", "--store",
        "--theory", "--preset", "--json", "--every-row", "--process-id", "--num-processes", "--store-timeout", "--help",
        "--accept-changes", "--nothing", "--no-progress", "--output", "--folder", "--check",
    )  # fmt: skip
    values = (
        "1", "2", "0", "-1", "nan", "inf", "-inf", "1e400", "1e200", "0.1 0.2", "", "a b", "[/red]", "~nobody/a", "$X",
        "tiny", "default", "exact", "toy", "s3://a/b", "/proc/x", "\udcff", "é", "10", "20 30", "4294967296", "../../a",
        "/dev/null", "x" * 300,
    )  # fmt: skip
    codes = {}
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
        codes[code] = codes.get(code, 0) + 1
    with capsys.disabled():
        print("command lines", codes)
    assert codes[0] > 0 < codes[2]
