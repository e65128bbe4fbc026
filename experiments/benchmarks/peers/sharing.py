"""One seed of grokking over many output scales, as a sweep runs it, on the cores of this process."""

import functools

import numpy as np

from theorylab.catalogue import get
from theorylab.lab.grid import make_plan
from theorylab.lab.program import Program
from theorylab.runtime import configure

configure(float64=False, cache=False)


@functools.cache
def program(name):
    """Compile the sweep of a workload: its sizes, number of scales last."""
    dim, width, count, test, steps, scales = (int(n) for n in DATA[name])
    setting = get("grokking")
    config = setting.config(
        input_dim=dim, width=width, num_samples=count, num_test=test, num_steps=steps, quadratic_coeff=0.5,
        scaled_learning_rate=1 / count,
    )  # fmt: skip
    grid = {"output_scale": tuple(np.geomspace(0.5, 4, scales).tolist())}
    return Program(setting.simulate, config, make_plan(setting, config, grid), 1).fit(2**32)


def prepare(name):
    """Devices among which the cells of a workload are shared out."""
    return program(name).parts


def sweep(name):
    """Test losses at the end, over scales."""
    (block,) = program(name).blocks()
    return program(name).run(0, block)["test_loss"][0, :, -1].tolist()
