"""The sweeps behind the figures: noises in units of what the theory predicts."""

import dataclasses

import pytest

from theorylab.settings.kernels.random_features import curves
from theorylab.settings.kernels.random_features.presets import RELATIVE_NOISE, SWEEPS


@pytest.mark.parametrize("preset", ["tiny", "default", pytest.param("paper", marks=pytest.mark.slow)])
def test_noises_are_those_of_the_predicted_clean_error(preset):
    cases = [case for case in SWEEPS[preset] if case.name.startswith("fitting")]
    assert len(cases) == 2
    for case in cases:
        config = dataclasses.replace(case.config, ridge=0.0, noise_variance=0.0)
        clean = float(curves.errors(config)["test_error"])
        assert case.grid["noise_variance"] == tuple(float(f"{noise * clean:.4g}") for noise in RELATIVE_NOISE)
