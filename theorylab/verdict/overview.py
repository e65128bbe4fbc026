"""Figures of sweeps: each case of a setting in a panel, or one sweep as its owner wants it drawn.

Simulation is drawn as points, theory as lines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from theorylab.catalogue import unknown
from theorylab.contract import Case, ConfigError, Observable, Setting, Theory, scalar_fields
from theorylab.lab.grid import make_plan
from theorylab.verdict.carried import read
from theorylab.verdict.plotting import gradient, points, shown_once

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
#: Opacity of a declared error, and how small one is not seen.
BAND, UNSEEN = 0.18, 0.003
MOST_CURVES, MOST_PANELS, MOST_POINTS = 6, 6, 16


class _Panel(NamedTuple):
    """Where a panel is drawn, what is in it, and along what; ``styles`` are the lines of the theories drawn so far."""

    axes: Axes
    setting: Setting
    case: Case
    data: xarray.Dataset
    observable: Observable
    along: str
    theories: Sequence[Theory]
    styles: dict[str, Any]
    base_seed: int
    log: bool = False  # the vertical axis
    wide: bool = False  # seeds over decades: their median and quantiles are drawn


def overview(setting: Setting, cases: Sequence[tuple[Case, xarray.Dataset]], *, base_seed: int = 0) -> Figure:
    """Draw a panel per case: the observable that the case shows, along training or against a swept field.

    Points are simulation, lines the theories where they apply (a theory of the instance as its mean over seeds), bands
    their declared errors. Where seeds differ by decades, points are medians with quantiles, and a cross is the mean.
    Cases with nothing to draw against, and those beyond the sixth, are left out.
    """
    import matplotlib.pyplot as plt

    drawn = [(case, data, shown(setting, case, data)) for case, data in cases]
    drawn = [item for item in drawn if "step" in item[2].dims or _numeric(item[0])][:MOST_PANELS]
    columns = max(1, min(2, len(drawn)))
    rows = max(1, -(-len(drawn) // columns))
    width = max(4.8 * columns, 6.4)
    figure, panels = plt.subplots(rows, columns, figsize=(width, 3.3 * rows + 0.6), squeeze=False, layout="constrained")
    for axes in panels.flat[len(drawn) :]:
        axes.set_visible(False)
    styles: dict[str, Any] = {}
    done = []
    for axes, (case, data, observable) in zip(panels.flat, drawn, strict=False):
        along = "step" if "step" in observable.dims else _longest(setting, case)
        done.append(_draw(_Panel(axes, setting, case, data, observable, along, setting.theories, styles, base_seed)))
        axes.set_title(f"{case.name} ({data.sizes['seed']} seeds)")
    _legend(figure, done, 2 * columns)
    figure.suptitle(setting.title, wrap=True)
    return shown_once(figure)


def plot(
    setting: Setting,
    data: xarray.Dataset,
    *,
    x: str,
    y: str | None = None,
    theories: Sequence[str] = (),
) -> Figure:
    """Draw one observable of a sweep against a swept field, or against an inner dimension such as the step.

    Parameters
    ----------
    setting, data
        The sweep: its setting and its results, which carry configuration, grid and seeds.
    x
        Name of the field or inner dimension along the axis. The values of other swept fields get a colour each, six at
        most; of other inner dimensions the last entry is drawn.
    y
        The observable: by default the setting's first one.
    theories
        Names of theories that are drawn as lines, where they apply; a theory of the instance as its mean over seeds.

    Raises
    ------
    ConfigError
        Naming what is not there, and what there is.
    """
    import matplotlib.pyplot as plt

    carried = read(setting, data)
    grid, data = carried.plan.grid, carried.data
    for name in theories:
        if name not in [theory.name for theory in setting.theories]:
            raise ConfigError(unknown("theory", name, [theory.name for theory in setting.theories]))
    found = [o.name for o in setting.observables if o.name in data]
    if y is not None and y not in found:
        raise ConfigError(unknown("observable", y, found))
    observable = setting.observable(y or found[0])
    case = Case(setting.name, carried.plan.config, dict(grid), seeds=data.sizes["seed"])
    numbers = _numeric(case)
    if x not in numbers and x not in observable.dims:
        if x in grid:
            raise ConfigError(f"x = {x} is not allowed: its values are no numbers")
        if choices := [*numbers, *observable.dims]:
            raise ConfigError(unknown("x", x, choices))
        raise ConfigError(f"{observable.name} was swept over nothing that it could be drawn against")
    if "finished" in data:
        data = data.assign({observable.name: data[observable.name].where(data["finished"])})
    chosen = [setting.theory(name) for name in theories]
    figure, axes = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    bases = {int(base) for base in carried.base_seeds}
    if chosen and len(bases) > 1:
        raise ConfigError("base_seed: theories are drawn beside runs of one base seed, and the data have several")
    done = _draw(_Panel(axes, setting, case, data, observable, x, chosen, {}, bases.pop()))
    axes.set_title(f"{setting.name} ({data.sizes['seed']} seeds)")
    _legend(figure, [done], 2)
    return shown_once(figure)


def _draw(panel: _Panel) -> _Panel:
    """Draw a panel; returns it with what its axis and its points came to be."""
    axes, observable = panel.axes, panel.observable
    seen = panel.data[observable.name].isel({dim: -1 for dim in observable.dims if dim != panel.along})
    log = _over_decades(seen)
    panel = panel._replace(log=log, wide=log and _seeds_over_decades(seen))
    (_trajectory_panel if panel.along in observable.dims else _sweep_panel)(panel)
    if log:
        axes.set_yscale("log")
    axes.set_ylabel(observable.name.replace("_", " ") + (f" ${observable.symbol}$" if observable.symbol else ""))
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
    return panel


def _legend(figure: Figure, panels: Sequence[_Panel], columns: int) -> None:
    """Say below the panels what points, lines and bands are."""
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    texts = {False: "simulation: mean ± s.e.", True: "simulation: median, 16 to 84% of seeds"}
    handles: list[Any] = [
        Line2D([], [], color="gray", marker="D" if wide else "o", linestyle="none", label=texts[wide])
        for wide in sorted({panel.wide for panel in panels})
    ]
    if any(panel.wide and _of_means(panel.setting, panel.observable) for panel in panels):
        handles += [Line2D([], [], color="gray", marker="x", linestyle="none", label="mean")]
    styles = panels[0].styles if panels else {}
    handles += [Line2D([], [], color="gray", linestyle=line, label=name) for name, line in styles.items()]
    if any(isinstance(item, PolyCollection) for panel in panels for item in panel.axes.collections):
        handles += [Patch(color="gray", alpha=BAND, linewidth=0, label="declared error")]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, min(len(handles), columns)))


def _longest(setting: Setting, case: Case) -> str:
    """The swept field with most values; a traced one, where there is a choice: its theory is a smooth curve."""
    smooth, numeric = scalar_fields(setting.config), _numeric(case)
    return max(numeric, key=lambda n: (len(numeric[n]), n in smooth))


def shown(setting: Setting, case: Case, data: xarray.Dataset) -> Observable:
    """Return the observable that a case's panel shows: the case's choice, else the setting's first one."""
    if case.show:
        return setting.observable(case.show)
    return next(o for o in setting.observables if o.name in data)


