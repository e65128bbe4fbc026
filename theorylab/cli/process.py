"""What the command line does to its own process, and a library must not do to its user's."""

from __future__ import annotations

import atexit
import gc
import os


def start() -> None:
    """Set up this process: JAX, then memory and threads for one run that ends with it.

    Python's search for unreachable cycles passes over the modules loaded so far and, at exit, over everything: the
    process's memory goes back at once, half a second earlier. What only a destructor would write must be closed before,
    as a ``with`` block does.
    """
    # Batches of small matrices: LAPACK's own threads would get into the way of XLA's. SciPy is loaded later than this.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "Agg")  # pictures go into files
    gc.set_threshold(10_000)  # objects; Python's 700 take 5% of a short run
    import jax  # noqa: F401 - its modules are among those that stay

    from theorylab import runtime

    gc.freeze()
    atexit.register(gc.freeze)
    runtime.configure()
