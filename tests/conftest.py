"""Strict settings for every test: float64, no silent rank promotion, shapes checked at run time."""

import os
import sys
from pathlib import Path

# One linear-algebra thread per test process: two threads on two shared cores are far slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of the tests' time is compilation: a sixth less without LLVM's optimisations. XLA's own, fusion too, stay.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import checked
from jaxtyping import install_import_hook

# Before anything of these rooms is imported.
install_import_hook(checked.ROOMS, "checked.annotations")

import jax  # noqa: E402
import pytest  # noqa: E402

from theorylab.runtime import application_settings  # noqa: E402

# One leg of .ci/run is in single precision.
jax.config.update("jax_enable_x64", os.environ.get("JAX_ENABLE_X64", "1") not in ("0", "false"))
jax.config.update("jax_numpy_rank_promotion", "raise")

# Programs are compiled once per machine, not once per test and per worker process.
jax.config.update("jax_compilation_cache_dir", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled"))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

jax.devices()  # fixes their number: an application that a test starts must not change it for those after it


@pytest.fixture(autouse=True)
def _settings_end_with_the_test():
    """An application run inside a test sets JAX up for its process: other programs, hence other checkpoints."""
    before = {name: getattr(jax.config, name) for name in application_settings()}
    yield
    for name, value in before.items():
        if getattr(jax.config, name) != value:
            jax.config.update(name, value)


@pytest.fixture
def streams_kept():
    """Importing submitit closes the handlers of logging, and absl's then closes its stream.

    That is pytest's own, if absl was imported within a test.
    """
    absl_logging = pytest.importorskip("absl.logging")
    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__
