"""The sweeps behind the figures of matrix sensing are valid, and a figure is drawn at the tiny preset."""

import importlib
import sys
import warnings
from pathlib import Path

import pytest

from theorylab.lab import plotting
from theorylab.lab.grid import make_plan
from theorylab.matrix_sensing import SETTING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository

experiments = importlib.import_module("experiments.matrix_sensing")
FIGURES = sorted(path.stem for path in (ROOT / "paper_figures").glob("matrix_sensing_*.py"))


@pytest.mark.parametrize("preset", ["tiny", "default"])
def test_sweeps_are_valid(preset):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for case in experiments.cases(preset).values():
            make_plan(SETTING, case.config, case.grid)


@pytest.mark.slow
def test_a_figure_is_drawn_at_the_tiny_preset(tmp_path):
    """One of six: each costs several compiled programs. All are imported."""
    modules = {script: importlib.import_module(f"paper_figures.{script}") for script in FIGURES}
    with plotting.style():
        figure = modules["matrix_sensing_5_tail_constant"].draw("tiny", tmp_path)
        assert plotting.save(figure, tmp_path / "picture.png").stat().st_size > 10_000


def test_committed_pictures_are_small_and_in_the_gallery():
    gallery = (ROOT / "paper_figures" / "README.md").read_text()
    for script in FIGURES:
        assert (ROOT / "paper_figures" / f"{script}.png").stat().st_size <= 150_000
        assert f"{script}.png" in gallery
