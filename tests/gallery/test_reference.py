"""The data behind a drawn figure, and what counts as a drift."""

import copy
import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from theorylab.gallery import reference


@pytest.fixture(scope="module")
def drawing():
    """A figure with a curve, points with error bars, a heat map and a histogram."""
    figure, (left, middle, right) = plt.subplots(1, 3)
    x = np.linspace(1, 10, 40)
    left.plot(x, x**-2, label="theory")
    left.plot(x, x**-1, "--", color="C1")
    left.errorbar(x[::4], x[::4] ** -2, yerr=0.1 * x[::4] ** -2, fmt="o", label="simulation")
    left.set(xscale="log", yscale="log", title="losses")
    middle.pcolormesh(np.outer(x[:5], x[:5]))
    middle.set_title("map")
    right.hist([1.0, 2.0, 2.5, 4.0], bins=3)
    right.contour(np.add.outer(x**2, x**2), levels=[50.0])
    right.scatter([1.0, 2.0], [3.0, 4.0], c=[0.5, 0.6])
    yield figure
    plt.close(figure)


def test_data_behind_a_figure(drawing):
    data = reference.figure_data(drawing, kept=3)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [panel["title"] for panel in data.values()] == ["losses", "map", ""]
    curves = data["1"]["curves"]
    assert list(curves) == ["simulation", "theory", "#ff7f0e --"]
    assert curves["theory"]["count"] == 40
    np.testing.assert_allclose(curves["theory"]["y"], np.array(curves["theory"]["x"]) ** -2.0, rtol=1e-7)
    np.testing.assert_allclose(curves["simulation"]["y_error"], 0.1 * np.array(curves["simulation"]["y"]), rtol=1e-6)
    assert {name: list(curve) for name, curve in data["2"]["curves"].items()} == {"mesh": ["count", "z"]}
    assert {"bars", "contours", "markers"} == set(data["3"]["curves"])
    length, across, up = reference.figure_data(drawing, kept=9)["3"]["curves"]["contours"]["z"]
    assert length > 10
    assert across == pytest.approx(up, rel=1e-3)


@pytest.mark.parametrize(
    ("panel", "curve", "column", "factor", "drifted"),
    [
        ("1", "theory", "y", 1 + 1e-7, False),
        ("1", "theory", "y", 1.01, True),
        ("1", "theory", "x", 1.01, True),
        ("1", "simulation", "y", 1.009, False),  # 0.09 standard errors
        ("1", "simulation", "y", 1.011, True),
        ("1", "simulation", "y_error", 1.09, False),
        ("1", "simulation", "y_error", 1.11, True),
        ("2", "mesh", "z", 1.01, True),
        ("3", "bars", "y", 1.01, True),
        ("3", "contours", "z", 1.01, True),
        ("3", "markers", "z", 1.01, True),
    ],
)
def test_a_value_that_moves_is_a_drift(drawing, panel, curve, column, factor, drifted):
    then = reference.figure_data(drawing, kept=4)
    now = copy.deepcopy(then)
    now[panel]["curves"][curve][column][-1] *= factor
    found = reference.drifts(now, then)
    assert len(found) == drifted
    if drifted:
        assert found[0].startswith(f"panel {panel}")
        assert repr(curve) in found[0]
        assert f"{factor - 1:+.2g} of it" in found[0]


def test_what_comes_goes_or_breaks_is_a_drift(drawing):
    then = reference.figure_data(drawing, kept=4)
    fewer, broken = copy.deepcopy(then), copy.deepcopy(then)
    del fewer["1"]["curves"]["#ff7f0e --"], fewer["2"]
    assert reference.drifts(fewer, then) == ["panel 1 (losses), '#ff7f0e --': is gone", "panel 2 (map): is gone"]
    assert [text.split(": ")[1] for text in reference.drifts(then, fewer)] == ["is not in the reference"] * 2
    broken["1"]["curves"]["theory"]["y"][0] = "nan"
    broken["1"]["curves"]["simulation"]["count"] = 9
    texts = reference.drifts(broken, then)
    assert "has 9 points, had 10" in texts[0]
    assert "is nan, was 1 " in texts[1]
    invisible = copy.deepcopy(then)  # what lies outside the axes is not in the figure
    for data, value in ((then, 1e-30), (invisible, 1e-40)):
        data["1"]["curves"]["theory"]["y"][1] = value
    assert reference.drifts(invisible, then) == []


def test_reference_values_are_written_and_read_again(drawing, tmp_path):
    path, data = tmp_path / "reference" / "tiny.json", reference.figure_data(drawing, kept=3)
    reference.update_reference(path, {"figure_1_a": data, "figure_2_b": data}, ["figure_1_a", "figure_2_b"])
    assert reference.read_reference(path) == {
        "made_with": reference.made_with(),
        "figures": {"figure_1_a": data, "figure_2_b": data},
    }
    less = {"1": data["1"]}
    reference.update_reference(path, {"figure_1_a": less}, ["figure_1_a"])  # the script of the other is gone
    assert reference.read_reference(path)["figures"] == {"figure_1_a": less}
    reference.write_reference(path, {"figure_1_a": less}, {"jax": "0.0"})
    then = reference.read_reference(path)
    assert "jax" in reference.version_changes(then)
    assert reference.check_figure("figure_2_b", data, then, None, "tiny") == [
        "is not in the reference: --update adds it"
    ]
