"""Results on disk: readable without us, resumable after a kill, never overwritten by another sweep."""

import json

import numpy as np
import pytest
import toy
import xarray
import zarr

from theorylab.lab.store import StoreError, open_results, set_attributes
from theorylab.lab.sweep import create_store, sweep

GRID = {"num_samples": (10, 20, 40), "mean": (0.0, 1.0)}


def test_opens_with_plain_xarray(tmp_path):
    data = sweep(toy.SETTING, grid=GRID, seeds=4, store=tmp_path / "a.zarr")
    plain = xarray.open_zarr(tmp_path / "a.zarr")
    memory = sweep(toy.SETTING, grid=GRID, seeds=4)
    for name in ("sample_mean", "path", "first_bad_step", "finished"):
        assert plain[name].dims == memory[name].dims
        np.testing.assert_array_equal(plain[name], data[name])
        np.testing.assert_array_equal(plain[name], memory[name])
    np.testing.assert_array_equal(plain["num_samples"], [10, 20, 40])
    np.testing.assert_array_equal(plain["base_seed"], [0, 0, 0, 0])
    assert "base_seed" in memory.coords
    assert json.loads(plain.attrs["config"])["num_steps"] == 4
    for name in ("jax_version", "theorylab_version", "device", "git_revision", "started", "finished_at", "grid"):
        assert plain.attrs[name]
    assert plain["path"].attrs["long_name"] == "a path"


def test_finished_cells_are_not_run_again(tmp_path):
    first = sweep(toy.SETTING, grid=GRID, seeds=4, store=tmp_path / "a.zarr")
    toy.forget_programs()
    again = sweep(toy.SETTING, grid=GRID, seeds=4, store=tmp_path / "a.zarr")
    assert toy.TRACES == []
    xarray.testing.assert_identical(first, again)


def test_a_failed_run_is_continued(tmp_path):
    class Stop(Exception):
        pass

    def stop_in_the_middle(done, total):
        if done >= total // 2:
            raise Stop

    path = tmp_path / "a.zarr"
    with pytest.raises(Stop):
        sweep(toy.SETTING, grid=GRID, seeds=4, store=path, progress=stop_in_the_middle)
    half = open_results(path)
    assert half["finished"].values.mean() == pytest.approx(2 / 3)
    assert np.isfinite(half["path"].values).all(-1).mean() == pytest.approx(2 / 3)
    toy.forget_programs()
    resumed = sweep(toy.SETTING, grid=GRID, seeds=4, store=path)
    assert toy.TRACES == [40]
    np.testing.assert_array_equal(resumed["path"], sweep(toy.SETTING, grid=GRID, seeds=4)["path"])


@pytest.mark.parametrize("grid", [GRID, {"mean": (0.0, 1.0), "scale": (0.1, 2.0)}])
def test_a_store_is_continued_whatever_the_order_of_the_fields(tmp_path, grid):
    """Each number goes to its own label, and the axes stay those of the store."""
    path, turned = tmp_path / "a.zarr", dict(reversed(grid.items()))
    create_store(toy.SETTING, grid=grid, seeds=3, store=path)
    data = sweep(toy.SETTING, grid=turned, seeds=3, store=path)
    reference = sweep(toy.SETTING, grid=grid, seeds=3)
    for name in ("sample_mean", "path", "finished"):
        assert data[name].dims == reference[name].dims
        np.testing.assert_allclose(data[name], reference[name], rtol=1e-12)


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": toy.Config(scale=0.7)}, "its scale is 0.5, not 0.7; choose"),
        ({"config": toy.Config(mean=0.7)}, None),  # swept
        (
            {"config": toy.Config(scale=0.7, num_steps=3)},
            "its num_steps is 4, not 3, its scale is 0.5, not 0.7; choose",
        ),
        ({"grid": {**GRID, "mean": (0.0, 3.0)}}, "its mean is [0.0, 1.0], not [0.0, 3.0]; add to it with"),
        ({"grid": {"mean": (0.0, 1.0)}}, "its num_samples is [10, 20, 40], not 50; choose"),
        ({"seeds": 5}, "its seeds is 4, not 5; add to it with --extend (extend=True), choose another folder or remove"),
        ({"base_seed": 1, "seeds": 5}, "its seeds is 4, not 5, its base_seed is 0, not 1; choose"),
    ],
)
def test_another_sweep_is_refused_and_nothing_touched(tmp_path, change, message):
    path = tmp_path / "a.zarr"
    sweep(toy.SETTING, grid=GRID, seeds=4, store=path)
    before = snapshot(path)
    if message is None:
        sweep(toy.SETTING, **{"grid": GRID, "seeds": 4, "store": path, **change})
        return
    with pytest.raises(StoreError, match="holds another sweep") as error:
        sweep(toy.SETTING, **{"grid": GRID, "seeds": 4, "store": path, **change})
    assert message in str(error.value)
    assert snapshot(path) == before


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("theorylab_version", "0.0.1", "its theorylab_version is '0.0.1'"),
        ("precision", "float32", "its precision is 'float32'"),
        ("theorylab_schema", 0, "was not written by this version of theorylab"),
    ],
)
def test_a_store_of_another_version_is_refused_and_not_touched(tmp_path, attribute, value, message):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, seeds=2, store=path)
    set_attributes(path, **{attribute: value})
    before = snapshot(path)
    for processes in ((0, 1), (1, 2)):
        with pytest.raises(StoreError, match=message):
            sweep(toy.SETTING, seeds=2, store=path, processes=processes)
    assert snapshot(path) == before


def test_foreign_and_unreadable_folders(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    (tmp_path / "file").write_text("text")
    zarr.create_group(tmp_path / "other.zarr").create_array("x", data=np.array([1.0, 2.0]))
    for name in ("photos", "file", "other.zarr"):
        before = snapshot(tmp_path)
        with pytest.raises(StoreError, match=name):
            sweep(toy.SETTING, seeds=2, store=tmp_path / name)
        assert snapshot(tmp_path) == before
    with pytest.raises(StoreError, match="no results at"):
        open_results(tmp_path / "absent")


def test_a_path_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(StoreError, match="cannot write results to"):
        sweep(toy.SETTING, seeds=2, store=tmp_path / "file" / "a.zarr")


def test_text_coordinates_survive(tmp_path):
    from theorylab.lab import store

    store.create(
        tmp_path / "t.zarr",
        coords={"model": ["a", "long name"], "seed": np.arange(2)},
        variables={
            "x": (("model", "seed"), np.float64, {}),
            "finished": (("model", "seed"), np.bool_, {}),
        },
        chunks={"model": 1},
        attributes={"theorylab_schema": store.SCHEMA},
    )
    store.write_block(tmp_path / "t.zarr", {"model": slice(1, 2), "seed": slice(0, 2)}, {"x": np.ones((1, 2))})
    data = open_results(tmp_path / "t.zarr")
    assert data["x"].sel(model="long name").values.tolist() == [1.0, 1.0]
    assert data["finished"].values.tolist() == [[False, False], [True, True]]
