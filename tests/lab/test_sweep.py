"""The sweep engine: counting programs, batching, divergence, devices."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import toy

from theorylab.contract import ConfigError
from theorylab.lab.grid import seed_keys
from theorylab.lab.predict import predict
from theorylab.lab.program import divide
from theorylab.lab.sweep import sweep


def test_cells_equal_single_simulations():
    grid = {"mean": (0.0, 2.0), "num_samples": (10, 20), "scale": (0.1, 0.2, 0.3)}
    data = sweep(toy.SETTING, grid=grid, seeds=3, base_seed=7)
    assert data["sample_mean"].dims == ("mean", "num_samples", "scale", "seed")
    assert data["path"].dims == ("mean", "num_samples", "scale", "seed", "step")
    keys = seed_keys(7, np.arange(3))
    for mean in grid["mean"]:
        for num_samples in grid["num_samples"]:
            for scale in grid["scale"]:
                for seed in range(3):
                    config = toy.Config(mean=mean, num_samples=num_samples, scale=scale)
                    one = toy.simulate(keys[seed], config)
                    cell = data.sel(mean=mean, num_samples=num_samples, scale=scale, seed=seed)
                    for name, value in one.items():
                        np.testing.assert_allclose(cell[name].values, value, rtol=1e-12)


def test_an_observable_cannot_have_the_name_of_a_field():
    """A sweep of that field would fail after it has computed everything."""
    renamed = dataclasses.replace(toy.SETTING.observables[0], name="scale")
    with pytest.raises(ValueError, match=r"\['scale'\] are names of one configuration field and one"):
        dataclasses.replace(toy.SETTING, observables=(renamed, *toy.SETTING.observables[1:]))


def test_one_program_per_combination_of_sizes():
    toy.forget_programs()
    sweep(toy.SETTING, grid={"mean": (0.0, 1.0, 2.0), "scale": (0.1, 0.2)}, seeds=5)
    assert len(toy.TRACES) == 1
    toy.forget_programs()
    sweep(toy.SETTING, grid={"mean": (0.0, 1.0, 2.0), "num_samples": (10, 20, 30)}, seeds=5)
    assert sorted(toy.TRACES) == [10, 20, 30]


def test_the_same_sizes_are_compiled_once_for_all_sweeps():
    grids = [{"mean": (0.0, 1.0)}, {"mean": (2.0, 3.0)}]
    toy.forget_programs()
    first = [sweep(toy.SETTING, toy.Config(scale=0.25), grid, seeds=3, base_seed=i) for i, grid in enumerate(grids)]
    assert len(toy.TRACES) == 1
    toy.forget_programs()
    alone = sweep(toy.SETTING, toy.Config(scale=0.25), grids[1], seeds=3, base_seed=1)
    assert len(toy.TRACES) == 1
    np.testing.assert_array_equal(first[1]["path"], alone["path"])


@pytest.mark.parametrize("budget", [1, 3_000, 20_000])
def test_a_small_memory_budget_changes_nothing_but_the_batches(budget):
    grid = {"mean": (0.0, 1.0, 2.0), "num_samples": (50, 100)}
    whole = sweep(toy.SETTING, grid=grid, seeds=7)
    calls = []
    parts = sweep(toy.SETTING, grid=grid, seeds=7, memory_budget=budget, progress=lambda d, t: calls.append((d, t)))
    for name in whole.data_vars:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-12)
    assert calls[-1] == (42, 42)
    assert len(calls) > (2 if budget == 1 else 0)


def test_more_seeds_extend_fewer_seeds():
    few, many = (sweep(toy.SETTING, seeds=n)["sample_mean"].values for n in (3, 8))
    np.testing.assert_allclose(few, many[:3], rtol=1e-12)


def test_divergence_is_flagged_with_step_and_seed():
    data = sweep(toy.SETTING, toy.Config(blow_up=1e-6), seeds=12)
    bad = data["first_bad_step"].values
    above = data["sample_mean"].values > 1.0
    assert 0 < above.sum() < 12
    np.testing.assert_array_equal(bad, np.where(above, 1, -1))


@pytest.mark.parametrize(
    ("config", "grid", "message"),
    [
        (toy.Config(num_samples=0), {}, "num_samples = 0 is not allowed: must be a whole number >= 1"),
        (toy.Config(num_samples=2.5), {}, "num_samples = 2.5"),
        (toy.Config(scale=-1.0), {}, "scale = -1.0 is not allowed: must be a finite number >= 0"),
        (toy.Config(mean=float("nan")), {}, "mean = nan"),
        (toy.Config(), {"scale": (0.1, -0.1)}, "scale = -0.1"),
        (toy.Config(), {"scale": ()}, "needs at least one value"),
        (toy.Config(), {"scale": (0.1, 0.1)}, "must be distinct"),
        (toy.Config(), {"sclae": (0.1,)}, "no field 'sclae'"),
        (toy.Config(), {"num_samples": (12, 13)}, "unlucky"),
    ],
)
def test_bad_input_is_refused_before_anything_is_traced(config, grid, message):
    toy.forget_programs()
    with pytest.raises(ConfigError) as error:
        sweep(toy.SETTING, config, grid)
    assert message in str(error.value)
    assert toy.TRACES == []


def test_seeds_must_be_positive():
    with pytest.raises(ConfigError, match="seeds = 0"):
        sweep(toy.SETTING, seeds=0)


def test_grid_that_changes_an_inner_coordinate_is_refused():
    with pytest.raises(ConfigError, match="num_steps changes the coordinate 'step'"):
        sweep(toy.SETTING, grid={"num_steps": (3, 4)}, seeds=2)


def test_predict_shapes():
    grid = {"num_samples": (10, 20), "mean": (0.0, 1.0, 2.0)}
    exact = predict(toy.SETTING, grid=grid, seeds=4, theory="exact")
    assert exact["path"].dims == ("num_samples", "mean", "seed", "step")
    ensemble = predict(toy.SETTING, grid=grid, seeds=4, theory="ensemble")
    assert ensemble["path"].dims == ("num_samples", "mean", "step")
    host = predict(toy.SETTING, grid=grid, theory="on_host")
    np.testing.assert_allclose(host["second_moment"].sel(num_samples=20), [0.25, 1.25, 4.25])
    assert np.isnan(host["second_moment"].sel(num_samples=10)).all()


def test_predict_only_what_is_asked_for():
    one = predict(toy.SETTING, seeds=2, theory="exact", observables=("path", "second_moment"))
    assert list(one) == ["path"]
    np.testing.assert_array_equal(one["path"], predict(toy.SETTING, seeds=2, theory="exact")["path"])
    assert not predict(toy.SETTING, theory="exact", observables=("second_moment",)).data_vars
    never = dataclasses.replace(toy.on_host, predict=lambda key, config: 1 / 0, predicts=("second_moment",))
    assert not predict(toy.SETTING, theory=never, observables=("path",)).data_vars
    with pytest.raises(KeyError, match=r"'pth'.*'path'"):
        predict(toy.SETTING, theory="exact", observables=("pth",))


def test_exact_theory_sees_the_same_instance():
    data = sweep(toy.SETTING, seeds=4, base_seed=3)
    theory = predict(toy.SETTING, seeds=4, base_seed=3, theory="exact")
    np.testing.assert_allclose(theory["sample_mean"], data["sample_mean"], rtol=1e-12)


SEVERAL_DEVICES = """
import dataclasses, sys
import jax, numpy as np, toy
from theorylab.lab.grid import make_plan
from theorylab.lab.program import Program, bytes_needed
from theorylab.lab.sweep import sweep

