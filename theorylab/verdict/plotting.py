"""Figures in one style: theory as lines, simulation as points with error bars.

Colours are those of Okabe and Ito, told apart by readers who are colour-blind, and in a fixed order.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from theorylab.catalogue import Preset
from theorylab.contract import ConfigError
from theorylab.numerics.statistics import standard_error

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Formats of pictures, by suffix.
FORMATS = ("png", "pdf", "svg")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: The style, a file of matplotlib's: ``plt.style.use("theorylab.paper")`` uses it elsewhere.
STYLE = Path(__file__).parents[1] / "paper.mplstyle"


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the library's style, on a canvas that needs no display where none is there.

    A backend that somebody chose stays; where nobody has, matplotlib chooses afterwards as it would have before.
    """
    import matplotlib

    before: Any = dict.get(matplotlib.rcParams, "backend")  # asked so, matplotlib does not choose one now
    undecided = not isinstance(before, str) and not os.environ.get("DISPLAY")
    if undecided:
        matplotlib.use("Agg")
    try:
        with matplotlib.rc_context(fname=STYLE):
            yield
    finally:
        if undecided:
            import matplotlib.pyplot as plt

            plt.switch_backend(before)


def gradient(count: int, name: str = "viridis") -> list[Any]:
    """Return ``count`` ordered colours, for a family of curves of one ordered parameter."""
    import matplotlib

    return [matplotlib.colormaps[name](x) for x in np.linspace(0.0, 0.85, max(count, 1))]


def points(
    axes: Axes, x: Any, values: xarray.DataArray, *, color: Any, label: str | None = None, **options: Any
) -> None:
    """Draw simulation: the mean over ``seed`` with one standard error; diverged seeds are left out."""
    finite = values.where(np.isfinite(values))
    look = {"fmt": "o", "linewidth": 1, "color": color, "label": label}
    axes.errorbar(x, finite.mean("seed"), yerr=standard_error(values, "seed", of_finite=True), **{**look, **options})


def key(
    axes: Axes, *, seeds: int | None = None, of: str = "seeds", line: str = "theory", what: str = "simulation"
) -> None:
    """Say in the legend what lines and points are: theory; the mean over so many seeds ± one standard error.

    ``of`` names what a seed is ("networks"); an empty ``line`` leaves the line out.
    """
    if line:
        axes.plot([], [], color="grey", label=line)
    count = "" if seeds is None else f", {seeds} {of}"
    axes.errorbar([], [], [], fmt="o", color="grey", linewidth=1, label=f"{what} ± s.e.{count}")


def below(*panels: Axes, columns: int = 3) -> None:
    """Put the legends of panels under them, in so many columns: where lines fill a panel, nothing is hidden."""
    for axes in panels:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=columns)


def letter(*panels: Axes) -> None:
    """Put (a), (b), ... before the titles of panels."""
    for axes, name in zip(panels, "abcdefghijkl", strict=False):
        axes.set_title(f"({name}) {axes.get_title()}")


def check_format(path: str | os.PathLike[str]) -> str:
    """Return the format that a picture's suffix names.

    Raises
    ------
    ConfigError
        If it is none of :data:`FORMATS`.
    """
    suffix = Path(path).suffix
    kind = suffix[1:].lower()
    if kind not in FORMATS:
        had = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise ConfigError(f"output = {path} is not allowed: it has {had}, choose one of .{', .'.join(FORMATS)}")
    return kind


def picture_path(script: Path, preset: str, folder: Path) -> Path:
    """Return where a figure's picture goes: beside its script at the default preset, else beside its results."""
    if preset == "default":
        return script.with_suffix(".png")
    return folder / preset / "figures" / script.parent.name / f"{script.stem}.png"


def save(figure: Figure, path: str | os.PathLike[str], *, limit: int = 150_000) -> Path:
    """Write a picture in the format of its suffix: PNG, PDF or SVG.

    A PNG has at most ``limit`` bytes: a palette of 256 colours, and a lower resolution if need be.

    Raises
    ------
    ConfigError
        For another suffix.
    ValueError
        If even 70 dots per inch are too large.
    """
    import io

    import matplotlib.pyplot as plt
    from PIL import Image

    target, kind = Path(path), check_format(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if kind != "png":
        figure.savefig(target, format=kind, facecolor="white")
        plt.close(figure)
        return target
    for dpi in (160, 130, 110, 90, 70):
        raw, packed = io.BytesIO(), io.BytesIO()
        figure.savefig(raw, dpi=dpi, format="png", facecolor="white")
        Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "PNG", optimize=True)
        if packed.tell() <= limit:
            target.write_bytes(packed.getvalue())
            plt.close(figure)
            return target
    raise ValueError(f"{target} would take {packed.tell()} bytes, above the limit of {limit}")


def shown_once(figure: Figure) -> Figure:
    """Return a figure that a notebook shows where it is the last value of a cell, and not once more below."""
    import matplotlib
    import matplotlib.pyplot as plt

    if "inline" in matplotlib.get_backend():
        plt.close(figure)
    return figure


def close(figure: Figure) -> None:
    """Forget a figure, which matplotlib keeps otherwise."""
    import matplotlib.pyplot as plt

    plt.close(figure)


def run_script(draw: Callable[[xarray.Dataset], Figure], script: str) -> None:
    """Command line of a figure's script: draw it in the library's style, save it.

    ``draw(data)`` returns the figure; the function ``data(preset, folder)`` stands beside it in the script, whose
    ``__file__`` is ``script``. The picture goes beside the script at the default preset, else beside the results, so
    that no other replaces a committed one.
    """
    import tyro

    from theorylab.runtime import configure

    module = sys.modules[draw.__module__]

    def main(
        preset: Preset = "default",
        folder: Path = Path("results"),
        output: Path | None = None,
    ) -> None:
        """Draw the figure.

        Parameters
        ----------
        preset
            "tiny" takes seconds, "default" minutes; "paper" has the published sizes and wants a GPU.
        folder
            Where the results are: read, continued, or run where missing.
        output
            The picture, a .png, .pdf or .svg: beside the script at the default preset, else in FOLDER/PRESET/figures.
        """
        target = output or picture_path(Path(script), preset, folder)
        try:
            check_format(target)
        except ConfigError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        configure()
        with style():
            print(save(draw(module.data(preset, folder)), target))

    tyro.cli(main, description=(module.__doc__ or draw.__doc__ or "").split("\n")[0])
