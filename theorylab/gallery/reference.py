"""The reference values of figures: the data behind a drawn figure, and how far it is from a reference.

The data are read out of the drawn matplotlib figure, a handful of points of everything in it, so that a script needs
to say nothing: what was drawn is what is compared, whether simulation or theory. Pictures are never compared.

Two rules decide. Simulated points with error bars may move by :data:`SIMULATED` of their own standard error: their
random numbers are fixed, but other processors round otherwise, and training amplifies that. Everything else (theory,
single runs, heat maps) may move by :data:`DRAWN`, relative to the height of the panel or the largest value of the
curve, on logarithmic axes to each value: double precision leaves 1e-12 to 1e-9 on the way through solvers and
eigendecompositions. A script whose curves amplify rounding declares a ``REFERENCE_TOLERANCE`` of its own, ``{preset:
value}``, in place of :data:`DRAWN`, and why. Only what lies within the axes counts. Measured: all figures of the tiny
preset stay within these tolerances when programs are compiled for a processor without AVX.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Tolerance of simulated points, in their own standard errors.
SIMULATED = 0.1
#: Relative tolerance of everything else.
DRAWN = 1e-6
#: Points kept of each curve.
KEPT = {"tiny": 3, "default": 6, "paper": 6}
#: Digits kept of each number: more than :data:`DRAWN` needs.
DIGITS = 8

Data = dict[str, Any]


# --- the data behind a figure --------------------------------------------------------------------------------


def figure_data(figure: Figure, kept: int) -> Data:
    """Return what a figure shows, as JSON: of every panel the scales, the view, and ``kept`` points of each curve.

    Curves go by label, or by colour and look. Colour bars, texts and legends are left out.
    """
    panels: Data = {}
    axes: Axes
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            continue
        curves: Data = {}
        for name, values in _curves(axes):
            count = max(len(column) for column in values.values())
            if count == 0:
                continue
            at = np.unique(np.linspace(0, count - 1, kept).round().astype(int))
            occurrence, key = 1, name
            while key in curves:
                occurrence, key = occurrence + 1, f"{name} #{occurrence + 1}"
            thinned = {column: _rounded(v[at]) for column, v in values.items() if len(v) == count}
            curves[key] = {"count": count, **thinned}
        title = (axes.get_title() or axes.get_title("left") or axes.get_ylabel()).split("\n")[0]
        panels[str(len(panels) + 1)] = {
            "title": title,
            "scales": [axes.get_xscale(), axes.get_yscale()],
            "view": [_rounded(sorted(axes.get_xlim())), _rounded(sorted(axes.get_ylim()))],
            "curves": curves,
        }
    return panels


def _rounded(values: Any) -> list[Any]:
    """Return plain numbers of few digits; strict JSON has no nan and inf, so they are strings."""
    numbers = [float(f"{float(v):.{DIGITS}g}") for v in values]
    return [v if np.isfinite(v) else str(v) for v in numbers]


def _numbers(values: Any) -> np.ndarray:
    filled: Any = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    return np.asarray(filled).ravel()


def _curves(axes: Axes) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Everything drawn in a panel, as (name, columns)."""
    from matplotlib.collections import LineCollection, PathCollection, PolyCollection, QuadMesh
    from matplotlib.container import BarContainer, ErrorbarContainer
    from matplotlib.contour import ContourSet

    inside: set[int] = set()  # parts of containers
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            inside |= {id(part) for part in (line, *caps, *bars)}
            if line is not None:
                label = container.get_label()
                yield _name(line, "" if label is None else str(label)), _with_errors(container)
        elif isinstance(container, BarContainer):
            inside |= {id(patch) for patch in container.patches}
            x = [patch.get_x() for patch in container.patches]
            yield (
                _label(container, "bars"),
                {"x": _numbers(x), "y": _numbers([p.get_height() for p in container.patches])},
            )
    for line in axes.lines:
        if id(line) not in inside:
            yield _name(line), {"x": _numbers(line.get_xdata()), "y": _numbers(line.get_ydata())}
    for patch in axes.patches:
        if id(patch) not in inside:
            corners = patch.get_patch_transform().transform(patch.get_path().vertices)
            yield _label(patch, "patch"), {"x": _numbers(corners[:, 0]), "y": _numbers(corners[:, 1])}
    for image in axes.images:
        yield _label(image, "image"), {"z": _numbers(image.get_array())}
    for collection in axes.collections:
        if id(collection) in inside:
            continue
        if isinstance(collection, ContourSet):
            yield _label(collection, "contours"), _contours(collection)
        elif isinstance(collection, QuadMesh):
            yield _label(collection, "mesh"), {"z": _numbers(collection.get_array())}
        elif isinstance(collection, PathCollection):
            x, y = np.ma.getdata(collection.get_offsets()).T
            colours = collection.get_array()
            z = {} if colours is None else {"z": _numbers(colours)}
            yield _label(collection, "markers"), {"x": _numbers(x), "y": _numbers(y), **z}
        elif isinstance(collection, (LineCollection, PolyCollection)):
            corners = np.concatenate([np.asarray(p.vertices) for p in collection.get_paths()] or [np.zeros((0, 2))])
            kind = "segments" if isinstance(collection, LineCollection) else "band"
            yield _label(collection, kind), {"x": _numbers(corners[:, 0]), "y": _numbers(corners[:, 1])}


