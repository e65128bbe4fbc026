"""Compiling a function of (key, config) for a block of seeds and swept scalars, within a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from theorylab.lab.grid import Plan, nested_map, scalar_leaves, scalar_values, seed_keys


class Program:
    """A function of (key, config) over seeds and swept scalars: traced once, compiled for a block that fits.

    ``lengths`` and ``block`` are over (seed, *scalars).
    """

    def __init__(self, function: Callable[..., Any], config: Any, plan: Plan, seeds: int):
        self.values = scalar_values(plan)
        self.names = plan.scalar
        self.config = scalar_leaves(config)
        self.devices = jax.local_devices()
        self.function = function
        self.lengths = (seeds, *(len(v) for v in self.values))
        self.block = self.lengths
        self.compiled: Any = None
        self._traced: Any = None

    def traced(self) -> Any:
        """Trace the nested map for the current block, once; seeds are shared out over the local devices."""
        if self._traced is not None:
            return self._traced
        names = self.names

        def mapped(base_seed: Any, seeds: Any, values: Any, config: Any) -> Any:
            return nested_map(self.function, config, names)(seed_keys(base_seed, seeds), values)

        count = len(self.devices)
        padded = -(-self.block[0] // count) * count
        if count > 1:
            mesh = jax.sharding.Mesh(np.array(self.devices), ("seed",))
            spec = jax.sharding.PartitionSpec
            mapped = jax.shard_map(
                mapped,
                mesh=mesh,
                in_specs=(spec(), spec("seed"), spec(), spec()),
                out_specs=spec("seed"),
                check_vma=False,
            )
        seeds = jax.ShapeDtypeStruct((padded,), np.uint32)
        values = tuple(jax.ShapeDtypeStruct((n,), jax.dtypes.canonicalize_dtype(float)) for n in self.block[1:])
        self.padded = padded
        self._traced = jax.jit(mapped).trace(np.uint32(0), seeds, values, self.config)
        return self._traced

    @property
    def outputs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of the observables, with leading (seed, *scalars) axes of the block."""
        return self.traced().out_info

    def fit(self, budget: int) -> None:
        """Compile, shrinking the block (seeds first, then the longest scalar axis) until it fits."""
        while True:
            self.compiled = self.traced().lower().compile()
            need = _bytes_needed(self.compiled)
            if need <= budget or max(self.block) == 1:
                return
            block = list(self.block)
            axis = 0 if block[0] > 1 else int(np.argmax(block))
            block[axis] = max(1, min(block[axis] - 1, int(block[axis] * budget / need)))
            self.block = tuple(block)
            self._traced = None

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Slices over (seed, *scalars) that tile the whole."""
        counts = [-(-n // b) for n, b in zip(self.lengths, self.block, strict=True)]
        for index in np.ndindex(*counts):
            yield tuple(
                slice(i * b, min((i + 1) * b, n)) for i, b, n in zip(index, self.block, self.lengths, strict=True)
            )

    def run(self, base_seed: int, block: tuple[slice, ...]) -> dict[str, np.ndarray]:
        """Run one block. A last, shorter block repeats its final entry, so that no second program is needed."""
        wanted = [np.arange(s.start, s.stop) for s in block]
        padded = [np.resize(w, n) for w, n in zip(wanted, (self.padded, *self.block[1:]), strict=True)]
        values = tuple(v[p] for v, p in zip(self.values, padded[1:], strict=True))
        dtype = jax.dtypes.canonicalize_dtype(float)
        seeds = padded[0].astype(np.uint32)
        outputs = self.compiled(np.uint32(base_seed), seeds, tuple(v.astype(dtype) for v in values), self.config)
        keep = tuple(slice(0, len(w)) for w in wanted)
        return {name: np.asarray(value)[keep] for name, value in outputs.items()}


def _bytes_needed(compiled: Any) -> int:
    try:
        memory = compiled.memory_analysis()
        return int(memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes)
    except Exception:  # not every backend reports it; then one batch is all that can be tried
        return 0
