"""Process-wide settings that applications, and only applications, choose at start."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory() -> Path:
    """Folder of compiled programs: ``$THEORYLAB_CACHE``, else the user's cache folder.

    JAX loads compiled programs from it, so only trusted users may be able to write there.
    """
    root = os.environ.get("THEORYLAB_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "theorylab"
    )
    return Path(root) / "compiled"


def start_application(*, float64: bool = True, cache: bool = True) -> None:
    """Set JAX up for an application: float64, full matrix-product precision, a persistent compile cache.

    The library itself follows its inputs' precision and never calls this.
    """
    import jax

    jax.config.update("jax_enable_x64", float64)
    # A GPU's TF32 products must not pose as a gap between theory and experiment.
    jax.config.update("jax_default_matmul_precision", "highest")
    if cache:
        jax.config.update("jax_compilation_cache_dir", str(cache_directory()))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
