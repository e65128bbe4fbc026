"""A store is bound to the program that began it: a change is named, and continued on request only."""

import dataclasses
import sys

import numpy as np
import pytest
import toy

from theorylab import Observable, catalogue
from theorylab.lab import fingerprint as fingerprints
from theorylab.lab import sweep as engine
from theorylab.lab.fingerprint import fingerprint
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import sweep

GRID = {"num_samples": (10, 20), "mean": (0.0, 1.0)}
TEXT = '''"""Mine."""
import jax.numpy as jnp
from theorylab import Case, Observable, Setting
from theorylab.contract import Paper, config, scalar, theory, times
import {beside}

FACTOR = {factor}

@config
class Config:
    mean: float = scalar(default=1.0, help="mean")

def simulate(key, config):
    {comment}
    return {{"x": {beside}.shift(FACTOR * config.mean)}}

@theory(kind="exact", source="arithmetic", predicts=("x",), error=1e-9, controls={{"wrong": times(1.05)}})
def exact(key, config):
    return {{"x": {beside}.shift(FACTOR * config.mean)}}

SETTING = Setting(
    title="Mine", papers=(Paper("T", "A", 1900, "J", "0000.00000", "@article{{a}}"),), config=Config,
    simulate=simulate, theories=(exact,), observables=(Observable("x", "x"),),
    presets=dict.fromkeys(("tiny", "default", "paper"), (Case("mine", Config(), seeds=2),)),
)
'''


def changed(key, config):
    return {name: value + 1.0 for name, value in toy.simulate(key, config).items()}


OTHER = dataclasses.replace(toy.SETTING, simulate=changed)


def half_done(path, **processes):
    sweep(toy.SETTING, grid=GRID, seeds=2, store=path, processes=(0, 2))


def test_a_changed_simulator_is_named_and_refused(tmp_path):
    path = tmp_path / "a.zarr"
    half_done(path)
    with pytest.raises(StoreError, match="was begun by another program: the source of its simulator has changed") as e:
        sweep(OTHER, grid=GRID, seeds=2, store=path)
    assert "--accept-changes" in str(e.value)
    assert open_results(path)["finished"].values.sum() == 4


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("jax_version", "0.9.1", r"JAX .*, now 0\.9\.1"),
     ("device", "1 x H100 (gpu)", r"on cpu \(cpu\), now on H100 \(gpu\)")],
)  # fmt: skip
def test_another_jax_or_device_is_named_and_refused(tmp_path, monkeypatch, name, value, message):
    path = tmp_path / "a.zarr"
    half_done(path)
    provenance = engine.results.provenance()
    monkeypatch.setattr(engine.results, "provenance", lambda: provenance | {name: value})
    with pytest.raises(StoreError, match=message):
        sweep(toy.SETTING, grid=GRID, seeds=2, store=path)
    monkeypatch.setattr(engine.results, "provenance", lambda: provenance | {"device": "7 x cpu (cpu)"})
    sweep(toy.SETTING, grid=GRID, seeds=2, store=path)  # the number of devices is no change


def test_a_change_that_is_asked_for_is_kept_cell_by_cell(tmp_path):
    path = tmp_path / "a.zarr"
    half_done(path)
    data = sweep(OTHER, grid=GRID, seeds=2, store=path, accept_changes=True)
    assert data["finished"].values.all()
    program = data["program_of"].values
    assert program.tolist() == [[[0, 0], [0, 0]], [[1, 1], [1, 1]]]
    (second,) = data.attrs["changes"]
    assert second["program"] == fingerprint(OTHER) != data.attrs["program"] == fingerprint(toy.SETTING)
    old, new = sweep(toy.SETTING, grid=GRID, seeds=2), sweep(OTHER, grid=GRID, seeds=2)
    np.testing.assert_array_equal(data["path"][0], old["path"][0])
    np.testing.assert_array_equal(data["path"][1], new["path"][1])


@pytest.mark.parametrize(
    ("returns", "said"),
    [
        (lambda r: {k: v for k, v in r.items() if k != "path"}, r"of path it has of shape \(4,\), not none"),
        (lambda r: {**r, "more": r["sample_mean"]}, "of more it has none, not of shape"),
        (lambda r: {**r, "path": r["path"][:2]}, r"of path it has of shape \(4,\), not of shape \(2,\)"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(tmp_path, returns, said):
    """Of an observable that is gone, or is new, no cell could be finished."""
    path = tmp_path / "a.zarr"
    half_done(path)
    setting = dataclasses.replace(
        toy.SETTING,
        simulate=lambda key, config: returns(toy.simulate(key, config)),
        observables=(*toy.SETTING.observables, Observable("more", "more")),
        coords=lambda c: {"step": [0, 1]} if "(2" in said else toy.SETTING.coords(c),
    )
    with pytest.raises(StoreError, match=said):
        sweep(setting, grid=GRID, seeds=2, store=path, accept_changes=True)
    assert open_results(path)["finished"].values.sum() == 4


def test_two_processes_of_one_change_are_one_program(tmp_path):
    path = tmp_path / "a.zarr"
    grid = {"num_samples": (10, 20, 30)}
    sweep(toy.SETTING, grid=grid, seeds=2, store=path, processes=(0, 3))
    for index in (1, 2):
        data = sweep(OTHER, grid=grid, seeds=2, store=path, processes=(index, 3), accept_changes=True)
    assert data["program_of"].values.tolist() == [[0, 0], [1, 1], [1, 1]]
    assert len(data.attrs["changes"]) == 1


def test_finished_results_of_another_program_are_read_with_a_warning(tmp_path):
    path = tmp_path / "a.zarr"
    sweep(toy.SETTING, grid=GRID, seeds=2, store=path)
    with pytest.warns(UserWarning, match="are those of another program: the source of its simulator has changed"):
        sweep(OTHER, grid=GRID, seeds=2, store=path)


def test_a_fingerprint_is_of_the_code_and_of_what_it_uses(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*sys.path])
    file, beside = tmp_path / "mine.py", tmp_path / "beside_mine.py"
    write = {"beside": "beside_mine", "factor": 1.0, "comment": "# nothing"}

    def fingerprint_of(text, other):
        file.write_text(text)
        beside.write_text(other)
        fingerprints._stripped.cache_clear()
        return fingerprint(catalogue.get(str(file)))

    shift = "def shift(x):\n    return x\n"
    first = fingerprint_of(TEXT.format(**write), shift)
    assert fingerprint_of(TEXT.format(**write | {"comment": "# another comment\n\n"}), shift) == first
    assert fingerprint_of(TEXT.format(**write | {"factor": 2.0}), shift) != first
    assert fingerprint_of(TEXT.format(**write), shift + "    # and a comment\n") == first
    assert fingerprint_of(TEXT.format(**write), shift.replace("x\n", "x + 1\n")) != first


def test_theories_and_presets_are_no_part_of_it():
    other = dataclasses.replace(toy.SETTING, theories=toy.SETTING.theories[:1], title="Another title")
    assert fingerprint(other) == fingerprint(toy.SETTING)


def test_the_fingerprint_of_every_setting_is_quick_and_its_own():
    found = {name: fingerprint(catalogue.get(name)) for name in ("xor", "random_features", "gradient_flow")}
    assert len(set(found.values())) == 3
