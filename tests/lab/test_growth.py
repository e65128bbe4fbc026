"""Stores that grow: what was there stays, whatever fails on the way, and only what is new is computed."""

import dataclasses
import itertools
import json
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
import xarray
from forks import Forks
from zarr.storage import LocalStore

from theorylab import compare
from theorylab.contract import PRESETS, Case, ConfigError, config, size
from theorylab.lab import metadata
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import sweep

SMALL = {"grid": {"num_samples": (10, 20), "mean": (0.0, 1.0)}, "seeds": 3}
LARGE = {"grid": {"num_samples": (10, 20, 40), "mean": (0.0, 1.0, 2.0)}, "seeds": 8}
VARIABLES = ("sample_mean", "path", "first_bad_step")


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "a.zarr"
    return path, sweep(toy.SETTING, store=path, **SMALL)


@pytest.fixture(scope="module")
def large():
    return sweep(toy.SETTING, **LARGE)


def at(data):
    """Where results lie, of which others may have more."""
    return {name: data[name].values for name in ("num_samples", "mean", "seed")}


def assert_grown(data, small, large):
    """All of the large sweep, and the bits of the small one."""
    assert data["finished"].values.all()
    assert data.attrs["finished_at"]
    assert data["base_seed"].values.tolist() == [0] * data.sizes["seed"]
    for name in VARIABLES:
        np.testing.assert_allclose(data[name], large[name].sel(at(data)), rtol=1e-12)
        np.testing.assert_array_equal(data[name].sel(at(small)), small[name])


@pytest.mark.parametrize(
    "asked",
    [
        {"seeds": 8},
        {"grid": {"num_samples": (10, 20), "mean": (0.0, 1.0, 2.0)}},
        {"grid": {"num_samples": (10, 40), "mean": (0.0, 1.0)}},  # the others stay
        {"grid": {"mean": (2.0,), "num_samples": (40,)}, "seeds": 8},  # in any order
    ],
)
def test_what_is_asked_for_is_added(store, large, asked):
    path, small = store
    data = sweep(toy.SETTING, store=path, extend=True, **{**SMALL, **asked})
    grid = asked.get("grid", SMALL["grid"])
    for name, values in SMALL["grid"].items():
        assert data[name].values.tolist() == [*values, *(v for v in grid[name] if v not in values)]
    assert data.sizes["seed"] == asked.get("seeds", 3)
    assert_grown(data, small, large)
    again = open_results(path)
    xarray.testing.assert_identical(again, data)
    toy.forget_programs()
    for same in ({**SMALL, **asked}, SMALL):  # is there already
        xarray.testing.assert_identical(sweep(toy.SETTING, store=path, extend=True, **same), data)
    assert toy.TRACES == []
    plain = xarray.open_zarr(path, consolidated=False)
    np.testing.assert_array_equal(plain["path"], data["path"])
    rows = compare(toy.SETTING, again, theories=["exact"])
    assert {str(row.verdict) for row in rows} == {"agrees"}


def test_it_grows_again_and_again(store, large):
    path, small = store
    for seeds, means in ((4, (0.0,)), (4, (2.0,)), (7, (1.0,)), (8, (0.0, 1.0, 2.0))):
        grid = {"num_samples": (10, 20, 40), "mean": means}
        data = sweep(toy.SETTING, grid=grid, seeds=seeds, store=path, extend=True)
    assert data.sizes["seed"] == 8
    assert_grown(data, small, large)


def test_seeds_that_are_there_are_not_computed_again(store, monkeypatch):
    from theorylab.lab.program import Program

    ran, run = [], Program.run
    monkeypatch.setattr(Program, "run", lambda self, base, block: ran.append(block[0]) or run(self, base, block))
    counted = []
    sweep(toy.SETTING, store=store[0], extend=True, progress=lambda *n: counted.append(n), **{**SMALL, "seeds": 8})
    assert ran == [slice(3, 8), slice(3, 8)]
    assert counted[-1] == (32, 32)


def test_infinity_is_a_value_like_others(tmp_path):
    @config
    class Config:
        width: float = size(default=2.0, help="width", at_least=1, or_infinite=True)

    setting = dataclasses.replace(
        toy.SETTING,
        config=Config,
        simulate=lambda key, c: {"sample_mean": jnp.asarray(1 / c.width)},
        check_config=lambda c: None,
        coords=lambda c: {},
        observables=toy.SETTING.observables[:1],
        theories=(),
        presets=dict.fromkeys(PRESETS, (Case("toy", Config()),)),
    )
    for widths in ((2, float("inf")), (4, float("inf"))):
        data = sweep(setting, grid={"width": widths}, seeds=2, store=tmp_path / "a.zarr", extend=True)
    assert data["width"].values.tolist() == [2, float("inf"), 4]
    assert data["sample_mean"].values[:, 1].tolist() == [0.5, 0, 0.25]


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"config": toy.Config(scale=0.7)}, StoreError, "holds another sweep: its scale is 0.5, not 0.7; choose"),
        ({"base_seed": 1, "seeds": 5}, StoreError, "its base_seed is 0, not 1; choose"),
        ({"grid": {"mean": (0.0, 1.0)}}, StoreError, r"its num_samples is \[10, 20\], not 50; choose"),
        ({"grid": {"num_samples": (13,), "mean": (0.0,)}}, ConfigError, "must not be unlucky"),
    ],
)
def test_what_is_no_addition_is_refused_and_nothing_touched(store, change, error, message):
    before = snapshot(store[0])
    with pytest.raises(error, match=message):
        sweep(toy.SETTING, store=store[0], extend=True, **{**SMALL, **change})
    assert snapshot(store[0]) == before


