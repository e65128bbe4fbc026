"""The experiments on networks and the mean-field theory of grokking, and their figures, at the tiny preset."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from theorylab.lab import plotting

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the scripts are run from the root of the repository
FIGURES = ("grokking_5_dmft", "grokking_6_networks", "grokking_7_stability")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("results")


def test_an_experiment_is_trained_once_and_then_read(folder, monkeypatch):
    experiment = importlib.import_module("experiments.grokking_networks")
    data = experiment.results("addition_mlp", "tiny", folder)
    assert data.test_accuracy.dims == ("seed", "output_scale", "step")
    assert np.isfinite(data.train_loss).all()
    np.testing.assert_allclose(data.train_loss.isel(step=0), 1)  # centred: the network starts at 0
    assert data.train_accuracy.isel(step=-1).min() > 0.999
    norm = data.weight_norm.isel(step=-1) / data.weight_norm.isel(step=0)
    moved = np.abs(norm - 1).mean("seed").values
    assert moved[0] > 3 * moved[1]  # a small output scale needs large changes
    monkeypatch.setattr(experiment, "train", None)
    assert experiment.results("addition_mlp", "tiny", folder).identical(data)


@pytest.mark.slow
@pytest.mark.parametrize("script", FIGURES)
def test_figure_is_drawn_at_the_tiny_preset(script, folder, tmp_path):
    module = importlib.import_module(f"paper_figures.{script}")
    with plotting.style():
        figure = module.draw("tiny", folder)
        assert all(axes.get_xlabel() and axes.get_title() for axes in figure.axes)
        picture = plotting.save(figure, tmp_path / f"{script}.png")
    assert 10_000 < picture.stat().st_size <= 150_000
