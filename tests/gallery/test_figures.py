"""Every figure is drawn as before at tiny size and is in its gallery; the command draws, checks and updates."""

import copy
import importlib
import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from theorylab import get
from theorylab.catalogue import SETTINGS
from theorylab.cli import main
from theorylab.contract import ConfigError
from theorylab.gallery import figures, reference
from theorylab.lab.grid import make_plan
from theorylab.verdict import plotting

ROOT = Path(__file__).parents[2]
FIGURES = figures.find_figures(ROOT)
#: Drawn in every run of the suite; the others in the slow one, since compilation is what costs.
QUICK = ("gradient_flow/figure_1_dynamics", "random_features/figure_5_ridge")
# The default sweeps of random features need a theory's solution at 10,000 modes.
EVERY_SWEEP = [
    pytest.param(name, preset, marks=[pytest.mark.slow] * ((name, preset) == ("random_features", "default")))
    for name in SETTINGS
    for preset in ("tiny", "default", "paper")
]


def reference_of(setting, preset):
    return reference.read_reference(figures.reference_path(ROOT, setting, preset))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("mlxtend")
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize(("name", "preset"), EVERY_SWEEP)
def test_sweeps_are_valid(name, preset):
    setting = get(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for case in setting.sweeps.get(preset, ()):
            make_plan(setting, case.config, case.grid)


@pytest.mark.parametrize("name", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in FIGURES])
def test_figure_is_drawn_at_the_tiny_preset(name, folder, tmp_path):
    module, (setting, stem) = figures.load_script(ROOT, name), name.split("/")
    with warnings.catch_warnings(), plotting.style():
        warnings.simplefilter("ignore", UserWarning)  # some cases fail on purpose
        figure = module.draw(module.data("tiny", folder))
        assert all(axes.get_xlabel() or axes.get_ylabel() or axes.get_title() for axes in figure.axes)
        data = reference.figure_data(figure, reference.KEPT["tiny"])
        picture = plotting.save(figure, tmp_path / f"{stem}.png")
    then = reference_of(setting, "tiny")
    found = reference.check_figure(stem, data, then, module, "tiny")
    assert not found, "\n".join([reference.version_changes(then), *found])
    assert 10_000 < picture.stat().st_size <= 150_000


@pytest.mark.parametrize("setting", SETTINGS)
def test_committed_pictures_are_small_and_in_the_gallery(setting):
    here = ROOT / "paper_figures" / setting
    gallery = (here / "README.md").read_text(encoding="utf-8")
    stems = [name.partition("/")[2] for name in figures.figures_of(ROOT, setting)]
    assert stems
    for stem in stems:
        assert (here / f"{stem}.png").stat().st_size <= 150_000
        assert f"({stem}.png)" in gallery
        assert f"`python -m paper_figures.{setting}.{stem}`" in gallery
    assert sorted(path.stem for path in here.glob("*.png")) == sorted(stems)