jax.config.update("jax_enable_x64", True)
assert len(jax.devices()) == 4
data = sweep(toy.SETTING, grid={"mean": (0.0, 1.0), "num_samples": (10, 20)}, seeds=6)
one_seed = sweep(toy.SETTING, grid={"mean": (0.0, 1.0, 2.0, 3.0, 4.0)}, seeds=1)
np.savez(sys.argv[1], many=data["path"].values, one=one_seed["path"].values)

def with_lapack(key, config):
    values = jax.numpy.linalg.svd(toy.normal(key, 400).reshape(20, 20))[1]
    return toy.simulate(key, config) | {"sample_mean": values[0]}

# Fewer seeds than devices; and LAPACK, which on several devices of one processor may never return.
plan = make_plan(toy.SETTING, toy.Config(), {})
for function, seeds, devices in ((toy.simulate, 3, 3), (with_lapack, 6, 1)):
    program = Program(function, toy.Config(), plan, seeds)
    program.fit(2**30)
    (block,) = program.blocks()
    assert len(program.run(0, block)["sample_mean"]) == seeds
    assert len(program.devices) == devices, program.devices

# An array that a function holds goes to every device.
held = np.arange(200_000.0)
program = Program(lambda key, config: {"x": config.mean * jax.numpy.asarray(held).sum()}, toy.Config(), plan, 4)
program.fit(2**30)
assert len(program.devices) == 4 and program.constants
assert program.run(0, (slice(0, 4),))["x"].tolist() == [held.sum()] * 4

