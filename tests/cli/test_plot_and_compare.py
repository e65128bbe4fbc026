"""Pictures and comparisons of stored results, by command."""

import shutil

import numpy as np
import pytest

from theorylab.catalogue import get
from theorylab.lab import metadata
from theorylab.lab.store import open_results
from theorylab.lab.sweep import sweep
from theorylab.verdict import plotting
from theorylab.verdict.overview import plot
from theorylab.verdict.stores import compare_results, provenance


@pytest.fixture(scope="module")
def setting(request):
    return get(str(request.config.rootpath / "tests" / "toy.py"))


@pytest.fixture(scope="module")
def stores(setting, tmp_path_factory):
    """The same sweep twice, with other seeds, and with another mean."""
    folder = tmp_path_factory.mktemp("stores")
    grid = {"mean": (0.5, 1.0, 2.0), "scale": (0.5, 1.0)}
    sweep(setting, None, grid, seeds=6, store=folder / "a.zarr")
    shutil.copytree(folder / "a.zarr", folder / "b.zarr")
    sweep(setting, None, grid, seeds=8, base_seed=1, store=folder / "other.zarr")
    sweep(setting, setting.config(num_steps=5), {"mean": (1.0,)}, seeds=6, store=folder / "longer.zarr")
    sweep(setting, None, {"mean": (7.0,), "scale": (0.5,)}, seeds=6, store=folder / "elsewhere.zarr")
    return folder


# --- plot -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_plot_writes_a_picture(run, stores, toy, tmp_path, suffix):
    target = tmp_path / f"mine.{suffix}"
    arguments = ["--x", "mean", "--y", "sample_mean", "--theory", "all", "--setting", toy, "-o", target]
    code, out, _ = run("plot", stores / "a.zarr", *arguments)
    assert (code, out.strip()) == (0, str(target))
    assert target.read_bytes()[:4] == {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xm"}[suffix]


def test_plot_writes_beside_the_store(run, stores, toy):
    code, out, _ = run("plot", stores / "a.zarr", "--x", "scale", "--setting", toy)
    assert code == 0
    assert out.strip() == str(stores / "a-sample_mean.png")


def drawn(figure):
    """Heights of all points, and of all lines of more than ten points."""
    (axes,) = figure.axes
    points = [np.asarray(container.lines[0].get_ydata(), float) for container in axes.containers]
    lines = [np.asarray(line.get_xydata(), float) for line in axes.lines if len(line.get_xdata()) > 10]
    plotting.close(figure)
    return points, lines


def test_what_is_drawn_is_the_mean_and_the_theory(setting, stores):
    data = open_results(stores / "a.zarr")
    with plotting.style():
        points, lines = drawn(plot(setting, data, x="mean", y="sample_mean", theories=["ensemble"]))
        along, _ = drawn(plot(setting, data, x="step", y="path"))
    means = data.mean("seed")
    np.testing.assert_allclose(points, [means.sample_mean.sel(scale=value) for value in (0.5, 1.0)])
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0][:, 1], lines[0][:, 0])  # the mean of the sample is the mean
    np.testing.assert_allclose(along[0], means.path.isel(mean=0, scale=0))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--x", "maen"], "unknown x 'maen': choose one of mean, scale"),
        (["--x", "mean", "--y", "nothing"], "unknown observable 'nothing': choose one of"),
        (["--x", "mean", "--theory", "nothing"], "unknown theory 'nothing': choose one of"),
        (["--x", "mean", "-o", "picture.jpg"], "output = picture.jpg is not allowed: it has the suffix '.jpg'"),
        (["--x"], "--x needs a value"),
    ],
)
def test_plot_says_what_is_wrong(run, stores, toy, arguments, says):
    code, _, err = run("plot", stores / "a.zarr", "--setting", toy, *arguments)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_plot_of_no_store_and_of_an_unknown_setting(run, stores, tmp_path):
    code, _, err = run("plot", tmp_path / "none.zarr", "--x", "mean")
    assert (code, err.strip()) == (2, f"error: no results at {tmp_path / 'none.zarr'}")
    code, _, err = run("plot", stores / "a.zarr", "--x", "mean")
    assert code == 2
    assert "holds results of 'toy', which is in no catalogue: --setting names its file or module" in err


