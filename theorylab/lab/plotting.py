"""Figures in one style: theory as lines, simulation as points with error bars.

Colours are those of Okabe and Ito, told apart by readers who are colour-blind, and in a fixed order.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from theorylab.lab.setting import Setting

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 130,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the library's style, on a canvas that needs no display."""
    import matplotlib

    if not os.environ.get("MPLBACKEND") and not os.environ.get("DISPLAY"):
        matplotlib.use("Agg")
    from cycler import cycler

    settings: Any = {**STYLE, "axes.prop_cycle": cycler(color=COLOURS)}
    with matplotlib.rc_context(settings):
        yield


def gradient(count: int, name: str = "viridis") -> list[Any]:
    """Return ``count`` ordered colours, for a family of curves of one ordered parameter."""
    import matplotlib

    return [matplotlib.colormaps[name](x) for x in np.linspace(0.0, 0.85, max(count, 1))]


def points(
    axes: Axes, x: Any, values: xarray.DataArray, *, color: Any, label: str | None = None, **options: Any
) -> None:
    """Draw simulation: the mean over ``seed`` with one standard error; diverged seeds are left out."""
    finite = values.where(np.isfinite(values))
    count = finite.notnull().sum("seed")
    error = finite.std("seed", ddof=1) / np.sqrt(count)
    axes.errorbar(
        x, finite.mean("seed"), yerr=error, **{"fmt": "o", "linewidth": 1, "color": color, "label": label, **options}
    )


def save(figure: Figure, path: str | os.PathLike[str], *, limit: int = 150_000) -> Path:
    """Write a PNG of at most ``limit`` bytes, with a palette of 256 colours, lowering the resolution if need be.

    Raises
    ------
    ValueError
        If even 70 dots per inch are too large.
    """
    import io

    import matplotlib.pyplot as plt
    from PIL import Image

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    for dpi in (160, 130, 110, 90, 70):
        raw, packed = io.BytesIO(), io.BytesIO()
        figure.savefig(raw, dpi=dpi, format="png", facecolor="white")
        Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        if packed.tell() <= limit:
            target.write_bytes(packed.getvalue())
            plt.close(figure)
            return target
    raise ValueError(f"{target} would take {packed.tell()} bytes, above the limit of {limit}")


def run_script(draw: Callable[[str, Path], Figure], script: str) -> None:
    """Command line of a figure's script: draw it in the library's style, save it beside the script.

    ``draw(preset, folder of the results)`` returns the figure; ``script`` is the script's ``__file__``.
    """
    import tyro

    from theorylab.runtime import start_application

    beside = Path(script).with_suffix(".png")

    def main(
        preset: Literal["tiny", "default", "paper"] = "default",
        results: Path = Path("results"),
        output: Path = beside,
    ) -> None:
        start_application()
        with style():
            print(save(draw(preset, results), output))

    tyro.cli(main, description=(draw.__doc__ or "").split("\n")[0])


def overview(
    setting: Setting, cases: Sequence[tuple[Any, xarray.Dataset]], *, base_seed: int = 0, columns: int = 2
) -> Figure:
    """One panel per case: the first observable against the swept field with most values.

    Points are simulation, lines the setting's ensemble theories (averages of its instance theories) that apply.
    """
    import matplotlib.pyplot as plt

    drawn = [(case, data) for case, data in cases if case.grid]
    rows = -(-len(drawn) // columns)
    figure, panels = plt.subplots(
        rows, min(columns, len(drawn)), figsize=(4.6 * min(columns, len(drawn)), 3.5 * rows), squeeze=False
    )
    for axes in panels.flat[len(drawn) :]:
        axes.set_visible(False)
    for axes, (case, data) in zip(panels.flat, drawn, strict=False):
        _case_panel(axes, setting, case, data, base_seed)
    return figure


def _case_panel(axes: Axes, setting: Setting, case: Any, data: xarray.Dataset, base_seed: int) -> None:
    import dataclasses

    from theorylab.lab.sweep import predict

    numeric = {n: v for n, v in case.grid.items() if all(isinstance(i, (int, float)) for i in v)}
    along = max(numeric, key=lambda n: len(numeric[n]))
    others = [n for n in case.grid if n != along]
    observable = next(o for o in setting.observables if o.name in data)
    x = np.asarray(case.grid[along], float)
    shown = _axis(x)
    curves = list(np.ndindex(*(len(case.grid[n]) for n in others)))
    curves = curves if len(curves) <= 6 else [curves[i] for i in np.linspace(0, len(curves) - 1, 6).astype(int)]
    theories = [t for t in setting.theories if t.kind == "ensemble"]
    fields = {f.name: f for f in dataclasses.fields(setting.config)}

    def name_of(field: str) -> str:
        symbol = fields[field].metadata["symbol"]
        return f"${symbol}$" if symbol else field.replace("_", " ")

    for curve, color in zip(curves, gradient(len(curves)), strict=True):
        chosen = {n: case.grid[n][i] for n, i in zip(others, curve, strict=True)}
        selected = data[observable.name].isel(dict(zip(others, curve, strict=True)))
        for dim in observable.dims:
            selected = selected.isel({dim: -1})
        label = ", ".join(f"{name_of(n)} = {v:g}" if isinstance(v, float) else f"{n} {v}" for n, v in chosen.items())
        points(axes, shown, selected, color=color, label=label or "simulation")
        config = dataclasses.replace(case.config, **chosen)
        for theory, line in zip(theories, ("-", "--", ":"), strict=False):
            applies = [theory.valid(dataclasses.replace(config, **{along: v})) is None for v in case.grid[along]]
            prediction = predict(setting, config, {along: case.grid[along]}, base_seed=base_seed, theory=theory)
            if any(applies) and observable.name in prediction:
                y = prediction[observable.name]
                for dim in observable.dims:
                    y = y.isel({dim: -1})
                axes.plot(shown, np.where(applies, y, np.nan), line, color=color)
    positive = x[np.isfinite(x) & (x > 0)]
    if len(positive) > 2 and positive.max() / positive.min() > 20:
        axes.set_xscale("log")
    finite = data[observable.name].values
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if len(finite) and finite.max() / finite.min() > 10:
        axes.set_yscale("log")
    axes.set_xticks(shown, [f"{v:g}" if np.isfinite(v) else "∞" for v in x], minor=False)
    axes.minorticks_off()
    axes.set_xlabel(f"{along.replace('_', ' ')} {name_of(along) if '$' in name_of(along) else ''}")
    axes.set_ylabel(f"{observable.name.replace('_', ' ')} {f'${observable.symbol}$' if observable.symbol else ''}")
    axes.set_title(f"{case.name}: points simulation (± s.e.), lines theory")
    if others:
        axes.legend()


def _axis(x: np.ndarray) -> np.ndarray:
    """Positions on a logarithmic axis: zero and infinity get a place beyond the ends."""
    positive = np.sort(x[np.isfinite(x) & (x > 0)])
    if len(positive) == 0:
        return np.arange(len(x), dtype=float)
    step = (positive[-1] / positive[0]) ** (1 / max(len(positive) - 1, 1)) if len(positive) > 1 else 10.0
    shown = np.where(x == 0, positive[0] / step, x)
    return np.where(np.isposinf(x), positive[-1] * step, shown)
