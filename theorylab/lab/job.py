"""A validated sweep, and how its cells are dealt out to several processes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from theorylab.contract import ConfigError, Setting
from theorylab.contract.fields import shown, to_type, whole_number
from theorylab.lab import memory
from theorylab.lab import store as results
from theorylab.lab.fingerprint import fingerprint
from theorylab.lab.grid import Grid, Plan, make_plan
from theorylab.lab.program import Program


@dataclasses.dataclass(frozen=True)
class Job:
    """A validated sweep."""

    setting: Setting
    plan: Plan
    seeds: int
    base_seed: int
    memory_budget: float

    def cells(self, seeds: int) -> int:
        """Return the number of cells of the grid, each with so many seeds."""
        return math.prod(self.plan.shape) * seeds

    def program(self, cell: Any, seeds: int) -> Program:
        """Return the simulator on one combination of static fields, for so many seeds; nothing is compiled yet."""
        return Program(self.setting.simulate, cell, self.plan, seeds)

    def identity(self) -> dict[str, Any]:
        """Return the attributes of the results: what was swept, and where."""
        config = self.plan.config
        return {
            "theorylab_schema": results.SCHEMA,
            "setting": self.setting.name,
            "config": results.to_json({f.name: getattr(config, f.name) for f in dataclasses.fields(config)}),
            "grid": results.to_json(self.plan.grid),
            "seeds": self.seeds,
            "base_seed": self.base_seed,
            "program": fingerprint(self.setting),
            **results.provenance(),
        }


def make_job(setting: Setting, config: Any, grid: Grid | None, seeds: int, base_seed: int, memory_budget: float) -> Job:
    """Validate what a sweep is given.

    Raises
    ------
    ConfigError
        Naming the field or argument that is not allowed.
    ImportError
        Where the sweep needs a package that is not installed; the message names the remedy.
    """
    plan = make_plan(setting, setting.config() if config is None else config, grid)
    for _, cell in plan.static_cells():
        if why := setting.needs(cell):
            raise ImportError(why)
    budget = to_type(memory_budget, float)
    if not isinstance(budget, float) or not 0 < budget < math.inf:
        raise ConfigError(f"memory_budget = {shown(memory_budget)} is not allowed: must be > 0 bytes, and finite")
    return Job(
        setting,
        plan,
        seeds=whole_number(seeds, "seeds", 1, NUM_SEEDS),
        base_seed=check_base_seed(base_seed),
        memory_budget=budget,
    )


#: Seed numbers and base seeds are 32 bits each of a key.
NUM_SEEDS = 2**32


def check_base_seed(base_seed: Any) -> int:
    """Return a base seed as ``int``; raises ``ConfigError``."""
    return whole_number(base_seed, "base_seed", 0, NUM_SEEDS)


def check_seeds(seeds: Any) -> np.ndarray:
    """Return seed numbers: those below a number, or a list of them; raises ``ConfigError``."""
    if isinstance(seeds, (Sequence, np.ndarray)) and not isinstance(seeds, (str, bytes)) and np.ndim(seeds) == 1:
        return np.array([whole_number(seed, "seeds", 0, NUM_SEEDS) for seed in seeds], np.int64)
    count = whole_number(seeds, "seeds", 1, NUM_SEEDS)
    memory.check_results({"number of the seed and a value": (2,)}, count)
    return np.arange(count)


def check_processes(processes: Any) -> tuple[int, int]:
    """Return ``(index, count)`` of a process; raises ``ConfigError``."""
    try:
        index, count = (to_type(number, int) for number in processes)
        whole = all(isinstance(number, int) and not isinstance(number, bool) for number in (index, count))
    except (TypeError, ValueError):
        whole = False
    if not whole or not 0 <= index < count:
        raise ConfigError(
            f"processes = {shown(processes)} is not allowed: "
            "must be (index, count), whole numbers with 0 <= index < count"
        )
    return index, count


# --- shares of several processes -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Share:
    """What one process computes of one combination of static fields: some seeds, that is some chunks of the store."""

    number: int
    seeds: slice
    chunks: range


def pieces_of(num_cells: int, count: int) -> int:
    """Return into how many parts to cut the seeds, for the parts of all combinations to be a multiple of ``count``."""
    return count // math.gcd(num_cells, count)


def shares_of(num_cells: int, seeds: int, chunk: int, processes: tuple[int, int]) -> tuple[list[Share], int]:
    """Shares of one process, dealt out in turn, and the largest number of seeds in any process's share.

    A chunk is in the share of one process only, for any number of processes.
    """
    index, count = processes
    chunks = -(-seeds // chunk)
    pieces = min(chunks, pieces_of(num_cells, count))
    shares = []
    for turn in range(index, num_cells * pieces, count):
        number, piece = divmod(turn, pieces)
        first, last = piece * chunks // pieces, (piece + 1) * chunks // pieces
        own = slice(first * chunk, min(last * chunk, seeds))
        shares.append(Share(number, own, range(number * chunks + first, number * chunks + last)))
    return shares, min(-(-chunks // pieces) * chunk, seeds)
