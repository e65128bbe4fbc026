"""Cases of the three presets, and the sweeps of the figures."""

from __future__ import annotations

import dataclasses

from theorylab.contract import Case
from theorylab.settings.factorisation.linear_networks.config import Config

WEIGHTS = Config(simulator="weights", width=12)
NARROW = dataclasses.replace(WEIGHTS, width=4)
OPPOSING = Config(
    problem="opposing", scaling="standard", simulator="weights", width=8, num_steps=800, target_scale=2.0,
    init_scale=0.05, learning_rate=0.06,
)  # fmt: skip
ONE_INPUT = Config(problem="scalar", simulator="weights", width=64, num_steps=60, target_scale=0.0)
WIDE = Config(width=10_000, num_steps=1, num_records=1, learning_rate=0.1)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("narrow", NARROW, {"learning_rate": (0.05, 0.15)}, seeds=8),
        Case("opposing", OPPOSING, {"learning_rate": (0.03, 0.06)}, seeds=20, show="sharpness"),
        Case("one input", ONE_INPUT, {"learning_rate": (0.5, 1.2)}, seeds=8),
        Case("many draws", WIDE, {}, seeds=3600, show="initial_sharpness"),
    ),
    "default": (
        Case(
            "scalings",
            dataclasses.replace(WEIGHTS, learning_rate=0.1),
            {"scaling": ("ntk", "standard", "mup"), "width": (6, 32)},
            seeds=8,
        ),
        Case("narrow", dataclasses.replace(NARROW, learning_rate=0.1), {"scaling": ("ntk", "mup")}, seeds=20),
        Case("rates", dataclasses.replace(WEIGHTS, width=32), {"learning_rate": (0.05, 0.15, 0.3, 0.4)}, seeds=20),
        Case("opposing", OPPOSING, {"learning_rate": (0.03, 0.06, 0.08)}, seeds=40, show="sharpness"),
        Case("one input", ONE_INPUT, {"learning_rate": (0.5, 0.9, 1.2)}, seeds=20),
        Case("many draws", WIDE, {"scaling": ("ntk", "standard"), "width": (1000, 100_000)}, seeds=3600),
    ),
    "paper": (
        Case(
            "rates",
            dataclasses.replace(WEIGHTS, width=200, num_steps=400),
            {"scaling": ("ntk", "standard", "mup"), "learning_rate": (0.01, 0.02)},
            seeds=20,
        ),
        Case("opposing", OPPOSING, {"learning_rate": (0.03, 0.06, 0.07, 0.08)}, seeds=100, show="sharpness"),
        Case("one input", dataclasses.replace(ONE_INPUT, width=500), {"learning_rate": (0.5, 0.9, 1.2)}, seeds=20,
             note="arXiv 2003.02218: one input, target 0, width 500; our steps"),
        Case("many draws", WIDE, {"width": (1000, 10**6)}, seeds=20_000),
    ),
}  # fmt: skip

SPARSE, DENSE = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7), tuple(0.01 * 1.15**k for k in range(36))
TRANSFER = Config(num_steps=60, num_records=1)
FINE = dataclasses.replace(OPPOSING, num_records=400)
SWEEPS: dict[str, tuple[Case, ...]] = {
    preset: (
        *(
            Case(
                f"transfer_{scaling}",
                dataclasses.replace(TRANSFER, scaling=scaling),
                {"width": widths, "learning_rate": rates},
                seeds=seeds,
            )
            for scaling in ("ntk", "standard", "mup")
        ),
        Case("edge", FINE, {"learning_rate": (0.03, 0.06, 0.08)}, seeds=1),
    )
    for preset, widths, rates, seeds in (
        ("tiny", (64,), SPARSE, 2),
        ("default", (16, 128, 1024, 10**6), DENSE, 16),
        ("paper", (16, 128, 1024, 10**6), DENSE, 40),
    )
}
