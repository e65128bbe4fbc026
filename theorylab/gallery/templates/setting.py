r"""Noisy gradient descent on a quadratic.

Minimise :math:`a|x|^2/2d` over :math:`x` in d dimensions with gradients of noise σ per coordinate,

.. math:: x_{t+1} = x_t - \eta\,(a x_t + \sigma\,\xi_t), \qquad x_0 = 1, \quad \xi_t \sim \mathcal N(0, I_d),

for :math:`0 < \eta a < 2`. The theory is exact on average, at every d and t. Say here what is exact, what is
asymptotic, and where it fails.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from theorylab.contract import (
    Case,
    ConfigError,
    Observable,
    Observables,
    Paper,
    Setting,
    at_config,
    config,
    scalar,
    size,
    theory,
)  # fmt: skip
from theorylab.numerics import random

PAPER = Paper(
    title="Title of the paper",
    authors="A. Author and B. Author",
    year=2000,
    venue="Venue",
    arxiv="0000.00000",
    bibtex="@article{key,\n  title = {Title of the paper},\n}",
)


@config
class Config:
    """Sizes are static, each value compiles a program; scalars are swept in one program, and differentiated."""

    dim: int = size(default=20, help="coordinates", symbol="d", at_least=1)
    num_steps: int = size(default=30, help="steps", symbol="T", at_least=1)
    learning_rate: float = scalar(default=0.5, help="step size", symbol=r"\eta", above=0)
    curvature: float = scalar(default=1.0, help="curvature of the loss", symbol="a", above=0)
    noise_scale: float = scalar(default=1.0, help="noise of a coordinate of a gradient", symbol=r"\sigma", at_least=0)


def check_config(config: Config) -> None:
    """Refuse what no field refuses alone: a rate at which gradient descent is unstable."""
    largest = 2 / config.curvature
    if config.learning_rate >= largest:
        raise ConfigError(f"learning_rate = {config.learning_rate:g} is not allowed: must be below {largest:g}")


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one run and measure it: ``loss`` before each step. Pure, and traceable in every scalar."""
    noises = random.normal(key, config.num_steps, config.dim)

    def step(x: jax.Array, noise: jax.Array) -> tuple[jax.Array, jax.Array]:
        loss = config.curvature / 2 * jnp.mean(x**2)
        return x - config.learning_rate * (config.curvature * x + config.noise_scale * noise), loss

    return {"loss": jax.lax.scan(step, jnp.ones(config.dim), noises)[1]}


def in_continuous_time(key: jax.Array, config: Config) -> Observables:
    """Control, a wrong theory that a check must reject: the diffusion that small rates approach."""
    decay = jnp.exp(-2 * config.learning_rate * config.curvature * jnp.arange(config.num_steps))
    stationary = config.learning_rate * config.noise_scale**2 / (2 * config.curvature)
    return {"loss": config.curvature / 2 * (decay + stationary * (1 - decay))}


@theory(
    kind="ensemble",  # or "instance", "exact": see theorylab.Theory
    source="the second moment of a coordinate, by hand",  # or PAPER.at("eq. (5)")
    predicts=("loss",),
    holds=lambda config: None,  # or a sentence that says why the theory does not apply to this configuration
    error=0.0,  # what finite sizes may add, relative: a number, or a function of (config, observable)
    controls={
        "continuous time": in_continuous_time,
        "twice the noise": at_config(lambda c: dataclasses.replace(c, noise_scale=2 * c.noise_scale)),
    },
)
def second_moment(key: jax.Array, config: Config) -> Observables:
    """v' = q v + η²σ² with q = (1 - ηa)², hence a/2 (q^t + η²σ² (1 - q^t)/(1 - q))."""
    factor = (1 - config.learning_rate * config.curvature) ** 2
    decay = factor ** jnp.arange(config.num_steps)
    stationary = (config.learning_rate * config.noise_scale) ** 2 / (1 - factor)
    return {"loss": config.curvature / 2 * (decay + stationary * (1 - decay))}


RATES = {"learning_rate": (0.3, 1.0, 1.5)}

SETTING = Setting(
    papers=(PAPER,),
    config=Config,
    simulate=simulate,
    theories=(second_moment,),
    observables=(Observable("loss", "a/2 times the mean square of x, before each step", r"L_t", dims=("step",)),),
    coords=lambda config: {"step": range(config.num_steps)},
    check_config=check_config,
    presets={  # what `theorylab check` runs: seconds, minutes, published sizes
        "tiny": (Case("rates", Config(), RATES, seeds=200),),
        "default": (Case("rates", Config(dim=100), RATES, seeds=2000),),
        "paper": (Case("rates", Config(dim=1000, num_steps=1000), RATES, seeds=2000),),
    },
)
