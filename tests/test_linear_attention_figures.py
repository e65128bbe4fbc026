"""The figures of linear attention are drawn at the tiny preset."""

import importlib
import sys
from pathlib import Path

import pytest
from shared import slow_but

from theorylab.lab import plotting

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository
FIGURES = sorted(path.stem for path in (ROOT / "paper_figures").glob("linear_attention_*.py"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


@pytest.mark.parametrize("script", slow_but("2_dynamics", FIGURES))
def test_figure_is_drawn_at_the_tiny_preset(script, folder, tmp_path):
    module = importlib.import_module(f"paper_figures.{script}")
    with plotting.style():
        figure = module.draw("tiny", folder)
        assert all(axes.get_xlabel() and axes.get_title() for axes in figure.axes)
        picture = plotting.save(figure, tmp_path / f"{script}.png")
    assert 10_000 < picture.stat().st_size <= 150_000


def test_committed_pictures_are_small_and_in_the_gallery():
    gallery = (ROOT / "paper_figures" / "README.md").read_text()
    for script in FIGURES:
        assert (ROOT / "paper_figures" / f"{script}.png").stat().st_size <= 150_000
        assert f"{script}.png" in gallery
