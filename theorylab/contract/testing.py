"""The contract test: whatever the laboratory relies on, tried on a setting.

It uses the library's public face alone, as the tests of another package do::

    from theorylab.contract.testing import check_setting
    from my_package import SETTING

    def test_my_setting():
        check_setting(SETTING)

Each clause is a generator of complaints, and can be tried by itself: ``list(CLAUSES["shapes"](setting))``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

import theorylab as tl
from theorylab.contract import PRESETS, Case, ConfigError, Setting, Theory, scalar_fields, static_fields
from theorylab.jax_version import double_precision

PLATFORMS = ("cuda", "tpu")
Complaints = Iterator[str]


def check_setting(setting: Setting, *, base_seed: int = 0, presets: Sequence[str] = PRESETS) -> None:
    """Try every clause of the contract on a setting, at the sizes of its presets; only ``tiny`` is run.

    Parameters
    ----------
    setting
        The setting. What its declaration alone shows was refused when it was made.
    base_seed
        Of the runs of ``tiny``.
    presets
        Whose programs are traced.

    Raises
    ------
    AssertionError
        With a line for each complaint: the clause, and what breaks it.
    """
    complaints = []
    for name, clause in CLAUSES.items():
        options: dict[str, Any] = {"base_seed": base_seed} if clause in RUN else {}
        options |= {"presets": presets} if clause in TRACED else {}
        try:
            for text in clause(setting, **options):
                complaints.append(f"{name}: {text}")
        except Exception as error:  # so that the complaints of the clauses before are heard
            complaints.append(f"{name}: {type(error).__name__}: {error}")
    assert not complaints, f"{setting.name} breaks the contract:\n" + "\n".join(dict.fromkeys(complaints))


# --- what is traced, but not run ------------------------------------------------------------------------------


def shapes(setting: Setting, *, presets: Sequence[str] = PRESETS) -> Complaints:
    """``simulate`` returns every observable, and no other, with the shapes of its coordinates, in every case."""
    known = {o.name: o for o in setting.observables}
    for place, cell in _sizes(setting, presets):
        try:
            measured = jax.eval_shape(setting.simulate, jax.random.key(0), _leaves(cell))
        except Exception as error:
            if _lacks_package(error):
                continue
            yield f"{place}: simulate raises {type(error).__name__}: {error}"
            continue
        coords = setting.coords(cell)
        for name in [*known, *(name for name in measured if name not in known)]:
            if name not in measured or name not in known:
                yield f"{place}: simulate " + (f"does not return {name}" if name in known else f"returns {name!r}")
                continue
            if missing := [dim for dim in known[name].dims if dim not in coords]:
                yield f"{place}: coords names no {missing[0]!r}, a dimension of {name}"
                continue
            wanted = tuple(len(coords[dim]) for dim in known[name].dims)
            if measured[name].shape != wanted:
                yield f"{place}: simulate returns {name} of shape {measured[name].shape}, its dims have {wanted}"


def predictions(setting: Setting, *, presets: Sequence[str] = PRESETS) -> Complaints:
    """Where a theory holds it speaks: some of what it declares, with the shapes of the observables."""
    for place, cell in _sizes(setting, presets):
        coords = setting.coords(cell)
        for theory in _holding(setting, cell):
            if not theory.traceable:
                continue
            try:
                predicted = _traced(theory, cell)
            except Exception as error:
                if not _lacks_package(error):
                    yield f"{place}: {theory.name} raises {type(error).__name__}: {error}"
                continue
            if not predicted:
                yield f"{place}: {theory.name} holds, and predicts nothing"
            for name, value in predicted.items():
                if name not in theory.predicts:
                    yield f"{place}: {theory.name} predicts {name!r}, which it does not declare"
                    continue
                wanted = tuple(len(coords[dim]) for dim in setting.observable(name).dims)
                if value.shape != wanted:
                    yield f"{place}: {theory.name} predicts {name} of shape {value.shape}, simulate has {wanted}"


def instances(setting: Setting) -> Complaints:
    """``simulate`` is ``run`` after ``sample``, and ``advance`` returns another such instance."""
    sample, run, advance = setting.sample, setting.run, setting.advance
    if sample is None or run is None:
        return
    for case in setting.presets["tiny"]:
        place, (_, cell) = f"tiny, {case.name}", next(_sizes_of(case))
        arguments = jax.random.key(0), _leaves(cell)
        programs = (lambda key, config: run(sample(key, config), config)), setting.simulate
        texts = {re.sub("0x[0-9a-f]+", "", str(jax.make_jaxpr(program)(*arguments))) for program in programs}
        if len(texts) > 1:
            yield f"{place}: simulate is not run after sample"
        if advance is not None:
            instance = jax.eval_shape(sample, *arguments)
            with contextlib.suppress(ConfigError):  # what cannot be continued says so
                if (moved := jax.eval_shape(advance, instance, arguments[1])) != instance:
                    yield f"{place}: advance returns {moved}, not {instance}"


def errors(setting: Setting, *, presets: Sequence[str] = PRESETS) -> Complaints:
    """The declared error is finite and not negative wherever the theory holds."""
    for place, cell in _cells(setting, presets):
        for theory in _holding(setting, cell):
            for name in theory.predicts:
                try:
                    theory.relative_error(cell, name)
                except ImportError:
                    continue
                except Exception as error:
                    yield f"{place}: {theory.name}: {type(error).__name__}: {error}"


def lowering(setting: Setting) -> Complaints:
    """Simulator and traceable theories can be mapped over scalars and lowered for GPUs and TPUs."""
    from jax import export

    lowered = set()
    for case in setting.presets["tiny"]:
        _, cell = next(_sizes_of(case))
        traceable = [(theory.name, theory.predict) for theory in _holding(setting, cell) if theory.traceable]
        once = [(name, predict) for name, predict in traceable if name not in lowered]
        lowered |= {name for name, _ in once}
        for name, function in [("simulate", setting.simulate), *once]:
            mapped = jax.jit(jax.vmap(_of_bits(function), in_axes=(None, 0)))
            arguments = jax.ShapeDtypeStruct((2,), np.uint32), _several(cell, 2)
            try:
                export.export(mapped, platforms=PLATFORMS)(*arguments)
            except Exception as error:
                if not _lacks_package(error):
                    yield f"tiny, {case.name}: {name} cannot be lowered: {type(error).__name__}: {error}"


def single_precision(setting: Setting) -> Complaints:
    """Float32 in, float32 out: nothing but the inputs decides the precision."""
    with double_precision(False), warnings.catch_warnings():
        # A float64 constant, which JAX cuts short.
        warnings.filterwarnings("error", "Explicitly requested dtype")
        for case in setting.presets["tiny"]:
            _, cell = next(_sizes_of(case))
            try:
                measured = jax.eval_shape(setting.simulate, jax.random.key(0), _leaves(cell))
            except Exception as error:
                if not _lacks_package(error):
                    yield f"tiny, {case.name}: simulate raises {type(error).__name__}: {error}"
                continue
            for name, value in measured.items():
                if value.dtype.kind == "f" and value.dtype != np.float32:
                    yield f"tiny, {case.name}: {name} is {value.dtype}"


# --- what is run ----------------------------------------------------------------------------------------------


def mapping(setting: Setting) -> Complaints:
    """The map over every scalar equals single calls, and the same key gives the same bits."""
    case = setting.presets["tiny"][0]
    _, cell = next(_sizes_of(case))
    nudged = cell
    for name in scalar_fields(cell):  # all at once: a call or two for each field would cost most of the test's time
        nudged = _nudged(setting, nudged, name) or nudged
    cells = [cell, nudged]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *map(_leaves, cells))
    bits = np.asarray(jax.random.key_data(jax.random.key(1)))
    single = jax.jit(_of_bits(setting.simulate))
    mapped = jax.jit(jax.vmap(_of_bits(setting.simulate), in_axes=(None, 0)))(bits, stacked)
    again = single(bits, _leaves(cell))
    # What rounding in another order may leave after a run.
    rtol, atol = (1e-6, 1e-9) if _double() else (1e-2, 1e-5)
    for number, one in enumerate(cells):
        for name, value in single(bits, _leaves(one)).items():
            if number == 0 and not np.array_equal(value, again[name], equal_nan=True):
                yield f"tiny, {case.name}: {name} differs between two calls with the same key"
            if not np.allclose(value, mapped[name][number], rtol=rtol, atol=atol, equal_nan=True):
                yield f"tiny, {case.name}: the map over all scalars changes {name} of cell {number}"


def agreement(setting: Setting, *, base_seed: int = 0, preset: str = "tiny") -> Complaints:
    """Every theory holds somewhere in ``tiny`` and agrees there, and nothing in it diverges.

    In another ``preset``, which takes its time, not every theory need hold.
    """
    seen: dict[str, int] = {theory.name: 0 for theory in setting.theories}
    for case, data, rows in _compared(setting, base_seed, preset):
        if bool((data["first_bad_step"] >= 0).any()):
            yield f"{preset}, {case.name}: a run diverged"
        for row in rows:
            seen[row.theory] += row.status.judged
            if row.failed and not _rounded(row):
                place = f"{preset}, {case.name} {row.cell} {row.at}"
                numbers = f"{row.empirical:.6g} against {row.predicted:.6g}, tolerance {row.tolerance:.2g}"
                yield f"{place}: {row.observable} {row.verdict} with {row.theory} ({numbers})"
    for name, count in seen.items():
        if not count and preset == "tiny":
            yield f"{name} is compared with nothing in tiny: give it a case"


def statistics(setting: Setting, *, base_seed: int = 0, preset: str = "tiny") -> Complaints:
    """Every case has enough seeds: the theory, and not their number, decides how far a row may be off.

    What the standard errors add to a tolerance is at most what is declared, or :data:`LOOSE` of the largest prediction
    in the row. The contract asks it of ``tiny``; another ``preset`` may be given, and takes its time.
    """
    for _, _, rows in _compared(setting, base_seed, preset):
        yield from (f"{preset}, {text}" for text in map(too_few_seeds, rows) if text)


def too_few_seeds(row: Any) -> str:
    """Say so where a row of :func:`theorylab.compare` has too few seeds; nothing where they are enough."""
    statistical = STANDARD_ERRORS * row.standard_error
    if row.scale < 1e-9 * statistical:  # of a prediction of nothing but rounding there is no part
        return ""
    if not (row.status.compared and statistical > max(row.tolerance - statistical, LOOSE * row.scale)):
        return ""
    off = f"may be {statistical / row.scale:.0%} off by its {row.judged_seeds} seeds alone"
    return f"{row.case} {row.cell} {row.at}: {row.observable} of {row.theory} {off}"


def controls(setting: Setting, *, base_seed: int = 0) -> Complaints:
    """Every theory declares wrong versions of itself, and the comparison that it passes rejects each of them."""
    # Where little is predicted first: most controls are rejected there.
    data = sorted((data for _, data in _run(setting, base_seed, "tiny")), key=lambda data: data.nbytes)
    for theory in setting.theories:
        if not theory.controls:
            yield f"{theory.name} declares no control: name a wrong version of it that a check must reject"
        for name in theory.controls:
            wrong = theory.control(name)
            if not any(row.failed for one in data for row in tl.compare(setting, one, theories=[wrong])):
                yield f"the control {name!r} of {theory.name} is not rejected anywhere in tiny"


#: Standard errors in a tolerance, and the part of the largest prediction that they may always be.
STANDARD_ERRORS, LOOSE = 4.0, 0.1

CLAUSES: dict[str, Callable[..., Complaints]] = {
    "shapes": shapes,
    "instances": instances,
    "predictions": predictions,
    "errors": errors,
    "lowering": lowering,
    "single precision": single_precision,
    "mapping": mapping,
    "agreement": agreement,
    "statistics": statistics,
    "controls": controls,
}


#: Clauses that trace the programs of given presets, and those that run ``tiny`` from a given base seed.
TRACED, RUN = (shapes, predictions, errors), (agreement, statistics, controls)


# --- pieces ---------------------------------------------------------------------------------------------------


def _sizes(setting: Setting, presets: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Configurations of every case, one for each combination of sizes, with the place that it is from."""
    seen = set()
    for place, case in _cases(setting, presets):
        for where, cell in _sizes_of(case):
            sizes = tuple(getattr(cell, name) for name in static_fields(cell))
            if sizes not in seen:
                seen.add(sizes)
                yield f"{place}{where}", cell


