"""Several processes on one store: the same numbers as one, whoever dies, whatever fails."""

import errno
import itertools
import os
import random
import time

import jax
import numpy as np
import pytest
import toy
from forks import Forks

from theorylab.contract import ConfigError
from theorylab.lab import store as results
from theorylab.lab.job import shares_of
from theorylab.lab.store import StoreError, open_results
from theorylab.lab.sweep import create_store, sweep
from theorylab.runtime import configure, find_processes, own_cores, own_gpus

GRID = {"num_samples": (10, 20), "mean": (0.0, 1.0, 2.0)}
VARIABLES = ("sample_mean", "second_moment", "path", "first_bad_step")
# One cell per block, so that each chunk of the store is rewritten for each of its cells.
CELLWISE = {"grid": {"num_samples": (10,), "mean": (0.0, 1.0, 2.0)}, "seeds": 8, "memory_budget": 1}


@pytest.fixture(scope="module")
def forks():
    process = Forks(jax.config.jax_compilation_cache_dir)
    yield process
    process.close()


@pytest.fixture(scope="module")
def whole():
    return sweep(toy.SETTING, grid=GRID, seeds=6)


@pytest.fixture(scope="module")
def cellwise():
    """What one process computes that is never killed, cell by cell."""
    return sweep(toy.SETTING, **CELLWISE)


def assert_finished_cells_equal(data, reference, **tolerance):
    """Finished cells hold the reference's values: the same bits, unless a tolerance is given."""
    finished = data["finished"].values
    for name in VARIABLES:
        ours, theirs = data[name].values[finished], reference[name].values[finished]
        if tolerance:
            np.testing.assert_allclose(ours, theirs, **tolerance)
        else:
            np.testing.assert_array_equal(ours, theirs)
    return finished


# --- shares ------------------------------------------------------------------------------------------------


def test_every_chunk_belongs_to_exactly_one_process():
    for cells, seeds, chunk, count in itertools.product((1, 2, 3, 6), (1, 5, 12), (1, 3, 5, 12), (1, 2, 3, 4, 9)):
        chunk = min(chunk, seeds)
        chunks = -(-seeds // chunk)
        owner = np.full((cells, seeds), -1)
        numbers = []
        for index in range(count):
            shares, length = shares_of(cells, seeds, chunk, (index, count))
            for share in shares:
                assert (owner[share.number, share.seeds] == -1).all()
                owner[share.number, share.seeds] = index
                numbers += share.chunks
                assert share.seeds.stop - share.seeds.start <= length
                first = share.number * chunks
                assert share.seeds.start == (share.chunks.start - first) * chunk
                assert share.seeds.stop == min((share.chunks.stop - first) * chunk, seeds)
        assert (owner >= 0).all()
        assert sorted(numbers) == list(range(cells * chunks))


def test_shares_are_even_where_the_chunks_allow():
    for cells, count in itertools.product((1, 2, 3, 5), (1, 2, 3, 4)):
        sizes = [
            sum(share.seeds.stop - share.seeds.start for share in shares_of(cells, 12, 1, (index, count))[0])
            for index in range(count)
        ]
        assert len(set(sizes)) == 1


@pytest.mark.parametrize("processes", [(0, 0), (2, 2), (-1, 2), (0.5, 2), (True, 2)])
def test_impossible_processes_are_refused(tmp_path, processes):
    with pytest.raises(ConfigError, match=r"processes = .* is not allowed"):
        sweep(toy.SETTING, store=tmp_path / "a.zarr", processes=processes)
    assert list(tmp_path.iterdir()) == []


def test_several_processes_need_a_store():
    with pytest.raises(ConfigError, match="share their results through a store"):
        sweep(toy.SETTING, processes=(0, 2))


# --- the same numbers ----------------------------------------------------------------------------------------


def test_two_processes_give_the_same_bits_as_one(tmp_path, forks, whole):
    codes, _ = forks.run(tmp_path / "a.zarr", [None, None], grid=GRID, seeds=6)
    assert codes == [0, 0]
    data = open_results(tmp_path / "a.zarr")
    assert assert_finished_cells_equal(data, whole).all()  # two sizes: each process has the blocks of one alone
    assert data.attrs["finished_at"]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4])
