"""Every sweep behind the figures is valid, every figure is drawn at the tiny preset, and the gallery shows them all."""

import importlib
import sys
import warnings
from pathlib import Path

import pytest

from theorylab.lab import plotting
from theorylab.lab.grid import make_plan

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository

FIGURES = sorted(path.stem for path in (ROOT / "paper_figures").glob("*_*.py"))
#: Drawn in every run of the suite; the others in the slow one, since compilation is what costs.
QUICK = ("linear_attention_2_dynamics", "random_features_5_ridge")
SWEEPS = ("grokking", "grokking_mean_field", "linear_attention", "matrix_sensing", "random_features", "xor")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sklearn")
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("preset", ["tiny", "default"])
@pytest.mark.parametrize("name", SWEEPS)
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
        picture = plotting.save(figure, tmp_path / f"{script}.png")
    assert 10_000 < picture.stat().st_size <= 150_000


def test_committed_pictures_are_small_and_in_the_gallery():
    gallery = (ROOT / "paper_figures" / "README.md").read_text()
    for script in FIGURES:
        assert (ROOT / "paper_figures" / f"{script}.png").stat().st_size <= 150_000
        assert f"({script}.png)" in gallery
        assert f"`python -m paper_figures.{script}`" in gallery
