"""``theorylab curve``: a person's file in, a table, a figure and the data out."""

import numpy as np
import pandas
import pytest
import xarray

import theorylab as tl

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(80, 5))
Y = X @ np.ones(5) + 0.3 * RANDOM.normal(size=80)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    table = pandas.DataFrame(X, columns=list("abcde"))
    table.insert(0, "goal", Y)
    table.to_csv("data.csv", index=False)
    np.savez("data.npz", X=X, y=Y)
    np.savez("kernel.npz", kernel=X @ X.T, y=Y)
    np.savez("spectrum.npz", eigenvalues=np.arange(1, 50.0) ** -1.5, target_power=np.arange(1, 50.0) ** -1.2)


def test_a_table_with_a_figure_and_the_data(run):
    arguments = ("--target", "goal", "--sizes", "10,16", "--ridge", "0.1", "1", "--trials", "3")
    code, out, err = run("curve", "data.csv", *arguments, "-o", "curve.png", "curve.csv", "curve.nc")
    assert code == 0, err
    assert "80 points; memory: about 205 kB" in out
    assert "rbf, bandwidth 2.236, 80 points" in out
    stored = xarray.open_dataset("curve.nc")
    expected = tl.learning_curve(X, Y, sizes=(10, 16), ridge=(0.1, 1.0), trials=3)
    np.testing.assert_allclose(stored.measured_test_error, expected.measured_test_error, rtol=1e-10)
    np.testing.assert_allclose(stored.test_error, expected.test_error, rtol=1e-10)
    table = pandas.read_csv("curve.csv")
    np.testing.assert_allclose(table.test_error, expected.test_error.values.ravel(), rtol=1e-10)
    spread = expected.measured_test_error[:, 0, 0].std(ddof=1)
    np.testing.assert_allclose(table.measured_test_error_se[0], spread / 3**0.5)
    with open("curve.png", "rb") as file:
        assert file.read(4) == b"\x89PNG"


@pytest.mark.parametrize("file", ["data.npz", "kernel.npz", "spectrum.npz"])
def test_arrays(run, file):
    code, out, err = run("curve", file, "--sizes", "10", "--trials", "2")
    assert code == 0, err
    assert ("measured" in out) == (file != "spectrum.npz")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.csv", "--sizes", "10"), "missing.csv: No such file"),
        (("data.csv", "--sizes", "80"), "sizes = 80"),
        (("data.csv", "--sizes", "ten"), "--sizes ten: must be numbers"),
        (("data.csv", "--sizes", "10", "--target", "z"), "data.csv has no column 'z'"),
        (("data.npz", "--sizes", "10", "--kernel", "gauss"), "choose one of linear, rbf"),
        (("data.npz", "--sizes", "10", "--output", "curve.gif"), "choose one of .png, .pdf, .svg"),
        (("data.npz", "--sizes", "10", "-o", "$NOWHERE/curve.png"), "the environment has no variable 'NOWHERE'"),
        (("data.npz", "--sizes", "10", "-o", " "), "output = ' ' is not allowed: must be a path, not an empty text"),
        (("cache", "--sizes", "10"), "neither .npz nor .csv"),
        (("broken.npz", "--sizes", "10"), "broken.npz cannot be read"),
        (("other.npz", "--sizes", "10"), "other.npz has z: it needs X and y"),
        (("data.npz", "--sizes", "10", "--memory-budget", "1e-6"), "80 points need 205 kB, more than the 1.07 kB"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    with open("broken.npz", "wb") as file:
        file.write(b"no zip")
    np.savez("other.npz", z=X)
    code, _, err = run("curve", *arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