def _numeric(case: Case) -> dict[str, Any]:
    return {n: v for n, v in case.grid.items() if all(isinstance(i, (int, float)) for i in v)}


def _curves(case: Case, others: Sequence[str]) -> list[dict[str, int]]:
    """Positions of the curves of a panel in the grid, at most six of them."""
    every = list(np.ndindex(*(len(case.grid[n]) for n in others)))
    if len(every) > MOST_CURVES:
        every = [every[i] for i in np.linspace(0, len(every) - 1, MOST_CURVES).astype(int)]
    return [dict(zip(others, position, strict=True)) for position in every]


def _label(setting: Setting, chosen: dict[str, Any]) -> str | None:
    fields = {f.name: f for f in dataclasses.fields(setting.config)}
    texts = []
    for name, value in chosen.items():
        symbol = fields[name].metadata["symbol"]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        shown_name = f"${symbol}$" if symbol else name.replace("_", " ")
        texts.append(f"{shown_name} = {_short(value) if number else value}")
    return ", ".join(texts) or None


def _trajectory_panel(panel: _Panel) -> None:
    """Draw an observable along training (or another inner dimension), one colour per cell of the grid.

    A theory is a line through all recorded steps; where a field says how many these are, through more of them (unless
    it is one of the instance).
    """
    from matplotlib.ticker import MaxNLocator

    axes, setting, case, data, observable, along = panel[:6]
    last = {dim: -1 for dim in observable.dims if dim != along}
    curves = _curves(case, list(case.grid))
    # Not of the instance: that would be another program, for the mean over all seeds.
    whose = {theory: case.config if theory.kind == "instance" else _finer(case.config) for theory in panel.theories}
    lines = {theory.name: _lines(panel, theory, config, {}) for theory, config in whose.items()}
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        config = dataclasses.replace(case.config, **chosen)
        steps = np.asarray(data[along], float)
        values = data[observable.name].isel(position).isel(last)
        log = _logarithmic(steps)
        if log:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        some = _spread(steps, log)
        _points(panel, steps[some], values.isel({along: some}), color, _label(setting, chosen))
        for theory in panel.theories:
            line = lines[theory.name](position)
            if line is not None:
                declared = theory.relative_error(config, observable.name)
                _theory(panel, theory, np.asarray(line[along], float), line.values, declared, color)
    axes.set_xlabel(along.replace("_", " "))


