"""One figure of a whole setting: each case of a preset in a panel, simulation as points and theory as lines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from theorylab.contract import Case, Observable, Setting, Theory, scalar_fields
from theorylab.verdict.plotting import gradient, points

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
MOST_CURVES, MOST_PANELS, MOST_POINTS = 6, 6, 16


class _Panel(NamedTuple):
    """Where a panel is drawn, and what is in it; ``styles`` are the lines of the theories drawn so far."""

    axes: Axes
    setting: Setting
    case: Case
    data: xarray.Dataset
    observable: Observable
    styles: dict[str, Any]
    base_seed: int


def overview(setting: Setting, cases: Sequence[tuple[Case, xarray.Dataset]], *, base_seed: int = 0) -> Figure:
    """Draw a panel per case: the observable that the case shows, along training or against a swept field.

    Points are simulation, lines the theories where they apply (a theory of the instance as its mean over seeds).
    Cases with nothing to draw against, and those beyond the sixth, are left out.
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D

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
        draw = _trajectory_panel if "step" in observable.dims else _sweep_panel
        draw(_Panel(axes, setting, case, data, observable, styles, base_seed))
        axes.set_title(case.name)
        axes.set_ylabel(observable.name.replace("_", " ") + (f" ${observable.symbol}$" if observable.symbol else ""))
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
    handles: list[Any] = [Line2D([], [], color="gray", marker="o", linestyle="none", label="simulation ± s.e.")]
    handles += [Line2D([], [], color="gray", linestyle=line, label=name) for name, line in styles.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * columns))
    figure.suptitle(setting.title, wrap=True)
    return figure


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
    """Draw an observable along training, one colour per cell of the grid."""
    axes, setting, case, data, observable = panel[:5]
    last = {dim: -1 for dim in observable.dims if dim != "step"}
    curves = _curves(case, list(case.grid))
    lowest, highest = np.inf, -np.inf
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        config = dataclasses.replace(case.config, **chosen)
        steps = np.asarray(setting.coords(config)["step"], float)
        values = data[observable.name].isel(position).isel(last)
        if steps[-1] > 30:
            axes.set_xscale("log")
        some = _spread(steps)
        points(axes, steps[some], values.isel(step=some), color=color, label=_label(setting, chosen))
        finite = values.mean("seed").values
        finite = finite[np.isfinite(finite) & (finite > 0)]
        if len(finite):
            lowest, highest = min(lowest, finite.min()), max(highest, finite.max())
        for theory in setting.theories:
            predicted = _predicted(panel, theory, config, {})
            if predicted is not None:
                line = _line(panel, theory)
                axes.plot(steps, predicted.isel(last), linestyle=line, color=color, zorder=1.5)
    axes.set_xlabel("step")
    if highest > 10 * lowest:
        axes.set_yscale("log")


def _spread(steps: np.ndarray) -> np.ndarray:
    """Indices of at most 16 records, evenly spread on a logarithmic axis."""
    wanted = np.geomspace(max(steps[-1] / 1e4, 1.0), max(steps[-1], 1.0), MOST_POINTS)
    if steps[-1] <= 30:
        wanted = np.linspace(steps[0], steps[-1], MOST_POINTS)
    return np.unique(np.abs(steps[:, None] - wanted[None, :]).argmin(axis=0))


def _sweep_panel(panel: _Panel) -> None:
    """Draw an observable against the swept field with most values, one colour per cell of the other fields."""
    from matplotlib.ticker import NullLocator

    axes, setting, case, data, observable = panel[:5]
    # A traced field, where there is a choice: theory can then be drawn as a smooth curve.
    smooth, numeric = scalar_fields(setting.config), _numeric(case)
    along = max(numeric, key=lambda n: (len(numeric[n]), n in smooth))
    last = dict.fromkeys(observable.dims, -1)
    x = np.asarray(case.grid[along], float)
    curves = _curves(case, [n for n in case.grid if n != along])
    for position, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in position.items()}
        selected = data[observable.name].isel(position).isel(last)
        points(axes, _axis(x), selected, color=color, label=_label(setting, chosen))
        config = dataclasses.replace(case.config, **chosen)
        swept: tuple[Any, ...] = tuple(type(getattr(config, along))(v) if np.isfinite(v) else v for v in x)
        fine = along in smooth and len(x) > 1 and (x > 0).all()
        for theory in setting.theories:
            if theory.kind == "instance":
                continue
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
        panel.setting, config, grid, seeds=panel.data.sizes["seed"], base_seed=panel.base_seed, theory=theory,
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
