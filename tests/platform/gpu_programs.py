"""Compiles simulators for an H100 that is not there: a script for a process of its own.

The CUDA plugin compiles for a described device; it must not look for a driver, nor another test's JAX be set up so.
Arguments: whether every case is compiled or the first one alone, and settings. Prints a line for each program.
"""

import itertools
import os
import sys
import time
import warnings
from pathlib import Path

os.environ["JAX_SKIP_CUDA_CONSTRAINTS_CHECK"] = "1"
os.environ.pop("JAX_PLATFORMS", None)

import jax
import numpy as np
from jax.experimental import topologies

import theorylab
from theorylab.lab.grid import make_plan, nested_map, scalar_leaves
from theorylab.lab.program import bytes_needed
from theorylab.numerics import xla

#: Of the GPU that is not there; another one's may be named in the environment.
TARGET = Path(os.environ.get("THEORYLAB_GPU_TARGET") or Path(__file__).with_name("h100.txtpb"))
#: Without a GPU nothing can be timed. XLA's own choice of a kernel for a product may then be one that it cannot build.
UNTUNED = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}


def device():
    """A device of the description."""
    jax.devices()  # makes JAX look for its plugins
    target = TARGET.read_text(encoding="utf-8")
    return topologies.get_topology_desc("", "cuda", target_config=target, topology="1x1x1").devices[0]


def compiled_for(where, function, config, names, lengths):
    """Compile a function of (key, config), mapped over seeds and swept scalars, for a device."""

    def run(bits, values, config):
        return jax.vmap(lambda bits: nested_map(function, config, names)(jax.random.wrap_key_data(bits), values))(bits)

    dtype = jax.dtypes.canonicalize_dtype(float)
    values = tuple(jax.ShapeDtypeStruct((n,), dtype) for n in lengths)
    arguments = (jax.ShapeDtypeStruct((2, 2), np.uint32), values, scalar_leaves(config))
    return jax.jit(run, in_shardings=jax.sharding.SingleDeviceSharding(where)).lower(*arguments).compile(UNTUNED)


def main(every, names):
    warnings.simplefilter("ignore", UserWarning)
    xla.on_processor = lambda: False  # as on the GPU
    jax.config.update("jax_enable_x64", os.environ.get("JAX_ENABLE_X64", "1") != "0")
    where = device()
    print("device", where.device_kind, flush=True)
    for name in names:
        setting = theorylab.get(name)
        for case in itertools.islice(setting.presets["tiny"], None if every else 1):
            if setting.lacks(case):
                print("left out", name, case.name, setting.lacks(case), flush=True)
                continue
            plan = make_plan(setting, case.config, case.grid)
            _, cell = next(plan.static_cells())
            began = time.perf_counter()
            lengths = [len(plan.grid[field]) for field in plan.scalar]
            program = compiled_for(where, setting.simulate, cell, plan.scalar, lengths)
            seconds = time.perf_counter() - began
            print(f"compiled {name}/{case.name} {bytes_needed(program)} bytes {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] == "every", sys.argv[2:])