def test_shares_cut_along_the_seeds_differ_by_rounding(tmp_path, forks, count):
    grid = {"num_samples": (10, 20, 40, 80, 160), "mean": (0.0, 1.0)}
    reference = sweep(toy.SETTING, grid=grid, seeds=7)
    codes, _ = forks.run(tmp_path / "a.zarr", [None] * count, grid=grid, seeds=7)
    assert codes == [0] * count
    assert assert_finished_cells_equal(open_results(tmp_path / "a.zarr"), reference, rtol=1e-12).all()


@pytest.mark.slow
def test_one_process_after_the_other(tmp_path, whole):
    path = tmp_path / "a.zarr"
    calls = []
    first = sweep(toy.SETTING, grid=GRID, seeds=6, store=path, processes=(0, 4), progress=lambda *n: calls.append(n))
    assert calls[-1] == (9, 9)
    assert first["finished"].values.sum() == 9
    assert "finished_at" not in first.attrs
    toy.forget_programs()
    data = sweep(toy.SETTING, grid=GRID, seeds=6, store=path)  # one process finishes what four began
    assert toy.TRACES == [10, 20]
    assert assert_finished_cells_equal(data, whole, rtol=1e-12).all()
    np.testing.assert_array_equal(data["path"].values[first["finished"]], first["path"].values[first["finished"]])
    assert data.attrs["finished_at"]


def test_the_others_wait_for_process_0(tmp_path):
    with pytest.raises(StoreError, match=r"process 0 has not created .*a\.zarr within 0\.2 s"):
        sweep(toy.SETTING, store=tmp_path / "a.zarr", processes=(1, 2), store_timeout=0.2)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_can_be_made_first(tmp_path, whole):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, grid=GRID, seeds=6, store=path, processes=(0, 2))
    assert not open_results(path)["finished"].any()
    for index in (1, 0):
        data = sweep(toy.SETTING, grid=GRID, seeds=6, store=path, processes=(index, 2))
    assert assert_finished_cells_equal(data, whole).all()


def test_of_two_creators_the_first_wins(tmp_path):
    kinds = {"x": (("seed",), np.float64, {}), "finished": (("seed",), np.bool_, {})}
    for number in range(2):
        attributes = {"theorylab_schema": results.SCHEMA, "number": number}
        results.create(
            tmp_path / "a.zarr", coords={"seed": range(3)}, variables=kinds, chunks={}, attributes=attributes
        )
    assert open_results(tmp_path / "a.zarr").attrs["number"] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


# --- kill -9 ---------------------------------------------------------------------------------------------------


def kill_at_random(forks, folder, reference, kills, counts):
    """Kill processes at random moments of their sweep, restart with any number of them; returns what was seen.

    A store that is finished makes room for a new one.
    """
    draw = random.Random(kills)
    _, seconds = forks.run(folder / "unbroken.zarr", [None], **CELLWISE)
    seen = {"kills": 0, "stores": 0, "partial": 0}
    path = folder / "0.zarr"
    while seen["kills"] < kills:
        count = draw.choice(counts)
        delays = [draw.uniform(0, seconds) for _ in range(count)]
        codes, _ = forks.run(path, delays, **CELLWISE)
        assert set(codes) <= {0, -9}, codes
        seen["kills"] += codes.count(-9)
        if path.exists():  # a store is there complete, or not at all
            finished = assert_finished_cells_equal(open_results(path), reference)
            seen["partial"] += 0 < finished.sum() < finished.size
            if finished.all():
                seen["stores"] += 1
                path = folder / f"{seen['stores']}.zarr"
    codes, _ = forks.run(path, [None], **CELLWISE)
    assert codes == [0]
    assert assert_finished_cells_equal(open_results(path), reference).all()
    return seen


def test_killed_at_five_random_moments(tmp_path, forks, cellwise):
    seen = kill_at_random(forks, tmp_path, cellwise, 5, (1, 2))
    assert seen["kills"] >= 5


