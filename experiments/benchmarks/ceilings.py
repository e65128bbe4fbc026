"""What this machine can do at most, by NumPy: matrix products, matrix-vector products, and copies.

The number of threads is that of the process, so that each number of threads takes a process of its own:

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m experiments.benchmarks.ceilings
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np


def fastest(run: Callable[[], object], seconds: float = 1.0) -> float:
    """Shortest time of one run, repeating for so many seconds and at least three times."""
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def gemm(dtype: str, size: int = 1536) -> float:
    """GFLOP/s of a product of two square matrices."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    out = np.empty_like(a)
    return 2 * size**3 / fastest(lambda: np.matmul(a, a, out=out)) / 1e9


def gemv(dtype: str, size: int) -> float:
    """GB/s of reading a square matrix for a product with a vector."""
    a = np.random.default_rng(0).standard_normal((size, size)).astype(dtype)
    v, out = np.ones(size, dtype), np.empty(size, dtype)
    return a.nbytes / fastest(lambda: np.dot(a, v, out=out), 0.5) / 1e9


def copy(size: int = 2**27) -> float:
    """GB/s of copying bytes, those read and those written together."""
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    return 2 * size / fastest(lambda: np.copyto(target, source), 0.5) / 1e9


def ceilings() -> dict[str, float]:
    """All ceilings, by name."""
    found = {f"matrix product {dtype}, GFLOP/s": gemm(dtype) for dtype in ("float32", "float64")}
    found |= {
        f"matrix times vector {dtype}, {place}, GB/s": gemv(dtype, size)
        for dtype, place, size in (
            ("float32", "13 MB", 1800), ("float64", "13 MB", 1275), ("float32", "134 MB", 5793),
            ("float64", "134 MB", 4096),
        )
    }  # fmt: skip
    return {name: round(value, 1) for name, value in {**found, "copy of 134 MB, GB/s": copy()}.items()}


if __name__ == "__main__":
    print(json.dumps(ceilings(), indent=1))
