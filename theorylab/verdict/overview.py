"""Figures of sweeps: each case of a setting in a panel, or one sweep as its owner wants it drawn.

Simulation is drawn as points, theory as lines.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from theorylab.catalogue import unknown
from theorylab.contract import Case, ConfigError, Observable, Setting, Theory, scalar_fields
from theorylab.verdict.carried import read
from theorylab.verdict.plotting import gradient, points

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
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


def overview(setting: Setting, cases: Sequence[tuple[Case, xarray.Dataset]], *, base_seed: int = 0) -> Figure:
    """Draw a panel per case: the observable that the case shows, along training or against a swept field.

    Points are simulation, lines the theories where they apply (a theory of the instance as its mean over seeds).
    Cases with nothing to draw against, and those beyond the sixth, are left out.
    """
    import matplotlib.pyplot as plt

    drawn = [(case, data, shown(setting, case, data)) for case, data in cases]
    drawn = [item for item in drawn if "step" in item[2].dims or _numeric(item[0])][:MOST_PANELS]
    columns = max(1, min(2, len(drawn)))
    rows = max(1, -(-len(drawn) // columns))
    width = max(4.8 * columns, 6.4)
    figure, panels = plt.subplots(rows, columns, figsize=(width, 3.3 * rows + 0.6), squeeze=False)
    for axes in panels.flat[len(drawn) :]:
        axes.set_visible(False)
    styles: dict[str, Any] = {}
    for axes, (case, data, observable) in zip(panels.flat, drawn, strict=False):
        along = "step" if "step" in observable.dims else _longest(setting, case)
        _draw(_Panel(axes, setting, case, data, observable, along, setting.theories, styles, base_seed))
        axes.set_title(case.name)
    _legend(figure, styles, 2 * columns)
    figure.suptitle(setting.title, wrap=True)
    return figure


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
    figure, axes = plt.subplots(figsize=(5.6, 4.4))
    styles: dict[str, Any] = {}
    bases = {int(base) for base in carried.base_seeds}
    if chosen and len(bases) > 1:
        raise ConfigError("base_seed: theories are drawn beside runs of one base seed, and the data have several")
    _draw(_Panel(axes, setting, case, data, observable, x, chosen, styles, bases.pop()))
    axes.set_title(f"{setting.name}: mean of {data.sizes['seed']} seeds")
    _legend(figure, styles, 2)
    return figure


def _draw(panel: _Panel) -> None:
    axes, observable = panel.axes, panel.observable
    (_trajectory_panel if panel.along in observable.dims else _sweep_panel)(panel)
    axes.set_ylabel(observable.name.replace("_", " ") + (f" ${observable.symbol}$" if observable.symbol else ""))
    if axes.get_legend_handles_labels()[1]:
        axes.legend()


def _legend(figure: Figure, styles: dict[str, Any], columns: int) -> None:
    """Say below the panels what points and lines are."""
    from matplotlib.lines import Line2D

    handles: list[Any] = [Line2D([], [], color="gray", marker="o", linestyle="none", label="simulation ± s.e.")]
    handles += [Line2D([], [], color="gray", linestyle=line, label=name) for name, line in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), columns))


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
    """Draw an observable along training (or another inner dimension), one colour per cell of the grid."""
    axes, setting, case, data, observable, along = panel[:6]
    last = {dim: -1 for dim in observable.dims if dim != along}
    curves = _curves(case, list(case.grid))
    lowest, highest = np.inf, -np.inf
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        steps = np.asarray(data[along], float)
        values = data[observable.name].isel(position).isel(last)
        if steps[-1] > 30:
            axes.set_xscale("log")
        some = _spread(steps)
        points(axes, steps[some], values.isel({along: some}), color=color, label=_label(setting, chosen))
        finite = values.mean("seed").values
        finite = finite[np.isfinite(finite) & (finite > 0)]
        if len(finite):
            lowest, highest = min(lowest, finite.min()), max(highest, finite.max())
        for theory in panel.theories:
            predicted = _predicted(panel, theory, dataclasses.replace(case.config, **chosen), {})
            if predicted is not None:
                line = _line(panel, theory)
                axes.plot(steps, predicted.isel(last), linestyle=line, color=color, zorder=1.5)
    axes.set_xlabel(along.replace("_", " "))
    if highest > 10 * lowest:
        axes.set_yscale("log")


def _spread(steps: np.ndarray) -> np.ndarray:
    """Indices of at most 16 records, evenly spread on a logarithmic axis."""
    wanted = np.geomspace(max(steps[-1] / 1e4, 1.0), max(steps[-1], 1.0), MOST_POINTS)
    if steps[-1] <= 30:
        wanted = np.linspace(steps[0], steps[-1], MOST_POINTS)
    return np.unique(np.abs(steps[:, None] - wanted[None, :]).argmin(axis=0))


def _sweep_panel(panel: _Panel) -> None:
    """Draw an observable against a swept field, one colour per cell of the other fields."""
    from matplotlib.ticker import NullLocator

    axes, setting, case, data, observable, along = panel[:6]
    last = dict.fromkeys(observable.dims, -1)
    x = np.asarray(case.grid[along], float)
    curves = _curves(case, [n for n in case.grid if n != along])
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        selected = data[observable.name].isel(position).isel(last)
        points(axes, _axis(x), selected, color=color, label=_label(setting, chosen))
        config = dataclasses.replace(case.config, **chosen)
        swept: tuple[Any, ...] = tuple(type(getattr(config, along))(v) if np.isfinite(v) else v for v in x)
        fine = along in scalar_fields(setting.config) and len(x) > 1 and (x > 0).all()
        for theory in panel.theories:
            if theory.kind == "instance" and panel.theories is setting.theories:
                continue  # unless it was asked for
            values = swept
            if fine and theory.kind == "ensemble":
                values = tuple(np.unique(np.concatenate([np.geomspace(x.min(), x.max(), 60), x])))
            grid = {along: values}
            predicted = _predicted(panel, theory, config, grid)
            if predicted is not None:
                line = _line(panel, theory)
                axes.plot(_axis(np.asarray(values, float)), predicted.isel(last), linestyle=line, color=color)
    positive = x[np.isfinite(x) & (x > 0)]
    if len(positive) > 1 and positive.max() / positive.min() > 5:
        axes.set_xscale("log")
    finite = data[observable.name].values
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if len(finite) and finite.max() / finite.min() > 10:
        axes.set_yscale("log")
    axes.set_xticks(_axis(x), [_short(v) for v in x], minor=False)
    axes.xaxis.set_minor_locator(NullLocator())
    symbol = next(f for f in dataclasses.fields(setting.config) if f.name == along).metadata["symbol"]
    axes.set_xlabel(along.replace("_", " ") + (f" ${symbol}$" if symbol else ""))


def _line(panel: _Panel, theory: Theory) -> Any:
    return panel.styles.setdefault(theory.name, LINES[len(panel.styles) % len(LINES)])


def _predicted(panel: _Panel, theory: Theory, config: Any, grid: dict[str, Any]) -> Any:
    """Return one observable's prediction, averaged over seeds; None where the theory is silent about it."""
    from theorylab.lab.predict import predict

    name = panel.observable.name
    prediction = predict(
        panel.setting, config, grid, seeds=panel.data["seed"].values, base_seed=panel.base_seed, theory=theory,
        observables=(name,),
    )  # fmt: skip
    if name not in prediction:
        return None
    value = prediction[name]
    return value.mean("seed") if "seed" in value.dims else value


def _short(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "∞"


def _axis(x: np.ndarray) -> np.ndarray:
    """Positions on a logarithmic axis: zero and infinity get a place beyond the ends."""
    positive = np.sort(x[np.isfinite(x) & (x > 0)])
    if len(positive) == 0:
        return np.arange(len(x), dtype=float)
    step = (positive[-1] / positive[0]) ** (1 / max(len(positive) - 1, 1)) if len(positive) > 1 else 10.0
    shown_at = np.where(x == 0, positive[0] / step, x)
    return np.where(np.isposinf(x), positive[-1] * step, shown_at)
