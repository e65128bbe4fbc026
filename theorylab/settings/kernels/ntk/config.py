"""What a run needs: a two-layer network, its data and its gradient descent."""

from __future__ import annotations

from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size

Activation = Literal["relu", "tanh"]


@config
class Config:
    """A network of m neurons, half of them copies of the other half with opposite sign, on points of the sphere."""

    activation: Activation = size(default="relu", help="relu is sqrt(2) max(0, h)", symbol=r"\phi")
    width: int = size(default=512, help="hidden neurons, copies included; even", symbol="m", at_least=2)
    dim: int = size(default=6, help="input dimensions", symbol="d", at_least=2, at_most=1000)
    num_train: int = size(default=12, help="training points", symbol="n", at_least=1, at_most=2000)
    num_test: int = size(default=6, help="test points", at_least=1, at_most=2000)
    num_steps: int = size(default=100, help="gradient steps", symbol="T", at_least=1, at_most=10**5)
    num_kernels: int = size(default=8, help="further initial kernels of each seed, for their mean", at_least=1)
    data_seed: int = size(default=0, help="number of the data set, which all seeds share", at_least=0)
    learning_rate: float = scalar(default=0.1, help="step size, of the summed loss", symbol=r"\eta", above=0)
    label_scale: float = scalar(default=1.0, help="standard deviation of the labels", symbol="s_y", above=0)


def check_config(config: Config) -> None:
    """Refuse an odd number of neurons.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    if config.width % 2:
        raise ConfigError(f"width = {config.width} is not allowed: must be even, for every neuron has a copy")