@pytest.mark.slow
def test_killed_at_fifty_random_moments(tmp_path, forks, cellwise):
    seen = kill_at_random(forks, tmp_path, cellwise, 50, (1, 2, 3, 4))
    assert seen["kills"] >= 50
    # About twenty restarts, of which many are killed before the first cell or after the last: not all may be.
    assert seen["partial"] >= 4, seen


def test_cells_of_a_dead_process_are_finished_by_any_number(tmp_path, forks, cellwise):
    """The first process of two never lives long enough to finish; then three come, of which one is missing too."""
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, store=path, processes=(0, 2), **CELLWISE)
    codes, _ = forks.run(path, [0.0, None], **CELLWISE)
    assert codes == [-9, 0]
    finished = assert_finished_cells_equal(open_results(path), cellwise)
    assert finished.sum() == finished.size // 2
    codes, _ = forks.run(path, [None, None], [(0, 3), (2, 3)], **CELLWISE)
    assert codes == [0, 0]
    assert not open_results(path)["finished"].all()
    data = sweep(toy.SETTING, store=path, **CELLWISE)
    assert assert_finished_cells_equal(data, cellwise).all()


# --- two runs at a time ------------------------------------------------------------------------------------------


def test_a_second_run_waits_for_the_first_and_takes_over_when_it_dies(tmp_path, forks, cellwise):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, store=path, **CELLWISE)
    forks.start(path, [None], stall=2, **CELLWISE)
    give_up = time.monotonic() + 120
    while not open_results(path)["finished"].any():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    with pytest.warns(UserWarning, match="another run is writing cells of"):
        data = sweep(toy.SETTING, store=path, **CELLWISE)
    assert forks.answer()[0] == [-9]
    assert assert_finished_cells_equal(data, cellwise).all()


@pytest.mark.slow
def test_runs_at_the_same_time_leave_every_cell_right(tmp_path, forks, cellwise):
    """Runs of one, two and three processes on one store with slow writes, none of which knows of the others."""
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, store=path, **CELLWISE)
    processes = [(index, count) for count in (1, 2, 3) for index in range(count)]
    codes, _ = forks.run(path, [None] * 6, processes, slow_disk=0.2, **CELLWISE)
    assert codes == [0] * 6
    assert assert_finished_cells_equal(open_results(path), cellwise).all()


def test_a_finished_cell_keeps_its_value(tmp_path):
    path = tmp_path / "a.zarr"
    kinds = {"x": (("seed", "step"), np.float64, {}), "finished": (("seed",), np.bool_, {})}
    attributes = {"theorylab_schema": results.SCHEMA}
    coords = {"seed": range(4), "step": range(2)}
    results.create(path, coords=coords, variables=kinds, chunks={"seed": 4}, attributes=attributes)
    results.write_block(path, {"seed": slice(1, 3)}, {"x": np.ones((2, 2))})
    results.write_block(path, {"seed": slice(0, 4)}, {"x": np.full((4, 2), 2.0)})
    assert open_results(path)["x"].values.tolist() == [[2, 2], [1, 1], [1, 1], [2, 2]]


def test_a_file_system_without_locks_warns(tmp_path, monkeypatch):
    import fcntl

    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.warns(UserWarning, match="without locks"):
        data = sweep(toy.SETTING, seeds=2, store=tmp_path / "a.zarr")
    assert data["finished"].all()


# --- a disk that is full or read-only ------------------------------------------------------------------------------


@pytest.fixture
def room(monkeypatch):
    """The number of writes until the disk is full; ``None`` for a disk that has room."""
    from zarr.storage import LocalStore

    left = {"writes": None}

    def limited(method):
        async def write(self, *arguments, **keywords):
            if left["writes"] is not None:
                left["writes"] -= 1
                if left["writes"] < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return await method(self, *arguments, **keywords)

        return write

    for name in ("set", "set_if_not_exists"):
        monkeypatch.setattr(LocalStore, name, limited(getattr(LocalStore, name)))
    return left