def _finer(config: Any) -> Any:
    """Return the configuration with as many recorded steps as its fields say that a line needs."""
    fine = {field.name: field.metadata.get("fine", 0) for field in dataclasses.fields(config)}
    more = {name: max(getattr(config, name), count) for name, count in fine.items() if count}
    return dataclasses.replace(config, **more)


def _logarithmic(steps: np.ndarray) -> bool:
    """Whether steps are many, and recorded at even ratios rather than at even distances."""
    gaps = np.diff(steps)
    return bool(steps[-1] > 30 and gaps.max() > 2 * gaps.min())


def _spread(steps: np.ndarray, log: bool) -> np.ndarray:
    """Indices of at most 16 records, evenly spread on the axis."""
    wanted = np.linspace(steps[0], steps[-1], MOST_POINTS)
    if log:
        wanted = np.geomspace(max(steps[-1] / 1e4, 1.0), max(steps[-1], 1.0), MOST_POINTS)
    return np.unique(np.abs(steps[:, None] - wanted[None, :]).argmin(axis=0))


def _sweep_panel(panel: _Panel) -> None:
    """Draw an observable against a swept field, one colour per cell of the other fields."""
    from matplotlib.ticker import NullLocator

    axes, setting, case, data, observable, along = panel[:6]
    last = dict.fromkeys(observable.dims, -1)
    x = np.asarray(case.grid[along], float)
    positive = x[np.isfinite(x) & (x > 0)]
    logarithmic = len(positive) > 1 and not (x < 0).any() and positive.max() / positive.min() > 5
    curves = _curves(case, [n for n in case.grid if n != along])
    swept = tuple(type(getattr(case.config, along))(v) if np.isfinite(v) else v for v in x)
    smooth = swept
    if along in scalar_fields(setting.config):
        smooth = _allowed(setting, case.config, along, _fine(x, logarithmic).tolist())
    asked = panel.theories is not setting.theories
    values_of = {t: smooth if t.kind == "ensemble" else swept for t in panel.theories if t.kind != "instance" or asked}
    drawn = [(t, values, _lines(panel, t, case.config, {along: values})) for t, values in values_of.items()]
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        selected = data[observable.name].isel(position).isel(last)
        _points(panel, _axis(x, x, logarithmic), selected, color, _label(setting, chosen))
        config = dataclasses.replace(case.config, **chosen)
        for theory, values, line_of in drawn:
            predicted = line_of(position)
            if predicted is not None:
                line = predicted.values
                known = [i for i, number in enumerate(line) if np.isfinite(number)]
                errors = np.full(len(line), np.nan)
                cells = (dataclasses.replace(config, **{along: values[i]}) for i in known)
                errors[known] = [theory.relative_error(cell, observable.name) for cell in cells]
                _theory(panel, theory, _axis(np.asarray(values, float), x, logarithmic), line, errors, color)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xticks(_axis(x, x, logarithmic), [_short(v) for v in x], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())
    symbol = next(f for f in dataclasses.fields(setting.config) if f.name == along).metadata["symbol"]
    axes.set_xlabel(along.replace("_", " ") + (f" ${symbol}$" if symbol else ""))


def _over_decades(values: xarray.DataArray) -> bool:
    """Whether the means over seeds need a logarithmic axis."""
    means = values.mean("seed").values
    means = means[np.isfinite(means)]
    positive = means[means > 0]
    return bool(len(positive)) and not (means < 0).any() and bool(positive.max() > 10 * positive.min())


def _seeds_over_decades(values: xarray.DataArray) -> bool:
    """Whether seeds of one cell differ so much that a bar about their mean would leave a logarithmic axis."""
    low, high = _quantiles(values)
    return bool(((low > 0) & (high > 10 * low)).mean() > 0.1)


def _quantiles(values: xarray.DataArray) -> np.ndarray:
    """Quantiles over seeds that a normal distribution has at one standard deviation."""
    found: np.ndarray = values.where(np.isfinite(values)).quantile([0.16, 0.84], "seed").values
    return found


def _points(panel: _Panel, x: np.ndarray, values: xarray.DataArray, color: Any, label: str | None) -> None:
    """Draw simulation: means with standard errors, or medians with quantiles and the mean beside."""
    if not panel.wide:
        points(panel.axes, x, values, color=color, label=label)
        return
    finite = values.where(np.isfinite(values))
    middle = finite.median("seed").values
    bars = np.abs(_quantiles(values) - middle)
    panel.axes.errorbar(x, middle, yerr=bars, fmt="D", markersize=3.5, linewidth=1, color=color, label=label)
    if _of_means(panel.setting, panel.observable):
        panel.axes.plot(x, finite.mean("seed"), "x", color=color)


