"""Configurations of the unconstrained-features model: classes, depth, decays, where training starts."""

from __future__ import annotations

import re
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from theorylab.contract import ConfigError, config, scalar, size
from theorylab.settings.factorisation.neural_collapse.theory import classes


@config
class Config:
    """Classes of given sizes, M linear layers on free features, T steps of gradient descent."""

    class_counts: str = size(default="40,20,10,4", help="samples of each class, with commas", symbol="n_k")
    depth: int = size(default=1, help="linear layers", symbol="M", at_least=1, at_most=20)
    width: int = size(default=4, help="dimension of features and hidden layers", symbol="r", at_least=1)
    simulator: Literal["means", "samples"] = size(
        default="means", help="follow class means and the scatter around them, or every sample's feature"
    )
    start: Literal["random", "minimum", "saddle"] = size(
        default="random", help="random weights and features, or the explicit network on the branch s_+ or s_-"
    )
    num_steps: int = size(default=12_000, help="gradient steps", symbol="T", at_least=2)
    learning_rate: float = scalar(default=0.2, help="step size of the weights", symbol=r"\eta", above=0)
    feature_rate: float = scalar(default=0.3, help="step size of the features over the weights' and N", above=0)
    weight_decay: float = scalar(default=2e-3, help="decay of every layer", symbol=r"\lambda_W", above=0)
    feature_decay: float = scalar(default=2e-4, help="decay of the features", symbol=r"\lambda_H", above=0)
    init_scale: float = scalar(default=1.0, help="random start: standard deviation times sqrt(width)", above=0)
    start_factor: float = scalar(default=1.0, help="explicit start: logits over those of the branch", above=0)
    perturbation: float = scalar(
        default=0.0, help="explicit start: every entry times 1 + this times a normal number", at_least=0
    )


def counts_of(config: Config) -> tuple[int, ...]:
    """Samples of each class.

    Raises
    ------
    ConfigError
        If the text is not two or more whole numbers above 0; they have one spelling, so that equal lists are equal.
    """
    text = config.class_counts
    if not re.fullmatch(r"[1-9][0-9]{0,8}(,[1-9][0-9]{0,8}){1,999}", text):
        raise ConfigError(
            f"class_counts = {text!r:.60} is not allowed: must be 2 to 1000 whole numbers from 1 to 1e9, as 40,20,4"
        )
    return tuple(map(int, text.split(",")))


def check_config(config: Config) -> None:
    """Refuse lists of classes that are none, steps that cannot be stable, and branches that do not exist.

    Raises
    ------
    ConfigError
        Naming the field, its value and what is allowed.
    """
    counts = counts_of(config)
    step = config.learning_rate * config.feature_rate * sum(counts) * config.feature_decay
    if step >= 1 or config.learning_rate * config.weight_decay >= 1:
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: times the decays (of features: times "
            f"feature_rate and {sum(counts)} samples) it must be below 1"
        )
    if config.start != "random":
        product, sizes = float(config.weight_decay) ** config.depth, np.array(counts, float)
        costs = classes.class_cost(sizes, config.depth, product, config.feature_decay)
        if not np.all(classes.have_branches(costs, sum(counts), sizes, config.depth)):
            raise ConfigError(f"start = {config.start} is not allowed: a class has no stationary logit at these decays")
        if config.width < len(counts):
            raise ConfigError(f"width = {config.width} is not allowed: start = {config.start} needs one for each class")
    if config.start == "saddle" and config.depth == 1:
        raise ConfigError("depth = 1 is not allowed: start = saddle needs the second branch, of depth 2 or more")


def class_sizes(config: Config) -> Array:
    """n_k as numbers of JAX's default float."""
    return jnp.asarray(counts_of(config), dtype=float)


def class_costs(config: Config) -> Array:
    """c_k of every class."""
    product = jnp.asarray(config.weight_decay) ** config.depth
    return classes.class_cost(class_sizes(config), config.depth, product, config.feature_decay)


def branches(config: Config) -> classes.Branches:
    """Both branches of every class."""
    return classes.branches(class_sizes(config), sum(counts_of(config)), class_costs(config), config.depth)
