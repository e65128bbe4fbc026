"""Figure 1: the computed gradient over the exact one, in four precisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from theorylab.catalogue import Preset
from theorylab.settings.step_size.numerical_collapse import collapse_gap, exact_gradient, gradients
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DTYPES = ("bfloat16", "float16", "float32", "float64")
#: Gaps in units of the collapse; not 1 itself, which rounding decides.
RELATIVE = np.linspace(0.5125, 1.4875, 40)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Gradients of softmax by both logits over the exact ones, about the collapse; nothing is simulated."""
    ratios = np.empty((len(DTYPES), 2, len(RELATIVE)))
    collapse = [collapse_gap(dtype, "softmax") for dtype in DTYPES]
    for i, dtype in enumerate(DTYPES):
        margins = jnp.asarray(RELATIVE * collapse[i] / 2).astype(dtype)
        exact = np.asarray(exact_gradient(margins.astype(float), "softmax"))
        found = jax.jit(jax.vmap(lambda z, dtype=dtype: gradients(z, -z, dtype, "softmax")))(margins)
        ratios[i] = np.stack([-np.asarray(found[0]), np.asarray(found[1])]) / exact
    return xarray.Dataset(
        {"ratio": (("dtype", "logit", "relative"), ratios), "collapse": ("dtype", collapse)},
        coords={"dtype": list(DTYPES), "logit": ["correct", "other"], "relative": RELATIVE},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw gradients by the two logits (left) and by the margin (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    for dtype, color in zip(data.dtype.values, COLOURS, strict=False):
        here = data.sel(dtype=dtype)
        collapse = float(here.collapse)
        left.plot(here.relative, here.ratio.sel(logit="correct"), ".-", color=color, linewidth=0.7, label=dtype)
        left.plot(here.relative, here.ratio.sel(logit="other"), "--", color=color, linewidth=0.9)
        right.plot(collapse * here.relative, here.ratio.mean("logit"), ".-", color=color, linewidth=0.7)
        right.axvline(collapse, color=color, linestyle=":")
        right.text(collapse, 1.62, f" {collapse:.2f}", color=color)
    left.plot([], [], "--", color="grey", linewidth=0.9, label="by the other class's logit")
    left.axvline(1, color="grey", linewidth=0.6)
    left.set(xlabel=r"logit gap over $\log(2/\varepsilon)$", ylabel="computed gradient over the exact one")
    left.set(ylim=(-0.1, 2.4))
    left.set_title("(a) by the logit of the correct class")
    left.legend(loc="upper right")
    right.axhline(0.5, color="grey", linewidth=0.6)
    right.set(xlabel=r"logit gap $\Delta$", ylim=(0, 1.8), xscale="log")
    right.xaxis.set_ticks([3, 5, 10, 20, 50], ["3", "5", "10", "20", "50"])
    right.xaxis.set_ticks([], minor=True)
    right.set_title("(b) by the margin: half is left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