def _of_means(setting: Setting, observable: Observable) -> bool:
    """Whether a theory speaks of the mean over seeds."""
    return any(theory.kind == "ensemble" and observable.name in theory.predicts for theory in setting.theories)


def _theory(panel: _Panel, theory: Theory, x: np.ndarray, values: np.ndarray, errors: Any, color: Any) -> None:
    """Draw a theory's line, and its declared relative errors as a band where it can be seen."""
    line = panel.styles.setdefault(theory.name, LINES[len(panel.styles) % len(LINES)])
    panel.axes.plot(x, values, linestyle=line, color=color, zorder=1.5)
    if np.nanmax(errors, initial=0.0) > UNSEEN:
        off = errors * np.abs(values)
        low = np.maximum(values - off, values / 100) if panel.log else values - off
        panel.axes.fill_between(x, low, values + off, color=color, alpha=BAND, linewidth=0, zorder=1)


def _fine(x: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Values between the swept ones, for a smooth line, and these."""
    finite = np.unique(x[np.isfinite(x)])
    if len(finite) < 2:
        return x
    some = finite[finite > 0] if logarithmic else finite
    between = (np.geomspace if logarithmic else np.linspace)(some[0], some[-1], 60)[1:-1]
    return np.unique(np.concatenate([between, x]))


def _lines(
    panel: _Panel, theory: Theory, config: Any, finer: dict[str, Any]
) -> Callable[[dict[str, int]], xarray.DataArray | None]:
    """Return a function of a curve's position in the grid: the theory's line there, None where it is silent.

    ``finer`` are other values for the field along the axis. What is compiled is evaluated at the whole grid: at the
    case's own ``config`` the program that the comparison has used serves again.
    """
    last = {dim: -1 for dim in panel.observable.dims if dim != panel.along}
    grid = {**panel.case.grid, **finer}

    def line_of(position: dict[str, int]) -> xarray.DataArray | None:
        if theory.traceable:
            predicted = whole if whole is None else whole.isel(position)
        else:
            chosen = {name: grid[name][i] for name, i in position.items()}
            predicted = _predicted(panel, theory, dataclasses.replace(config, **chosen), finer)
        return None if predicted is None or not predicted.notnull().any() else predicted.isel(last)

    whole = _predicted(panel, theory, config, grid) if theory.traceable else None
    return line_of


def _allowed(setting: Setting, config: Any, along: str, values: Sequence[float]) -> tuple[float, ...]:
    """Return the values that the setting's own rules allow: a batch size is a scalar, and whole."""
    kept = []
    for value in values:
        with contextlib.suppress(ConfigError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            setting.validate(dataclasses.replace(config, **{along: value}))
            kept.append(value)
    return tuple(kept)


def _predicted(panel: _Panel, theory: Theory, config: Any, grid: dict[str, Any]) -> Any:
    """Return one observable's prediction, averaged over seeds; None where the theory is silent about it."""
    from theorylab.lab.predict import predictions

    names = [name for name in theory.predicts if name in panel.data]  # as a comparison has them
    if panel.observable.name not in names:
        return None
    at_once = {name: len(values) for name, values in panel.case.grid.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values between those that somebody chose
        plan, seeds = make_plan(panel.setting, config, grid), panel.data["seed"].values
        prediction = predictions(panel.setting, plan, seeds, panel.base_seed, theory, names, at_once=at_once)
    if panel.observable.name not in prediction:
        return None
    value = prediction[panel.observable.name]
    if "seed" not in value.dims:
        return value
    middle = value.median("seed") if panel.wide else value.mean("seed")
    if panel.along in value.dims:  # where a theory falls silent for some seeds, the others are another ensemble
        counts = value.notnull().sum("seed")
        middle = middle.where(counts == counts.max(panel.along))
    return middle


def _short(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "∞"


def _axis(x: np.ndarray, swept: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Positions on an axis of the swept values: infinity, and zero on a logarithmic one, are placed beyond its ends."""
    finite = np.sort(swept[np.isfinite(swept)])
    finite = finite[finite > 0] if logarithmic else finite
    if len(finite) == 0:
        return np.zeros(len(x))
    gaps = max(len(finite) - 1, 1)
    if logarithmic:
        step = (finite[-1] / finite[0]) ** (1 / gaps)
        return np.where(np.isposinf(x), finite[-1] * step, np.where(x == 0, finite[0] / step, x))
    return np.where(np.isposinf(x), finite[-1] + ((finite[-1] - finite[0]) / gaps or 1.0), x)
