"""Critical learning rates of 10,000 spectra: one compiled call against SciPy loops and a batched dense eigensolver.

Spectra of 200 eigenvalues, squares of normal numbers, batches of 8. The rate is the root of Σ ηλ/(B(2 - ηλ) - ηλ) = 1
(brentq), or 2 over the top eigenvalue of (1 + 1/B) Λ + (1/B) √λ √λᵀ (``eigvalsh``). All are checked against each other
to a relative error of 1e-9 in the same run. Slow ones solve every 20th or 100th spectrum, and their time is scaled up.

    python -m experiments.benchmarks.stability_thresholds [--rounds 5]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq

from experiments.benchmarks.racing import Row, Timing, check_close, compiled, main, race, rows_of, timed
from theorylab.numerics.second_moments import critical_learning_rate
from theorylab.runtime import configure

NUM_SPECTRA, DIM, BATCH = 10_000, 200, 8
SPECTRA = np.random.default_rng(0).standard_normal((NUM_SPECTRA, DIM)) ** 2
#: Every so many spectra are solved by the slow ones.
STRIDES = {"SciPy brentq": 20, "SciPy eigh, top only": 100, "NumPy eigvalsh": 100}


def solve_brentq() -> np.ndarray:
    """SciPy's brentq in η, between the bounds that a user knows: 0 and the first pole."""
    found = []
    for lam in SPECTRA[:: STRIDES["SciPy brentq"]]:
        pole = 2 * BATCH / ((BATCH + 1) * lam.max())

        def excess(rate: float, lam: np.ndarray = lam) -> float:
            return float((rate * lam / (BATCH * (2 - rate * lam) - rate * lam)).sum() - 1)

        found.append(brentq(excess, 0.0, pole * (1 - 1e-12), xtol=1e-14, rtol=1e-12))
    return np.array(found)


def matrices(stride: int) -> np.ndarray:
    """Rank-one updates whose top eigenvalues are 2/η*."""
    chosen = SPECTRA[::stride]
    roots = np.sqrt(chosen)
    return (1 + 1 / BATCH) * chosen[:, :, None] * np.eye(DIM) + roots[:, :, None] * roots[:, None, :] / BATCH


def solve_eigh() -> np.ndarray:
    """LAPACK's top eigenvalue, matrix by matrix."""
    last = [DIM - 1, DIM - 1]
    tops = [eigh(a, eigvals_only=True, subset_by_index=last)[0] for a in matrices(STRIDES["SciPy eigh, top only"])]
    return 2 / np.array(tops)


def solve_eigvalsh() -> np.ndarray:
    """NumPy's stacked eigenvalues, all of them."""
    return 2 / np.linalg.eigvalsh(matrices(STRIDES["NumPy eigvalsh"]))[:, -1]


def scaled(solve: Callable[[], np.ndarray], stride: int) -> Callable[[], Timing]:
    """Time of a solver as if it solved every spectrum."""

    def run() -> Timing:
        timing = timed(solve)
        return Timing(stride * timing.wall, stride * timing.cpu, timing.result)

    return run


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    spectra = jnp.asarray(SPECTRA)
    ours, seconds = compiled(jax.jit(jax.vmap(lambda lam: critical_learning_rate(lam, BATCH))), spectra)
    expected = np.asarray(ours(spectra))

    def check(name: str, result: Any) -> None:
        check_close(name, result, expected[:: STRIDES.get(name, 1)], 1e-9)

    contenders: dict[str, Callable[[], Any]] = {"ours": lambda: np.asarray(ours(spectra))}
    slow = {"SciPy brentq": solve_brentq, "SciPy eigh, top only": solve_eigh, "NumPy eigvalsh": solve_eigvalsh}
    contenders |= {name: scaled(solve, STRIDES[name]) for name, solve in slow.items()}
    outcome = race(contenders, rounds, check=check)
    return rows_of(f"{NUM_SPECTRA} spectra", outcome, compile_seconds={"ours": seconds}, precision="float64")


if __name__ == "__main__":
    main(measure, __doc__)
