"""Measure every declared error over the range in which its theory says that it holds.

    python -m experiments.fidelity [SETTING ...] [--points 24] [--seed 0]    # measure; writes results.json
    python -m experiments.fidelity [SETTING ...] --check 20 [--seed 0]       # is any row wrong, or weak?

Configurations are the points of a Latin hypercube over the ranges of ``ranges.py``, and a few in each corner of
``corners.py``, where theories hold that the ranges hardly reach. Each is simulated with more and more seeds until the
standard errors are a third of the declared error, and compared by ``theorylab.compare``. For every theory the worst
deviation is kept, with its standard error and its configuration; the settings' pages show that table.

``--check`` lists what is wrong, a row that disagrees, and what is weak, a row that agrees only by a tolerance above 30%
of the observable's size. Where seeds alone make it weak there are more of them; where the theory declares more than
that, the row is counted as not judged. The exit code is 1 if a row is wrong or weak.

Finished points are kept in ``--folder``: a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import theorylab as tl
from experiments.fidelity.corners import CORNERS, POINTS
from experiments.fidelity.draw import Draw
from experiments.fidelity.ranges import RANGES
from theorylab.numerics.files import written_whole
from theorylab.verdict.rows import WEAK, Row, Status

RESULTS = Path(__file__).parent / "results.json"
#: Rounds of seeds at one configuration, at most.
ROUNDS = 8
#: Part of the declared error that standard errors must come down to, where it is more than that of rounding.
PART = 1 / 3
EXACT = 1e-6
#: Part of the largest prediction in a row below which an entry's relative deviation says little.
NEGLIGIBLE = 0.1


def rows_at(name: str, config: Any, seeds: int, *, checking: bool, base_seed: int) -> tuple[list[Row], int]:
    """Rows at a configuration, and the number of seeds: rounds are added until they are enough for every row."""
    import xarray

    setting = tl.get(name)
    parts: list[Any] = []
    rows: list[Row] = []
    few = _too_few_to_judge if checking else _too_few_to_measure
    for number in range(ROUNDS):
        parts.append(tl.sweep(setting, config, {}, seeds=seeds, base_seed=base_seed + number))
        data = parts[0] if not number else xarray.concat(parts, "seed")
        rows = tl.compare(setting, data)
        if not any(few(setting, config, row) for row in rows):
            break
    return rows, seeds * len(parts)


def _too_few_to_judge(setting: tl.Setting, config: Any, row: Row) -> bool:
    """Whether it is the seeds that make a row weak."""
    return row.status is Status.AGREES and row.tolerance > WEAK * row.scale > row.declared_error


def _too_few_to_measure(setting: tl.Setting, config: Any, row: Row) -> bool:
    declared = _declared(setting, config, row)
    if not row.status.compared or declared <= EXACT:
        return False
    return row.standard_error > PART * declared * abs(row.predicted) > 0


def _declared(setting: tl.Setting, config: Any, row: Row) -> float:
    return setting.theory(row.theory).relative_error(config, row.observable) if row.status.compared else math.nan


def points(name: str, count: int, seed: int) -> Iterator[tuple[int, Any, int]]:
    """Configurations of a setting that it allows: those of the ranges, then of the corners.

    Each with its number before it, and the seeds of one round after it.
    """
    setting = tl.get(name)
    make, seeds = RANGES[name]
    makers = [(make, Draw(index, count, seed, name), seeds) for index in range(count)]
    for make, some in CORNERS.get(name, ()):
        makers += [(make, Draw(index, POINTS, seed, f"{name}.{make.__name__}"), some) for index in range(POINTS)]
    for index, (make, draw, seeds) in enumerate(makers):
        try:
            config = make(draw)
            setting.validate(config)
        except tl.ConfigError as error:
            print(f"{name} {index}: left out, {error}")
            continue
        yield index, config, seeds(config) if callable(seeds) else seeds


def changed(config: Any) -> dict[str, Any]:
    """Return the fields that are not at their defaults, as JSON keeps them."""
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return {
        name: str(value) if value == math.inf else value for name, value in fields.items() if value != defaults[name]
    }


def deviations(name: str, config: Any, rows: Sequence[Row], seeds: int) -> list[dict[str, Any]]:
    """Return the numbers of every judged row: the deviation and its standard error relative to the prediction."""
    setting = tl.get(name)
    return [
        {
            "theory": row.theory,
            "observable": row.observable,
            "declared": _declared(setting, config, row),
            "deviation": _part(abs(row.empirical - row.predicted), row.predicted),
            "standard_error": _part(row.standard_error, row.predicted),
            "negligible": not abs(row.predicted) >= NEGLIGIBLE * row.scale,
            "tolerance": row.tolerance / row.scale if row.scale else math.nan,
            "verdict": str(row.verdict),
            "failed": row.failed,
            "seeds": seeds,
            "at": dict(row.at),
            "config": changed(config),
        }
        for row in rows
        if row.status.compared
    ]


def _part(size: float, of: float) -> float:
    """Size relative to a prediction; nothing of nothing is nothing."""
    return size / abs(of) if of else (math.nan if size else 0.0)


def measured(name: str, count: int, seed: int, folder: Path, *, checking: bool) -> list[dict[str, Any]]:
    """Measure all points of a setting, or read those that are there."""
    found: list[dict[str, Any]] = []
    for index, config, seeds in points(name, count, seed):
        file = folder / f"{name}-{seed}-{count}-{index}-{1 if checking else ROUNDS}.json"
        if not file.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of regimes, which are tried on purpose
                rows, seeds = rows_at(name, config, seeds, checking=checking, base_seed=1000 * index)
            kept = deviations(name, config, rows, seeds)
            diverged = max((row.diverged_seeds for row in rows), default=0)
            with written_whole(file) as scratch:
                scratch.write_text(json.dumps({"rows": kept, "diverged": diverged}), encoding="utf-8")
            print(f"{name} {index}: {len(kept)} rows, {seeds} seeds, {diverged} diverged", flush=True)
        found += json.loads(file.read_text(encoding="utf-8"))["rows"]
    return found


def worst(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row whose deviation is largest against what is allowed."""

    def excess(row: dict[str, Any]) -> float:
        return float(row["deviation"] / allowed(row)) if allowed(row) else (math.inf if row["deviation"] else 0.0)

    clear = [row for row in rows if not row["negligible"] and not math.isnan(row["deviation"])]
    return max(clear or rows, key=excess)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the worst row of each theory, and how many there were."""
    theories = dict.fromkeys(row["theory"] for row in rows)
    members = {theory: [row for row in rows if row["theory"] == theory] for theory in theories}
    return {
        theory: {"rows": len(of), "failed": sum(row["failed"] for row in of), "worst": worst(of)}
        for theory, of in members.items()
    }


def allowed(row: dict[str, Any]) -> float:
    """Return the declared error and a standard error.

    Where seeds do not resolve the declared error, as of exact means, statistics decide: four standard errors.
    """
    errors = 1 if row["standard_error"] <= PART * row["declared"] else 4
    return float(row["declared"] + errors * row["standard_error"])


def beyond(row: dict[str, Any]) -> bool:
    """Whether a worst row is beyond what is allowed."""
    return bool(row["deviation"] > allowed(row))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", metavar="SETTING", help="default: all")
    parser.add_argument("--points", type=int, default=24, help="configurations of each setting")
    parser.add_argument("--seed", type=int, default=0, help="of the Latin hypercube")
    parser.add_argument("--check", type=int, metavar="N", help="run N configurations once, list what is wrong")
    parser.add_argument("--folder", type=Path, default=Path("results/fidelity"), help="where finished points are kept")
    options = parser.parse_args(arguments)
    names = options.settings or list(RANGES)
    if unknown := [name for name in names if name not in RANGES]:
        parser.error(f"no ranges of {unknown[0]!r}: {', '.join(RANGES)}")
    tl.configure()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.check is not None:
        return check(names, options.check, options.seed, options.folder)
    for name in names:
        rows = measured(name, options.points, options.seed, options.folder, checking=False)
        results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        results[name] = {"points": options.points, "seed": options.seed, "theories": summary(rows)}
        with written_whole(RESULTS) as scratch:
            scratch.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for theory, found in results[name]["theories"].items():
            row = found["worst"]
            over = beyond(row)
            print(
                f"{name} {theory}: declared {row['declared']:.3g}, worst {row['deviation']:.3g} ± "
                f"{row['standard_error']:.2g} ({row['observable']}), {found['rows']} rows"
                + (", BEYOND" if over else ""), flush=True,
            )  # fmt: skip
    return 0


def check(names: Sequence[str], count: int, seed: int, folder: Path) -> int:
    """Say which rows disagree, or agree only by a wide tolerance; returns the exit code."""
    wrong = weak = wide = total = 0
    for name in names:
        for row in measured(name, count, seed + 10_000, folder, checking=True):
            total += 1
            loose = row["verdict"].startswith("agrees") and row["tolerance"] > WEAK
            wrong, weak = wrong + row["failed"], weak + loose
            wide += row["verdict"].startswith("not judged")
            if row["failed"] or loose:
                print(
                    f"{name}: {row['observable']} of {row['theory']} {row['verdict'] if row['failed'] else 'is weak'} "
                    f"(off by {row['deviation']:.2g}, tolerance {row['tolerance']:.2g}) at {row['config']} {row['at']}"
                )
    print(
        f"{total - wide} rows judged, {wrong} disagree, {weak} agree only by a tolerance above {WEAK:.0%}; "
        f"{wide} not judged, for their theories declare more than that"
    )
    return 1 if wrong or weak else 0


if __name__ == "__main__":
    sys.exit(main())