def test_a_full_disk_is_one_clear_error_and_is_continued(tmp_path, room, cellwise):
    """However many writes succeed before the disk is full, the finished cells are right."""
    path = tmp_path / "a.zarr"
    full = r"cannot write results to .*a\.zarr: No space left on device"
    for allowed in (0, 5):
        room["writes"] = allowed
        with pytest.raises(StoreError, match=full):
            create_store(toy.SETTING, store=path, **CELLWISE)
        assert list(tmp_path.iterdir()) == []
    room["writes"] = None
    create_store(toy.SETTING, store=path, **CELLWISE)
    before = 0
    for allowed in (4, 7, 11):
        room["writes"] = allowed
        with pytest.raises(StoreError, match=full):
            sweep(toy.SETTING, store=path, **CELLWISE)
        finished = assert_finished_cells_equal(open_results(path), cellwise)
        # Three variables, first_bad_step and the flag.
        assert finished.sum() == before + allowed // 5
        before = finished.sum()
    room["writes"] = None
    assert assert_finished_cells_equal(sweep(toy.SETTING, store=path, **CELLWISE), cellwise).all()


def test_a_read_only_store_can_be_read_and_not_continued(tmp_path, monkeypatch, whole):
    for name, processes in (("finished", (0, 1)), ("half", (0, 2))):
        sweep(toy.SETTING, grid=GRID, seeds=6, store=tmp_path / f"{name}.zarr", processes=processes)

    def refuse(path, mode="r", **keywords):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("theorylab.lab.locks.open", refuse, raising=False)
    data = sweep(toy.SETTING, grid=GRID, seeds=6, store=tmp_path / "finished.zarr")
    assert assert_finished_cells_equal(data, whole).all()
    with pytest.raises(StoreError, match=r"cannot write results to .*half\.zarr: Read-only file system"):
        sweep(toy.SETTING, grid=GRID, seeds=6, store=tmp_path / "half.zarr")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"cannot write results to .*Permission denied"):
            sweep(toy.SETTING, seeds=2, store=tmp_path / "a.zarr")
    finally:
        tmp_path.chmod(0o700)


# --- who am I ------------------------------------------------------------------------------------------------------


def test_processes_are_found_in_the_environment():
    srun = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "8"}
    assert find_processes(srun) == (5, 8)
    assert find_processes({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) == (0, 1)  # a batch script without srun
    assert find_processes({"PMI_RANK": "1", "PMI_SIZE": "3"}) == (1, 3)
    # mpirun inside Slurm: Slurm counts one helper per node
    helpers = {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    assert find_processes({**helpers, "OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4"}) == (3, 4)
    assert find_processes({}) == (0, 1)


def test_processes_of_a_node_share_its_gpus():
    slurm = {"SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_STEP_TASKS_PER_NODE": "4(x2),2"}
    assert own_gpus(slurm, 4) == "1,3"  # two processes on the third node
    assert own_gpus({**slurm, "SLURM_NODEID": "0"}, 4) == "1"
    assert own_gpus({**slurm, "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}, 4) == "GPU-b"
    assert own_gpus({**slurm, "CUDA_VISIBLE_DEVICES": "3"}, 4) is None  # the launcher gave each process its own
    assert own_gpus({"OMPI_COMM_WORLD_LOCAL_RANK": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "3"}, 2) == "0"
    assert own_gpus({}, 4) is None
    assert own_gpus(slurm, 0) is None


def test_unbound_processes_of_a_node_share_its_cores(monkeypatch):
    bound = [set(range(12))]
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: bound[0], raising=False)
    two = {"OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "5"}
    assert own_cores({}) == 12
    assert own_cores(two) == 2
    bound[0] = {3, 4, 5}  # the launcher gave each process its own
    assert own_cores(two) == 3


def test_devices_cannot_change_once_jax_has_run():
    before = jax.local_devices()
    with pytest.raises(ValueError, match="devices = 7 comes too late"):
        configure(devices=7, cache=False)
    configure(cache=False)  # a default is no demand
    assert jax.local_devices() == before
