"""Every sweep behind the figures is valid, every figure is drawn as before at tiny size and is in the gallery."""

import copy
import importlib
import json
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from theorylab.catalogue import SETTINGS
from theorylab.cli import main
from theorylab.contract import ConfigError
from theorylab.gallery import figures
from theorylab.lab.grid import make_plan
from theorylab.verdict import plotting

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository

FIGURES = sorted(path.stem for path in (ROOT / "paper_figures").glob("*_*.py"))
#: Drawn in every run of the suite; the others in the slow one, since compilation is what costs.
QUICK = ("linear_attention_2_dynamics", "random_features_5_ridge")
SWEEPS = ("grokking", "grokking_mean_field", "linear_attention", "matrix_sensing", "random_features", "xor")


def reference(preset):
    return figures.read_reference(figures.reference_path(ROOT, preset))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sklearn")
    return tmp_path_factory.mktemp("results")


# The default sweeps of random features need a theory's solution at 10,000 modes.
EVERY_SWEEP = [
    pytest.param(name, preset, marks=[pytest.mark.slow] * ((name, preset) == ("random_features", "default")))
    for name in SWEEPS
    for preset in ("tiny", "default")
]


@pytest.mark.parametrize(("name", "preset"), EVERY_SWEEP)
def test_sweeps_are_valid(name, preset):
    experiment = importlib.import_module(f"experiments.{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for case in experiment.cases(preset).values():
            make_plan(experiment.SETTING, case.config, case.grid)


@pytest.mark.parametrize("script", [s if s in QUICK else pytest.param(s, marks=pytest.mark.slow) for s in FIGURES])
def test_figure_is_drawn_at_the_tiny_preset(script, folder, tmp_path):
    module = importlib.import_module(f"paper_figures.{script}")
    with warnings.catch_warnings(), plotting.style():
        warnings.simplefilter("ignore", UserWarning)  # some cases fail on purpose
        figure = module.draw("tiny", folder)
        assert all(axes.get_xlabel() or axes.get_ylabel() or axes.get_title() for axes in figure.axes)
        data = figures.figure_data(figure, figures.KEPT["tiny"])
        picture = plotting.save(figure, tmp_path / f"{script}.png")
    then = reference("tiny")
    found = figures.check_figure(script, data, then, module, "tiny")
    assert not found, "\n".join([figures.version_changes(then), *found])
    assert 10_000 < picture.stat().st_size <= 150_000


def test_committed_pictures_are_small_and_in_the_gallery():
    gallery = (ROOT / "paper_figures" / "README.md").read_text()
    for script in FIGURES:
        assert (ROOT / "paper_figures" / f"{script}.png").stat().st_size <= 150_000
        assert f"({script}.png)" in gallery
        assert f"`python -m paper_figures.{script}`" in gallery


@pytest.mark.parametrize(("preset", "limit"), [("tiny", 120_000), ("default", 200_000)])
def test_committed_reference_has_every_figure_and_notices_one_per_cent(preset, limit):
    """Negative controls on what is committed: one value moved by 1%, one curve dropped, for every figure."""
    assert figures.reference_path(ROOT, preset).stat().st_size < limit
    then = reference(preset)
    assert sorted(then["figures"]) == FIGURES
    assert set(then["made_with"]) == set(figures.made_with())
    for name in FIGURES:
        module = importlib.import_module(f"paper_figures.{name}")
        data = then["figures"][name]
        assert figures.check_figure(name, data, then, module, preset) == []
        curves = [(p, c) for p, content in data.items() for c in content["curves"]]
        assert curves, name
        panel, curve = curves[-1]
        less = copy.deepcopy(data)
        del less[panel]["curves"][curve]
        (found,) = figures.check_figure(name, less, then, module, preset)
        assert curve in found
        assert found.endswith("is gone")
        # A value without error bars and within the view; single runs of networks have a wider tolerance.
        factor = 0.99 - 1.3 * getattr(module, "REFERENCE_TOLERANCE", {}).get(preset, 0)
        assert any(figures.check_figure(name, moved(data, *at, factor), then, module, preset) for at in curves), name


def moved(data, panel, curve, factor):
    """The data with the largest value of a curve multiplied."""
    changed = copy.deepcopy(data)
    values = changed[panel]["curves"][curve]
    column = "y" if "y" in values else "z"
    at = int(np.argmax(np.abs(np.nan_to_num(np.array(values[column], float)))))
    values[column][at] = float(values[column][at]) * factor
    return changed


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
    data = figures.figure_data(drawing, kept=3)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [panel["title"] for panel in data.values()] == ["losses", "map", ""]
    curves = data["1"]["curves"]
    assert list(curves) == ["simulation", "theory", "#ff7f0e --"]
    assert curves["theory"]["count"] == 40
    np.testing.assert_allclose(curves["theory"]["y"], np.array(curves["theory"]["x"]) ** -2.0, rtol=1e-7)
    np.testing.assert_allclose(curves["simulation"]["y_error"], 0.1 * np.array(curves["simulation"]["y"]), rtol=1e-6)
    assert {name: list(curve) for name, curve in data["2"]["curves"].items()} == {"mesh": ["count", "z"]}
    assert {"bars", "contours", "markers"} == set(data["3"]["curves"])
    length, across, up = figures.figure_data(drawing, kept=9)["3"]["curves"]["contours"]["z"]
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
    then = figures.figure_data(drawing, kept=4)
    now = copy.deepcopy(then)
    now[panel]["curves"][curve][column][-1] *= factor
    found = figures.drifts(now, then)
    assert len(found) == drifted
    if drifted:
        assert found[0].startswith(f"panel {panel}")
        assert repr(curve) in found[0]
        assert f"{factor - 1:+.2g} of it" in found[0]


def test_what_comes_goes_or_breaks_is_a_drift(drawing):
    then = figures.figure_data(drawing, kept=4)
    fewer, broken = copy.deepcopy(then), copy.deepcopy(then)
    del fewer["1"]["curves"]["#ff7f0e --"], fewer["2"]
    assert figures.drifts(fewer, then) == ["panel 1 (losses), '#ff7f0e --': is gone", "panel 2 (map): is gone"]
    assert [text.split(": ")[1] for text in figures.drifts(then, fewer)] == ["is not in the reference"] * 2
    broken["1"]["curves"]["theory"]["y"][0] = "nan"
    broken["1"]["curves"]["simulation"]["count"] = 9
    texts = figures.drifts(broken, then)
    assert "has 9 points, had 10" in texts[0]
    assert "is nan, was 1 " in texts[1]
    invisible = copy.deepcopy(then)  # what lies outside the axes is not in the figure
    for data, value in ((then, 1e-30), (invisible, 1e-40)):
        data["1"]["curves"]["theory"]["y"][1] = value
    assert figures.drifts(invisible, then) == []


SCRIPT = """
def draw(preset, folder):
    import matplotlib.pyplot as plt
    value = float((folder / "value.txt").read_text())
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [1, 4, value], label="squares")
    axes.set_title("powers")
    return figure
"""


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one figure, whose data are one number."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "paper_figures").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "paper_figures" / "xor_9_squares.py").write_text(SCRIPT)
    (tmp_path / "results" / "value.txt").write_text("9")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("paper_figures.xor_9_squares", None)


def test_command_draws_checks_and_updates(checkout, capsys):
    def run(*arguments):
        code = main(["figures", *arguments])
        return code, *capsys.readouterr()

    picture, value = checkout / "paper_figures" / "xor_9_squares.png", checkout / "results" / "value.txt"
    code, _, err = run("--check")
    assert code == 2
    assert "no reference values of the preset default" in err
    code, out, _ = run("xor", "--update")
    assert code == 0
    assert str(picture) in out
    drawn = picture.read_bytes()
    assert run("xor", "--check")[0] == 0

    value.write_text("9.09")
    code, out, _ = run("xor_9_squares", "--check")
    assert code == 1
    assert "panel 1 (powers), 'squares': y at x = 3 is 9.09, was 9, +0.01 of it" in out
    assert "1 of 1 figures drifted: the versions are those of the reference" in out
    assert picture.read_bytes() == drawn

    code, out, _ = run("--preset", "tiny")  # does not replace the committed picture
    assert code == 0
    assert (checkout / "results" / "tiny" / "figures" / "xor_9_squares.png").exists()
    assert picture.read_bytes() == drawn
    assert run("xor", "--update")[0] == 0
    assert picture.read_bytes() != drawn
    assert run("xor", "--check")[0] == 0
    code, _, err = run("grok")
    assert code == 2
    assert "unknown setting 'grok': choose one of random_features" in err
    assert run("--check", "--update")[0] == 2


def test_figures_of_a_setting_and_of_all():
    assert figures.find_figures(ROOT, (), list(SETTINGS)) == FIGURES
    chosen = figures.find_figures(ROOT, ("xor", "grokking_5_dmft"), list(SETTINGS))
    assert chosen == [f for f in FIGURES if f.startswith("xor_") or f == "grokking_5_dmft"]


def test_without_a_checkout_the_error_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert figures.find_checkout() == ROOT  # beside the package
    monkeypatch.setattr(figures, "__file__", str(tmp_path / "site-packages" / "theorylab" / "lab" / "figures.py"))
    with pytest.raises(
        ConfigError, match=r"looked for paper_figures/\*\.py and experiments/ in .* and .*site-packages"
    ):
        figures.find_checkout()


def test_command_of_experiments(tmp_path, monkeypatch, capsys):
    import xarray

    common = importlib.import_module("experiments.common")

    def results(name, preset, folder):
        return xarray.Dataset(
            {name: ("seed", [1.0, 2.0])}, attrs={"store": common.store_of(folder, preset, "xor", name)}
        )

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xor", "--folder", str(tmp_path), *arguments])
        common.command(lambda preset: {"large": None, f"{preset}_flips": None}, results, "Sweeps.\n\nMore.")
        return capsys.readouterr().out

    assert run("--preset", "tiny").startswith("large: seed 2; 0.0 s\ntiny_flips: seed 2; ")
    assert run("--only", "large").count("\n") == 1
    assert results("large", "tiny", tmp_path).attrs["store"] == tmp_path / "tiny" / "xor" / "large.zarr"
    with pytest.raises(SystemExit) as stop:
        run("--only", "flup")
    assert stop.value.code == 2
    assert "unknown experiment 'flup': choose one of large, default_flips" in capsys.readouterr().err
