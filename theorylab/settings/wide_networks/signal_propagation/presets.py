"""What a check runs, and what the figures draw besides."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.wide_networks.signal_propagation.config import Config

#: Narrow, so that every order counts; at C_W = 2 ReLU is critical, and the others grow.
NARROW = Config(width=10, depth=4, num_networks=10_000, activation="leaky_relu", negative_slope=0.0)
SLOPES = {"negative_slope": (0.0, 0.3, 1.0)}
SMOOTH = Config(width=32, depth=6, num_networks=5000, activation="tanh", weight_variance=1.0)
WIDE = Config(width=100, depth=4, num_networks=1000)

#: Networks of each kind, at criticality but for the last.
CRITICAL = {
    "linear": Config(activation="linear", weight_variance=1.0),
    "relu": Config(),
    "tanh": Config(activation="tanh", weight_variance=1.0),
    "sin": Config(activation="sin", weight_variance=1.0),
    "chaotic": Config(activation="tanh", weight_variance=2.0),
}

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("piecewise linear", NARROW, SLOPES, seeds=52),
        Case("tanh", SMOOTH, {}, seeds=32),
        Case("ReLU, wide", WIDE, {}, seeds=52),
    ),
    "default": (
        Case("piecewise linear", NARROW, SLOPES | {"depth": (2, 4, 6)}, seeds=48),
        Case("ReLU", dataclasses.replace(NARROW, activation="relu"), {"width": (16, 64), "depth": (2, 8)}, seeds=24),
        Case("tanh", SMOOTH, {"weight_variance": (1.0, 2.0), "width": (32, 64), "depth": (6, 11)}, seeds=48),
        Case("sin", dataclasses.replace(SMOOTH, activation="sin"), {"depth": (6, 17)}, seeds=24),
        Case("tanh with biases", dataclasses.replace(SMOOTH, weight_variance=1.5, bias_variance=0.2), {}, seeds=24),
        Case("ReLU, wide", WIDE, {"depth": (4, 11), "input_cosine": (0.0, 0.6)}, seeds=96),
        Case(
            "the network itself",
            dataclasses.replace(NARROW, num_networks=2000, sampler="matrices"),
            SLOPES,
            seeds=16,
        ),
    ),
    "paper": tuple(
        Case(name, dataclasses.replace(config, width=1000, num_networks=2000), {"depth": (10, 100, 1000)}, seeds=24)
        for name, config in CRITICAL.items()
    ),
}

#: Widths of the figure of fluctuations, networks of a seed, and random factors, from few to many a width.
FLUCTUATIONS: dict[str, tuple[tuple[int, int, tuple[int, ...]], ...]] = {
    "tiny": ((8, 1000, (1, 4)), (16, 1000, (1, 4))),
    "default": (
        (8, 16_000, (1, 2, 4, 8)),
        (32, 16_000, (1, 2, 4, 8, 16, 32)),
        (128, 4000, (1, 4, 16, 32)),
        (512, 1500, (1, 4, 16, 64)),
    ),
    "paper": (
        (16, 100_000, (1, 2, 4, 8, 16)),
        (64, 30_000, (1, 4, 16, 32, 64)),
        (256, 30_000, (1, 4, 16, 64, 128, 256)),
        (1024, 10_000, (1, 4, 16, 64, 256, 512)),
    ),
}


def _fluctuations(preset: str, seeds: int) -> tuple[Case, ...]:
    return tuple(
        Case(
            f"width_{width}",
            Config(width=width, num_networks=networks, activation="leaky_relu", negative_slope=0.0),
            {"depth": tuple(1 + count for count in factors)},
            seeds=seeds,
        )
        for width, networks, factors in FLUCTUATIONS[preset]
    )


def _chains(depths: tuple[int, ...], networks: int, seeds: int) -> tuple[Case, ...]:
    """Kernels of five activations along the depth, at one width."""
    return tuple(
        Case(
            f"chain_{name}",
            dataclasses.replace(config, width=100, num_networks=networks),
            {"depth": depths},
            seeds=seeds,
        )
        for name, config in CRITICAL.items()
    )


def _pairs(depths: tuple[int, ...], networks: int, seeds: int) -> tuple[Case, ...]:
    """Two inputs along the depth: of linear networks, and of ReLU networks from two cosines."""
    linear = Config(activation="linear", weight_variance=1.0, num_networks=networks)
    relu = Config(width=64, num_networks=networks)
    return (
        Case("alignment", linear, {"depth": depths}, seeds=seeds),
        Case("cosines", relu, {"input_cosine": (0.0, 0.6), "depth": depths}, seeds=seeds),
    )


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (*_fluctuations("tiny", 4), *_chains((3,), 200, 4), *_pairs((3,), 200, 4)),
    "default": (*_fluctuations("default", 8), *_chains((3, 11, 21), 500, 8), *_pairs((2, 6, 11, 21), 1000, 8)),
    "paper": (
        *_fluctuations("paper", 16),
        *_chains((3, 6, 11, 21, 51, 101), 10_000, 16),
        *_pairs((2, 6, 11, 21, 41), 10_000, 16),
    ),
}
