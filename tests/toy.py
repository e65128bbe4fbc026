"""A setting small enough to check the laboratory by hand: the sample mean of Gaussian numbers."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from theorylab.contract import (
    PRESETS,
    ROUNDING,
    Case,
    ConfigError,
    Observable,
    Paper,
    Setting,
    at_config,
    config,
    scalar,
    size,
    theory,
    times,
)

TRACES: list[int] = []  # one entry per trace of simulate


def forget_programs():
    """So that ``TRACES`` counts from here on, of programs that an earlier sweep has compiled too."""
    TRACES.clear()
    jax.clear_caches()


@config
class Config:
    num_samples: int = size(default=50, help="samples", symbol="n", at_least=1, at_most=10_000)
    num_steps: int = size(default=4, help="steps", at_least=1)
    mean: float = scalar(default=1.0, help="mean", symbol=r"\mu")
    scale: float = scalar(default=0.5, help="standard deviation", at_least=0)
    blow_up: float = scalar(
        default=0.0, help="diverge at step 2 where the sample mean exceeds mean by this", at_least=0
    )


def normal(key, count):
    """Gaussian numbers by hashing: JAX's own generator takes most of a second to compile, for each size."""
    first, second = jax.random.key_data(key)
    bits = first + jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(0x9E3779B9)
    for word in (second, first ^ second):
        bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B) + word
        bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return jax.scipy.special.ndtri(((bits ^ (bits >> 16)) + 0.5) / 2.0**32)


def sample(key, config):
    return config.mean + config.scale * normal(key, config.num_samples)


def simulate(key, config):
    TRACES.append(config.num_samples)
    x = sample(key, config)
    path = x.mean() * jnp.arange(1.0, config.num_steps + 1)
    bad = (config.blow_up > 0) & (x.mean() - config.mean > config.blow_up)
    path = jnp.where(bad & (jnp.arange(config.num_steps) >= 1), jnp.nan, path)
    return {"sample_mean": x.mean(), "second_moment": (x**2).mean(), "path": path}


@theory(
    kind="exact",
    source="arithmetic",
    predicts=("sample_mean", "path"),
    error=ROUNDING,
    controls={"one sample too few": times(50 / 49)},
)
def exact(key, config):
    x = sample(key, config)
    return {"sample_mean": x.sum() / config.num_samples, "path": x.mean() * jnp.arange(1.0, config.num_steps + 1)}


def slightly_wrong(key, config):
    return {"second_moment": config.mean**2 + 1.1 * config.scale**2}


@theory(
    kind="ensemble",
    source="law of large numbers",
    predicts=("sample_mean", "second_moment", "path"),
    controls={"variance 10% too large": slightly_wrong, "no variance": times(0.8, "second_moment")},
)
def ensemble(key, config):
    return {
        "sample_mean": config.mean,
        "second_moment": config.mean**2 + config.scale**2,
        "path": config.mean * jnp.arange(1.0, config.num_steps + 1),
    }


def enough(config):
    return None if config.num_samples >= 20 else f"num_samples = {config.num_samples} is below 20"


@theory(
    kind="ensemble",
    source="the same, in Python",
    predicts=("second_moment",),
    holds=enough,
    controls={"half of the scale": at_config(lambda c: dataclasses.replace(c, scale=c.scale / 2))},
    traceable=False,
)
def on_host(key, config):
    assert isinstance(config.mean, float)
    assert enough(config) is None  # never called where it does not hold
    return {"second_moment": config.mean**2 + config.scale**2}


def check_config(config):
    if config.num_samples == 13:
        raise ConfigError("num_samples = 13 is not allowed: must not be unlucky")


WRONG = dataclasses.replace(ensemble.control("variance 10% too large"), name="wrong", predicts=("second_moment",))

CASE = Case("toy", Config(), {"mean": (0.0, 1.0)}, 20)

SETTING = Setting(
    title="The sample mean",
    papers=(Paper("On means", "A. Author", 1900, "Journal", "0000.00000", "@article{a}"),),
    config=Config,
    presets=dict.fromkeys(PRESETS, (CASE,)),
    simulate=simulate,
    theories=(exact, ensemble, on_host),
    observables=(
        Observable("sample_mean", "mean of the sample", r"\bar x"),
        Observable("second_moment", "mean of the squares", r"\overline{x^2}"),
        Observable("path", "a path", dims=("step",)),
    ),
    coords=lambda c: {"step": list(range(c.num_steps))},
    check_config=check_config,
)
