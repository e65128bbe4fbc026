"""Compiling a function of (key, config) for a block of seeds and swept scalars, within a memory budget."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend.core as core
import numpy as np

from theorylab.contract import ConfigError
from theorylab.lab import memory
from theorylab.lab.grid import Plan, nested_map, scalar_leaves, scalar_values, seed_keys
from theorylab.lab.operations import RATE, operations
from theorylab.numerics.xla import calls_host, largest_array, map_first, processor_options, size_of

log = logging.getLogger("theorylab")

#: Bytes that one compiled batch may take, unless told otherwise.
DEFAULT_MEMORY_BUDGET = 4 * 2**30
# The compiler may fuse an array away, but not one so many times as large as the memory: it would not even try.
_FUSED_AWAY = 4
# Bytes of constants from which on they are arguments: XLA would read, fold and copy them while it compiles.
_LARGE_CONSTANTS = 2**20


def share_out(function: Callable[..., Any], devices: Any, cut: tuple[Any, ...]) -> Any:
    """Compile a function for an array of devices (of any number of axes), each with its part of some arguments.

    ``cut`` has the structure of the arguments: the axis of the devices along which an argument's first axis is cut, or
    ``None`` if it is the same everywhere. Results are joined along their leading axes, one per axis of the devices.
    """
    devices = np.asarray(devices)
    if devices.size == 1:
        return jax.jit(function)
    spec = jax.sharding.PartitionSpec
    names = tuple(f"part_{axis}" for axis in range(devices.ndim))
    return jax.jit(
        jax.shard_map(
            function,
            mesh=jax.sharding.Mesh(devices, names),
            in_specs=jax.tree.map(lambda i: spec() if i is None else spec(names[i]), cut, is_leaf=lambda i: i is None),
            out_specs=spec(*names),
            check_vma=False,
        )
    )


def divide(lengths: Sequence[int], devices: int) -> tuple[int, ...]:
    """Parts into which to cut each axis (seeds first), so that the busiest of the devices has the fewest cells.

    Seeds alone are cut where there are enough of them: what a seed's hyper-parameters share (the data set, an
    eigendecomposition) is then computed once.

    >>> divide((64, 5), 4), divide((1, 64), 4), divide((3, 5), 4), divide((2, 3), 8)
    ((4, 1), (1, 4), (3, 1), (2, 3))
    """
    if lengths[0] >= devices:
        return devices, *(1 for _ in lengths[1:])
    choices: list[tuple[int, ...]] = [()]
    for length in lengths:
        choices = [(*c, n) for c in choices for n in range(1, min(length, devices // math.prod(c)) + 1)]
    return min(choices, key=lambda parts: (_most(lengths, parts), math.prod(parts), *(-n for n in parts)))


def _most(lengths: Sequence[int], parts: Sequence[int]) -> int:
    """Cells of the busiest part."""
    return math.prod(-(-length // n) for length, n in zip(lengths, parts, strict=True))


# One object for each function, so that JAX finds what it has traced and compiled for another sweep.
@functools.lru_cache(maxsize=128)
def _all_scalars(function: Callable[..., Any], names: tuple[str, ...]) -> Any:
    """All scalars of one seed."""

    def run(seed: Any, base_seed: Any, values: Any, config: Any) -> Any:
        return nested_map(function, config, names)(seed_keys(base_seed, seed), values)

    return jax.jit(run)


@functools.lru_cache(maxsize=128)
def _all_seeds(function: Callable[..., Any], names: tuple[str, ...], parts: tuple[int, ...]) -> Any:
    """All scalars of all seeds, shared out over the devices: so many parts along (seed, *scalars)."""
    return _shared(_all_scalars(function, names), parts)


def _shared(run: Callable[..., Any], parts: tuple[int, ...]) -> Any:
    """Map all scalars of one seed over seeds and devices; what follows the configuration is the same everywhere."""
    devices = np.array(jax.local_devices()[: math.prod(parts)]).reshape(parts)

    def mapped(base_seed: Any, seeds: Any, values: Any, config: Any, constants: Any) -> Any:
        return map_first(run)(seeds, base_seed, values, config, *constants)

    return share_out(mapped, devices, (None, 0, tuple(range(1, devices.ndim)), None, None))


def _with_constants(one: Any) -> Callable[..., Any]:
    """Return a traced program as a function that takes its constants after its other arguments."""
    results = jax.tree.structure(one.out_info)

    def run(seed: Any, base_seed: Any, values: Any, config: Any, *constants: Any) -> Any:
        leaves = jax.tree.leaves((seed, base_seed, values, config))
        flat = core.jaxpr_as_fun(core.ClosedJaxpr(one.jaxpr.jaxpr, constants))(*leaves)
        return jax.tree.unflatten(results, flat)

    return run


@functools.lru_cache(maxsize=128)
def _turn(function: Callable[..., Any]) -> threading.Lock:
    """Whose turn it is to compile this function."""
    return threading.Lock()


@functools.lru_cache(maxsize=128)
def _pace(function: Callable[..., Any]) -> list[float]:
    """Seconds that a counted operation of a function last took, where somebody watched: for its next batch."""
    return [1 / RATE]


class Program:
    """A function of (key, config) over seeds and swept scalars: traced once, compiled for a block that fits.

    ``seeds`` is their number, or an array of seed numbers. ``lengths``, ``block`` and ``parts`` are over
    (seed, *scalars): all cells, those of one run of the program, and the devices among which these are shared out.
    """

    def __init__(self, function: Callable[..., Any], config: Any, plan: Plan, seeds: int | np.ndarray):
        self.values = scalar_values(plan)
        self.names = plan.scalar
        self.config = scalar_leaves(config)
        self.devices = jax.local_devices()
        self.function = function
        self.seeds = None if isinstance(seeds, int) else seeds
        self.lengths = (seeds if isinstance(seeds, int) else len(seeds), *(len(v) for v in self.values))
        self.block = self.lengths
        self.parts = (1,) * len(self.block)
        self.compiled: Any = None
        self.need = 0  # bytes of what is compiled
        self.constants: tuple[Any, ...] = ()  # arrays that the function holds, if they are large
        self._traced: Any = None

    def traced(self) -> Any:
        """Trace the function over seeds (outside) and scalars (inside) for the current block, once.

        Raises
        ------
        ConfigError
            If sizes are beyond memory, or beyond the whole numbers that count entries.
        """
        try:
            return self._trace()
        except (MemoryError, OverflowError) as error:
            why = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigError(f"this machine cannot hold arrays of such sizes: {why}; choose smaller ones") from error

    def _trace(self) -> Any:
        if self._traced is None:
            self.parts = divide(self.block, len(self.devices))
            self.devices = self.devices[: math.prod(self.parts)]
            base_seed, seeds, *others = self._shapes([n // p for n, p in zip(self.padded, self.parts, strict=True)])
            shapes = jax.ShapeDtypeStruct((), seeds.dtype), base_seed, *others
            one = _all_scalars(self.function, self.names).trace(*shapes)
            if len(self.devices) > 1 and self._on_processor and calls_host(one.jaxpr):
                # The devices share XLA's threads: were each to wait on one of them, none would be left to work.
                self.devices = self.devices[:1]
                return self._trace()
            large = sum(getattr(constant, "nbytes", 0) for constant in one.jaxpr.consts) > _LARGE_CONSTANTS
            self.constants = tuple(one.jaxpr.consts) if large else ()
            program = _shared(_with_constants(one), self.parts) if large else None
            program = program or _all_seeds(self.function, self.names, self.parts)
            self._traced = program.trace(*self._shapes(self.padded), self.constants)
        return self._traced

    def _shapes(self, lengths: Sequence[int]) -> tuple[Any, ...]:
        dtype = jax.dtypes.canonicalize_dtype(float)
        values = tuple(jax.ShapeDtypeStruct((n,), dtype) for n in lengths[1:])
        return np.uint32(0), jax.ShapeDtypeStruct((lengths[0],), np.uint32), values, self.config

    @property
    def padded(self) -> tuple[int, ...]:
        """The block, each axis filled up to a multiple of its parts."""
        return tuple(-(-n // p) * p for n, p in zip(self.block, self.parts, strict=True))

    @property
    def _on_processor(self) -> bool:
        return bool(self.devices[0].platform == "cpu")

    @property
    def _is_tuned(self) -> bool:
        return bool(self.devices[0].platform == "gpu")

    @property
    def outputs(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes of the observables, with leading axes (seed, *scalars)."""
        return self.traced().out_info

    @property
    def inner_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the observables of one cell."""
        return {name: output.shape[len(self.lengths) :] for name, output in self.outputs.items()}

    def refuse_if_too_large(self) -> None:
        """Refuse a program of which one cell needs far more memory than there is, before anything is compiled.

        Raises
        ------
        ConfigError
            With the bytes needed.
        """
        cells = float(np.prod([float(n) for n in self.block]))
        need = largest_array(self.traced().jaxpr) / cells
        if need > _FUSED_AWAY * memory.of_device(self.devices[0]):
            memory.check_program(need, self.devices[0])

    def fit(self, budget: float) -> Program:
        """Compile, shrinking the block (seeds first, then the longest scalar axis) until it fits; returns the program.

        Programs of one function are compiled one after the other, whatever the threads: JAX then finds them.

        Raises
        ------
        ConfigError
            With the bytes needed, if a single cell needs more memory than there is.
        """
        with _turn(self.function):
            self._fit(budget)
        return self

    def _fit(self, budget: float) -> None:
        self.refuse_if_too_large()
        while self.compiled is None:
            # The compiler itself fails where the bytes of an array are beyond its own numbers.
            if max(self.block) > 1 and largest_array(self.traced().jaxpr) > 2**62:
                self.block = (1,) * len(self.block)
                self._traced = None
            results = sum(map(size_of, jax.tree.leaves(self.traced().out_info)))
            results /= 1 if self._on_processor else len(self.devices)
            if results > budget and max(self.block) > 1:  # nothing needs to be compiled to see that
                self._shrink(budget / results)
                continue
            log.info("compiling %s cells at once", f"{math.prod(self.block):,}")
            began = time.perf_counter()
            lowered = self.traced().lower()
            # Choosing among a GPU's routines takes most of compiling: not for a size that may turn out too large.
            trial = self._is_tuned and largest_array(self.traced().jaxpr) > budget / _FUSED_AWAY
            options = processor_options() if self._on_processor else {}
            compiled = lowered.compile(compiler_options={"xla_gpu_autotune_level": 0} if trial else options)
            # Devices of one processor have one memory.
            need = bytes_needed(compiled) * (len(self.devices) if self._on_processor else 1)
            if max(self.block) == 1:
                memory.check_program(need, self.devices[0])
            if need > budget and max(self.block) == 1:
                warnings.warn(
                    f"a single cell needs {memory.in_words(need)}, above the memory budget of "
                    f"{memory.in_words(budget)}: cells run one by one",
                    stacklevel=2,
                )
            if need <= budget or max(self.block) == 1:
                self.compiled, self.need = lowered.compile() if trial else compiled, need
                if self.constants:
                    *_, shardings = self.compiled.input_shardings[0]
                    self.constants = jax.device_put(self.constants, shardings)
                log.info("compiled in %.1f s: takes %s", time.perf_counter() - began, memory.in_words(need))
                return
            self._shrink(budget / need)

    def _shrink(self, share: float) -> None:
        """Make the block smaller, to such a share of its memory."""
        block = list(self.block)
        axis = 0 if block[0] > 1 else int(np.argmax(block))
        most = max(1, min(block[axis] - 1, int(block[axis] * share)))
        # Blocks of about the same length: 45 seeds of which 40 fit are 23 and 22, not 40 and 5.
        block[axis] = -(-self.lengths[axis] // -(-self.lengths[axis] // most))
        self.block = tuple(block)
        self._traced = None

    @functools.cached_property
    def operations(self) -> float:
        """Operations of one device in one run of the block, as :func:`~theorylab.lab.operations.operations` counts."""
        lengths = Counter(shape[0] for shape in self.inner_shapes.values() if shape)
        records = max(lengths, key=lengths.__getitem__, default=1)  # what most observables have along their first axis
        return max(operations(self.traced().jaxpr, getattr(self.config, "num_steps", 1), records), 1.0)

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
        padded = [np.resize(w, n) for w, n in zip(wanted, self.padded, strict=True)]
        values = tuple(v[p] for v, p in zip(self.values, padded[1:], strict=True))
        dtype = jax.dtypes.canonicalize_dtype(float)
        seeds = (padded[0] if self.seeds is None else self.seeds[padded[0]]).astype(np.uint32)
        if watched := log.isEnabledFor(logging.INFO):
            count, seconds = math.prod(map(len, wanted)), self.operations * _pace(self.function)[0]
            told = {"cells": count, "seconds": seconds}  # for a bar that moves meanwhile
            log.info("running %s of %s cells", f"{count:,}", f"{math.prod(self.lengths):,}", extra=told)
        began = time.perf_counter()
        outputs = self.compiled(
            np.uint32(base_seed), seeds, tuple(v.astype(dtype) for v in values), self.config, self.constants
        )
        keep = tuple(slice(0, len(w)) for w in wanted)
        results = {name: np.asarray(value)[keep] for name, value in outputs.items()}
        if watched:
            _pace(self.function)[0] = (time.perf_counter() - began) / self.operations
        return results


def bytes_needed(compiled: Any) -> int:
    """Memory of one device that a compiled program takes: arguments, results and what lies between."""
    try:
        memory = compiled.memory_analysis()
        return int(memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes)
    except Exception:  # not every backend reports it; then one batch is all that can be tried
        return 0