def _label(artist: Any, kind: str) -> str:
    label = str(artist.get_label() or "")
    return kind if not label or label.startswith("_") else label


def _name(line: Any, label: str | None = None) -> str:
    """Label of a line, else its colour and look; matplotlib's own labels begin with an underscore."""
    from matplotlib.colors import to_hex

    label = str(line.get_label()) if label is None else label
    if label and not label.startswith("_"):
        return label
    looks = [str(look) for look in (line.get_marker(), line.get_linestyle()) if look not in ("None", "none", None, "")]
    return " ".join([to_hex(line.get_color()), *looks])


def _with_errors(container: Any) -> dict[str, np.ndarray]:
    line, _, bars = container.lines
    values = {"x": _numbers(line.get_xdata()), "y": _numbers(line.get_ydata())}
    drawn = [name for name, there in (("x", container.has_xerr), ("y", container.has_yerr)) if there]
    for name, bar in zip(drawn, bars, strict=True):
        column = "xy".index(name)
        ends = [np.asarray(path.vertices)[:, column] for path in bar.get_paths()]
        values[f"{name}_error"] = _numbers([np.ptp(pair) / 2 if len(pair) else np.nan for pair in ends])
    return values


def _contours(contours: Any) -> dict[str, np.ndarray]:
    """Length and centre of each level's lines: the number of corners is matplotlib's affair."""
    rows = []
    for path in contours.get_paths():
        start, stop = np.asarray(path.vertices)[:-1], np.asarray(path.vertices)[1:]
        drawn = np.ones(len(start), bool) if path.codes is None else np.asarray(path.codes)[1:] == path.LINETO
        length = np.linalg.norm(stop - start, axis=1) * drawn
        centre = (length[:, None] * (start + stop) / 2).sum(0) / max(length.sum(), 1e-300)
        rows.append([length.sum(), *centre])
    return {"z": _numbers(rows)}


# --- comparing -----------------------------------------------------------------------------------------------


def drifts(data: Data, reference: Data, *, tolerance: float = DRAWN) -> list[str]:
    """Return what of a figure's data is not as in the reference, one line per curve; nothing if all is.

    Parameters
    ----------
    data, reference
        What :func:`figure_data` returned now and then.
    tolerance
        Relative tolerance of what has no error bars; see the module.
    """
    found = []
    for panel in dict.fromkeys([*reference, *data]):
        title = (reference.get(panel) or data[panel])["title"]
        place = f"panel {panel}" + (f" ({title})" if title else "")
        if panel not in data or panel not in reference:
            found.append(f"{place}: {'is gone' if panel not in data else 'is not in the reference'}")
            continue
        now, then = data[panel], reference[panel]
        if now["scales"] != then["scales"]:
            found.append(f"{place}: scales are {now['scales']}, were {then['scales']}")
            continue
        for curve in dict.fromkeys([*then["curves"], *now["curves"]]):
            if curve not in now["curves"]:
                found.append(f"{place}, '{curve}': is gone")
            elif curve not in then["curves"]:
                found.append(f"{place}, '{curve}': is not in the reference")
            else:
                text = _drift(now["curves"][curve], then["curves"][curve], then, tolerance)
                found += [f"{place}, '{curve}': {text}"] if text else []
    return found


