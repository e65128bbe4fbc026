"""What checksums cost, and stores of many cells, in seconds of this process's processor: neighbours do not count."""

import time
import tracemalloc

import numpy as np
import pytest
import toy
from zarr.codecs import Crc32cCodec

from theorylab import compare
from theorylab.lab import metadata, places
from theorylab.lab import store as results
from theorylab.lab.store import open_results
from theorylab.lab.sweep import sweep

pytestmark = pytest.mark.slow


@pytest.fixture
def spent(monkeypatch):
    """Seconds spent in all that checksums and places need."""
    seconds = {"all": 0.0}

    def watch(owner, name):
        function = getattr(owner, name)

        def watched(*arguments, **keywords):
            began = time.thread_time()
            try:
                return function(*arguments, **keywords)
            finally:
                seconds["all"] += time.thread_time() - began

        monkeypatch.setattr(owner, name, watched)

    for owner, names in (
        (Crc32cCodec, ("_encode_sync", "_decode_sync")),
        (places.PlacedStore, ("_placed", "_checked")),
        (metadata, ("_checksum", "identity_of")),
    ):
        for name in names:
            watch(owner, name)
    return seconds


@pytest.mark.parametrize(("length", "blocks", "in_a_chunk"), [(4, 30, 1), (100, 5, 10), (5000, 10, 1), (5000, 2, 10)])
def test_checksums_take_about_a_twentieth_of_the_time_of_writing(tmp_path, spent, length, blocks, in_a_chunk):
    """All of it: a store's creation, and its blocks, each of which is a chunk or a part of one that is read again."""
    coords = {"a": range(blocks), "b": range(in_a_chunk), "seed": range(16), "step": range(length)}
    lead = ("a", "b", "seed")
    kinds = {f"x{i}": ((*lead, "step"), np.float64, {}) for i in range(4)}
    kinds |= {"first_bad_step": (lead, np.int64, {}), "finished": (lead, np.bool_, {})}
    draw = np.random.default_rng(0)
    values = {f"x{i}": draw.normal(size=(1, 1, 16, length)) for i in range(4)}
    values["first_bad_step"] = np.full((1, 1, 16), -1)

    def write(path, count):
        results.create(path, coords=coords, variables=kinds, chunks={"a": 1}, attributes={})
        for block in np.ndindex(count, in_a_chunk):
            results.write_block(path, {n: slice(i, i + 1) for n, i in zip("ab", block, strict=True)}, values)

    write(tmp_path / "first.zarr", 1)  # imports
    shares = []
    for number in range(5):
        spent["all"], began = 0.0, time.process_time()
        write(tmp_path / f"{number}.zarr", blocks)
        shares.append(spent["all"] / (time.process_time() - began))
    print("share of checksums", np.round(shares, 4))
    assert 0 < min(shares) < 0.05  # seen: 0.033 to 0.046


def test_a_hundred_thousand_cells_are_opened_and_compared_in_seconds(tmp_path):
    path, grid = tmp_path / "a.zarr", {"mean": np.linspace(0, 1, 1000), "scale": np.linspace(0.1, 1, 100)}
    sweep(toy.SETTING, toy.Config(num_samples=20, num_steps=64), grid, seeds=2, store=path)
    times = []
    for _ in range(5):
        began = time.process_time()
        data = open_results(path, ["sample_mean", "second_moment"])
        times.append(time.process_time() - began)
    tracemalloc.start()
    open_results(path, ["sample_mean", "second_moment"])
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    whole = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 2**20
    print("open", np.round(times, 3), f"s, peak {peak:.1f} MiB of {whole:.0f} MiB")
    assert min(times) < 0.2
    assert peak < 20 < whole  # it does not load the others
    for theory in ("exact", "ensemble", "on_host"):
        small = data[["second_moment" if theory == "on_host" else "sample_mean", "finished", "first_bad_step"]]
        began = time.process_time()
        rows = compare(toy.SETTING, small, theories=[theory])
        print("compare", theory, round(time.process_time() - began, 2))
        assert len(rows) == 100_000
        assert time.process_time() - began < 5
