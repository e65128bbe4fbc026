"""The sweeps behind the figures of grokking are valid, and a figure is drawn at the tiny preset."""

import importlib
import sys
from pathlib import Path

import pytest

from theorylab.grokking import SETTING
from theorylab.lab import plotting
from theorylab.lab.grid import make_plan

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository

experiments = importlib.import_module("experiments.grokking")
FIGURES = sorted(path.stem for path in (ROOT / "paper_figures").glob("grokking_*.py"))
CORE = [name for name in FIGURES if name[9] in "1234"]


@pytest.mark.parametrize("preset", experiments.PRESETS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_sweeps_are_valid(preset):
    for case in experiments.cases(preset).values():
        make_plan(SETTING, case.config, case.grid)


@pytest.mark.slow
@pytest.mark.parametrize("script", CORE)
def test_figures_are_drawn_at_the_tiny_preset(script, tmp_path):
    module = importlib.import_module(f"paper_figures.{script}")
    with plotting.style():
        figure = module.draw("tiny", tmp_path)
        assert plotting.save(figure, tmp_path / "picture.png").stat().st_size > 10_000


def test_committed_pictures_are_small_and_in_the_gallery():
    gallery = (ROOT / "paper_figures" / "README.md").read_text()
    for script in FIGURES:
        importlib.import_module(f"paper_figures.{script}")
        assert (ROOT / "paper_figures" / f"{script}.png").stat().st_size <= 150_000
        assert f"{script}.png" in gallery
