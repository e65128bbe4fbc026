"""What a check runs on XOR clusters, and the sweeps behind the figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from theorylab.contract import Case
from theorylab.settings.two_layer.xor.config import Config, at_ratio

# The cases of a preset share their sizes, and so their compiled programs.
SMALL: dict[str, Any] = {
    "num_train": 100, "input_dim": 60_000, "width": 100, "num_steps": 20, "label_noise": 0.1, "num_test": 200,
    "records_per_decade": 2,
}  # fmt: skip
SLOW: dict[str, Any] = {
    "num_train": 100, "input_dim": 200_000, "width": 200, "num_steps": 200, "label_noise": 0.1,
}  # fmt: skip

#: Few inputs for the samples, and test errors near a half: here the output's skewness shows in its error.
WEAK: dict[str, Any] = {
    "num_train": 100, "input_dim": 4000, "width": 400, "num_steps": 15, "label_noise": 0.0, "num_test": 1600,
}  # fmt: skip

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("large steps", at_ratio(10.0, cluster_coupling=3.0, **SMALL), seeds=64),
        Case("memorisation", at_ratio(0.05, cluster_coupling=1.0, **SMALL), seeds=64, show="train_accuracy"),
    ),
    "default": (
        Case("large steps", Config(), seeds=64, note="the paper's experiment at a third of its width, half the steps"),
        Case("little signal", at_ratio(100.0, snr=10.0), seeds=56),
        Case("small steps", at_ratio(0.05, cluster_coupling=4.0, **SLOW), seeds=40),
        Case("memorisation", at_ratio(0.01, cluster_coupling=0.2, **SLOW), seeds=24, show="train_accuracy"),
        Case("weak clusters", at_ratio(2.9, cluster_coupling=1.2, **WEAK), seeds=32, show="final_test_error"),
    ),
    "paper": (
        Case("large steps", Config(width=1000, num_steps=30), seeds=100),
        Case("small steps", Config(width=1000, num_steps=4000, learning_rate=1e-16), seeds=100),
    ),
}

#: Step over initialisation of the runs that collapse on rescaled time.
RATIOS = (10.0, 1.0, 0.1, 0.01)
#: Couplings λ at which flipped labels are looked at, some beyond the theory's range.
COUPLINGS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)


def at_norm(learning_rate: float, num_steps: int, *, records_per_decade: int, **sizes: Any) -> Config:
    """The paper's experiment, λ = 2.5², at given sizes and step size."""
    norm = 2.5 * math.sqrt(sizes["input_dim"] / sizes["num_train"])
    return Config(
        **sizes, mean_norm=norm, learning_rate=learning_rate, num_steps=num_steps, records_per_decade=records_per_decade
    )


def ratio_cases(steps: Mapping[float, int], seeds: int, **sizes: Any) -> tuple[Case, ...]:
    """The same data at several step sizes: ``{κ: number of steps}``."""
    return tuple(
        Case(
            f"ratio_{ratio:g}",
            at_ratio(ratio, cluster_coupling=4.0, label_noise=0.1, num_steps=count, loss_slope="half", **sizes),
            seeds=seeds,
        )
        for ratio, count in steps.items()
    )


def flips_case(couplings: tuple[float, ...], seeds: int, **sizes: Any) -> Case:
    """Clusters that pull more and more strongly on flipped labels."""
    config = at_ratio(30.0, cluster_coupling=2.0, label_noise=0.1, **sizes)
    norms = tuple(math.sqrt(c * config.input_dim / config.num_train) for c in couplings)
    return Case("flips", config, {"mean_norm": norms}, seeds)


TINY: dict[str, Any] = {"num_train": 20, "input_dim": 4000, "width": 20, "num_test": 40}
PAPER: dict[str, Any] = {"num_train": 200, "input_dim": 40_000, "width": 1000, "num_test": 400}
_DEFAULT: tuple[Case, ...] = (
    Case("large", at_norm(1e-12, 30, records_per_decade=16, **PAPER), seeds=16),
    Case("small", at_norm(1e-16, 4000, records_per_decade=10, **PAPER), seeds=4, note="α as in the paper"),
    *ratio_cases(
        dict(zip(RATIOS, (30, 30, 200, 2000), strict=True)), 8,
        num_train=60, input_dim=60_000, width=200, num_test=400,
    ),
    Case(
        "memorisation_widths",
        at_ratio(
            0.01, cluster_coupling=0.2, label_noise=0.1, num_steps=150,
            num_train=50, input_dim=100_000, num_test=40, width=200,
        ),
        {"width": (50, 200, 800)},
        seeds=8,
    ),
    flips_case(COUPLINGS, 8, num_steps=60, num_train=100, input_dim=20_000, num_test=400, width=200),
)  # fmt: skip
#: Sweeps behind the figures. Those of the default preset have published sizes already.
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("large", at_norm(1e-12, 15, records_per_decade=16, label_noise=0.1, **TINY), seeds=2),
        Case("small", at_norm(1e-14, 40, records_per_decade=10, label_noise=0.1, **TINY), seeds=2),
        *ratio_cases(dict.fromkeys(RATIOS, 20), 2, **TINY),
        Case(
            "memorisation_widths",
            at_ratio(0.01, cluster_coupling=0.2, label_noise=0.1, num_steps=40, **TINY),
            {"width": (20,)},
            seeds=2,
        ),
        flips_case(COUPLINGS[::4], 2, num_steps=15, **TINY),
    ),
    "default": _DEFAULT,
    "paper": _DEFAULT,
}


@dataclasses.dataclass(frozen=True)
class Networks:
    """Trained networks whose test error is estimated in several ways, for each of ``num_train`` and ``snr``.

    At ``shown`` samples all estimates are made, ``draws`` test points being counted.
    """

    num_train: tuple[int, ...]
    snr: tuple[float, ...]
    shown: int
    seeds: int
    draws: int
    sizes: Mapping[str, int]
    inputs_per_sample: int

    def config(self, num_train: int, snr: float) -> Config:
        """No label noise, large steps."""
        input_dim = self.inputs_per_sample * num_train
        return at_ratio(
            100.0, snr=snr, num_train=num_train, input_dim=input_dim, num_test=4, label_noise=0.0, **self.sizes
        )


_NETWORKS = Networks(
    (25, 50, 100, 200), (3.0, 6.0, 12.0, 25.0, 50.0), shown=100, seeds=4, draws=100_000,
    sizes={"width": 100, "num_steps": 20}, inputs_per_sample=200,
)  # fmt: skip
#: Networks behind the figure of the test error; no sweep, since they have no grid of a configuration's fields.
NETWORKS = {
    "tiny": Networks(
        (20,), (5.0, 20.0), shown=20, seeds=2, draws=2000, sizes={"width": 16, "num_steps": 5}, inputs_per_sample=100
    ),
    "default": _NETWORKS,
    "paper": _NETWORKS,
}
