"""Effective ridges on a grid of 360 points: one compiled call against a SciPy loop and an eager-JAX loop.

    python -m experiments.benchmarks.effective_ridge

All three solve z(γ) + d(γ) = min(n, k) for a power law of 1000 eigenvalues, 18 ridges x 20 widths. They are
checked against each other to a relative error of 1e-8 in the same run, and timed in alternating rounds on one
CPU. The eager loop is slow, so it solves every 30th point and its time is scaled up.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import brentq

from theorylab.numerics.spectra import power_law
from theorylab.random_features.theory import effective_ridges

NUM_MODES, NUM_SAMPLES, ROUNDS, EAGER_STRIDE = 1000, 200, 7, 30
EIGENVALUES = np.arange(1, NUM_MODES + 1) ** -1.5
RIDGES = np.concatenate([[0.0], np.logspace(-8, 2, 17)])
WIDTHS = np.concatenate([np.round(np.geomspace(10, 5000, 18)) + 0.0, [200.0, np.inf]])


def points() -> list[tuple[float, float]]:
    """Ridge and width of every grid point; the singular corner n = k at ridge 0 included."""
    return [(float(ridge), float(width)) for ridge in RIDGES for width in WIDTHS]


def excess(gamma: float, ridge: float, width: float, xp: object = np) -> float:
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


def compiled_solver() -> tuple[Callable[[], np.ndarray], float]:
    """Return our solver as one compiled call over the grid, and its first-call seconds (tracing included)."""
    spectrum = power_law(NUM_MODES, 1.5, 1.5)
    ridges, widths = (jnp.asarray(column) for column in np.array(points()).T)

    @jax.jit
    def solve(ridges: jax.Array, widths: jax.Array) -> jax.Array:
        return jax.vmap(lambda ridge, k: effective_ridges(spectrum, NUM_SAMPLES, k, ridge).gamma)(ridges, widths)

    start = time.perf_counter()
    jax.block_until_ready(solve(ridges, widths))
    first = time.perf_counter() - start
    return lambda: np.asarray(solve(ridges, widths)), first


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest |found/expected − 1|."""
    return float(np.max(np.abs(found / expected - 1)))


def main() -> dict[str, float]:
    """Run, verify, and print medians and ratios."""
    jax.config.update("jax_enable_x64", True)
    solve_ours, first_call = compiled_solver()
    scale = len(points()) / len(points()[::EAGER_STRIDE])
    solvers = {"ours": (solve_ours, 1.0), "brentq": (solve_scipy, 1.0), "eager": (solve_eager, scale)}
    seconds: dict[str, list[float]] = {name: [] for name in solvers}
    answers: dict[str, np.ndarray] = {}
    for name, (solve, _) in solvers.items():  # warm-up
        answers[name] = solve()
    for _ in range(ROUNDS):
        for name, (solve, factor) in solvers.items():
            start = time.perf_counter()
            answers[name] = solve()
            seconds[name].append(factor * (time.perf_counter() - start))
    errors = {
        "brentq": relative_error(answers["ours"], answers["brentq"]),
        "eager": relative_error(answers["ours"][::EAGER_STRIDE], answers["eager"]),
    }
    median = {name: statistics.median(times) for name, times in seconds.items()}
    ratios = {
        name: statistics.median(t / o for t, o in zip(seconds[name], seconds["ours"], strict=True))
        for name in ("brentq", "eager")
    }
    print(f"{len(points())} points, {NUM_MODES} eigenvalues, median of {ROUNDS} alternating rounds")
    for name, value in median.items():
        print(f"  {name:7s} {1e3 * value:10.2f} ms  {1e6 * value / len(points()):10.1f} us per point")
    print(f"  first call of ours, compilation included: {first_call:.2f} s")
    for name, ratio in ratios.items():
        once = median[name] / (first_call)
        print(
            f"  x {name}: {ratio:.1f} (compilation included, one grid: {once:.2f}); "
            f"largest relative difference {errors[name]:.1e}"
        )
        if not errors[name] <= 1e-8:
            raise SystemExit(f"ours and {name} differ by {errors[name]:.1e}, above 1e-8")
    return {"brentq": ratios["brentq"], "eager": ratios["eager"], "first_call": first_call}


if __name__ == "__main__":
    main()
