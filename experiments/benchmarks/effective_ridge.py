"""Effective ridges on a grid of 360 points: one compiled call against a SciPy loop, an eager and a jitted JAX loop.

All solve z(γ) + d(γ) = min(n, k) for a power law of 1000 eigenvalues, 18 ridges x 20 widths. They are checked against
each other to a relative error of 1e-8 in the same run. The eager loop is slow, so it solves every 30th point and its
time is scaled up.

    python -m experiments.benchmarks.effective_ridge [--rounds 5]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from experiments.benchmarks.racing import Row, Timing, check_close, compiled, main, race, rows_of, timed
from theorylab.numerics.spectra import power_law
from theorylab.runtime import configure
from theorylab.settings.kernels.theory import effective_ridges

NUM_MODES, NUM_SAMPLES, EAGER_STRIDE = 1000, 200, 30
EIGENVALUES = np.arange(1, NUM_MODES + 1) ** -1.5
RIDGES = np.concatenate([[0.0], np.logspace(-8, 2, 17)])
WIDTHS = np.concatenate([np.round(np.geomspace(10, 5000, 18)) + 0.0, [200.0, np.inf]])


def points() -> list[tuple[float, float]]:
    """Ridge and width of every grid point; the singular corner n = k at ridge 0 included."""
    return [(float(ridge), float(width)) for ridge in RIDGES for width in WIDTHS]


def excess(gamma: float, ridge: float, width: float) -> float:
    """z(γ) + d(γ) − min(n, k)."""
    z = (EIGENVALUES / (EIGENVALUES + gamma)).sum()
    ratio, imbalance = ridge / gamma, abs(1 - NUM_SAMPLES / width)
    root = math.sqrt(imbalance**2 + 4 * ratio / width)
    return z + (2 * ratio / (imbalance + root) if ratio else 0.0) - min(NUM_SAMPLES, width)


def bracket(ridge: float, width: float) -> tuple[float, float]:
    """Lowest and highest log γ: γ >= δ/n, and z <= m/4, d <= m/2 at the upper end."""
    upper = max(4 * EIGENVALUES.sum() / min(NUM_SAMPLES, width), 8 * ridge / NUM_SAMPLES)
    return (math.log(ridge / NUM_SAMPLES) if ridge else -60.0), math.log(upper)


def solve_scipy() -> np.ndarray:
    """SciPy's brentq point by point, in log γ."""
    found = []
    for ridge, width in points():
        low, high = bracket(ridge, width)
        found.append(brentq(lambda u, r=ridge, k=width: excess(math.exp(u), r, k), low, high, xtol=1e-10, rtol=1e-12))
    return np.exp(found)


def solve_eager() -> np.ndarray:
    """Bisection over un-jitted jax.numpy, as one writes it first; every 30th point."""
    eigenvalues, found = jnp.asarray(EIGENVALUES), []
    for ridge, width in points()[::EAGER_STRIDE]:
        low, high = bracket(ridge, width)
        imbalance, smaller = abs(1 - NUM_SAMPLES / width), min(NUM_SAMPLES, width)
        while high - low > 1e-10:
            middle = (low + high) / 2
            gamma = jnp.exp(middle)
            ratio = ridge / gamma
            root = jnp.sqrt(imbalance**2 + 4 * ratio / width)
            spare = 2 * ratio / (imbalance + root + 1e-300)
            if jnp.sum(eigenvalues / (eigenvalues + gamma)) + spare > smaller:
                low = middle
            else:
                high = middle
        found.append(math.exp((low + high) / 2))
    return np.array(found)


def scaled_eager() -> Timing:
    """Time of the eager loop as if it solved every point."""
    timing = timed(solve_eager)
    scale = len(points()) / len(points()[::EAGER_STRIDE])
    return Timing(scale * timing.wall, scale * timing.cpu, timing.result)


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    spectrum = power_law(NUM_MODES, 1.5, 1.5)
    ridges, widths = (jnp.asarray(column) for column in np.array(points()).T)

    def solve(ridge: jax.Array, k: jax.Array) -> jax.Array:
        return effective_ridges(spectrum, NUM_SAMPLES, k, ridge).gamma

    ours, seconds = compiled(jax.jit(jax.vmap(solve)), ridges, widths)
    single, single_seconds = compiled(jax.jit(solve), ridges[0], widths[0])
    separate = [(jnp.asarray(ridge), jnp.asarray(width)) for ridge, width in points()]
    expected = solve_scipy()

    def check(name: str, result: Any) -> None:
        check_close(name, result, expected[::EAGER_STRIDE] if "eager" in name else expected, 1e-8)

    contenders: dict[str, Callable[[], Any]] = {
        "ours": lambda: np.asarray(ours(ridges, widths)),
        "loop around jit": lambda: np.array([float(single(*point)) for point in separate]),
        "SciPy brentq": solve_scipy,
        "eager JAX, bisection": scaled_eager,
    }
    outcome = race(contenders, rounds, check=check)
    compiling = {"ours": seconds, "loop around jit": single_seconds}
    return rows_of("360 points", outcome, compile_seconds=compiling, precision="float64")


if __name__ == "__main__":
    main(measure, __doc__)
