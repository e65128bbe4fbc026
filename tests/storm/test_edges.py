"""Runs at the edges of every field, at the smallest sizes: no traceback, nothing silently wrong or lost.

Around a small configuration each field takes its extreme values, a scalar's all in one program. What is not refused in
one line runs to its end, is read again as it was, says which runs diverged, and is compared with every theory.
``THEORYLAB_STORM=1`` runs a hundred and more per setting, else about ten.
"""

import collections
import dataclasses
import itertools
import math
import os
import random
import shutil
import traceback
import typing

import jax
import numpy as np
import pytest

from theorylab import catalogue, compare
from theorylab.contract import ConfigError, scalar_fields, static_fields
from theorylab.lab.grid import make_plan
from theorylab.lab.store import open_results
from theorylab.lab.sweep import sweep

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")]

FULL = bool(os.environ.get("THEORYLAB_STORM"))
RUNS = 100
#: Within a field's limits some of these remain; the last ones leave the floats sooner or later.
NUMBERS = (0.0, 1e-300, 1e-30, 1e-8, 0.1, 0.5, 1.0, 2.0, 10.0, 1e3, 1e8, 1e30, 1e100, -1.0, -0.1, -1e8)


def limits(field):
    return [
        field.metadata[name] for name in ("at_least", "above", "at_most", "below") if field.metadata[name] is not None
    ]


def edges_of_scalar(field):
    """Its limits, their neighbours on both sides, and numbers of all magnitudes."""
    values = [float(limit) for limit in limits(field)]
    values += [math.nextafter(limit, way) for limit in limits(field) for way in (-math.inf, math.inf)]
    values += [limit + step for limit in limits(field) for step in (-1e-6, 1e-6)]
    return list(dict.fromkeys([*values, *NUMBERS]))


def edges_of_size(field, hint, value):
    """Choices, or the smallest sizes up to about the present one."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if hint is bool:
        return [False, True]
    if not isinstance(value, (int, float)):
        return [value]
    lowest = [round(limit) for limit in limits(field)] or [0]
    near = [lowest[0] - 1, *(lowest[0] + step for step in (0, 1, 2, 3)), value - 1, value, value + 1]
    values = [
        *near,
        *((math.inf,) if field.metadata["or_infinite"] else ()),
        *(0.3, 1.7)[: not field.metadata["whole"]],
    ]
    return list(dict.fromkeys(v for v in values if v <= max(2 * value, 8) or v == math.inf))


def one_line(error):
    text = str(error)
    assert 0 < len(text) < 1000
    assert "\n" not in text


def accepted(setting, config, grid=None):
    """Whether a configuration is not refused; if it is, in one line."""
    try:
        make_plan(setting, config, grid)
    except ConfigError as error:
        one_line(error)
        return False
    return True


def smallest(setting, config):
    """The configuration with each size at the least value that is accepted beside the others."""
    for name in static_fields(config):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or name.startswith("num_test"):
            continue
        for size in range(max(1, *map(round, limits(type(config).__dataclass_fields__[name]) or [1])), value):
            changed = dataclasses.replace(config, **{name: size})
            if accepted(setting, changed):
                config = changed
                break
    return config


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
    hints = typing.get_type_hints(setting.config)
    cases = draw.sample(setting.presets["tiny"], len(setting.presets["tiny"]))
    starts = [dataclasses.replace(case.config, **{f: v[0] for f, v in case.grid.items()}) for case in cases]
    small = [smallest(setting, setting.validate(start)) for start in starts]
    yield from dict.fromkeys(small)
    while True:
        changed = base = draw.choice(small)
        for field in dataclasses.fields(base):
            if field.name in static_fields(base):
                value = draw.choice(edges_of_size(field, hints[field.name], getattr(base, field.name)))
                tried = dataclasses.replace(changed, **{field.name: value})
                changed = tried if accepted(setting, tried) else changed
        yield setting.validate(changed)


@pytest.mark.parametrize("name", catalogue.names())
def test_runs_at_the_edges(name, tmp_path):
    setting, draw = catalogue.get(name), random.Random(name)
    counted = ("runs", "refused", "diverged", "tracebacks", "lost", "silently wrong", "disagree")
    seen = collections.Counter(dict.fromkeys(counted, 0))
    hints = typing.get_type_hints(setting.config)
    for base in itertools.islice(bases(setting, draw), 20):
        jobs = []
        for field in dataclasses.fields(base):
            if field.name in scalar_fields(base):
                values = edges_of_scalar(field)
            else:
                values = edges_of_size(field, hints[field.name], getattr(base, field.name))
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
