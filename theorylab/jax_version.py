"""Which versions of JAX the library runs on, and what moved between them.

Importing this module makes sure of the one that is installed.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

#: The oldest JAX on which the tests pass, and the newest on which they were run; a newer one is tried.
OLDEST, NEWEST = "0.6.1", "0.12.0.1"

#: What the library uses of JAX that came or moved between versions: (module, name).
_NAMES = (
    ("jax", "shard_map"),
    ("jax.extend.core", "jaxpr_as_fun"),
    ("jax.experimental.xla_metadata", "set_xla_metadata"),
)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])


def require(version: str | None = None) -> None:
    """Make sure that the JAX installed, or one of a given version, can run the library.

    Raises
    ------
    ImportError
        In one sentence with both versions: the one installed, and those that work.
    """
    import jax

    version = jax.__version__ if version is None else version
    if _numbers(version) < _numbers(OLDEST):
        raise ImportError(
            f"theorylab needs JAX {OLDEST} or later, and JAX {version} is installed: pip install --upgrade jax",
            name="jax",
        )
    for module, name in _NAMES:
        if not _has(module, name):
            raise ImportError(
                f"theorylab was tried on JAX {OLDEST} to {NEWEST}, and JAX {version}, which is installed, has no "
                f'{module}.{name}: pip install "jax<={NEWEST}"',
                name="jax",
            )


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def double_precision(enabled: bool) -> Any:
    """Return a context in which new arrays are float64, or are not."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    from jax import experimental  # before JAX 0.8

    return experimental.enable_x64(enabled)  # type: ignore[attr-defined]


require()
