"""Presets of the networks that grok, and the sweeps behind their figures."""

from __future__ import annotations

import dataclasses
from typing import Any

from theorylab.contract import Case
from theorylab.settings.two_layer.grokking_networks.config import Config

#: Squared error of a centred two-layer network, as in the solvable model.
ADDITION = Config(
    width=256, num_hidden=1, activation="square", train_fraction=0.6, loss="squared", centred=True,
    learning_rate=5e-3, weight_decay=0.3, num_steps=2000,
)  # fmt: skip
TRANSFORMER = Config(
    architecture="transformer", width=32, train_fraction=0.75, centred=True, learning_rate=3e-3, weight_decay=2.0,
    num_steps=2000,
)  # fmt: skip
IMAGES = Config(
    task="images", width=100, use_bias=True, loss="squared", weight_scale=8.0, learning_rate=3e-3, weight_decay=0.3,
    num_steps=3000,
)  # fmt: skip
#: Cross-entropy without weight decay, and an ε of AdamW that lets the smallest gradients move the weights.
STABILITY = Config(epsilon=1e-25)
VARIANTS = {
    "softmax": STABILITY,
    "perpendicular": dataclasses.replace(STABILITY, optimizer="perpendicular_adamw"),
    "stablemax": dataclasses.replace(STABILITY, loss="stablemax", second_moment_decay=0.999),
    "stablemax_perpendicular": dataclasses.replace(
        STABILITY, loss="stablemax", optimizer="perpendicular_adamw", second_moment_decay=0.999
    ),
}


def _output_scales(
    addition: Config, transformer: Config, images: Config, scales: tuple[tuple[float, ...], ...], seeds: int
) -> tuple[Case, ...]:
    """Sweeps of Figure 1: output scales from rich to lazy."""
    configs = {"addition_mlp": addition, "addition_transformer": transformer, "images_mlp": images}
    return tuple(
        Case(name, config, {"output_scale": values}, seeds)
        for (name, config), values in zip(configs.items(), scales, strict=True)
    )


def _variants(rates: tuple[float, ...], **changes: Any) -> tuple[Case, ...]:
    """Sweeps of Figure 2: cross-entropy without weight decay, four ways to train one network."""
    return tuple(
        Case(f"stability_{name}", dataclasses.replace(config, **changes), {"learning_rate": rates}, seeds=2)
        for name, config in VARIANTS.items()
    )


#: The sweeps behind the figures. ``paper`` has the published sizes.
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        *_output_scales(
            dataclasses.replace(ADDITION, modulus=5, width=16, num_steps=150),
            dataclasses.replace(TRANSFORMER, modulus=5, width=8, num_steps=150),
            dataclasses.replace(IMAGES, num_train=20, num_test=50, width=16, num_steps=150),
            ((0.1, 8.0), (0.3, 30.0), (0.003, 1.0)),
            seeds=2,
        ),
        *_variants((5e-3,), modulus=5, width=16, num_steps=20),
    ),
    "default": (
        *_output_scales(
            ADDITION,
            TRANSFORMER,
            IMAGES,
            ((0.1, 0.5, 2.0, 8.0, 32.0), (0.3, 3.0, 10.0, 30.0), (0.003, 0.03, 0.3, 1.0)),
            seeds=2,
        ),
        *_variants((5e-3, 5e-2)),
    ),
    "paper": (
        *_output_scales(
            dataclasses.replace(ADDITION, modulus=113, width=500, num_steps=30_000),
            dataclasses.replace(TRANSFORMER, modulus=113, width=128, num_steps=30_000),
            dataclasses.replace(IMAGES, num_train=1000, num_test=4000, pooling=1, width=200, num_steps=30_000),
            ((0.1, 0.5, 2.0, 8.0, 32.0), (0.3, 3.0, 30.0, 100.0), (0.003, 0.03, 0.3, 1.0)),
            seeds=5,
        ),
        *_variants((1e-2,), modulus=113, width=200, train_fraction=0.4, num_steps=80_000),
    ),
}

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case(
            "addition",
            dataclasses.replace(ADDITION, modulus=5, width=16, num_steps=12),
            {"output_scale": (0.5, 8.0)},
            seeds=3,
        ),
        Case("softmax", dataclasses.replace(STABILITY, modulus=5, width=16, num_steps=40), seeds=3),
    ),
    "default": (
        Case("addition", dataclasses.replace(ADDITION, num_steps=400), {"output_scale": (0.5, 8.0)}, seeds=2),
        Case(
            "transformer",
            dataclasses.replace(TRANSFORMER, num_steps=100),
            {"output_scale": (3.0, 30.0)},
            seeds=2,
        ),
        *(Case(name, dataclasses.replace(config, num_steps=300), seeds=2) for name, config in VARIANTS.items()),
    ),
    "paper": (
        Case(
            "addition",
            dataclasses.replace(ADDITION, modulus=113, width=500, num_steps=10_000),
            {"output_scale": (0.5, 8.0)},
            seeds=5,
        ),
        Case(
            "softmax",
            dataclasses.replace(STABILITY, modulus=113, width=200, train_fraction=0.4, num_steps=80_000),
            seeds=2,
        ),
    ),
}