def _cases(setting: Setting, presets: Sequence[str]) -> Iterator[tuple[str, Case]]:
    for preset in presets:
        for case in (*setting.presets[preset], *setting.sweeps.get(preset, ())):
            yield f"{preset}, {case.name}", case


def _sizes_of(case: Case) -> Iterator[tuple[str, Any]]:
    """Combinations of a case's choices and of the ends of its lists of sizes; swept scalars at their first values."""
    grid = {}
    for name, values in case.grid.items():
        listed = list(values)
        sizes = isinstance(listed[0], (int, float)) and not isinstance(listed[0], bool)
        ends = listed[:1] if name not in static_fields(case.config) else [listed[0], listed[-1]][: len(listed)]
        grid[name] = ends if sizes else listed
    yield from _product(case, grid)


def _cells(setting: Setting, presets: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for place, case in _cases(setting, presets):
        for where, cell in _product(case, case.grid):
            yield f"{place}{where}", cell


def _product(case: Case, grid: Any) -> Iterator[tuple[str, Any]]:
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        yield f" {changes}" if changes else "", dataclasses.replace(case.config, **changes)


def _holding(setting: Setting, cell: Any) -> list[Theory]:
    with _quiet():
        return [theory for theory in setting.theories if theory.holds(cell) is None]


def _traced(theory: Theory, cell: Any) -> dict[str, Any]:
    predicted: dict[str, Any] = jax.eval_shape(theory.predict, jax.random.key(0), _leaves(cell))
    return predicted


def _leaves(cell: Any) -> Any:
    """The configuration with its scalars as arrays of the default float type, as the laboratory has them."""
    dtype = jax.dtypes.canonicalize_dtype(float)
    return dataclasses.replace(cell, **{n: np.asarray(getattr(cell, n), dtype) for n in scalar_fields(cell)})


def _several(cell: Any, count: int) -> Any:
    dtype = jax.dtypes.canonicalize_dtype(float)
    return dataclasses.replace(cell, **{n: jax.ShapeDtypeStruct((count,), dtype) for n in scalar_fields(cell)})


def _of_bits(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a key's bits: typed keys cannot be exported."""
    return lambda bits, config: function(jax.random.wrap_key_data(bits), config)


def _nudged(setting: Setting, cell: Any, name: str) -> Any:
    """The configuration with one scalar moved a little, within what the setting allows."""
    value = float(getattr(cell, name))
    if not math.isfinite(value):
        return None
    for moved in (1.01 * value, value + 0.01, 0.99 * value, value - 0.01):
        changed = dataclasses.replace(cell, **{name: moved})
        with _quiet(), contextlib.suppress(ConfigError):
            if moved != value:
                setting.validate(changed)
                return changed
    return None


def _double() -> bool:
    return bool(jax.dtypes.canonicalize_dtype(float) == np.float64)


def _rounded(row: Any) -> bool:
    """Whether a row disagrees by what a run in single precision may lose, which exact theories do not declare."""
    gap = abs(row.empirical - row.predicted)
    return not _double() and row.status.name == "DISAGREES" and gap < 1e-3 * abs(row.predicted)


@functools.lru_cache(maxsize=2)
def _run(setting: Setting, base_seed: int, preset: str) -> list[tuple[Case, Any]]:
    """Results of a preset, run once for all clauses; cases whose data are not installed are left out."""
    found = []
    with _quiet():
        for case in setting.presets[preset]:
            try:
                data = tl.sweep(setting, case.config, case.grid, seeds=case.seeds, base_seed=base_seed)
            except ImportError as error:
                if not _lacks_package(error):
                    raise
                continue
            found.append((case, data))
    return found


@functools.lru_cache(maxsize=2)
def _compared(setting: Setting, base_seed: int, preset: str) -> list[tuple[Case, Any, list[Any]]]:
    """Results of a preset with the rows of every theory, predicted once for all clauses."""
    cases = _run(setting, base_seed, preset)
    return [(case, data, tl.compare(setting, data, case=case.name, z_max=STANDARD_ERRORS)) for case, data in cases]


def _lacks_package(error: Exception) -> bool:
    return isinstance(error, ImportError) and "pip install" in str(error)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings of what a configuration may do, which is what some cases study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield
