"""Stores that grow: seeds, and values of swept fields, are added to a finished store.

All that is new lies in chunks of its own, or in ends of chunks that are not in use; the metadata of the smaller store
do not look there. Then one file, replaced at once, says that the store is larger. Until then it is the finished store
that it was; from then on it has cells to compute, as any other: whenever a process dies, the same command goes on.
"""

from __future__ import annotations

import json
import time
import typing
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from theorylab.lab import identity, metadata
from theorylab.lab import store as results
from theorylab.lab.job import Job, make_job
from theorylab.lab.layout import traced
from theorylab.lab.locks import chunks_locked
from theorylab.lab.metadata import FINISHED, StoreError
from theorylab.numerics.files import written_whole

#: Seconds between two looks at a store that is in use.
_PAUSE = 0.2


def grow(path: Path, job: Job, asked: Mapping[str, Any], accept_changes: bool) -> Job:
    """Let a store hold also what a sweep asks for, and return the sweep of all that it then holds.

    Swept values are those of both, the store's first; seeds are the larger number. ``asked`` are the attributes of the
    sweep.

    Raises
    ------
    ConfigError
        If a combination of old and new values is not allowed.
    StoreError
        If the store differs in more than seeds and swept values, is not finished, or was begun by another program.
    """
    waits = False
    while True:
        content = metadata.read(path)
        whole = _together(path, job, content["attributes"], asked)
        if not _is_larger(whole, content):
            return whole
        if not results.finished_cells(path).all():
            if metadata.read(path) != content:  # it has grown meanwhile
                continue
            raise StoreError(f"{path} is not finished: repeat the command that began it, then add to it")
        if not accept_changes and (changed := identity.changes_since(path, asked)):
            raise identity.begun_by_another(path, changed)
        with chunks_locked(path, range(_size(content) + 1), wait=False) as held:
            if held and metadata.read(path) == content:
                _enlarge(path, content, whole)
                return whole
        if not held and not waits:
            warnings.warn(f"another run is using {path}: waiting for it", stacklevel=4)
            waits = True
        time.sleep(_PAUSE)


def _together(path: Path, job: Job, stored: Mapping[str, Any], asked: Mapping[str, Any]) -> Job:
    """Return the sweep of what is stored and of what is asked for; raises ``StoreError`` where more is different."""
    identity.check_same_sweep(path, identity.but_for_size(stored, asked))
    then, now = (json.loads(attributes["grid"]) for attributes in (stored, asked))
    hints = typing.get_type_hints(job.setting.config)
    grid: dict[str, list[Any]] = {}
    for name in results.shape_of(path)[0]:
        new = [value for value, text in zip(job.plan.grid[name], now[name], strict=True) if text not in then[name]]
        grid[name] = [results.from_json(value, hints[name]) for value in then[name]] + new
    seeds = max(job.seeds, stored["seeds"])
    return make_job(job.setting, job.plan.config, grid, seeds, job.base_seed, job.memory_budget)


def _size(content: Mapping[str, Any]) -> int:
    return int(np.prod(metadata.arrays_of(content)[FINISHED]["shape"]))


def _is_larger(job: Job, content: Mapping[str, Any]) -> bool:
    return job.cells(job.seeds) > _size(content)


def _enlarge(path: Path, content: Mapping[str, Any], job: Job) -> None:
    """Write labels and flags of the new cells, then the metadata; the caller holds the lock on all of the store."""
    programs, _, coords = traced(job)
    for program in programs:
        identity.check_outputs(path, program.inner_shapes)
    stored = metadata.arrays_of(content)
    lengths = {name: len(values) for name, values in coords.items()}
    larger = {}
    for name, array in stored.items():
        shape = [lengths[dim] for dim in array["dimension_names"]]
        if shape != array["shape"]:
            larger[name] = {**array, "shape": shape}

    def enlarge() -> None:
        opened = results.arrays(path, content, larger)
        for name, array in larger.items():
            # A chunk of results that is not there is one without finished cells.
            values = coords.get(name, False if name == FINISHED else None)
            for dim, first, last in zip(array["dimension_names"], stored[name]["shape"], array["shape"], strict=True):
                if first < last and values is not None:
                    new = values[first:] if name in coords else values
                    results.assign(opened, name, {dim: slice(first, last)}, new)
        for name, array in larger.items():
            with written_whole(path / name / metadata.FILE) as scratch:
                scratch.write_text(json.dumps(array, indent=2), encoding="utf-8")
        grid = results.to_json(job.plan.grid)
        metadata.update(path, larger, finished_at=None, grid=grid, seeds=job.seeds)

    results.write(path, enlarge)
