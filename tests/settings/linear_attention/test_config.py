"""Bad input of a trained layer is named."""

import dataclasses

import pytest

from theorylab.contract import ConfigError
from theorylab.settings.in_context.linear_attention import SETTING, Config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 0}, r"context_length = 0 .*>= 1"),
        ({"noise_variance": -0.1}, r"noise_variance = -0\.1 .*>= 0"),
        ({"num_tasks": 3}, r"num_tasks = 3.* dim = 5"),
        ({"dim": 0}, "dim = 0"),
        ({"covariate_variance": 0.0}, "covariate_variance = 0"),
        ({"initial_scale": 0.0}, "initial_scale = 0"),
        ({"target": "relu"}, "training = 'population'"),
        ({"covariates": "uniform", "training": "prompts", "num_tasks": 8.0}, r"num_tasks = 8"),
        ({"training": "statistics", "context_length": 5}, r"context_length = 5 .*6 tokens"),
    ],
)
def test_bad_input_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SETTING.validate(dataclasses.replace(Config(), **changes))
