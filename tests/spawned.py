"""What a spawned process runs: in a module that it can import, as the files of tests cannot be."""

import warnings

import toy

from theorylab.lab.sweep import sweep


def share(store, index):
    """Compute one of two shares of a sweep; return how many cells the store then holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the other one may be writing
        data = sweep(toy.SETTING, grid={"mean": (0.0, 1.0)}, seeds=8, store=store, processes=(index, 2))
    return int(data["finished"].sum())
