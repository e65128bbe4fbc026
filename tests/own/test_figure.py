"""Figures of learning curves: whichever axis there is, lines of theory through points measured."""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest

import theorylab as tl
from theorylab.own.figure import draw
from theorylab.verdict.plotting import style

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
Y = X[:, 0] + 0.1 * RANDOM.normal(size=60)


def features(key, X, k):
    return jnp.cos(X @ jax.random.normal(key, (4, k)))


@pytest.mark.parametrize(
    ("chosen", "axis", "curves"),
    [
        ({"sizes": (8, 12, 20), "ridge": (0.0, 0.1)}, "training samples n", 2),
        ({"sizes": 12, "ridge": (0.0, 0.1, 1.0)}, "ridge", 1),
        ({"sizes": 12, "ridge": 0.1}, "training samples n", 1),
        ({"sizes": (8, 12), "ridge": 0.1, "num_features": (4, 12, 30)}, "random features k", 2),
    ],
    ids=["samples", "ridges", "one point", "features"],
)
def test_every_axis(chosen, axis, curves, tmp_path, monkeypatch):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path))
    own = {"features": features} if "num_features" in chosen else {}
    data = tl.learning_curve(X, Y, **chosen, **own, trials=3)
    with style():
        figure = draw(data)
    left, right = figure.axes
    assert left.get_xlabel() == right.get_xlabel() == axis
    assert len(right.containers) == curves  # points with their errors
    # The line goes where the table is.
    if len(data.num_samples) > 1 and "num_features" not in data.dims:
        line = left.lines[0]
        at = np.interp(12.0, line.get_xdata(), line.get_ydata())
        np.testing.assert_allclose(at, data.test_error.sel(num_samples=12).values[0], rtol=0.02)
    plt.close(figure)
