"""Sizes of checks and of figures."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.kernels.ntk.config import Config

RELU = Config(label_scale=0.3)
TANH = Config(activation="tanh", label_scale=0.1)
#: Few neurons and few steps, many networks: where the correction of order 1/m is seen.
NARROW = Config(width=64, num_steps=24)
#: ηλ = 2.4, for the kernel of infinite width.
ABOVE = dataclasses.replace(TANH, learning_rate=0.57, label_scale=0.3)
ABOVE_RELU = dataclasses.replace(RELU, width=2048, learning_rate=0.32)

PRESETS: dict[str, tuple[Case, ...]] = {
    # 60 steps: beyond them the linearised loss leaves float32.
    "tiny": (
        # Of this data set ReLU's drift is near its leading order.
        Case("relu", dataclasses.replace(RELU, data_seed=1), seeds=360, show="loss"),
        Case("tanh", dataclasses.replace(TANH, num_steps=60), {"label_scale": (0.1, 1.0)}, seeds=112, show="loss"),
        Case("narrow", NARROW, seeds=1000, show="linear_loss"),
        Case("catapult", dataclasses.replace(ABOVE, num_steps=60), seeds=112, show="final_sharpness"),
    ),
    "default": (
        Case("relu", RELU, {"width": (128, 512, 2048), "label_scale": (0.3, 0.6)}, seeds=320),
        Case("tanh", TANH, {"width": (128, 512, 2048), "label_scale": (0.1, 1.0)}, seeds=128),
        Case("another data set", dataclasses.replace(RELU, data_seed=1), seeds=320),
        Case("narrow", NARROW, {"width": (64, 256)}, seeds=4000),
        Case("catapult", ABOVE, {"width": (512, 2048), "learning_rate": (0.54, 0.57, 0.6)}, seeds=128),
        Case("catapult_relu", ABOVE_RELU, {"learning_rate": (0.3, 0.33)}, seeds=72),
    ),
    "paper": (
        Case("relu", RELU, {"width": (512, 2048, 8192, 16384), "label_scale": (0.1, 0.3, 1.0)}, seeds=200),
        Case("tanh", TANH, {"width": (512, 2048, 8192), "label_scale": (0.1, 1.0)}, seeds=200),
        Case("narrow", NARROW, {"width": (64, 256, 1024)}, seeds=20_000),
        Case("catapult", ABOVE, {"width": (512, 2048, 8192), "learning_rate": (0.54, 0.57, 0.6)}, seeds=200),
        Case("catapult_relu", ABOVE_RELU, {"width": (2048, 8192), "learning_rate": (0.3, 0.33)}, seeds=200),
    ),
}

#: Widths of the figures' power laws, and steps (times the top eigenvalue) of the catapult's.
WIDTHS = {"tiny": (128, 256), "default": (128, 256, 512, 1024, 2048, 4096), "paper": (128, 512, 2048, 8192, 32768)}
_SEEDS = {"tiny": 2, "default": 64, "paper": 200}
#: Steps that are swept, times the top eigenvalue of the limit's kernel.
_SHARPNESS = {
    "tiny": (0.4, 2.4),
    "default": (0.4, 0.8, 1.2, 1.6, 1.8, 1.9, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.7, 2.8, 2.9, 3.0),
    "paper": tuple(round(0.05 * step, 2) for step in range(8, 65)),
}
_TOP = {"relu": 7.4363, "tanh": 4.1980}

SWEEPS: dict[str, tuple[Case, ...]] = {
    preset: (
        Case("widths_relu", dataclasses.replace(RELU, label_scale=0.1), {"width": widths}, seeds=_SEEDS[preset]),
        Case("widths_tanh", TANH, {"width": widths}, seeds=_SEEDS[preset]),
        *(
            Case(
                f"rates_{name}",
                dataclasses.replace(base, width=512 if preset == "tiny" else 2048, label_scale=0.3),
                {"learning_rate": tuple(round(value / _TOP[name], 4) for value in _SHARPNESS[preset])},
                seeds=min(_SEEDS[preset], 16),
            )
            for name, base in (("relu", RELU), ("tanh", TANH))
        ),
        Case(
            "curves",
            dataclasses.replace(RELU, width=512 if preset == "tiny" else 4096, label_scale=1.0, num_steps=300),
            {"learning_rate": (0.1, 0.3)},
            seeds=min(_SEEDS[preset], 8),
        ),
    )
    for preset, widths in WIDTHS.items()
}
