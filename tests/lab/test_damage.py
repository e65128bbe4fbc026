"""No damaged store goes unnoticed: it reads as it was written, or it is an error that names the chunk."""

import json
import random
import shutil

import numpy as np
import pytest
import toy
import xarray
import zarr

from theorylab.contract import Case, ConfigError
from theorylab.lab import metadata, places
from theorylab.lab import store as results
from theorylab.lab.store import StoreError, attributes_of, open_results, set_attributes
from theorylab.lab.sweep import create_store, sweep
from theorylab.verdict.compare import check

GRID = {"num_samples": (10, 20), "mean": (0.0, 1.0)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "a.zarr"
    return path, sweep(toy.SETTING, grid=GRID, seeds=4, store=path)


@pytest.fixture
def store(kept, tmp_path):
    path = tmp_path / "a.zarr"
    shutil.copytree(kept[0], path)
    return path


def chunks(path, name):
    return sorted(file for file in (path / name / "c").rglob("*") if file.is_file())


def flip(file, bit):
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def assert_noticed_or_harmless(path, reference):
    """Reading gives an error of ours, or what was written."""
    try:
        data = open_results(path)
    except StoreError:
        return True
    xarray.testing.assert_identical(data, reference)
    return False


@pytest.mark.parametrize(
    "name", ["path", "sample_mean", "num_samples", "mean", "step", "seed", "base_seed", "finished"]
)
def test_a_flipped_bit_of_a_chunk_is_noticed(store, kept, name):
    draw = random.Random(name)
    for file in chunks(store, name)[:2]:
        whole = file.read_bytes()
        for bit in draw.sample(range(8 * len(whole)), 12):
            flip(file, bit)
            with pytest.raises(StoreError, match=rf"a\.zarr is damaged: the chunk {name}/c.* checksum"):
                open_results(store)
            file.write_bytes(whole)
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(StoreError, match="is damaged"):
            open_results(store)
        file.write_bytes(whole)
    xarray.testing.assert_identical(open_results(store), kept[1])


def test_a_flipped_bit_of_the_metadata_is_noticed(store, kept):
    draw = random.Random(0)
    file = store / "zarr.json"
    whole = file.read_bytes()
    noticed = 0
    for bit in draw.sample(range(8 * len(whole)), 150):
        flip(file, bit)
        noticed += assert_noticed_or_harmless(store, kept[1])
        file.write_bytes(whole)
    assert noticed > 75  # of the others, most are blanks


@pytest.mark.parametrize("schema", metadata.READABLE[:-1])
def test_a_store_does_not_pass_for_an_older_one_by_a_flipped_bit(store, schema):
    """Of which less is asked."""
    file = store / "zarr.json"
    text = file.read_text()
    file.write_text(text.replace(f'"theorylab_schema": {metadata.SCHEMA}', f'"theorylab_schema": {schema}'))
    assert file.read_text() != text
    with pytest.raises(StoreError, match="does not match its checksum"):
        open_results(store)


@pytest.mark.parametrize("name", ["path", "second_moment", "first_bad_step", "mean", "base_seed", "finished"])
def test_a_missing_chunk_is_named(store, name):
    file = chunks(store, name)[0]
    file.unlink()
    key = file.relative_to(store).as_posix()
    with pytest.raises(StoreError, match=f"is damaged: the chunk {key} is missing"):
        open_results(store)
    with pytest.raises(StoreError, match=f"the chunk {key} is missing"):
        sweep(toy.SETTING, grid=GRID, seeds=4, store=store)
    with pytest.raises(StoreError, match=f"the chunk {key} is missing"):
        list(check(toy.SETTING, [Case("toy", toy.Config(), GRID, 4)], store=str(store)))


# --- a chunk belongs to its place ---------------------------------------------------------------------------------


def swap(first, second):
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@pytest.mark.parametrize("name", ["path", "sample_mean", "first_bad_step"])
def test_two_chunks_that_were_swapped_are_noticed(store, name):
    """Each has a checksum that fits: they are of two sizes of the sample, say."""
    swap(*chunks(store, name)[:2])
    message = f"is damaged: the chunk {name}/c/0.* does not match its checksum or its place"
    with pytest.raises(StoreError, match=message):
        open_results(store)
    with pytest.raises(StoreError, match=message):
        open_results(store, [name])


def test_chunks_of_another_variable_or_another_store_are_noticed(store, kept, tmp_path):
    swap(chunks(store, "sample_mean")[0], chunks(store, "second_moment")[0])
    with pytest.raises(StoreError, match="does not match its checksum or its place"):
        open_results(store)
    other = tmp_path / "b.zarr"
    sweep(toy.SETTING, toy.Config(scale=0.7), GRID, seeds=4, store=other)
    for name in ("path", "finished"):
        shutil.copy(chunks(kept[0], name)[0], chunks(other, name)[0])
        with pytest.raises(StoreError, match=rf"the chunk {name}/c/.* does not match its checksum or its place"):
            open_results(other)


def test_a_chunk_is_not_continued_in_another_place(tmp_path):
    path, options = tmp_path / "a.zarr", {"grid": {"num_samples": (10, 20), "mean": (0.0, 1.0)}, "seeds": 4}
    create_store(toy.SETTING, store=path, **options)
    for number in range(2):
        index = {"num_samples": slice(number, number + 1), "mean": slice(0, 1), "seed": slice(0, 4)}
        results.write_block(path, index, {"sample_mean": np.full((1, 1, 4), number)})
    swap(*chunks(path, "sample_mean"))
    with pytest.raises(StoreError, match=r"is damaged: a chunk cannot be read .*its place"):
        sweep(toy.SETTING, store=path, **options)


def test_any_reader_of_zarr_reads_chunks_with_their_places(store, kept):
    """Such as xarray, which knows nothing of them."""
    data = xarray.open_zarr(store)
    for name in kept[1].data_vars:
        np.testing.assert_array_equal(data[name], kept[1][name])


def test_the_checksum_goes_on_over_the_place():
    """From the check value of CRC-32C."""
    assert places.continued(0, b"123456789") == 0xE3069283
    assert places.continued(places.continued(0, b"1234"), b"56789") == 0xE3069283


def test_a_store_with_checksums_alone_stays_readable_and_is_continued(tmp_path, monkeypatch):
    """As they were before chunks knew their place."""
    path = tmp_path / "old.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(results, "SCHEMA", 2)
        patch.setattr(places, "new_identity", lambda: None)
        create_store(toy.SETTING, grid=GRID, seeds=4, store=path)
    data = sweep(toy.SETTING, grid=GRID, seeds=4, store=path)
    np.testing.assert_array_equal(data["path"], sweep(toy.SETTING, grid=GRID, seeds=4)["path"])
    xarray.testing.assert_identical(open_results(path), data)
    flip(chunks(path, "path")[0], 100)
    with pytest.raises(StoreError, match="does not match its checksum"):
        open_results(path)


@pytest.mark.parametrize("name", ["path", "first_bad_step", "finished"])
def test_damage_met_while_writing_is_an_error_too(tmp_path, name):
    """A chunk that is half filled is read before it is written again."""
    path, options = tmp_path / "a.zarr", {"grid": {"mean": (0.0, 1.0)}, "seeds": 4}
    create_store(toy.SETTING, store=path, **options)
    inner = {"path": (4,)}
    first = {"mean": slice(0, 1), "seed": slice(0, 4)}
    results.write_block(
        path, first, {n: np.zeros((1, 4, *inner.get(n, ()))) for n in ("sample_mean", "second_moment", "path")}
        | {"first_bad_step": np.full((1, 4), -1)},
    )  # fmt: skip
    file = chunks(path, name)[0]
    flip(file, 8 * (len(file.read_bytes()) - 2))
    with pytest.raises(StoreError, match="is damaged"):
        sweep(toy.SETTING, store=path, **options)


def test_labels_must_be_those_of_the_grid(store):
    """Whoever wrote them, with checksums that fit."""
    for name, value in (("mean", 7.0), ("num_samples", 11), ("seed", 9), ("base_seed", 3)):
        with zarr.config.set({"array.write_empty_chunks": True}):
            array = metadata.open_group(store, "r+")[name]
        old = array[0]
        array[0] = value
        with pytest.raises(StoreError, match=f"its coordinate '{name}' is not that of its grid"):
            open_results(store)
        array[0] = old
    open_results(store)


def test_a_finished_cell_without_values_is_an_error(store):
    """Such as two processes leave that write one chunk at a time without locks."""
    metadata.open_group(store, "r+")["path"][1, 0, 2, 3] = np.nan
    with pytest.raises(StoreError, match="a finished cell lacks a value in the chunk path/c/1/0/0/0"):
        open_results(store)


def test_what_diverged_has_missing_values_and_is_no_damage(tmp_path):
    config = toy.Config(blow_up=1e-6)
    data = sweep(toy.SETTING, config, seeds=6, store=tmp_path / "a.zarr")
    assert (data["first_bad_step"] >= 0).any()
    xarray.testing.assert_identical(open_results(tmp_path / "a.zarr"), data)


def test_a_store_without_checksums_stays_readable_and_its_labels_are_checked(tmp_path, monkeypatch):
    """As version 0.1 wrote them: no checksums, empty chunks left out, no fingerprint."""
    path = tmp_path / "old.zarr"
    with monkeypatch.context() as patch:
        patch.setattr(results, "codecs", dict)
        patch.setattr(results, "SCHEMA", 1)
        patch.setattr(places, "new_identity", lambda: None)
        create_store(toy.SETTING, grid=GRID, seeds=4, store=path)
    content = json.loads((path / "zarr.json").read_text())
    del content["attributes"][metadata.CHECKSUM], content["attributes"]["program"]
    (path / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match="the source of its simulator was not recorded"):
        sweep(toy.SETTING, grid=GRID, seeds=4, store=path)
    data = sweep(toy.SETTING, grid=GRID, seeds=4, store=path, accept_changes=True)
    np.testing.assert_array_equal(data["path"], sweep(toy.SETTING, grid=GRID, seeds=4)["path"])
    chunks(path, "path")[0].unlink()
    with pytest.warns(UserWarning, match="the chunk path/c/0/0/0/0 is missing"):
        open_results(path)
    zarr.open_group(path, mode="r+")["mean"][0] = 5.0
    with pytest.raises(StoreError, match="its coordinate 'mean' is not"):
        open_results(path)


def test_some_variables_are_read_without_the_others(store, kept):
    shutil.rmtree(store / "path" / "c")
    data = open_results(store, ["sample_mean"])
    assert sorted(data.data_vars) == ["finished", "first_bad_step", "sample_mean"]
    np.testing.assert_array_equal(data["sample_mean"], kept[1]["sample_mean"])
    with pytest.raises(StoreError, match="has no 'sampel_mean': choose among"):
        open_results(store, ["sampel_mean"])


def test_attributes_can_be_added(store):
    set_attributes(store, note="kept in the cellar")
    assert attributes_of(store)["note"] == "kept in the cellar"
    assert open_results(store).attrs["note"] == "kept in the cellar"


# --- whose folder it is, is asked first ------------------------------------------------------------------------


def test_a_foreign_folder_is_not_handed_to_zarr(tmp_path, monkeypatch):
    """A codec of the folder's choosing could run code of its own."""

    def never(*arguments, **options):
        raise AssertionError

    monkeypatch.setattr(zarr, "open_group", never)
    monkeypatch.setattr(xarray, "open_zarr", never)
    old, foreign = tmp_path / "two.zarr", tmp_path / "three.zarr"
    for folder, texts in (
        (old, {".zgroup": '{"zarr_format": 2}', ".zattrs": '{"theorylab_schema": 1}', ".zmetadata": "{}"}),
        (foreign, {"zarr.json": '{"zarr_format": 3, "node_type": "group", "attributes": {}}'}),
    ):
        folder.mkdir()
        for name, text in texts.items():
            (folder / name).write_text(text)
        for act in (open_results, attributes_of, lambda path: sweep(toy.SETTING, seeds=2, store=path)):
            with pytest.raises(StoreError, match=folder.name):
                act(folder)


def test_a_codec_that_is_not_ours_is_refused(store):
    content = json.loads((store / "zarr.json").read_text())
    content["attributes"]["theorylab_schema"] = 1
    del content["attributes"][metadata.CHECKSUM]
    content["consolidated_metadata"]["metadata"]["path"]["codecs"].append({"name": "numcodecs.pickle"})
    (store / "zarr.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"need the codec 'numcodecs\.pickle'"):
        open_results(store)


# --- paths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("s3://bucket/a.zarr", "must be a local path, not an address"),
        ("file:///tmp/a.zarr", "must be a local path, not an address"),
        ("memory://a", "must be a local path, not an address"),
        ("https:/example.org/a.zarr", None),
        ("", "not an empty text"),
        ("  ", "not an empty text"),
        ("a\0b", "no NUL character"),
        ("~nobody_of_that_name/a.zarr", "there is no user 'nobody_of_that_name'"),
        ("$NO_SUCH_VARIABLE/a.zarr", "the environment has no variable 'NO_SUCH_VARIABLE'"),
        ("loop/a.zarr", None),
    ],
)
def test_what_is_no_local_path_is_refused_before_anything_is_touched(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for act in (
        lambda: sweep(toy.SETTING, seeds=2, store=path),
        lambda: create_store(toy.SETTING, seeds=2, store=path),
        lambda: open_results(path),
    ):
        if message is None:
            if path.startswith("loop"):
                with pytest.raises((StoreError, ConfigError)):
                    act()
            continue
        with pytest.raises(ConfigError, match=message):
            act()
    assert [file.name for file in tmp_path.iterdir()] == ["loop"]


def test_a_path_is_read_as_a_shell_reads_it(tmp_path, monkeypatch):
    """Once: a later change of the current folder does not matter."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path / "deep"))
    monkeypatch.chdir(tmp_path)

    def leave(done, total):
        monkeypatch.chdir("/")

    sweep(toy.SETTING, seeds=2, store="~/home.zarr")
    sweep(toy.SETTING, seeds=2, store="$PLACE/variable.zarr")
    sweep(toy.SETTING, seeds=2, store="relative.zarr", progress=leave)
    (tmp_path / "link.zarr").symlink_to(tmp_path / "target.zarr")
    sweep(toy.SETTING, seeds=2, store=tmp_path / "link.zarr")
    assert open_results("~/home.zarr")["finished"].all()
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "deep", "home.zarr", "link.zarr", "relative.zarr", "target.zarr",
    ]  # fmt: skip
    assert (tmp_path / "link.zarr").is_symlink()