# Few seeds: their hyper-parameters are shared out. Of seven values, the two devices of a seed take four each.
plan = make_plan(toy.SETTING, toy.Config(), {"mean": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)})
program = Program(toy.simulate, toy.Config(), plan, 2)
program.fit(2**30)
assert program.parts == (2, 2) and program.padded == (2, 8), (program.parts, program.padded)

# The devices have one memory, and blocks are of about the same length.
plan = make_plan(toy.SETTING, toy.Config(), {})
whole, half = (Program(toy.simulate, toy.Config(num_samples=10_000), plan, 64) for _ in range(2))
whole.fit(2**30)
half.fit(2 * bytes_needed(whole.compiled))
assert whole.block == (64,) and half.block[0] in (22, 32), half.block
"""


def test_several_devices_give_the_same_numbers(tmp_path):
    root = Path(__file__).parents[2]
    env = {
        "PATH": "/usr/bin:/bin",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": f"{root}:{root / 'tests'}",
    }
    target = tmp_path / "paths.npz"
    subprocess.run([sys.executable, "-c", SEVERAL_DEVICES, str(target)], check=True, env=env, timeout=120)
    assert jax.device_count() == 1
    there = np.load(target)
    here = sweep(toy.SETTING, grid={"mean": (0.0, 1.0), "num_samples": (10, 20)}, seeds=6)
    np.testing.assert_allclose(there["many"], here["path"].values, rtol=1e-12)
    here = sweep(toy.SETTING, grid={"mean": (0.0, 1.0, 2.0, 3.0, 4.0)}, seeds=1)
    np.testing.assert_allclose(there["one"], here["path"].values, rtol=1e-12)


@pytest.mark.parametrize(
    ("lengths", "devices", "parts"),
    [((64, 5), 4, (4, 1)), ((1, 64), 2, (1, 2)), ((3, 5), 4, (3, 1)), ((1, 2, 3), 8, (1, 2, 3)), ((5, 64), 8, (1, 8))],
)
def test_cells_are_shared_out_whatever_the_axis(lengths, devices, parts):
    assert divide(lengths, devices) == parts


def test_a_seed_number_is_the_key_a_reader_would_write():
    key = jax.random.key_data(seed_keys(0, np.arange(4)))
    np.testing.assert_array_equal(key[3], jax.random.key_data(jax.random.key(3)))
    assert (
        len({tuple(k) for base in (0, 1, 7) for k in np.asarray(jax.random.key_data(seed_keys(base, range(4))))}) == 12
    )
