"""Cases of the three presets, and the sweeps of the figures."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.factorisation.neural_collapse.config import Config

LIGHT = Config()
STRONG = dataclasses.replace(LIGHT, weight_decay=4e-2, feature_decay=2e-2, num_steps=4000)
SAMPLES = dataclasses.replace(LIGHT, simulator="samples", width=6, num_steps=200, weight_decay=2e-2, feature_decay=2e-3)
DEEP = Config(class_counts="40,20,12,8", depth=2, weight_decay=2e-2, feature_decay=1e-3, start="saddle", num_steps=6000)
MINIMUM = dataclasses.replace(DEEP, start="minimum", perturbation=0.15)
SPARE = dataclasses.replace(STRONG, width=8, weight_decay=1e-2, feature_decay=1e-3)
TEN = Config(class_counts="500,300,200,100,50,40,30,20,10,5", width=10, num_steps=20_000)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("samples", SAMPLES, seeds=8, show="loss"),
        Case("one layer", STRONG, {"feature_decay": (2e-3, 3e-2)}, seeds=8),
        Case("narrow", dataclasses.replace(STRONG, width=3, feature_decay=2e-3), seeds=8),
        Case("two branches", DEEP, {"start_factor": (0.9, 1.1)}, seeds=8),
        Case("spare width", SPARE, seeds=8),
    ),
    "default": (
        Case("light", LIGHT, {"width": (4, 8)}, seeds=8),
        Case("samples", SAMPLES, {"depth": (1, 2, 3)}, seeds=8, show="loss"),
        Case("one layer", STRONG, {"weight_decay": (2e-2, 3e-2, 4e-2), "feature_decay": (2e-3, 6e-3, 3e-2)}, seeds=8),
        Case("narrow", dataclasses.replace(STRONG, feature_decay=2e-3), {"width": (2, 3)}, seeds=8),
        Case("minimum", dataclasses.replace(MINIMUM, num_steps=8000), {"depth": (2, 3)}, seeds=20),
        Case("two branches", DEEP, {"depth": (2, 3), "start_factor": (0.8, 0.9, 1.1, 1.25)}, seeds=8),
        Case("spare width", SPARE, {"feature_decay": (5e-4, 1e-3, 2e-3)}, seeds=20),
    ),
    "paper": (
        Case("ten classes", TEN, {"depth": (1,)}, seeds=20),
        Case("samples", dataclasses.replace(SAMPLES, num_steps=2000), {"depth": (1, 2, 3)}, seeds=20, show="loss"),
        Case("minimum", MINIMUM, {"depth": (2, 3)}, seeds=100),
        Case("two branches", DEEP, {"depth": (2, 3), "start_factor": (0.8, 0.9, 0.95, 1.06, 1.1, 1.25)}, seeds=20),
    ),
}

#: N = 74 in one configuration: many sizes of classes, so that one run draws a whole curve.
SIZES = Config(
    class_counts="25,16,11,8,6,4,3,1", width=8, weight_decay=3e-2, feature_decay=3e-3, num_steps=4000, init_scale=1.5,
    learning_rate=0.1,
)  # fmt: skip
PHASES = dataclasses.replace(DEEP, class_counts="40,20,12,8,4", width=5, start="random", learning_rate=0.1)
SWEEPS: dict[str, tuple[Case, ...]] = {
    preset: (
        Case("sizes", dataclasses.replace(SIZES, num_steps=steps), {"depth": depths}, seeds=seeds),
        Case("phases", dataclasses.replace(PHASES, num_steps=2 * steps), {"init_scale": scales}, seeds=seeds),
    )
    for preset, steps, depths, scales, seeds in (
        ("tiny", 500, (1, 2), (0.5, 1.5), 2),
        ("default", 4000, (1, 2, 3), (0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.8, 2.1), 20),
        ("paper", 10_000, (1, 2, 3), tuple(0.1 * k for k in range(2, 25)), 200),
    )
}
