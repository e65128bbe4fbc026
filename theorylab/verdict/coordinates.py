"""Coordinates without bounds for fields with a range: what a search moves in, and how its directions are said."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from theorylab.contract import field_of


@dataclasses.dataclass(frozen=True)
class Coordinate:
    """A field's coordinate u without bounds: ln of its distance to one bound, the logit between two, or itself."""

    name: str
    low: float | None
    high: float | None

    @classmethod
    def of(cls, config: Any, name: str) -> Coordinate:
        """Of a field with its range; allowed ends and forbidden ones are the same here."""
        ends = field_of(config, name).metadata
        pairs = (ends["at_least"], ends["above"]), (ends["at_most"], ends["below"])
        return cls(name, *(next((end for end in pair if end is not None), None) for pair in pairs))

    def of_value(self, value: float) -> float:
        """Return u of a value; an end itself is moved inside."""
        if self.low is not None and self.high is not None:
            share = min(max((value - self.low) / (self.high - self.low), 1e-3), 1 - 1e-3)
            return math.log(share / (1 - share))
        if self.low is not None:
            return math.log(value - self.low) if value > self.low else math.log(0.1)
        if self.high is not None:
            return -math.log(self.high - value) if value < self.high else -math.log(0.1)
        return value

    def value(self, u: float) -> tuple[float, float]:
        """Return the value at u, and its slope there."""
        with np.errstate(over="ignore"):
            if self.low is not None and self.high is not None:
                share = float(1 / (1 + np.exp(-u)))
                return self.low + (self.high - self.low) * share, (self.high - self.low) * share * (1 - share)
            if self.low is not None:
                return self.low + float(np.exp(u)), float(np.exp(u))
            if self.high is not None:
                return self.high - float(np.exp(-u)), float(np.exp(-u))
        return u, 1.0

    @property
    def label(self) -> str:
        """What u is, as a reader sees it."""
        if self.low is not None and self.high is not None:
            return f"logit {self.name}"
        if self.low is not None:
            return f"ln {self.name}" if self.low == 0 else f"ln({self.name} - {self.low:g})"
        return self.name if self.high is None else f"-ln({self.high:g} - {self.name})"


def combination(weights: Mapping[str, float]) -> str:
    """Return a sum as text, without what is below a twentieth of its largest weight."""
    largest = max(map(abs, weights.values()))
    kept = {name: weight for name, weight in weights.items() if abs(weight) > largest / 20}
    parts = [f"{'-' if weight < 0 else '+'} {abs(weight):.2g} {name}" for name, weight in kept.items()]
    return " ".join(parts).removeprefix("+ ").replace(" 1 ", " ").removeprefix("1 ")
