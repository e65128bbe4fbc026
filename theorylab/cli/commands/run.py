"""``theorylab run``: simulate one configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.cli.options import make_for, simulation, which
from theorylab.cli.output import report_divergence, sweep_options
from theorylab.cli.process import start

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting


def options(setting: Setting) -> type:
    """Build what ``run`` understands."""
    return make_for(setting, [*which(setting, "none, the field values below"), *simulation()], several=False)


def run(setting: Setting, cases: list[Case], options: Any) -> int:
    """Print the mean of every observable over the seeds that did not diverge, with its standard error."""
    from theorylab.lab.sweep import sweep
    from theorylab.numerics.statistics import standard_error
    from theorylab.verdict.table import number_with_error

    start()
    case = cases[0]
    data = sweep(setting, case.config, seeds=case.seeds, **sweep_options(options))
    for observable in setting.observables:
        if observable.name not in data:
            continue
        # A run that diverged is no part of a mean, not even where it is finite.
        values = data[observable.name].isel(seed=np.flatnonzero(data["first_bad_step"].values < 0))
        error = standard_error(values, "seed", of_finite=True)
        mean = values.mean("seed")
        if not observable.dims:
            print(f"{observable.name:<24} {number_with_error(float(mean), float(error))}")
            continue
        stacked = mean.stack(at=observable.dims)
        for at, value, spread in zip(
            stacked["at"].values, stacked.values, error.stack(at=observable.dims).values, strict=True
        ):
            place = ", ".join(f"{d} {v}" for d, v in zip(observable.dims, at, strict=True))
            print(f"{observable.name} [{place}]".ljust(40), number_with_error(value, spread))
    return report_divergence(data)
