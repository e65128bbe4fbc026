"""The figure of a learning curve: theory as lines, what was measured as points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from theorylab.numerics.spectra import Spectrum
from theorylab.own.curve import predicted
from theorylab.verdict.plotting import gradient, points, shown_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {"num_samples": "training samples n", "ridge": "ridge", "num_features": "random features k"}
SHORT = {"num_samples": "n", "ridge": "ridge", "num_features": "k"}
MOST_CURVES = 6


def draw(data: xarray.Dataset) -> Figure:
    """Draw what :func:`~theorylab.own.curve.learning_curve` returned: test and train error, the best ridge.

    The axis is the first of features, samples and ridges that has several values, the second makes up to six curves.
    """
    import matplotlib.pyplot as plt

    several = [name for name in ("num_features", "num_samples", "ridge") if data.sizes.get(name, 0) > 1]
    axis, *others = several or ["num_samples"]
    family = others[0] if others else None
    rest = {
        name: 0 for name in ("num_features", "num_samples", "ridge") if name in data.dims and name not in (axis, family)
    }
    data = data.isel(rest)
    members = (
        np.arange(1) if family is None else np.unique(np.linspace(0, data.sizes[family] - 1, MOST_CURVES).astype(int))
    )
    x = data[axis].values
    shown = x > 0  # a ridge of 0 has no place on a logarithmic axis
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4), layout="constrained")
    for panel, name in ((left, "test_error"), (right, "train_error")):
        for colour, member in zip(gradient(len(members)), members, strict=True):
            part = data if family is None else data.isel({family: member})
            label = None if family is None else f"{SHORT[family]} = {part[family].item():.4g}"
            fine = np.geomspace(x[shown].min(), x.max(), 200 if shown.sum() > 1 else 1)
            panel.plot(fine, _line(part, axis, fine)[name], color=colour, label=label if name == "test_error" else None)
            if f"measured_{name}" in part:
                points(panel, x[shown], part[f"measured_{name}"].isel({axis: shown}), color=colour)
        panel.set(xscale="log", yscale="log", xlabel=LABELS[axis], ylabel=name.replace("_", " "))
        if axis != "ridge":
            ticks = x[:: -(-len(x) // 6)]
            panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.set_xticks([], minor=True)
        seen = np.concatenate([data[v].values.ravel() for v in (name, f"measured_{name}") if v in data])
        seen = seen[np.isfinite(seen) & (seen > 0)]
        if seen.size:
            panel.set_ylim(max(seen.min() / 1.5, seen.max() * 1e-6), seen.max() * 1.5)
    if axis != "ridge" and family != "num_samples":
        left.plot(x, data["optimal_test_error"], "x", color="black", label="best ridge")
    if left.get_legend_handles_labels()[0]:
        left.legend()
    about = f"{data.attrs['kernel']}, {data.attrs['population']:g} points" + "".join(
        f", {SHORT[name]} = {data[name].item():.4g}"
        for name in (*rest, *(() if several else (axis,)))
        if name in data.coords
    )
    figure.suptitle(about, fontsize=10)
    return shown_once(figure)


def _line(part: xarray.Dataset, axis: str, fine: np.ndarray) -> dict[str, np.ndarray]:
    """Predictions along a fine axis, all else as in the data."""
    values: dict[str, Any] = {
        name: fine if name == axis else np.atleast_1d(part[name].values) if name in part.coords else None
        for name in ("num_samples", "ridge", "num_features")
    }
    power = part["target_power"].values
    system = Spectrum(part["eigenvalues"].values, np.ones_like(power), power)
    found = predicted(
        system, values["num_samples"], values["ridge"], values["num_features"],
        part.attrs["noise_variance"], part.attrs["population"],
    )  # fmt: skip
    return {name: array.ravel() for name, array in found.items()}