def test_an_unfinished_store_and_another_program_are_refused(tmp_path, store, monkeypatch):
    path = tmp_path / "half.zarr"
    sweep(toy.SETTING, store=path, processes=(0, 2), **SMALL)
    with pytest.raises(StoreError, match="is not finished: repeat the command that began it"):
        sweep(toy.SETTING, store=path, extend=True, **LARGE)
    from theorylab.lab import sweep as engine

    provenance = engine.results.provenance()
    monkeypatch.setattr(engine.results, "provenance", lambda: provenance | {"jax_version": "0.9.1"})
    before = snapshot(store[0])
    with pytest.raises(StoreError, match=r"was begun by another program: JAX .*, now 0\.9\.1"):
        sweep(toy.SETTING, store=store[0], extend=True, **LARGE)
    assert snapshot(store[0]) == before
    data = sweep(toy.SETTING, store=store[0], extend=True, accept_changes=True, **LARGE)
    new = np.ones(data["finished"].shape, int)
    new[:2, :2, :3] = 0
    np.testing.assert_array_equal(data["program_of"], new)


def test_whichever_write_fails_the_store_is_whole(store, large, monkeypatch):
    """It is the finished one that it was, or the larger one; and the same call goes on."""
    path, small = store
    write, replace = LocalStore.set, metadata.update
    left = [0]

    def count():
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")

    async def counted(self, key, *arguments, **keywords):
        count()
        return await write(self, key, *arguments, **keywords)

    def update(*arguments, **keywords):
        count()
        return replace(*arguments, **keywords)

    monkeypatch.setattr(LocalStore, "set", counted)
    monkeypatch.setattr(metadata, "update", update)
    sizes, said, number, data = [], [], 0, None
    while data is None:
        left[0] = number
        try:
            data = sweep(toy.SETTING, store=path, extend=True, **LARGE)
        except StoreError as error:
            said.append(str(error))
            found = open_results(path)
            finished = found["finished"].values
            for name in VARIABLES:
                np.testing.assert_array_equal(found[name].sel(at(small)), small[name])
                np.testing.assert_allclose(
                    found[name].values[finished], large[name].sel(at(found)).values[finished], rtol=1e-12
                )
            assert found["finished"].sel(at(small)).values.all()
            sizes.append(found["finished"].size)
        number += 1
    assert {text.partition(": ")[2] for text in said} == {"No space left on device"}
    assert {12, 72} == set(sizes)
    assert sizes == sorted(sizes)
    assert_grown(data, small, large)


def test_damage_met_while_it_grows_is_one_line(store):
    path, _ = store
    sweep(toy.SETTING, store=path, extend=True, **{**SMALL, "seeds": 4})
    last = path / "seed" / "c" / "1"  # half of it is in use
    content = last.read_bytes()  # its last byte, of a checksum, is another in every store: "?" in one of 256
    last.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StoreError, match="is damaged: a chunk cannot be read"):
        sweep(toy.SETTING, store=path, extend=True, **{**SMALL, "seeds": 5})


@pytest.mark.parametrize("rounds", [3, pytest.param(30, marks=pytest.mark.slow)])
def test_killed_while_it_grows(store, tmp_path, rounds):
    path, small = store
    draw = random.Random(rounds)
    whole = json.loads(json.dumps({**LARGE, "extend": True}))
    forks = Forks(jax.config.jax_compilation_cache_dir)
    try:
        kept = tmp_path / "kept.zarr"
        sweep(toy.SETTING, store=kept, **SMALL)
        codes, seconds = forks.run(kept, [None], **whole)
        assert codes == [0]
        large = open_results(kept)
        kills, number = 0, itertools.count()
        while kills < 2 * rounds:
            codes, _ = forks.run(path, [draw.uniform(0.2, 1.0) * seconds for _ in range(2)], **whole)
            assert set(codes) <= {0, -9}
            kills += codes.count(-9)
            data = open_results(path)
            finished = data["finished"].values
            for name in VARIABLES:
                np.testing.assert_array_equal(data[name].sel(at(small)), small[name])
                found, expected = data[name].values[finished], large[name].sel(at(data)).values[finished]
                np.testing.assert_allclose(found, expected, rtol=1e-12)
            if finished.all() and finished.size == large["finished"].size:  # another one
                # Both may have died after the last cell, and before noting the end: the next run does.
                assert forks.run(path, [None], **whole)[0] == [0]
                assert_grown(open_results(path), small, large)
                path = tmp_path / f"{next(number)}.zarr"
                sweep(toy.SETTING, store=path, **SMALL)
        assert forks.run(path, [None, None], processes=[(0, 1), (0, 1)], **whole)[0] == [0, 0]  # one waits
    finally:
        forks.close()
    assert_grown(open_results(path), small, large)
    assert not [file for file in path.rglob("*") if file.name.endswith(".partial") or file.name.startswith(".z")]
