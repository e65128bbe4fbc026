"""Reads the text of a program compiled for a GPU: what each loop launches, and where the host waits.

A launch is an operation of a scheduled loop that is work for the card: a fused kernel, a library's routine, a copy. The
host waits for the card at each condition, and in each round of a loop whose number of rounds XLA does not know.
"""

import importlib.util
import re
from typing import NamedTuple

OPERATION = re.compile(r"(?P<root>ROOT )?%?(?P<name>\S+) = (?:\([^()]*\)|\S+) (?P<kind>[\w\-]+)\((?P<operands>[^)]*)")
# Names for what is there already.
FREE = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast"}
CONTROL = {"while", "conditional", "call"}


def plugin():
    """Whether JAX's plugin for CUDA is installed."""
    try:
        return any(importlib.util.find_spec(f"jax_plugins.xla_cuda{major}") for major in (12, 13))
    except ModuleNotFoundError:
        return False


class Operation(NamedTuple):
    """One line of a computation."""

    name: str
    kind: str
    operands: tuple[str, ...]
    text: str
    is_root: bool

    def attribute(self, pattern):
        """The first group of a pattern in what follows the operands, or ``None``."""
        found = re.search(pattern, self.text)
        return found and found.group(1)


def computations(text):
    """Operations of each computation of a program's text, by its name."""
    found, name = {}, None
    for line in text.splitlines():
        if head := re.match(r"(?:ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = head.group(1)
            found[name] = []
        elif line.startswith("}"):
            name = None
        elif name and (match := OPERATION.match(line.strip())):
            operands = tuple(re.findall(r"%([\w.\-]+)", match["operands"]))
            found[name].append(Operation(match["name"], match["kind"], operands, line, bool(match["root"])))
    return found


class Loop(NamedTuple):
    """A loop: its body's operations, its rounds where XLA knows them, and the loops in it."""

    body: list[Operation]
    rounds: int | None
    inner: list["Loop"]

    @property
    def launches(self):
        """Launches of one round; of inner loops those of all their rounds, or of one where these are not known."""
        own = sum(operation.kind not in FREE | CONTROL for operation in self.body)
        return own + sum((loop.rounds or 1) * loop.launches for loop in self.inner)

    @property
    def conditions(self):
        """Conditions in one round, without those of inner loops."""
        return sum(operation.kind == "conditional" for operation in self.body)

    @property
    def idle(self):
        """Launches whose operands are the same in each round: they could be made once."""
        root = next(operation for operation in self.body if operation.is_root)
        (state,) = (operation.name for operation in self.body if operation.kind == "parameter")
        parts = {o.name: int(o.attribute(r"index=(\d+)")) for o in self.body if o.operands == (state,)}
        # What a round hands on where it got it.
        kept = {name for place, name in enumerate(root.operands) if parts.get(name) == place}
        kept = {name for name, place in parts.items() if place in {parts[other] for other in kept}}
        idle = []
        for operation in self.body:
            if operation.kind == "constant" or (operation.operands and kept.issuperset(operation.operands)):
                kept.add(operation.name)
                if operation.kind not in FREE | CONTROL:
                    idle.append(operation.text.strip())
        return idle


def loops_of(text):
    """All loops of a program, outermost ones first in each list."""
    parts = computations(text)

    def inside(body):
        found = []
        for operation in body:
            if operation.kind == "while":
                inner = parts[operation.attribute(r"body=%?([\w.\-]+)")]
                rounds = operation.attribute(r'known_trip_count":\{"n":"(\d+)')
                found.append(Loop(inner, rounds and int(rounds), inside(inner)))
            elif operation.kind == "call":
                found += inside(parts[operation.attribute(r"to_apply=%?([\w.\-]+)")])
        return found

    entry = re.search(r"^ENTRY %?([\w.\-]+)", text, re.MULTILINE)
    return inside(parts[entry.group(1)])