def _drift(now: Data, then: Data, panel: Data, tolerance: float) -> str:
    """Worst point of a curve, as a text; empty if all are within the tolerance."""
    if now["count"] != then["count"] or set(now) != set(then):
        return f"has {now['count']} points, had {then['count']}"
    worst, text, bad = 1.0, "", 0
    for name in ("x", "y", "z", "x_error", "y_error"):
        if name not in then:
            continue
        new, old = (np.array([float(v) for v in curve[name]]) for curve in (now, then))
        logarithmic, height = False, 0.0
        if name in ("x", "y"):
            axis = "xy".index(name)
            logarithmic = panel["scales"][axis] == "log"
            low, high = (float(v) for v in panel["view"][axis])
            new, old, height = np.clip(new, low, high), np.clip(old, low, high), high - low
        finite = np.abs(old[np.isfinite(old)])
        size = np.abs(old) if logarithmic else np.full(len(old), finite.max(initial=height))
        spread = then.get(f"{name}_error") if len(name) == 1 else then[name]
        error = np.nan_to_num([float(v) for v in spread]) if spread is not None else np.zeros(len(old))
        allowed = tolerance * size + SIMULATED * error
        with np.errstate(invalid="ignore"):
            same = (new == old) | (np.isnan(new) & np.isnan(old))
            gap = np.where(same, 0.0, np.nan_to_num(np.abs(new - old), nan=np.inf, posinf=np.inf))
        ratio = np.divide(gap, allowed, out=np.where(gap > 0, np.inf, 0.0), where=allowed > 0)
        bad += int((ratio > 1).sum())
        k = int(np.argmax(ratio))
        if ratio[k] > worst:
            worst = float(ratio[k])
            at = f" at x = {float(then['x'][k]):.4g}" if name != "x" and "x" in then else ""
            change = f", {new[k] / old[k] - 1:+.2g} of it" if old[k] and np.isfinite(new[k]) else ""
            label = name.replace("_", "'s ")
            text = f"{label}{at} is {new[k]:.8g}, was {old[k]:.8g}{change} (allowed ± {allowed[k]:.2g})"
    return text + (f", and {bad - 1} more of its numbers" if bad > 1 else "")


# --- reference values on disk -------------------------------------------------------------------------------


def read_reference(path: Path) -> Data:
    """Read reference values: ``{"made_with": versions, "figures": {name: data}}``."""
    content: Data = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_reference(path: Path, figures: Mapping[str, Data], versions: Mapping[str, str] | None = None) -> None:
    """Write the reference values of all figures of a setting at a preset, one curve a line.

    ``versions`` are those they were made with; by default those installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["{", f'"made_with": {json.dumps(dict(versions or made_with()))},', '"figures": {']
    for number, (name, panels) in enumerate(sorted(figures.items()), 1):
        lines.append(f"{json.dumps(name)}: {{")
        for index, (panel, content) in enumerate(panels.items(), 1):
            curves = content["curves"]
            head = json.dumps({key: value for key, value in content.items() if key != "curves"}, ensure_ascii=False)
            lines.append(f'{json.dumps(panel)}: {head[:-1]}, "curves": {{')
            for curve, (key, values) in enumerate(curves.items(), 1):
                text = json.dumps(values, separators=(",", ":"))
                lines.append(f"{json.dumps(key, ensure_ascii=False)}: {text}{',' * (curve < len(curves))}")
            lines.append(f"}}}}{',' * (index < len(panels))}")
        lines.append(f"}}{',' * (number < len(figures))}")
    path.write_text("\n".join([*lines, "}", "}"]) + "\n", encoding="utf-8")


def update_reference(path: Path, drawn: Mapping[str, Data], keep: Collection[str]) -> None:
    """Put the data of the drawn figures into a reference, which keeps those of the other figures that there are."""
    before = read_reference(path)["figures"] if path.exists() else {}
    write_reference(path, {name: data for name, data in {**before, **drawn}.items() if name in keep})


def made_with() -> dict[str, str]:
    """Return the versions on which random streams and rounding depend."""
    import jax
    import matplotlib
    import scipy

    parts = {"jax": jax, "numpy": np, "scipy": scipy, "matplotlib": matplotlib}
    return {name: str(module.__version__) for name, module in parts.items()}


def check_figure(name: str, data: Data, reference: Data, script: Any, preset: str) -> list[str]:
    """Return what of a figure is not as in a preset's reference values, by the tolerance of its script."""
    if name not in reference["figures"]:
        return ["is not in the reference: --update adds it"]
    tolerance = getattr(script, "REFERENCE_TOLERANCE", {}).get(preset, DRAWN)
    return drifts(data, reference["figures"][name], tolerance=tolerance)


def version_changes(reference: Data) -> str:
    """Say which versions differ from those of the reference values, since random streams may change with them."""
    then, now = reference.get("made_with", {}), made_with()
    changed = [
        f"{name} {now.get(name)} (reference: {version})" for name, version in then.items() if now.get(name) != version
    ]
    return "other versions: " + ", ".join(changed) if changed else "the versions are those of the reference"
