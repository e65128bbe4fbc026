"""A comparison reads what the data carry, whatever was done to them with xarray's own tools."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import toy
import xarray

from theorylab.contract import Case, ConfigError, Observable, Paper, Setting, config, scalar, size, theory
from theorylab.lab.sweep import create_store, sweep
from theorylab.verdict.compare import compare
from theorylab.verdict.rows import Row, Status, Verdict, judged_nothing

CONFIG = toy.Config(scale=0.3)
GRID = {"mean": (0.0, 1.0, 2.0), "num_samples": (10, 20)}


@pytest.fixture(scope="module")
def data():
    return sweep(toy.SETTING, CONFIG, GRID, seeds=6, base_seed=3)


def statuses(rows):
    return {row.status for row in rows}


#: Evaluated one by one: nothing is compiled for each selection.
EXACT = dataclasses.replace(toy.exact, traceable=False)


def exact(data, **options):
    rows = compare(toy.SETTING, data, theories=[EXACT], **options)
    assert rows
    return rows


SELECTIONS = {
    "nothing": lambda d: d,
    "two of the seeds": lambda d: d.isel(seed=[1, 4]),
    "seeds from the end": lambda d: d.isel(seed=slice(None, None, -1)),
    "a seed twice": lambda d: d.isel(seed=[2, 2, 0]),
    "seeds by number": lambda d: d.sel(seed=[5, 3]),
    "one seed": lambda d: d.isel(seed=3),
    "a condition on seeds": lambda d: d.where(d.seed % 2 == 0, drop=True),
    "shuffled": lambda d: d.isel(seed=np.random.default_rng(0).permutation(6)),
    "split and joined": lambda d: xarray.concat([d.isel(seed=[4, 5]), d.isel(seed=[0, 1, 2])], "seed"),
    "some swept values": lambda d: d.isel(mean=[2, 0]),
    "one swept value": lambda d: d.sel(mean=1.0),
    "one value of each field": lambda d: d.sel(mean=1.0, num_samples=20),
    "dimensions in another order": lambda d: d.transpose("step", "seed", "num_samples", "mean"),
    "some steps": lambda d: d.isel(step=[3, 1]),
    "one step": lambda d: d.isel(step=-1),
    "one observable": lambda d: d[["path"]],
    "gaps": lambda d: d.reindex(seed=range(8)),
    "values as float32 coordinates": lambda d: d.assign_coords(mean=d["mean"].astype(np.float32)),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_an_exact_theory_still_agrees(data, name):
    chosen = SELECTIONS[name](data)
    rows = exact(chosen)
    assert statuses(rows) == {Status.AGREES}
    # Negative control: the same selection of runs of which one is off by a millionth.
    off = chosen.copy(deep=True)
    off["path"] = off["path"] * (1 + 1e-6)
    assert Status.DISAGREES in statuses(exact(off))


def test_sweeps_of_two_base_seeds_are_joined(data):
    other = sweep(toy.SETTING, CONFIG, GRID, seeds=4, base_seed=8)
    joined = xarray.concat([data, other], "seed").isel(seed=[7, 0, 9, 3, 1])
    assert statuses(exact(joined)) == {Status.AGREES}
    forgotten = joined.drop_vars("base_seed")  # negative control
    assert Status.DISAGREES in statuses(exact(forgotten))


def test_parts_of_a_grid_from_several_jobs_are_joined(tmp_path):
    parts = [sweep(toy.SETTING, CONFIG, {"num_samples": (n,)}, seeds=3, store=tmp_path / f"{n}.zarr") for n in (10, 30)]
    rows = exact(xarray.concat(parts, "num_samples"))
    assert [row.cell for row in rows if row.observable == "path"] == [{"num_samples": 10}, {"num_samples": 30}]
    assert statuses(rows) == {Status.AGREES}
    # Jobs with a value of their own each, joined along the field that they did not sweep.
    scales = [sweep(toy.SETTING, toy.Config(scale=scale), seeds=3) for scale in (0.3, 0.5)]
    rows = exact(xarray.concat(scales, xarray.DataArray([0.3, 0.5], dims="scale", name="scale")))
    assert statuses(rows) == {Status.AGREES}
    assert {row.cell["scale"] for row in rows} == {0.3, 0.5}


def test_a_repeated_run_counts_once(data):
    once = compare(toy.SETTING, data, theories=["ensemble"])
    twice = compare(toy.SETTING, data.isel(seed=[0, 1, 2, 3, 4, 5, 5, 5, 5]), theories=["ensemble"])
    assert [row.standard_error for row in once] == [row.standard_error for row in twice]
    assert {row.seeds for row in twice} == {6}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.mean("seed"), "seed is no coordinate of the data"),
        (lambda d: d.isel(seed=0, drop=True), "seed is no coordinate of the data"),
        (lambda d: d.sel(mean=1.0, drop=True), "mean was swept, but the data have lost its values"),
        (lambda d: d.drop_vars("num_samples"), "num_samples was swept, but the data have lost its values"),
        (lambda d: d.isel(mean=[0, 0, 1]), "mean = .* is not allowed: values must be distinct"),
        (lambda d: d.stack(cell=("mean", "num_samples")), "mean was swept, but is no dimension of the data any more"),
        (lambda d: d.stack(run=("mean", "seed")), "mean was swept, but is no dimension of the data any more"),
        (lambda d: d.mean("step"), "step: the data have lost this dimension of path"),
        (lambda d: d.expand_dims(trial=2), "trial is a dimension of .* that toy does not know"),
        (lambda d: d.assign_coords(mean=[0.0, 1.0, np.nan]), "mean = nan is not allowed"),
        (lambda d: d.assign_coords(step=[0, 1, 2, 9]), "step = .* of the data are not the setting's own"),
        (lambda d: d.assign_coords(seed=[0, 1, 2, 3, 4, -5]), "seed = .* of the data: must be whole"),
        (lambda d: d.drop_attrs(deep=False), "setting: the data do not say theirs"),
        (lambda d: d.assign_attrs(setting="xor"), "setting = toy is not that of the data: they are of xor"),
        (lambda d: d.assign_attrs(config='{"width": 3}'), "config: width of the data is no field of toy"),
        (lambda d: d["path"], "setting: the data do not say theirs"),
    ],
)
def test_what_was_lost_is_named(data, change, message):
    with pytest.raises(ConfigError, match=message):
        exact(change(data))


def test_what_is_passed_must_match(data):
    everything = {"config": CONFIG, "grid": GRID}
    for options in (
        everything,
        {"config": dataclasses.replace(CONFIG, mean=77, num_samples=13)},  # both are swept
        {"grid": {"num_samples": [10.0, 20.0], "mean": np.arange(3)}},
    ):
        assert statuses(exact(data, **options)) == {Status.AGREES}
    for options, message in (
        ({"config": toy.Config()}, r"config: scale = 0\.5 is not that of the data: 0\.3; leave the configuration out"),
        ({"config": {"scale": 0.3}}, "toy needs a Config, not dict"),
        ({"config": toy.Config}, "toy needs a Config, not type"),
        ({"config": dataclasses.replace(CONFIG, num_steps="4")}, "num_steps = '4' is not allowed"),
        ({"grid": {"mean": (0.0, 1.0, 3.0), "num_samples": (10, 20)}}, r"grid: mean = \(0\.0, 1\.0, 3\.0\) is not"),
        ({"grid": {"mean": GRID["mean"]}}, "grid: num_samples = 'not swept' is not that of the data"),
        ({"grid": GRID | {"blow_up": (0.0, 0.1)}}, "grid: blow_up = .* is not that of the data: 'not swept'"),
        ({"grid": {"sclae": (0.3,)}}, "there is no field 'sclae'"),
    ):
        with pytest.raises(ConfigError, match=message):
            exact(data, **options)
    with pytest.raises(ConfigError, match="grid: mean"):  # the data have lost a value of it
        exact(data.isel(mean=[0, 1]), **everything)


def test_runs_that_are_not_finished_do_not_count(tmp_path):
    path = tmp_path / "a.zarr"
    create_store(toy.SETTING, CONFIG, GRID, seeds=4, store=path, processes=(0, 4))
    half = sweep(toy.SETTING, CONFIG, GRID, seeds=4, store=path, processes=(1, 4))
    assert 0 < half["finished"].values.mean() < 1
    rows = exact(half)
    assert statuses(rows) == {Status.AGREES, Status.NOT_APPLICABLE}
    missing = [row for row in rows if row.status is Status.NOT_APPLICABLE]
    assert {row.verdict.reason for row in missing} == {"no run is finished"}
    assert all(row.seeds == 0 and row.diverged_seeds == 0 for row in missing)
    assert {row.seeds for row in rows if row.status is Status.AGREES} == {2}


def test_a_diverged_run_is_named_by_its_seed_and_all_may_diverge():
    config = toy.Config(blow_up=0.05)
    data = sweep(toy.SETTING, config, seeds=20)
    bad = np.flatnonzero(data["first_bad_step"].values >= 0)
    (row,) = [row for row in exact(data.isel(seed=bad[::-1])) if row.observable == "path"]
    assert str(row.verdict) == f"diverged: seed {bad[-1]}, step 1"
    assert (row.seeds, row.judged_seeds, row.diverged_seeds) == (len(bad), 0, len(bad))
    assert np.isnan(row.empirical)
    for kind in ("instance", "ensemble"):
        other = dataclasses.replace(toy.exact if kind == "instance" else toy.ensemble, kind=kind)
        rows = compare(toy.SETTING, data.isel(seed=bad), theories=[other])
        assert Status.DIVERGED in statuses(rows)


def test_seeds_without_a_value_are_left_out_and_where_none_has_one_nothing_is_compared():
    def reached(key, config):
        mean = toy.sample(key, config).mean()
        return {"sample_mean": jnp.where(mean > config.mean, mean, jnp.nan)}

    observables = (dataclasses.replace(toy.SETTING.observables[0], allow_nan=True), *toy.SETTING.observables[1:])
    setting = dataclasses.replace(toy.SETTING, simulate=reached, observables=observables)
    data = sweep(setting, seeds=12)
    never = data.isel(seed=np.flatnonzero(np.isnan(data["sample_mean"])))
    assert 0 < never.sizes["seed"] < 12
    right = dataclasses.replace(EXACT, predict=reached, predicts=("sample_mean",))
    unaware = dataclasses.replace(EXACT, predicts=("sample_mean",))
    for one, chosen, status in (
        (right, data, Status.AGREES),
        (unaware, data, Status.AGREES),
        (right, never, Status.NOT_APPLICABLE),
        (unaware, never, Status.NOT_APPLICABLE),
    ):
        (row,) = compare(setting, chosen, theories=[one])
        assert row.status is status
        assert (row.seeds, row.judged_seeds) == (chosen.sizes["seed"], int(chosen["sample_mean"].notnull().sum()))
        assert row.verdict.reason in ("", "the theory predicts no value here", "no seed has a value (too few steps?)")


# --- fields that are no numbers --------------------------------------------------------------------------------


@config
class Coin:
    law: str = size(default="fair", help="name of the law")
    biased: bool = size(default=False, help="whether it is")
    width: int = size(default=4, help="tosses", at_least=1, or_infinite=True)
    bias: float = scalar(default=0.0, help="bias", at_least=0)


def toss(key, config):
    shift = (config.law == "lucky") + 2.0 * config.biased + config.bias
    return {"heads": toy.normal(key, 3).mean() + shift + 1 / config.width}


@theory(kind="exact", source="arithmetic", predicts=("heads",), error=1e-8, traceable=False)
def heads(key, config):
    return toss(key, config)


COIN = Setting(
    name="coin",
    title="A coin",
    papers=(Paper("On coins", "A. Author", 1900, "Journal", "", "@article{c}"),),
    config=Coin,
    presets={name: (Case("coin", Coin()),) for name in ("tiny", "default", "paper")},
    simulate=toss,
    theories=(heads,),
    observables=(Observable("heads", "heads"),),
)


def test_names_flags_and_infinity_are_swept(tmp_path):
    grid = {"law": ("lucky", "fair"), "width": (2, np.inf)}
    data = sweep(COIN, grid=grid, seeds=2)
    stored = sweep(COIN, grid=grid, seeds=2, store=tmp_path / "a.zarr")
    for chosen in (data, stored, stored.sel(law="fair"), data.isel(law=[1], width=[1]), stored.sel(width=np.inf)):
        rows = compare(COIN, chosen)
        assert statuses(rows) == {Status.AGREES}
        assert all(type(row.cell["law"]) is str for row in rows)
    assert type(compare(COIN, stored)[0].cell["width"]) is int
    assert statuses(compare(COIN, data, grid=grid)) == {Status.AGREES}
    flags = compare(COIN, sweep(COIN, Coin(width=np.inf, law="inf"), {"biased": (True, False)}, seeds=2))
    assert statuses(flags) == {Status.AGREES}  # a name that reads as a number has stayed a name
    assert [row.cell["biased"] for row in flags] == [True, False]


# --- a check that judged nothing ---------------------------------------------------------------------------------


def test_a_check_that_judged_nothing_says_so(data):
    assert judged_nothing(exact(data)) is None
    few = data.sel(num_samples=[10])
    assert judged_nothing(compare(toy.SETTING, few, theories=["on_host"])) == (
        "nothing was judged: all 3 comparisons say: num_samples = 10 is below 20"
    )
    lonely = compare(toy.SETTING, data.isel(seed=[0]), theories=["ensemble", "on_host"])
    assert judged_nothing(lonely).startswith("nothing was judged: ")
    assert "say: a standard error needs at least two seeds" in judged_nothing(lonely)
    assert judged_nothing([]) == "nothing was judged: no theory predicts an observable of these results"
    diverged = Row("x", "t", *[np.nan] * 6, Verdict(Status.DIVERGED, "seed 0, step 1"))
    assert judged_nothing([diverged]) is None


def test_each_theory_is_asked_once_per_cell():
    asked = []

    def holds(config):
        asked.append((config.mean, config.num_samples))
        return None if config.num_samples >= 20 else "too few"

    once = dataclasses.replace(toy.ensemble, holds=holds)
    rows = compare(toy.SETTING, sweep(toy.SETTING, toy.Config(), GRID, seeds=3), theories=[once])
    assert len(asked) == len(set(asked)) == 6
    assert {row.status for row in rows if row.cell["num_samples"] == 10} == {Status.NOT_APPLICABLE}


def test_a_single_theory_may_be_named(data):
    for one in ("exact", toy.exact):
        assert {row.theory for row in compare(toy.SETTING, data, theories=one)} == {"exact"}
