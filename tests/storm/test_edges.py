"""Runs at the edges of every field, at the smallest sizes: no traceback, nothing silently wrong or lost.

Around a small configuration each field takes its extreme values, a scalar's all in one program. What is not refused in
one line runs to its end, is read again as it was, says which runs diverged, and is compared with every theory.
``THEORYLAB_STORM=1`` runs a hundred and more per setting, else about ten.
"""

import collections
import dataclasses
import itertools
import os
import random
import shutil
import traceback

import jax
import numpy as np
import pytest
from edges import accepted, edges, one_line, smallest

from theorylab import catalogue, compare
from theorylab.contract import ConfigError, static_fields
from theorylab.lab.store import open_results
from theorylab.lab.sweep import sweep

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")]

FULL = bool(os.environ.get("THEORYLAB_STORM"))
RUNS = 100


def try_out(setting, config, grid, path, seen):
    """Run, read again, compare; whatever is wrong is counted and named."""
    what = f"{dataclasses.asdict(config)} {grid}"
    try:
        data = sweep(setting, config, grid, seeds=2, store=path)
        again = open_results(path)
        rows = compare(setting, data)
    except ConfigError as error:  # what only a program shows, such as its bytes
        one_line(error)
        seen["refused"] += 1
        return
    except Exception:
        seen["tracebacks"] += 1
        print(f"{what}\n{traceback.format_exc()}")
        return
    finally:
        shutil.rmtree(path, ignore_errors=True)
    bad = data["first_bad_step"].values >= 0
    seen["runs"] += bad.size // 2
    seen["diverged"] += int(bad.any(-1).sum())
    if not again.identical(data) or not data["finished"].values.all():
        seen["lost"] += 1
        print(f"lost: {what}")
    for observable in setting.observables:
        values = np.asarray(data[observable.name])
        missing = ~np.isfinite(values).reshape(*bad.shape, -1).all(-1)
        if not observable.allow_nan and (missing & ~bad).any():
            seen["silently wrong"] += 1
            print(f"{observable.name} is missing and nothing diverged: {what}")
    for row in rows:  # a check says so aloud; but does the theory hold there?
        if row.status.name == "DISAGREES" and setting.theory(row.theory).kind == "exact":
            seen["disagree"] += 1
            numbers = f"{row.empirical:.10g} against {row.predicted:.10g}"
            print(f"{row.theory} disagrees: {row.observable} {numbers} {row.cell}: {what}")


def bases(setting, draw):
    """The smallest configurations of every case; then others about it, with each size drawn among its edges."""
    cases = setting.presets["tiny"]
    small = [smallest(setting, case) for case in draw.sample(cases, len(cases))]
    yield from dict.fromkeys(small)
    while True:
        changed = base = draw.choice(small)
        for field in dataclasses.fields(base):
            if field.name in static_fields(base):
                tried = dataclasses.replace(changed, **{field.name: draw.choice(edges(base, field))})
                changed = tried if accepted(setting, tried) else changed
        yield setting.validate(changed)


@pytest.mark.parametrize("name", catalogue.names())
def test_runs_at_the_edges(name, tmp_path):
    setting, draw = catalogue.get(name), random.Random(name)
    counted = ("runs", "refused", "diverged", "tracebacks", "lost", "silently wrong", "disagree")
    seen = collections.Counter(dict.fromkeys(counted, 0))
    for base in itertools.islice(bases(setting, draw), 20):
        jobs = []
        for field in dataclasses.fields(base):
            values = edges(base, field)
            good = [v for v in values if accepted(setting, base, {field.name: [v]})]
            seen["refused"] += len(values) - len(good)
            # Sizes one by one: they may change the coordinates.
            jobs += [{field.name: [v]} for v in good] if field.name in static_fields(base) else [{field.name: good}]
        jobs = [job for job in jobs if all(job.values())]
        draw.shuffle(jobs)
        for number, grid in enumerate(jobs if FULL else jobs[:3]):
            try_out(setting, base, grid, tmp_path / f"{number}.zarr", seen)
        jax.clear_caches()
        if not FULL or seen["runs"] >= RUNS:
            break
    print(f"\n{name}", dict(seen), flush=True)
    assert seen["tracebacks"] == seen["lost"] == seen["silently wrong"] == 0
    assert seen["runs"] >= (RUNS if FULL else 1)