def test_every_folder_is_a_settings():
    folders = {path.name for path in (ROOT / "paper_figures").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(("preset", "limit"), [("tiny", 40_000), ("default", 60_000)])
def test_committed_reference_has_every_figure_and_notices_one_per_cent(setting, preset, limit):
    """Negative controls on what is committed: one value moved by 1%, one curve dropped, for every figure."""
    assert figures.reference_path(ROOT, setting, preset).stat().st_size < limit
    then = reference_of(setting, preset)
    assert sorted(f"{setting}/{stem}" for stem in then["figures"]) == sorted(figures.figures_of(ROOT, setting))
    assert set(then["made_with"]) == set(reference.made_with())
    for stem, data in then["figures"].items():
        module = figures.load_script(ROOT, f"{setting}/{stem}")
        assert reference.check_figure(stem, data, then, module, preset) == []
        curves = [(p, c) for p, content in data.items() for c in content["curves"]]
        assert curves, stem
        panel, curve = curves[-1]
        less = copy.deepcopy(data)
        del less[panel]["curves"][curve]
        (found,) = reference.check_figure(stem, less, then, module, preset)
        assert curve in found
        assert found.endswith("is gone")
        # A value without error bars and within the view; single runs of networks have a wider tolerance.
        factor = 0.99 - 1.3 * getattr(module, "REFERENCE_TOLERANCE", {}).get(preset, 0)
        assert any(reference.check_figure(stem, moved(data, *at, factor), then, module, preset) for at in curves), stem


def moved(data, panel, curve, factor):
    """The data with the largest value of a curve multiplied."""
    changed = copy.deepcopy(data)
    values = changed[panel]["curves"][curve]
    column = "y" if "y" in values else "z"
    at = int(np.argmax(np.abs(np.nan_to_num(np.array(values[column], float)))))
    values[column][at] = float(values[column][at]) * factor
    return changed


# --- the command -------------------------------------------------------------------------------------------------

SCRIPT = '''"""Figure 1: squares."""

import xarray

from theorylab.verdict.plotting import run_script


def data(preset, folder):
    value = float((folder / "value.txt").read_text())
    return xarray.Dataset({"square": ("x", [1.0, 4.0, value])}, coords={"x": [1, 2, 3]})


def draw(data):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot(data.x, data.square, label="squares")
    axes.set_title("powers")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
'''


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with two figures, whose data are one number."""
    for name in ("xor/figure_10_more", "xor/figure_9_squares"):
        path = tmp_path / "paper_figures" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(SCRIPT)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "value.txt").write_text("9")
    monkeypatch.chdir(tmp_path)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "paper_figures"}
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "paper_figures"]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def run(capsys):
    def run(*arguments):
        code = main(["figures", *arguments])
        return code, *capsys.readouterr()

    return run


def test_command_draws_checks_and_updates(checkout, run):
    picture, value = checkout / "paper_figures" / "xor" / "figure_9_squares.png", checkout / "results" / "value.txt"
    code, _, err = run("--check")
    assert code == 2
    assert "no reference values of the preset default" in err
    code, out, _ = run("xor", "--update")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:2]] == ["xor/figure_9_squares", "xor/figure_10_more"]
    assert str(picture) in out
    drawn = picture.read_bytes()
    assert run("xor", "--check")[0] == 0

    value.write_text("9.09")
    code, out, _ = run("xor/figure_9_squares", "--check")
    assert code == 1
    assert "panel 1 (powers), 'squares': y at x = 3 is 9.09, was 9, +0.01 of it" in out
    assert "1 of 1 figures drifted: the versions are those of the reference" in out
    assert picture.read_bytes() == drawn

    code, out, _ = run("--preset", "tiny")  # does not replace the committed picture
    assert code == 0
    assert (checkout / "results" / "tiny" / "figures" / "xor" / "figure_9_squares.png").exists()
    assert picture.read_bytes() == drawn
    assert run("xor", "--update")[0] == 0
    assert picture.read_bytes() != drawn
    assert run("xor", "--check")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("grok",), "unknown setting 'grok': choose one of random_features"),
        (("xor_9_squares",), "or a figure such as xor/figure_9_squares"),
        (("xor/figure_9_square",), "did you mean xor/figure_9_squares?"),
        (("grokking",), "grokking has no figures"),
        (("--check", "--update"), "exclude each other"),
        (("--output", "all.pdf"), "writes one picture, not 2: name one figure, such as xor/figure_9_squares"),
        (("xor/figure_9_squares", "--output", "a.png", "--check"), "leave out --check"),
        (("xor/figure_9_squares", "--output", "a.doc"), "it has the suffix '.doc', choose one of .png, .pdf, .svg"),
        (("xor/figure_9_squares", "--output", "picture"), "it has no suffix"),
    ],
)
def test_what_cannot_be_done_is_one_line(checkout, run, arguments, text):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert text in err
    assert not list(checkout.rglob("*.png"))


MAGIC = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_is_the_format(checkout, run, suffix):
    code, out, _ = run("xor/figure_9_squares", "--output", f"there/figure{suffix}")
    assert code == 0
    assert f"there/figure{suffix}" in out
    assert (checkout / "there" / f"figure{suffix}").read_bytes().startswith(MAGIC[suffix])


def test_a_script_runs_by_itself(checkout, monkeypatch, capsys):
    monkeypatch.setattr("theorylab.runtime.configure", lambda: None)

    def script(*arguments):
        monkeypatch.setattr(sys, "argv", ["script", *arguments])
        runpy.run_module("paper_figures.xor.figure_9_squares", run_name="__main__", alter_sys=True)
        return capsys.readouterr().out.strip()

    assert script("--output", "a.pdf") == "a.pdf"
    assert (checkout / "a.pdf").read_bytes().startswith(b"%PDF")
    assert script("--preset", "tiny") == "results/tiny/figures/xor/figure_9_squares.png"
    with pytest.raises(SystemExit) as stop:
        script("--output", "a.doc")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: output = a.doc is not allowed")


def test_a_script_without_data_is_refused(checkout, run):
    (checkout / "paper_figures" / "xor" / "figure_9_squares.py").write_text("def draw(preset, folder): ...\n")
    code, _, err = run("xor/figure_9_squares")
    assert code == 2
    assert "has no function data" in err


def test_figures_of_a_setting_and_of_all():
    chosen = figures.find_figures(ROOT, ("xor", FIGURES[0]))
    assert chosen == [f for f in FIGURES if f.startswith("xor/") or f == FIGURES[0]]
    assert all((ROOT / "paper_figures" / f"{name}.py").exists() for name in FIGURES)
    assert set(QUICK) <= set(FIGURES)


def test_without_a_checkout_the_error_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert figures.find_checkout() == ROOT  # beside the package
    monkeypatch.setattr(figures, "__file__", str(tmp_path / "site-packages" / "theorylab" / "gallery" / "figures.py"))
    with pytest.raises(ConfigError, match=r"looked for paper_figures/SETTING/figure_\*\.py in .* and .*site-packages"):
        figures.find_checkout()


# --- the sweeps behind figures -----------------------------------------------------------------------------------


def test_command_of_experiments(tmp_path, monkeypatch, capsys):
    import toy

    monkeypatch.syspath_prepend(str(ROOT))
    experiments = importlib.import_module("experiments.__main__")
    monkeypatch.setattr(experiments, "get", lambda name: toy.SETTING if name == "toy" else get(name))
    monkeypatch.setattr(experiments, "configure", lambda: None)

    def run(*arguments):
        code = experiments.command([*arguments, "--folder", str(tmp_path)])
        return code, *capsys.readouterr()

    case = toy.SETTING.presets["tiny"][0]
    code, out, _ = run("toy", "--preset", "tiny")
    assert code == 0
    assert out.startswith(f"{case.name}: ")
    assert f"seed {case.seeds}" in out
    assert (tmp_path / "tiny" / "toy" / f"{case.name}.zarr").exists()
    assert run("toy", "--preset", "tiny", "--only", case.name)[1].count("\n") == 1
    code, _, err = run("toy", "--preset", "tiny", "--only", "toi")
    assert code == 2
    assert "unknown case 'toi': choose one of toy" in err
    code, _, err = run("xorr")
    assert code == 2
    assert "did you mean xor?" in err