def test_the_style_is_a_file_of_matplotlib_with_the_same_colours():
    import matplotlib

    with plotting.style():
        assert (
            tuple(matplotlib.rcParams["axes.prop_cycle"].by_key()["color"])
            == tuple(colour.removeprefix("#") for colour in plotting.COLOURS)
            or tuple(matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]) == plotting.COLOURS
        )
    import matplotlib.pyplot as plt

    with plt.style.context("theorylab.paper"):
        assert plt.rcParams["legend.frameon"] is False


# --- compare ----------------------------------------------------------------------------------------------------------


def test_a_copy_is_identical(run, stores):
    code, out, _ = run("compare", stores / "a.zarr", stores / "b.zarr")
    assert code == 0
    assert out.count("identical") == len(
        [o for o in open_results(stores / "a.zarr") if o not in ("finished", "first_bad_step")]
    )


def test_other_seeds_agree_and_are_named(run, stores):
    code, out, _ = run("compare", stores / "a.zarr", stores / "other.zarr")
    assert code == 0
    assert "base seed: 0 and 1" in out
    assert "agrees" in out
    assert "no run in both" in out


def test_what_is_wrong_differs(stores):
    """Negative controls: a value by a factor that seeds do not allow, a run that is missing, one bit."""
    a, b = (open_results(stores / "a.zarr") for _ in range(2))
    assert provenance(a, b) == {}
    status = {row.observable: row.status for row in compare_results(a, b)}
    assert set(status.values()) == {"identical"}
    b["sample_mean"] = b.sample_mean * 3
    row = next(row for row in compare_results(a, b) if row.observable == "sample_mean")
    assert row.status == "differs"
    assert row.run == pytest.approx(2 / 3)
    assert set(row.at) == {"mean", "scale"}
    b["sample_mean"] = a.sample_mean * (1 + 1e-13)
    assert next(row for row in compare_results(a, b) if row.observable == "sample_mean").status == "agrees"
    b["sample_mean"] = a.sample_mean.where(a["mean"] != 2.0)
    assert next(row for row in compare_results(a, b) if row.observable == "sample_mean").status == "differs"


def test_what_no_run_of_either_has_does_not_agree(stores):
    a, b = (open_results(stores / f"{name}.zarr") for name in ("a", "other"))
    a["sample_mean"], b["sample_mean"] = a.sample_mean * np.nan, b.sample_mean * np.nan
    status = {row.observable: row.status for row in compare_results(a, b)}
    assert status.pop("sample_mean") == "in neither"
    assert set(status.values()) == {"agrees"}


def test_few_seeds_are_no_proof():
    """Two runs each scatter so that four of their standard errors mean nothing."""
    import xarray

    rng = np.random.default_rng(0)
    attrs = {"setting": "s", "config": "{}", "grid": '{"cell": []}'}
    x, y = (
        xarray.Dataset(
            {"v": (("cell", "seed"), rng.standard_normal((400, 2)))},
            {"cell": np.arange(400), "seed": [0, 1]},
            attrs | {"base_seed": base},
        )
        for base in (0, 1)
    )
    (row,) = compare_results(x, y)
    assert row.status == "agrees"


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ("longer.zarr", "two configurations cannot be compared: num_steps = 4 and 5"),
        ("elsewhere.zarr", "no cell is in both: mean = 0.5, 1.0, 2.0 and 7.0"),
        ("none.zarr", "no results at"),
    ],
)
def test_compare_says_what_cannot_be_compared(run, stores, other, says):
    code, _, err = run("compare", stores / "a.zarr", stores / other)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_compare_refuses_another_setting_and_other_numbers(run, stores, tmp_path):
    shutil.copytree(stores / "a.zarr", tmp_path / "x.zarr")
    metadata.update(tmp_path / "x.zarr", setting="xor")
    code, _, err = run("compare", stores / "a.zarr", tmp_path / "x.zarr")
    assert (code, err.strip()) == (2, "error: two settings cannot be compared: toy and xor")
    code, _, err = run("compare", stores / "a.zarr", stores / "b.zarr", "--z-max", "-1")
    assert (code, err.strip()) == (2, "error: --z-max -1 is not allowed: must be >= 0")
